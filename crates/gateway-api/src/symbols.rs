//! What clients may name: a token, a symbol, a chain, everything of an underlying, or a pattern.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::Offset;
use market_model::{Exchange, ExpiryChain, InstrumentCatalog, InstrumentToken, Underlying, UnixNanos};

/// A wish as a client writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Wish {
    /// `408065`
    Token(InstrumentToken),
    /// `NSE:INFY`
    Symbol { exchange: Exchange, tradingsymbol: String },
    /// `chain:NIFTY`, `chain:NIFTY:nearest`, `chain:NIFTY:2026-11-24`: the options of one expiry with the spot and
    /// the future they belong to.
    Chain { underlying: String, expiry: ExpiryChoice },
    /// `underlying:NIFTY`: the spot with all its futures and options.
    Underlying(String),
    /// `NFO:NIFTY26NOV*CE`, with `*` for any text and `?` for any one character.
    Pattern(String),
}

/// Which expiry of an underlying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ExpiryChoice {
    /// The first that is not over.
    Nearest,
    /// The one on this day.
    On(Date),
}

/// Why a wish cannot be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnknownSymbol {
    Malformed(String),
    Token(InstrumentToken),
    Symbol(String),
    Underlying(String),
    Expiry { underlying: String, expiry: String },
    NoMatch(String),
}

/// No name is longer; a pattern costs time by its length.
const MAX_LENGTH: usize = 100;

/// The date in India at `now`.
pub(crate) fn date_in_india(now: UnixNanos) -> Date {
    let offset = Offset::constant(5).saturating_add(jiff::SignedDuration::from_mins(30));
    match jiff::Timestamp::from_nanosecond(i128::from(now.0)) {
        Ok(at) => offset.to_datetime(at).date(),
        Err(_) => Date::ZERO,
    }
}

/// The underlying called `name`, in any case.
pub(crate) fn find_underlying<'c>(
    catalog: &'c InstrumentCatalog,
    name: &str,
) -> Result<&'c Underlying, UnknownSymbol> {
    let name = name.to_ascii_uppercase();
    match catalog.underlying_by_name(&name) {
        Some(id) => Ok(catalog.underlying(id)),
        None => Err(UnknownSymbol::Underlying(name)),
    }
}

/// The chain of `underlying` that `expiry` means today.
pub(crate) fn find_chain(
    underlying: &Underlying,
    expiry: ExpiryChoice,
    today: Date,
) -> Result<&ExpiryChain, UnknownSymbol> {
    let mut chains = underlying.chains.iter();
    let found = match expiry {
        ExpiryChoice::Nearest => chains.find(|chain| chain.expiry.date >= today),
        ExpiryChoice::On(date) => chains.find(|chain| chain.expiry.date == date),
    };
    found.ok_or_else(|| UnknownSymbol::Expiry {
        underlying: underlying.name.to_string(),
        expiry: expiry.to_string(),
    })
}

// === impl Wish ===

impl Wish {
    pub(crate) fn parse(text: &str) -> Result<Self, UnknownSymbol> {
        let malformed = || UnknownSymbol::Malformed(text.chars().take(MAX_LENGTH).collect());
        if text.len() > MAX_LENGTH {
            return Err(malformed());
        }
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(|token| Self::Token(InstrumentToken(token))).map_err(|_| malformed());
        }
        let (prefix, rest) = text.split_once(':').ok_or_else(malformed)?;
        if prefix.is_empty() || rest.is_empty() {
            return Err(malformed());
        }
        match prefix {
            "chain" => {
                let (name, expiry) = rest.split_once(':').unwrap_or((rest, "nearest"));
                let expiry = ExpiryChoice::parse(expiry).ok_or_else(malformed)?;
                Ok(Self::Chain { underlying: name.to_ascii_uppercase(), expiry })
            }
            "underlying" => Ok(Self::Underlying(rest.to_ascii_uppercase())),
            _ if text.contains(['*', '?']) => Ok(Self::Pattern(text.to_owned())),
            _ => Ok(Self::Symbol { exchange: Exchange::from_word(prefix), tradingsymbol: rest.to_owned() }),
        }
    }

    /// The instruments it means in `catalog` today, never none.
    pub(crate) fn resolve(
        &self,
        catalog: &InstrumentCatalog,
        today: Date,
    ) -> Result<Vec<InstrumentToken>, UnknownSymbol> {
        let token_at = |slot| catalog.get(slot).token;
        match self {
            Self::Token(token) => match catalog.slot(*token) {
                Some(_) => Ok(vec![*token]),
                None => Err(UnknownSymbol::Token(*token)),
            },
            Self::Symbol { exchange, tradingsymbol } => match catalog.by_symbol(exchange, tradingsymbol) {
                Some(slot) => Ok(vec![token_at(slot)]),
                None => Err(UnknownSymbol::Symbol(format!("{exchange}:{tradingsymbol}"))),
            },
            Self::Chain { underlying, expiry } => {
                let underlying = find_underlying(catalog, underlying)?;
                let chain = find_chain(underlying, *expiry, today)?;
                let carriers =
                    underlying.spot.into_iter().chain(chain.future.or(underlying.futures.first().copied()));
                Ok(carriers.chain(options_of(chain)).map(token_at).collect())
            }
            Self::Underlying(name) => {
                let underlying = find_underlying(catalog, name)?;
                let carriers = underlying.spot.into_iter().chain(underlying.futures.iter().copied());
                let options = underlying.chains.iter().flat_map(options_of);
                Ok(carriers.chain(options).map(token_at).collect())
            }
            Self::Pattern(pattern) => {
                let mut name = Vec::new();
                let matches = catalog.instruments().iter().filter(|instrument| {
                    name.clear();
                    name.extend_from_slice(instrument.exchange.as_str().as_bytes());
                    name.push(b':');
                    name.extend_from_slice(instrument.tradingsymbol.as_bytes());
                    glob(pattern.as_bytes(), &name)
                });
                let tokens: Vec<InstrumentToken> = matches.map(|instrument| instrument.token).collect();
                if tokens.is_empty() { Err(UnknownSymbol::NoMatch(pattern.clone())) } else { Ok(tokens) }
            }
        }
    }
}

fn options_of(chain: &ExpiryChain) -> impl Iterator<Item = market_model::InstrumentSlot> {
    chain.rows.iter().flat_map(|row| [row.call, row.put]).flatten()
}

/// Whether `text` matches `pattern`, in time proportional to the product of their lengths at worst.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&wanted) if wanted == b'?' || wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, covered)) => {
                    star = Some((at, covered + 1));
                    p = at + 1;
                    t = covered + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

// === impl ExpiryChoice ===

impl ExpiryChoice {
    /// Reads `nearest` or `2026-11-24`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "nearest" {
            return Some(Self::Nearest);
        }
        // jiff also reads dates with times; only the plain form is part of the interface.
        let date = (text.len() == 10).then(|| text.parse().ok()).flatten();
        date.map(Self::On)
    }
}

impl fmt::Display for ExpiryChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest => f.write_str("nearest"),
            Self::On(date) => date.fmt(f),
        }
    }
}

// === impl UnknownSymbol ===

impl UnknownSymbol {
    /// The stable code that stream clients see.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "bad_symbol",
            Self::Token(_) | Self::Symbol(_) => "unknown_symbol",
            Self::Underlying(_) => "unknown_underlying",
            Self::Expiry { .. } => "unknown_expiry",
            Self::NoMatch(_) => "no_match",
        }
    }
}

impl fmt::Display for UnknownSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => {
                write!(
                    f,
                    "cannot read {text:?}: use a token, EXCHANGE:TRADINGSYMBOL, chain:NAME, underlying:NAME or a pattern with *"
                )
            }
            Self::Token(token) => write!(f, "no instrument has token {token} today"),
            Self::Symbol(symbol) => write!(f, "no instrument is listed as {symbol} today"),
            Self::Underlying(name) => write!(f, "no underlying is called {name:?}, see /v1/underlyings"),
            Self::Expiry { underlying, expiry } => {
                write!(f, "{underlying} has no expiry {expiry}, see /v1/underlyings")
            }
            Self::NoMatch(pattern) => write!(f, "no instrument matches {pattern:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Market;

    fn check(text: &str, expect: Result<usize, &str>) {
        let market = Market::new();
        let today = jiff::civil::date(2026, 11, 20);
        let found = Wish::parse(text).and_then(|wish| wish.resolve(&market.catalog, today));
        assert_eq!(found.as_ref().map(Vec::len).map_err(UnknownSymbol::code), expect, "{text}");
    }

    #[test]
    fn every_way_to_name_instruments() {
        // Three strikes on each of two expiries, a spot, a future and a share.
        for (text, expect) in [
            ("256265", Ok(1)),
            ("NSE:NIFTY 50", Ok(1)),
            ("NSE:M&M", Ok(1)),
            ("chain:NIFTY", Ok(8)),
            ("chain:nifty:nearest", Ok(8)),
            ("chain:NIFTY:2026-12-01", Ok(8)),
            ("underlying:NIFTY", Ok(14)),
            ("NFO:*CE", Ok(6)),
            ("NFO:NIFTY2611??*PE", Ok(3)),
            ("*:*", Ok(15)),
            ("7", Err("unknown_symbol")),
            ("99999999999", Err("bad_symbol")),
            ("NSE:NOPE", Err("unknown_symbol")),
            ("INFY", Err("bad_symbol")),
            ("", Err("bad_symbol")),
            (":", Err("bad_symbol")),
            ("chain:NOPE", Err("unknown_underlying")),
            ("chain:NIFTY:2026-11-25", Err("unknown_expiry")),
            ("chain:NIFTY:tomorrow", Err("bad_symbol")),
            ("NFO:Z*", Err("no_match")),
        ] {
            check(text, expect);
        }
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expect) in [
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyycd", false),
            ("*", "", true),
            ("?", "", false),
            ("**a", "bba", true),
            ("*aab", "aaaab", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), expect, "{pattern} {text}");
        }
    }

    #[test]
    fn the_day_in_india_begins_at_half_past_six_in_the_evening_utc() {
        let at = |text: &str| UnixNanos(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64);
        assert_eq!(date_in_india(at("2026-11-19T18:29:59Z")).to_string(), "2026-11-19");
        assert_eq!(date_in_india(at("2026-11-19T18:30:00Z")).to_string(), "2026-11-20");
    }
}
