//! `/instruments/historical/{token}/{interval}`.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use jiff::civil::{Date, DateTime, Time};
use kite_wire::rest::Candles;
use market_model::{Exchange, InstrumentToken, UnixNanos};

use super::{Refused, authorize, query, required, success, value};
use crate::candles::{self, Interval, Range};
use crate::clock::from_ist;
use crate::limits::Class;
use crate::listing::{Kind, Listed};
use crate::server::Shared;

pub(super) async fn candles(
    State(shared): State<Arc<Shared>>,
    Path((token, interval)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refused> {
    authorize(&shared, request.headers(), Class::Historical)?;
    let pairs = query(request.uri());
    let range = range(&interval, &pairs)?;
    let now = shared.now();
    let basis = {
        let mut engine = shared.engine();
        engine.advance(now);
        engine.market.basis().clone()
    };
    let slot = token
        .parse()
        .ok()
        .and_then(|token| basis.listing.slot(InstrumentToken(token)))
        .ok_or_else(|| Refused::input("invalid token"))?;
    if range.continuous && !has_continuous(basis.listing.get(slot), &range) {
        return Err(Refused::input("continuous candles exist only for day candles of NFO and MCX futures"));
    }
    // Sixty days of minutes are a third of a million prices: not a thing to do between two ticks.
    let made =
        tokio::task::spawn_blocking(move || candles::candles(&basis, basis.listing.get(slot), &range, now));
    let candles = made.await.map_err(|error| {
        tracing::error!(%error, "candles not made");
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "GeneralException", "Internal error.")
    })?;
    Ok(success(Candles { candles }))
}

fn range(interval: &str, pairs: &[(String, String)]) -> Result<Range, Refused> {
    let interval = Interval::from_word(interval).ok_or_else(|| Refused::input("invalid interval"))?;
    let from = instant(required(pairs, "from")?, Time::midnight());
    let to = instant(required(pairs, "to")?, Time::constant(23, 59, 59, 0));
    let (Some(from), Some(to)) = (from, to) else {
        return Err(Refused::input("invalid from or to date"));
    };
    if from > to {
        return Err(Refused::input("from date cannot be after to date"));
    }
    let days = interval.max_days();
    if to.as_secs() - from.as_secs() > (days + 1) * 86_400 - 1 {
        return Err(Refused::input(format!("interval exceeds max limit: {days} days")));
    }
    let flag = |name| {
        value(pairs, name).is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "1" | "true"))
    };
    Ok(Range { interval, from, to, oi: flag("oi"), continuous: flag("continuous") })
}

fn instant(text: &str, time_of_bare_date: Time) -> Option<UnixNanos> {
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", text)
        .or_else(|_| Date::strptime("%Y-%m-%d", text).map(|date| date.to_datetime(time_of_bare_date)))
        .ok()?;
    Some(from_ist(civil))
}

fn has_continuous(listed: &Listed, range: &Range) -> bool {
    range.interval == Interval::Day
        && matches!(listed.kind, Kind::Future { .. })
        && matches!(listed.exchange, Exchange::Nfo | Exchange::Mcx)
}
