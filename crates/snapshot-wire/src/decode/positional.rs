//! Messages by position read back into the same types as those with names.

use std::fmt;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{
    DepthMessage, GreeksMessage, LevelMessage, OhlcMessage, TickMessage, TicksMessage, TopicMessage,
};
use crate::positional::{NO_GREEKS, POSITIONAL_VERSION, STALE};

/// A [`TicksMessage`] that was written by position. A version that this code does not know is refused, places that it
/// does not know are passed over. `change` and `net_change` are never there; they follow from `ohlc`.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionalTicks(pub TicksMessage);

/// A single [`TickMessage`] that was written by position.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionalTick(pub TickMessage);

/// Paise, or rupees where they are no whole paise.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Price {
    Paise(i64),
    Rupees(f64),
}

impl Price {
    fn rupees(self) -> f64 {
        match self {
            Self::Paise(paise) => paise as f64 / 100.0,
            Self::Rupees(rupees) => rupees,
        }
    }
}

impl<'de> Deserialize<'de> for PositionalTicks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(MessageVisitor)
    }
}

impl<'de> Deserialize<'de> for PositionalTick {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowVisitor)
    }
}

/// The next place; what is not there is an error.
fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(places: &mut A) -> Result<T, A::Error> {
    places.next_element()?.ok_or_else(|| A::Error::custom("a place is missing"))
}

fn pass_over_the_rest<'de, A: SeqAccess<'de>>(places: &mut A) -> Result<(), A::Error> {
    while places.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn word(words: &[&str], number: u64) -> String {
    let word = usize::try_from(number).ok().and_then(|number| words.get(number));
    word.copied().unwrap_or("other").to_owned()
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = PositionalTicks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array that begins with the version")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut places: A) -> Result<Self::Value, A::Error> {
        let version: u64 = next(&mut places)?;
        if version != POSITIONAL_VERSION {
            return Err(A::Error::custom(format!(
                "version {version} of messages by position is not known, only {POSITIONAL_VERSION}"
            )));
        }
        let topic: Option<(String, String, String)> = next(&mut places)?;
        let message = TicksMessage {
            v: crate::VERSION,
            kind: "ticks".to_owned(),
            topic: topic.map(|(exchange, underlying, kind)| TopicMessage { exchange, underlying, kind }),
            source: next(&mut places)?,
            seq: next(&mut places)?,
            tick_count: next(&mut places)?,
            tick_total: next(&mut places)?,
            ts_publish: next(&mut places)?,
            sim: next(&mut places)?,
            ticks: next::<Vec<PositionalTick>, _>(&mut places)?.into_iter().map(|row| row.0).collect(),
        };
        pass_over_the_rest(&mut places)?;
        Ok(PositionalTicks(message))
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = PositionalTick;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tick by position")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut places: A) -> Result<PositionalTick, A::Error> {
        let at = &mut places;
        let rupees = |price: Option<Price>| price.map(Price::rupees);
        let words = |words: &[&str], number: Option<u64>| number.map(|number| word(words, number));
        let tick = TickMessage {
            instrument_token: next(at)?,
            tradingsymbol: next(at)?,
            exchange: next(at)?,
            underlying: next(at)?,
            expiry: next(at)?,
            strike: rupees(next(at)?),
            option_type: words(&["CE", "PE"], next(at)?),
            mode: word(&["ltp", "quote", "full"], next(at)?),
            tradable: next(at)?,
            last_price: next::<Price, _>(at)?.rupees(),
            last_traded_quantity: next(at)?,
            average_traded_price: rupees(next(at)?),
            volume_traded: next(at)?,
            total_buy_quantity: next(at)?,
            total_sell_quantity: next(at)?,
            ohlc: next::<Option<[Price; 4]>, _>(at)?.map(ohlc),
            change: None,
            net_change: None,
            last_trade_time: next(at)?,
            oi: next(at)?,
            oi_day_high: next(at)?,
            oi_day_low: next(at)?,
            exchange_timestamp: next(at)?,
            depth: next::<Option<Book>, _>(at)?.map(|book| book.0),
            ts_event: None,
            ts_recv: next(at)?,
            greeks: next::<Option<Known>, _>(at)?.map(Known::named),
            greeks_reason: words(&NO_GREEKS, next(at)?),
            stale: false,
            stale_cause: words(&STALE, next(at)?),
            cause: word(&["tick", "forward", "staleness"], next(at)?),
        };
        pass_over_the_rest(at)?;
        let stale = tick.stale_cause.is_some();
        let ts_event = tick.exchange_timestamp.and_then(|seconds| seconds.checked_mul(1_000_000_000));
        Ok(PositionalTick(TickMessage { stale, ts_event, ..tick }))
    }
}

fn ohlc(prices: [Price; 4]) -> OhlcMessage {
    let [open, high, low, close] = prices.map(Price::rupees);
    OhlcMessage { open, high, low, close }
}

/// Thirty numbers.
struct Book(DepthMessage);

impl<'de> Deserialize<'de> for Book {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BookVisitor;
        impl<'de> Visitor<'de> for BookVisitor {
            type Value = Book;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("quantity, price and orders of ten levels")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Book, A::Error> {
                let mut levels = Vec::with_capacity(10);
                for _ in 0..10 {
                    levels.push(LevelMessage {
                        quantity: next(&mut numbers)?,
                        price: next::<Price, _>(&mut numbers)?.rupees(),
                        orders: next(&mut numbers)?,
                    });
                }
                let sell = levels.split_off(5);
                Ok(Book(DepthMessage { buy: levels, sell }))
            }
        }
        deserializer.deserialize_seq(BookVisitor)
    }
}

/// The places of the Greeks.
#[derive(Deserialize)]
struct Known(f64, f64, f64, f64, f64, f64, f64, u64, f64, f64, u64);

impl Known {
    fn named(self) -> GreeksMessage {
        let Self(iv, delta, gamma, theta, vega, rho, forward, source, rate, t_years, quality) = self;
        GreeksMessage {
            iv,
            delta,
            gamma,
            theta,
            vega,
            rho,
            forward,
            forward_source: word(&["parity", "future", "spot_carry"], source),
            rate,
            t_years,
            quality: word(&["good", "wide", "last_price", "in_the_money_side"], quality),
        }
    }
}
