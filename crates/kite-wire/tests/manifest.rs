//! Every file of the shared fixtures: answers decode into typed values, requests are what our typed requests encode
//! to. The walk goes by the manifest and the folder, and a file that nothing here knows fails it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test that skips says so")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kite_wire::rest::*;
use kite_wire::{
    ErrorKind, GttStatus, OrderStatus, TextMessage, TickerRequest, Variety, is_genuine_postback,
    parse_instruments, parse_mf_instruments, postback_checksum, session_checksum,
};
use serde_json::Value;

#[path = "checks/requests.rs"]
mod requests;
#[path = "checks/same.rs"]
mod same;

use same::both_ways;

fn fixtures() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kite/fixtures");
    if !root.is_dir() {
        println!("skipped: {} is absent", root.display());
        return None;
    }
    Some(root)
}

#[test]
fn no_fixture_is_left_out() {
    let Some(root) = fixtures() else { return };
    let manifest: Value = serde_json::from_slice(&fs::read(root.join("manifest.json")).unwrap()).unwrap();
    let listed = manifest.as_array().unwrap().iter().map(|entry| entry["file"].as_str().unwrap().to_owned());
    let mut files: BTreeSet<String> = listed.collect();
    for folder in fs::read_dir(&root).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        for file in fs::read_dir(folder.path()).unwrap() {
            let names = [folder.file_name(), file.unwrap().file_name()];
            files.insert(names.map(|name| name.into_string().unwrap()).join("/"));
        }
    }
    for file in &files {
        let body = fs::read(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        check(&root, file, &body);
    }
    assert!(files.len() >= 124, "only {} files", files.len());
}

fn check(root: &Path, file: &str, body: &[u8]) {
    let (folder, name) = file.split_once('/').unwrap();
    match folder {
        "requests" => requests::check(root, name, body),
        "errors" => error(name, body),
        "ticker" => ticker(root, name),
        "orders" => orders(name, body),
        "portfolio" => portfolio(name, body),
        "alerts" | "gtt" => conditions(name, body),
        "mf" => funds(name, body),
        "margins" | "market" => market(name, body),
        "auth" | "user" | "postback" => users(name, body),
        _ => panic!("the folder of {file} is unknown"),
    }
}

fn orders(name: &str, body: &[u8]) {
    match name {
        "autoslice_response.json" => {
            let placed: Placed = both_ways(name, body, &[]);
            assert_eq!(placed.order_id.as_deref(), Some("1914227164488687616"));
            let Slice::Refused(refused) = &placed.slices[2] else { panic!("slice 2 is placed") };
            assert_eq!((refused.code, &refused.error_type), (400, &ErrorKind::Margin));
            assert_eq!(placed.order_ids().last(), Some("1914227164681625600"));
        }
        "autoslice_response_v1.json" => {
            let placed: Placed = both_ways(name, body, &[]);
            assert_eq!((placed.order_id.as_deref(), placed.slices.len()), (None, 5));
            assert_eq!(placed.order_ids().count(), 4);
        }
        "go_autoslice_success.json" => {
            assert_eq!(both_ways::<Placed>(name, body, &[]).order_ids().count(), 2);
        }
        "order_response.json" => {
            let placed: Placed = both_ways(name, body, &[]);
            assert_eq!(placed.order_ids().collect::<Vec<_>>(), ["151220000000000"]);
        }
        "order_cancel.json" | "order_modify.json" => {
            assert_eq!(both_ways::<OrderId>(name, body, &[]).order_id, "151220000000000");
        }
        "order_info.json" => {
            let rows: Vec<OrderUpdate> = both_ways(name, body, &[]);
            let words: Vec<_> = rows.iter().map(|row| row.status.as_str()).collect();
            assert_eq!(words[4..], ["MODIFY VALIDATION PENDING", "MODIFY PENDING", "MODIFIED", "OPEN"]);
            assert!(rows.iter().all(|row| !matches!(row.status, OrderStatus::Other(_))));
            assert_eq!((rows[0].instrument_token.0, rows[7].price), (1, "300.1".parse().unwrap()));
        }
        "orders.json" => {
            let rows: Vec<OrderUpdate> = both_ways(name, body, &[]);
            let leg = rows[3].iceberg().unwrap();
            assert_eq!((leg.leg_quantity, leg.total_quantity, rows[3].validity_ttl), (200, 1000, Some(2)));
            assert_eq!(rows[5].tags, ["connect test order2", "XXXXX"]);
            assert_eq!(
                (&rows[6].variety, rows[6].auction_number.as_deref()),
                (&Variety::Auction, Some("22"))
            );
            assert_eq!(rows[9].tags, ["autoslice", "autoslice:1953367517640548352"]);
            assert!(rows.iter().all(|row| row.status.is_final()));
        }
        "rs_orders.json" => {
            let rows: Vec<OrderUpdate> = both_ways(name, body, &[]);
            assert!(
                rows.iter().any(|row| row.parent_order_id.is_some()) && rows[0].parent_order_id.is_none()
            );
        }
        "trades.json" => {
            let trades: Vec<Trade> = both_ways(name, body, &[]);
            assert_eq!(trades[0].order_timestamp.unwrap().to_string(), "09:16:39");
            assert_eq!(trades[1].average_price, "72.755".parse().unwrap());
        }
        "dotnet_trades.json" => {
            assert_eq!(both_ways::<Vec<Trade>>(name, body, &[])[0].instrument_token.0, 22);
        }
        "trigger_range.json" => {
            let ranges: QuoteMap<TriggerRange> = both_ways(name, body, &[]);
            assert_eq!(ranges["NSE:INFY"].lower.to_string(), "1075.599");
        }
        _ => panic!("orders/{name} is unknown"),
    }
}

fn portfolio(name: &str, body: &[u8]) {
    match name {
        "auctions_list.json" => {
            let rows: Vec<AuctionHolding> = both_ways(name, body, &[]);
            let numbers: Vec<_> = rows.iter().map(|row| row.auction_number.as_str()).collect();
            assert_eq!(numbers, ["20", "34", "7529"]);
        }
        "convert_position.json" => assert!(both_ways::<bool>(name, body, &[])),
        "holdings.json" | "dotnet_holdings.json" => {
            let rows: Vec<Holding> = both_ways(name, body, &[]);
            assert_eq!((rows[0].mtf.quantity, rows[0].mtf.value.to_string()), (1000, "100000".to_owned()));
        }
        "holdings_auth.json" => {
            let id: AuthorisationId = both_ways(name, body, &[]);
            assert_eq!(id.request_id, "na8QgCeQm05UHG6NL9sAGRzdfSF64UdB");
        }
        "holdings_summary.json" => {
            let summary: HoldingsSummary = both_ways(name, body, &[]);
            assert_eq!(summary.total_pnl_percent.to_string(), "16.56312500412587");
            assert_eq!(summary.today_pnl.to_string(), "-76.79999999999775");
        }
        "positions.json" | "dotnet_positions.json" => {
            let positions: Positions = both_ways(name, body, &[]);
            let gold = &positions.net[1];
            assert_eq!((gold.tradingsymbol.as_str(), gold.quantity), ("GOLDGUINEA17DECFUT", 0));
            assert_eq!([gold.pnl, gold.m2m].map(|amount| amount.to_string()), ["801", "276"]);
            assert_eq!(positions.day[0].quantity, -3);
        }
        _ => panic!("portfolio/{name} is unknown"),
    }
}

fn conditions(name: &str, body: &[u8]) {
    match name {
        "alerts_create.json" | "alerts_get_one.json" => {
            let alert: Alert = both_ways(name, body, &[]);
            assert_eq!(
                (alert.lhs_exchange.as_str(), alert.rhs_constant.to_string().as_str()),
                ("INDICES", "27000")
            );
        }
        "alerts_delete.json" => assert_eq!(both_ways::<Value>(name, body, &[]), Value::Null),
        "alerts_get.json" => {
            let alerts: Vec<Alert> = both_ways(name, body, &[]);
            let item = &alerts[1].basket.as_ref().unwrap().items[0];
            assert_eq!(
                (item.tradingsymbol.as_str(), item.params.price),
                ("GOLDBEES", "72.22".parse().unwrap())
            );
        }
        "alerts_history.json" => {
            let firings: Vec<AlertFiring> = both_ways(name, body, &[]);
            assert_eq!((firings[0].meta[0].last_trade_time, &firings[0].order_meta), (None, &None));
        }
        "gtt_delete_order.json" | "gtt_modify_order.json" | "gtt_place_order.json" => {
            assert_eq!(both_ways::<TriggerId>(name, body, &[]).trigger_id, 123);
        }
        "gtt_get_orders.json" => {
            let triggers: Vec<GttTrigger> = both_ways(name, body, &[]);
            assert_eq!((triggers[0].id, &triggers[0].status), (112_127, &GttStatus::Active));
            let result = triggers[1].orders[1].result.as_ref().unwrap();
            assert_eq!(
                (result.order_result.status.as_str(), result.order_result.order_id.as_str()),
                ("failed", "")
            );
        }
        "dotnet_gtt_get_order.json" => assert_eq!(both_ways::<GttTrigger>(name, body, &[]).id, 123),
        _ => panic!("alerts or gtt/{name} is unknown"),
    }
}

fn funds(name: &str, body: &[u8]) {
    match name {
        "mf_holdings.json" | "dotnet_mf_holdings.json" => {
            let rows: Vec<MfHolding> = both_ways(name, body, &[]);
            assert_eq!(rows[0].last_price_date.is_none(), name == "mf_holdings.json");
        }
        "mf_instruments.csv" | "dotnet_mf_instruments.csv" => {
            let rows: Vec<_> = parse_mf_instruments(body).unwrap().map(Result::unwrap).collect();
            assert_eq!(rows[0].tradingsymbol, "INF209K01157");
            if name == "mf_instruments.csv" {
                assert_eq!(rows.len(), 99);
            } else {
                assert_eq!(rows[0].purchase_amount_multiplier.to_string(), "13.14");
            }
        }
        "mf_order_cancel.json" | "mf_order_response.json" => {
            assert_eq!(both_ways::<OrderId>(name, body, &[]).order_id.len(), 36);
        }
        "mf_sip_cancel.json" | "mf_sip_modify.json" | "mf_sip_place.json" => {
            assert_eq!(both_ways::<SipId>(name, body, &[]).sip_id, "986124545877922");
        }
        "mf_orders.json" | "rs_mf_orders.json" => {
            let rows: Vec<MfOrder> = both_ways(name, body, &[]);
            assert!(rows.iter().all(|row| row.order_timestamp.is_some()));
        }
        "dotnet_mf_order.json" | "rs_mf_orders_info.json" => {
            assert!(both_ways::<MfOrder>(name, body, &[]).order_timestamp.is_some());
        }
        "mf_sips.json" | "dotnet_mf_sips.json" => {
            let rows: Vec<Sip> = both_ways(name, body, &[]);
            assert_eq!(rows[0].instalments, -1);
            match name {
                "mf_sips.json" => assert_eq!(rows[0].step_up["05-05"].to_string(), "10"),
                _ => assert_eq!(rows[0].instalment_day, 5),
            }
        }
        _ => panic!("mf/{name} is unknown"),
    }
}

fn market(name: &str, body: &[u8]) {
    match name {
        "quote.json" => assert_eq!(both_ways::<QuoteMap<Quote>>(name, body, &[]).len(), 1),
        "ohlc.json" | "dotnet_ohlc.json" => {
            assert!(both_ways::<QuoteMap<OhlcQuote>>(name, body, &[]).contains_key("NSE:INFY"));
        }
        "ltp.json" => assert_eq!(both_ways::<QuoteMap<LtpQuote>>(name, body, &[]).len(), 1),
        "historical_minute.json" | "historical_oi.json" => {
            let candles: Candles = both_ways(name, body, &[]);
            assert_eq!(candles.candles[0].oi.is_some(), name == "historical_oi.json");
        }
        "instruments_all.csv" | "dotnet_instruments_all.csv" => {
            let rows: Vec<_> = parse_instruments(body).unwrap().map(Result::unwrap).collect();
            assert!(!rows.is_empty());
        }
        "basket_margins.json" => {
            // The top-level charges mix kinds of tax and are to be ignored.
            let basket: BasketMargin = both_ways(name, body, &["charges"]);
            assert_eq!(basket.initial.total.to_string(), "96504.975");
            assert_eq!(basket.r#final.total.to_string(), "34786.725000000006");
            assert_eq!(basket.orders.len(), 2);
        }
        "dotnet_basket_margins_compact.json" => {
            let basket: BasketMargin = both_ways(name, body, &[]);
            assert_eq!(basket.r#final.total.to_string(), "22530.2280825");
            assert!(basket.r#final.span.is_zero());
        }
        "order_margins.json" => {
            let rows: Vec<OrderMargin> = both_ways(name, body, &[]);
            assert_eq!(rows[0].charges.gst.igst.to_string(), "0.011372219999999999");
            assert_eq!(rows[0].charges.transaction_tax_type, "stt");
        }
        "dotnet_order_margins_compact.json" => {
            assert_eq!(both_ways::<Vec<OrderMargin>>(name, body, &[])[0].total.to_string(), "30.2280825");
        }
        "virtual_contract_note.json" => {
            let rows: Vec<ContractNote> = both_ways(name, body, &[]);
            let totals: Vec<_> = rows.iter().map(|row| row.charges.total.to_string()).collect();
            assert_eq!(totals, ["0.5826968", "2.84811132", "23.689427000000002"]);
        }
        _ => panic!("margins or market/{name} is unknown"),
    }
}

fn users(name: &str, body: &[u8]) {
    match name {
        "checksum_vectors.json" => {
            let vectors: Value = serde_json::from_slice(body).unwrap();
            let text = |vector: &Value, key: &str| vector[key].as_str().unwrap().to_owned();
            for vector in vectors["session_token"].as_array().unwrap() {
                let parts = ["api_key", "request_token", "api_secret"].map(|key| text(vector, key));
                assert_eq!(session_checksum(&parts[0], &parts[1], &parts[2]), text(vector, "checksum"));
            }
            for vector in vectors["postback"].as_array().unwrap() {
                let parts = ["order_id", "order_timestamp", "api_secret"].map(|key| text(vector, key));
                assert_eq!(postback_checksum(&parts[0], &parts[1], &parts[2]), text(vector, "checksum"));
            }
        }
        "generate_session.json" => {
            assert_eq!(both_ways::<Session>(name, body, &[]).access_token, "XXXXXX");
            let renewed: RenewedSession = parse_body(body).unwrap();
            assert_eq!(renewed.user_id, "XX0000");
        }
        "session_logout.json" => assert!(both_ways::<bool>(name, body, &[])),
        "profile.json" | "dotnet_profile.json" => {
            assert!(!both_ways::<Profile>(name, body, &[]).exchanges.is_empty());
        }
        "full_profile.json" => {
            let profile: FullProfile = both_ways(name, body, &[]);
            assert_eq!((profile.bank_accounts.len(), profile.dp_ids.len()), (2, 1));
            assert!(!format!("{profile:?}").contains("@gmail.com"));
        }
        "margins.json" | "dotnet_margins.json" => {
            let margins: Margins = both_ways(name, body, &[]);
            let net = [margins.equity, margins.commodity].map(|purse| purse.unwrap().net.to_string());
            match name {
                "margins.json" => assert_eq!(net, ["99725.05000000002", "100661.7"]),
                _ => assert_eq!(net, ["1697.7", "-8676.296"]),
            }
        }
        "margins_equity.json" | "dotnet_equity_margins.json" | "dotnet_commodity_margins.json" => {
            assert!(both_ways::<SegmentMargins>(name, body, &[]).enabled);
        }
        "postback.json" => {
            let whole = [br#"{"data":"#, body, b"}"].concat();
            let postback: OrderUpdate = both_ways(name, &whole, &[]);
            assert_eq!(postback.app_id, Some(1234));
            assert!(is_genuine_postback(body, "0hdv7iw5examplesecret"));
            assert!(!is_genuine_postback(body, "another secret"));
        }
        _ if name.starts_with("ws_") => {
            let message = TextMessage::parse(str::from_utf8(body).unwrap()).unwrap();
            if let TextMessage::Order(order) = message {
                let whole = format!(r#"{{"data":{}}}"#, order.get());
                both_ways::<OrderUpdate>(name, whole.as_bytes(), &[]);
            }
        }
        _ => panic!("auth, user or postback/{name} is unknown"),
    }
}

fn error(name: &str, body: &[u8]) {
    let Err(BodyError::Refused(error)) = parse_body::<Value>(body) else {
        panic!("errors/{name} is not refused");
    };
    let kind = match name {
        "dotnet_error.json" | "no_error_type_502.json" | "route_404.json" => ErrorKind::General,
        "historical_range_400.json" => ErrorKind::Input,
        "ip_not_configured_403.json" | "permission_403.json" => ErrorKind::Permission,
        "rate_limit_429.json" => ErrorKind::Network,
        "session_checksum_403.json" | "token_invalid_403.json" => ErrorKind::Token,
        "unknown_type_500.json" => ErrorKind::from_word("SomethingNewException"),
        _ => panic!("errors/{name} is unknown"),
    };
    assert_eq!(error.kind(), kind, "{name}");
}

/// Packets and the commands are held against their expected values by `shared_fixtures`; here only that none is new.
fn ticker(root: &Path, name: &str) {
    let folder = root.join("ticker");
    if name == "commands.json" || name == "synthetic_heartbeat.hex" || name == "ticker_ltp.json" {
        let tokens = TickerRequest::parse(r#"{"a":"subscribe","v":[408065]}"#).unwrap();
        assert_eq!(tokens.tokens().len(), 1);
        return;
    }
    let (stem, _) = name.split_once('.').unwrap();
    let partners = [".packet", ".hex", ".bin"].map(|ending| folder.join(format!("{stem}{ending}")).is_file());
    assert!(partners.contains(&true), "ticker/{name} has no packet");
    assert!(folder.join(format!("{stem}.expected.json")).is_file(), "ticker/{name} has no expectation");
}
