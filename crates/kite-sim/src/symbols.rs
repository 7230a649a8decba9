//! Kite's names for contracts, and the numbers that go with them.

use std::collections::HashSet;

use jiff::civil::Date;
use market_model::{InstrumentToken, OptionSide};

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const MONTH_LETTERS: &[u8; 12] = b"123456789OND";

/// `NIFTY26NOVFUT`.
pub(crate) fn future(name: &str, expiry: Date) -> String {
    format!("{name}{}FUT", year_and_month(expiry))
}

/// `NIFTY26NOV26000CE` for the last expiry of a month, `NIFTY26O2726000CE` for a weekly one.
pub(crate) fn option(name: &str, expiry: Date, monthly: bool, strike: i64, side: OptionSide) -> String {
    let when = if monthly {
        year_and_month(expiry)
    } else {
        format!(
            "{:02}{}{:02}",
            expiry.year() % 100,
            char::from(MONTH_LETTERS[month_index(expiry)]),
            expiry.day()
        )
    };
    format!("{name}{when}{strike}{}", side.as_str())
}

fn year_and_month(date: Date) -> String {
    format!("{:02}{}", date.year() % 100, MONTHS[month_index(date)])
}

fn month_index(date: Date) -> usize {
    usize::from(date.month().unsigned_abs()).clamp(1, 12) - 1
}

/// Gives every symbol a token of its own that is the same on every day and in every simulator.
#[derive(Debug, Default)]
pub(crate) struct TokenBook {
    taken: HashSet<InstrumentToken>,
}

// === impl TokenBook ===

impl TokenBook {
    /// Keeps `token` for a known instrument; `false` when it is taken.
    pub(crate) fn reserve(&mut self, token: InstrumentToken) -> bool {
        self.taken.insert(token)
    }

    /// A free token for `symbol` in the segment with byte `segment`.
    ///
    /// Exchange tokens stay between 40,000 and 8,040,000: above those of the real indices and shares that the
    /// simulator knows, and low enough that clients which read tokens as signed 32-bit numbers see them positive.
    pub(crate) fn assign(&mut self, symbol: &str, segment: u8) -> InstrumentToken {
        let mut exchange_token = 40_000 + (fnv1a(symbol) % 8_000_000) as u32;
        loop {
            let token = InstrumentToken(exchange_token * 256 + u32::from(segment));
            if self.taken.insert(token) {
                return token;
            }
            exchange_token += 1;
        }
    }
}

/// FNV-1a, 64 bits (public domain constants): stable across builds, unlike the standard hasher.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn symbols_as_kite_writes_them() {
        use OptionSide::{Call, Put};
        assert_eq!(future("NIFTY", date(2026, 11, 23)), "NIFTY26NOVFUT");
        for (name, expiry, monthly, strike, side, symbol) in [
            ("NIFTY", date(2023, 7, 27), true, 20_600, Call, "NIFTY23JUL20600CE"),
            ("NIFTY", date(2023, 7, 13), false, 17_900, Put, "NIFTY2371317900PE"),
            ("SENSEX", date(2026, 4, 9), false, 77_100, Call, "SENSEX2640977100CE"),
            ("NIFTY", date(2020, 12, 17), false, 13_600, Call, "NIFTY20D1713600CE"),
            ("NIFTY", date(2026, 3, 30), true, 25_000, Put, "NIFTY26MAR25000PE"),
            ("NIFTY", date(2026, 10, 19), false, 25_000, Put, "NIFTY26O1925000PE"),
        ] {
            assert_eq!(option(name, expiry, monthly, strike, side), symbol);
        }
    }

    #[test]
    fn tokens_are_stable_and_never_shared() {
        let mut book = TokenBook::default();
        let first = book.assign("NIFTY26NOVFUT", 2);
        assert_eq!(first, TokenBook::default().assign("NIFTY26NOVFUT", 2));
        assert_eq!(first.segment_byte(), 2);
        assert_ne!(book.assign("NIFTY26NOVFUT", 2), first);
        assert!(first.0 < 1 << 31);
    }
}
