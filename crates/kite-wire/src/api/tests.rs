//! Every route, as it goes over the wire.

use jiff::civil::date;
use market_model::{Exchange, InstrumentToken, Price};
use proptest::prelude::*;

use super::*;
use crate::rest::{AlertBasket, AlertBasketItem, AlertBasketParams};
use crate::{
    AlertStatus, AlertType, Amount, GttType, Interval, MarginSegment, OrderType, PositionType, Product,
    TransactionType, Validity, Variety, parse_indian_time,
};

/// `call` is sent as `line`: method, target and, when there is one, the body.
fn check(call: &impl Call, line: &str) {
    same(&call.request(), line);
}

fn same(request: &ApiRequest, line: &str) {
    assert_eq!(request.problem(), None);
    let body = request.body.encode();
    let sent = format!("{} {} {body}", request.method.as_str(), request.target());
    assert_eq!(sent.trim_end(), line);
    let calculates = matches!(request.body, RequestBody::Json(_));
    assert_eq!(request.is_read, request.method == Method::Get || calculates, "{line}");
}

fn rupees(text: &str) -> Price {
    text.parse().unwrap()
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn infy() -> PlaceOrder {
    let side = (TransactionType::Buy, 1);
    PlaceOrder::regular((Exchange::Nse, "INFY"), side, Product::Cnc, OrderType::Limit)
}

#[test]
fn sessions() {
    let login = GenerateSession { api_key: text("k"), request_token: text("r"), checksum: text("c") };
    check(&login, "POST /session/token api_key=k&request_token=r&checksum=c");
    assert!(!login.request().needs_login);
    let renewal = RenewSession { api_key: text("k"), refresh_token: text("r"), checksum: text("c") };
    check(&renewal, "POST /session/refresh_token api_key=k&refresh_token=r&checksum=c");
    for (token, name) in [
        (SessionToken::Access(text("t")), "access_token"),
        (SessionToken::Refresh(text("t")), "refresh_token"),
    ] {
        let end = EndSession { api_key: text("k"), token };
        check(&end, &format!("DELETE /session/token?api_key=k&{name}=t"));
        assert!(end.request().needs_login);
    }
}

#[test]
fn users() {
    check(&GetProfile, "GET /user/profile");
    check(&GetFullProfile, "GET /user/profile/full");
    check(&GetMargins, "GET /user/margins");
    check(&GetSegmentMargins(MarginSegment::Commodity), "GET /user/margins/commodity");
}

#[test]
fn orders() {
    let mut order = infy();
    order.price = Some(rupees("1412.95"));
    order.tag = Some(text("a b&c"));
    check(
        &order,
        "POST /orders/regular exchange=NSE&tradingsymbol=INFY&transaction_type=BUY&quantity=1&product=CNC\
         &order_type=LIMIT&price=1412.95&tag=a+b%26c",
    );
    let everything = PlaceOrder {
        variety: Variety::Auction,
        exchange: Exchange::from_word("NEW"),
        tradingsymbol: text("M&M"),
        price: Some(rupees("10")),
        trigger_price: Some(rupees("9.50")),
        validity: Some(Validity::Ttl),
        validity_ttl: Some(2),
        disclosed_quantity: Some(3),
        iceberg: Some(Iceberg { legs: 5, quantity: 200 }),
        auction_number: Some(text("22")),
        tag: None,
        market_protection: Some(MarketProtection::Percent(amount("2.50"))),
        autoslice: true,
        algo_id: Some(text("7")),
        squareoff: Some(rupees("1")),
        stoploss: Some(rupees("0.05")),
        trailing_stoploss: Some(Price::ZERO),
        ..infy()
    };
    check(
        &everything,
        "POST /orders/auction exchange=NEW&tradingsymbol=M%26M&transaction_type=BUY&quantity=1&product=CNC\
         &order_type=LIMIT&price=10&trigger_price=9.5&validity=TTL&validity_ttl=2&disclosed_quantity=3\
         &iceberg_legs=5&iceberg_quantity=200&auction_number=22&market_protection=2.5&autoslice=true&algo_id=7\
         &squareoff=1&stoploss=0.05&trailing_stoploss=0",
    );
    let mut change = ModifyOrder::new(Variety::Co, "1914227164488687616");
    check(&change, "PUT /orders/co/1914227164488687616");
    change.parent_order_id = Some(text("7"));
    change.order_type = Some(OrderType::Market);
    change.quantity = Some(3);
    change.price = Some(rupees("1500"));
    change.trigger_price = Some(Price::ZERO);
    change.disclosed_quantity = Some(1);
    change.validity = Some(Validity::Ioc);
    change.validity_ttl = Some(1);
    change.market_protection = Some(MarketProtection::Automatic);
    check(
        &change,
        "PUT /orders/co/1914227164488687616 parent_order_id=7&order_type=MARKET&quantity=3&price=1500\
         &trigger_price=0&disclosed_quantity=1&validity=IOC&validity_ttl=1&market_protection=-1",
    );
    let cancel = CancelOrder { variety: Variety::Regular, order_id: text("1"), parent_order_id: None };
    check(&cancel, "DELETE /orders/regular/1");
    let exit = CancelOrder { variety: Variety::Co, order_id: text("2"), parent_order_id: Some(text("1")) };
    check(&exit, "DELETE /orders/co/2?parent_order_id=1");
    check(&GetOrders, "GET /orders");
    check(&GetOrderHistory(text("1")), "GET /orders/1");
    check(&GetTrades, "GET /trades");
    check(&GetOrderTrades(text("1")), "GET /orders/1/trades");
}

#[test]
fn every_class_has_its_calls() {
    let cancel = CancelOrder { variety: Variety::Regular, order_id: text("1"), parent_order_id: None };
    let candles = GetCandles {
        instrument_token: InstrumentToken(5633),
        interval: Interval::Minute,
        from: parse_indian_time("2017-12-15 09:15:00").unwrap(),
        to: parse_indian_time("2017-12-15 09:20:00").unwrap(),
        continuous: false,
        oi: true,
    };
    check(
        &candles,
        "GET /instruments/historical/5633/minute?from=2017-12-15+09%3A15%3A00&to=2017-12-15+09%3A20%3A00\
         &continuous=0&oi=1",
    );
    let classes = [
        GetLtp(vec![]).request().class,
        candles.request().class,
        infy().request().class,
        ModifyOrder::new(Variety::Regular, "1").request().class,
        cancel.request().class,
        GetOrders.request().class,
    ];
    assert_eq!(classes, RequestClass::ALL);
    assert_eq!(classes.map(RequestClass::is_order), [false, false, true, true, true, false]);
}

#[test]
fn triggers() {
    let leg = |at: &str, price: &str| GttLeg {
        trigger_value: rupees(at),
        transaction_type: TransactionType::Sell,
        quantity: 1,
        order_type: OrderType::Limit,
        product: Product::Cnc,
        price: rupees(price),
    };
    let spec = GttSpec {
        kind: GttType::TwoLeg,
        exchange: Exchange::Nse,
        tradingsymbol: text("INFY"),
        instrument_token: Some(InstrumentToken(408_065)),
        last_price: rupees("742"),
        legs: vec![leg("702", "702.5"), leg("798", "798.5")],
    };
    let request = PlaceGtt(spec.clone()).request();
    let RequestBody::Form(fields) = &request.body else { panic!("no form") };
    let order = |price: &str| {
        format!(
            r#"{{"exchange":"NSE","tradingsymbol":"INFY","transaction_type":"SELL","quantity":1,"order_type":"LIMIT","product":"CNC","price":{price}}}"#
        )
    };
    let expect = [
        ("type", text("two-leg")),
        (
            "condition",
            text(
                r#"{"exchange":"NSE","tradingsymbol":"INFY","trigger_values":[702,798],"last_price":742,"instrument_token":408065}"#,
            ),
        ),
        ("orders", format!("[{},{}]", order("702.5"), order("798.5"))),
    ];
    assert_eq!(fields.as_slice(), expect);
    let change = ModifyGtt { id: 123, spec }.request();
    assert_eq!((change.method, change.path.as_str()), (Method::Put, "/gtt/triggers/123"));
    assert_eq!(change.body, request.body);
    check(&GetGtts, "GET /gtt/triggers");
    check(&GetGtt(123), "GET /gtt/triggers/123");
    check(&DeleteGtt(123), "DELETE /gtt/triggers/123");
}

#[test]
fn alerts() {
    let spec = AlertSpec {
        name: text("gold"),
        kind: AlertType::Simple,
        lhs_exchange: Exchange::from_word("INDICES"),
        lhs_tradingsymbol: text("NIFTY 50"),
        lhs_attribute: text("LastTradedPrice"),
        operator: text(">="),
        rhs: AlertSide::Constant(amount("27000")),
        basket: None,
    };
    let start = "name=gold&type=simple&lhs_exchange=INDICES&lhs_tradingsymbol=NIFTY+50\
                 &lhs_attribute=LastTradedPrice&operator=%3E%3D&rhs_type=";
    check(&CreateAlert(spec.clone()), &format!("POST /alerts {start}constant&rhs_constant=27000"));
    let rhs =
        AlertSide::Instrument { exchange: Exchange::Nse, tradingsymbol: text("X"), attribute: text("A") };
    let change = ModifyAlert { uuid: text("u-1"), spec: AlertSpec { rhs, ..spec.clone() } };
    check(
        &change,
        &format!("PUT /alerts/u-1 {start}instrument&rhs_exchange=NSE&rhs_tradingsymbol=X&rhs_attribute=A"),
    );
    let params = AlertBasketParams { quantity: 5, price: rupees("72.22"), ..AlertBasketParams::default() };
    let item =
        AlertBasketItem { kind: text("insert"), tradingsymbol: text("G"), params, ..Default::default() };
    let basket = AlertBasket { items: vec![item], ..AlertBasket::default() };
    let request = CreateAlert(AlertSpec { basket: Some(basket.clone()), ..spec }).request();
    let RequestBody::Form(fields) = &request.body else { panic!("no form") };
    let (name, json) = fields.last().unwrap();
    assert_eq!(*name, "basket");
    assert!(json.starts_with(r#"{"items":[{"type":"insert","tradingsymbol":"G""#), "{json}");
    assert!(json.contains(r#""quantity":5,"price":72.22"#), "{json}");
    assert_eq!(serde_json::from_str::<AlertBasket>(json).unwrap(), basket);
    let page = GetAlerts { status: Some(AlertStatus::Enabled), page: Some(2), page_size: Some(50) };
    check(&page, "GET /alerts?status=enabled&page=2&page_size=50");
    check(&GetAlerts::default(), "GET /alerts");
    check(&GetAlert(text("u")), "GET /alerts/u");
    check(&GetAlertHistory(text("u")), "GET /alerts/u/history");
    check(&DeleteAlerts(vec![text("u"), text("v")]), "DELETE /alerts?uuid=u&uuid=v");
}

#[test]
fn portfolios() {
    check(&GetHoldings, "GET /portfolio/holdings");
    check(&GetHoldingsSummary, "GET /portfolio/holdings/summary");
    check(&GetCompactHoldings, "GET /portfolio/holdings/compact");
    check(&GetAuctions, "GET /portfolio/holdings/auctions");
    check(&GetPositions, "GET /portfolio/positions");
    check(&AuthoriseHoldings::default(), "POST /portfolio/holdings/authorise");
    let some = AuthoriseHoldings {
        holdings: vec![(text("I1"), 5), (text("I2"), 6)],
        kind: Some(text("equity")),
        transfer_type: Some(text("pre")),
        exec_date: Some(text("2025-01-01")),
    };
    check(
        &some,
        "POST /portfolio/holdings/authorise type=equity&transfer_type=pre&exec_date=2025-01-01&isin=I1&quantity=5\
         &isin=I2&quantity=6",
    );
    let convert = ConvertPosition {
        exchange: Exchange::Nse,
        tradingsymbol: text("INFY"),
        transaction_type: TransactionType::Buy,
        position_type: PositionType::Overnight,
        quantity: 3,
        old_product: Product::Nrml,
        new_product: Product::Mis,
    };
    check(
        &convert,
        "PUT /portfolio/positions exchange=NSE&tradingsymbol=INFY&transaction_type=BUY&position_type=overnight\
         &quantity=3&old_product=NRML&new_product=MIS",
    );
}

#[test]
fn calculators() {
    let order = MarginOrder {
        exchange: Exchange::Nse,
        tradingsymbol: text("INFY"),
        transaction_type: TransactionType::Buy,
        variety: Variety::Regular,
        product: Product::Cnc,
        order_type: OrderType::Market,
        quantity: 1,
        price: Price::ZERO,
        trigger_price: rupees("0.05"),
    };
    let body = r#"[{"exchange":"NSE","tradingsymbol":"INFY","transaction_type":"BUY","variety":"regular","product":"CNC","order_type":"MARKET","quantity":1,"price":0,"trigger_price":0.05}]"#;
    let orders = vec![order];
    let alone = OrderMargins { orders: orders.clone(), compact: false };
    check(&alone, &format!("POST /margins/orders {body}"));
    check(&OrderMargins { compact: true, ..alone }, &format!("POST /margins/orders?mode=compact {body}"));
    let basket = BasketMargins { orders, consider_positions: Some(true), compact: true };
    check(&basket, &format!("POST /margins/basket?consider_positions=true&mode=compact {body}"));
    let charges = GetCharges(vec![ChargeOrder {
        order_id: text("1"),
        exchange: Exchange::Nse,
        tradingsymbol: text("SBIN"),
        transaction_type: TransactionType::Buy,
        variety: Variety::Regular,
        product: Product::Cnc,
        order_type: OrderType::Market,
        quantity: 1,
        average_price: rupees("560"),
    }]);
    check(
        &charges,
        r#"POST /charges/orders [{"order_id":"1","exchange":"NSE","tradingsymbol":"SBIN","transaction_type":"BUY","variety":"regular","product":"CNC","order_type":"MARKET","quantity":1,"average_price":560}]"#,
    );
}

#[test]
fn quotes_and_dumps() {
    let asked = || vec![text("NSE:NIFTY 50"), text("NSE:M&M")];
    check(&GetQuotes(asked()), "GET /quote?i=NSE%3ANIFTY+50&i=NSE%3AM%26M");
    check(&GetOhlc(asked()), "GET /quote/ohlc?i=NSE%3ANIFTY+50&i=NSE%3AM%26M");
    check(&GetLtp(asked()), "GET /quote/ltp?i=NSE%3ANIFTY+50&i=NSE%3AM%26M");
    let range = GetTriggerRange { side: TransactionType::Buy, instruments: asked() };
    check(&range, "GET /instruments/trigger_range/buy?i=NSE%3ANIFTY+50&i=NSE%3AM%26M");
    same(&GetInstruments::default().request(), "GET /instruments");
    same(&GetInstruments { exchange: Some(text("NFO")) }.request(), "GET /instruments/NFO");
    same(&GetMfInstruments.request(), "GET /mf/instruments");
}

#[test]
fn mutual_funds() {
    check(&GetMfOrders::default(), "GET /mf/orders");
    let range = GetMfOrders { from: Some(date(2025, 1, 1)), to: Some(date(2025, 1, 31)) };
    check(&range, "GET /mf/orders?from=2025-01-01&to=2025-01-31");
    check(&GetMfOrder(text("3bb0-1")), "GET /mf/orders/3bb0-1");
    let mut order = PlaceMfOrder {
        tradingsymbol: text("INF0"),
        transaction_type: TransactionType::Buy,
        size: MfSize::Amount(amount("1000")),
        tag: Some(text("t")),
    };
    check(&order, "POST /mf/orders tradingsymbol=INF0&transaction_type=BUY&amount=1000&tag=t");
    order.size = MfSize::Quantity(amount("1.334"));
    check(&order, "POST /mf/orders tradingsymbol=INF0&transaction_type=BUY&quantity=1.334&tag=t");
    check(&CancelMfOrder(text("1")), "DELETE /mf/orders/1");
    check(&GetSips, "GET /mf/sips");
    check(&GetSip(text("1")), "GET /mf/sips/1");
    let plan = PlaceSip {
        tradingsymbol: text("INF0"),
        amount: amount("500"),
        instalments: -1,
        frequency: text("monthly"),
        initial_amount: Some(amount("5000")),
        instalment_day: Some(5),
        tag: None,
    };
    check(
        &plan,
        "POST /mf/sips tradingsymbol=INF0&amount=500&instalments=-1&frequency=monthly&initial_amount=5000\
         &instalment_day=5",
    );
    let change = ModifySip { sip_id: text("1"), status: Some(text("paused")), ..ModifySip::default() };
    check(&change, "PUT /mf/sips/1 status=paused");
    let change = ModifySip {
        sip_id: text("1"),
        amount: Some(amount("7")),
        status: None,
        instalments: Some(2),
        frequency: Some(text("weekly")),
        instalment_day: Some(0),
    };
    check(&change, "PUT /mf/sips/1 amount=7&instalments=2&frequency=weekly&instalment_day=0");
    check(&CancelSip(text("1")), "DELETE /mf/sips/1");
    check(&GetMfHoldings, "GET /mf/holdings");
    check(&GetMfHolding(text("INF0")), "GET /mf/holdings/INF0");
    check(&GetMfAllotments, "GET /mf/allotments");
}

#[test]
fn identifiers_cannot_reach_another_route() {
    assert_eq!(
        GetOrderHistory(text("../user margins?x#y")).request().target(),
        "/orders/..%2Fuser%20margins%3Fx%23y"
    );
    for bad in ["", ".", ".."] {
        assert!(GetOrderHistory(text(bad)).request().problem().is_some(), "{bad:?}");
        let cancel = CancelOrder { variety: Variety::Regular, order_id: text(bad), parent_order_id: None };
        assert!(cancel.request().problem().is_some(), "{bad:?}");
    }
}

#[test]
fn values_are_not_printed() {
    let login =
        GenerateSession { api_key: text("kkkk"), request_token: text("rrrr"), checksum: text("cccc") };
    let end = EndSession { api_key: text("kkkk"), token: SessionToken::Access(text("tttt")) };
    let printed = [
        format!("{login:?} {:?} {:?}", login.request(), login.request().body),
        format!("{end:?} {:?} {:?}", end.token, end.request()),
    ];
    for printed in printed {
        for secret in ["kkkk", "rrrr", "cccc", "tttt"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}

#[test]
fn an_empty_book_may_be_null() {
    let book = br#"{"status":"success","data":null}"#;
    assert_eq!(GetOrders.read(book).unwrap(), []);
    assert_eq!(
        GetPositions.read(br#"{"status":"success","data":{"net":null}}"#).unwrap(),
        Default::default()
    );
    assert_eq!(DeleteAlerts(vec![]).read(book).unwrap(), serde_json::Value::Null);
}

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9 &%+/=#?;,._~-]{1,12}"
}

proptest! {
    #[test]
    fn an_order_arrives_as_it_was_meant(
        (symbol, tag, order_type) in (word(), proptest::option::of(word()), word()),
        quantity: u64,
        raw in proptest::option::of(any::<i64>()),
    ) {
        let price = raw.map(Price::from_raw);
        let order = PlaceOrder {
            tradingsymbol: symbol.clone(),
            order_type: OrderType::from_word(&order_type),
            quantity,
            price,
            tag: tag.clone(),
            ..infy()
        };
        let fields = decode_form(&order.request().body.encode()).unwrap();
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        prop_assert_eq!(field("tradingsymbol"), Some(symbol));
        prop_assert_eq!(field("order_type"), Some(order_type));
        prop_assert_eq!(field("quantity"), Some(quantity.to_string()));
        prop_assert_eq!(field("tag"), tag);
        prop_assert_eq!(field("price").map(|text| text.parse::<Price>().unwrap()), price);
    }

    #[test]
    fn any_identifier_stays_one_segment_and_any_key_one_pair(id in "\\PC{1,20}", keys: Vec<String>) {
        let request = GetOrderTrades(id.clone()).request();
        let segments: Vec<_> = request.path.split('/').collect();
        prop_assert_eq!((segments.len(), segments[3]), (4, "trades"));
        prop_assert_eq!(&decode_form(&format!("{}=", segments[2])).unwrap()[0].0, &id);
        let target = GetQuotes(keys.clone()).request().target();
        let query = target.strip_prefix("/quote").unwrap();
        let asked = decode_form(query.strip_prefix('?').unwrap_or_default()).unwrap();
        prop_assert_eq!(asked, keys.into_iter().map(|key| ("i".to_owned(), key)).collect::<Vec<_>>());
    }
}
