//! What to stream, as written on the command line or in a variable.

use market_model::Mode;

/// One wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// An underlying with its futures and the options near the money.
    Chain {
        /// The name derivatives carry.
        underlying: String,
        /// How many of the nearest expiries.
        expiries: usize,
        /// How many strikes either side of the money.
        around: usize,
        /// In which mode.
        mode: Mode,
    },
    /// One instrument, or a whole exchange with the symbol `*`.
    Instrument {
        /// Kite's exchange.
        exchange: String,
        /// Kite's tradingsymbol, or `*`.
        symbol: String,
        /// In which mode.
        mode: Mode,
    },
}

const EXCHANGES: [&str; 10] = ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO", "GLOBAL", "NSEIX"];

/// Reads a comma-separated list of wishes.
///
/// # Errors
/// One line per wish that cannot be read.
pub fn parse_wishes(text: &str) -> Result<Vec<Wish>, Vec<String>> {
    let (mut wishes, mut problems) = (Vec::new(), Vec::new());
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match parse_wish(word) {
            Ok(wish) => wishes.push(wish),
            Err(problem) => problems.push(format!("`{word}`: {problem}")),
        }
    }
    if problems.is_empty() { Ok(wishes) } else { Err(problems) }
}

fn parse_wish(word: &str) -> Result<Wish, String> {
    let parts: Vec<&str> = word.split(':').map(str::trim).collect();
    if EXCHANGES.contains(&parts[0]) {
        let (symbol, mode) = match parts[1..] {
            [symbol] => (symbol, Mode::Full),
            [symbol, mode] => (symbol, parse_mode(mode)?),
            _ => return Err("an instrument is written EXCHANGE:SYMBOL or EXCHANGE:SYMBOL:MODE".to_owned()),
        };
        if symbol.is_empty() {
            return Err("the symbol is empty".to_owned());
        }
        return Ok(Wish::Instrument { exchange: parts[0].to_owned(), symbol: symbol.to_owned(), mode });
    }
    let number = |text: &str, what: &str, most: usize| match text.parse::<usize>() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!("{what} is a number from 0 to {most}, not `{text}`")),
    };
    let (expiries, around, mode) = match parts[1..] {
        [] => ("1", "10", "full"),
        [expiries] => (expiries, "10", "full"),
        [expiries, around] => (expiries, around, "full"),
        [expiries, around, mode] => (expiries, around, mode),
        _ => return Err("a chain is written UNDERLYING:EXPIRIES:STRIKES:MODE".to_owned()),
    };
    if parts[0].is_empty() {
        return Err("the underlying is empty".to_owned());
    }
    Ok(Wish::Chain {
        underlying: parts[0].to_owned(),
        expiries: number(expiries, "the number of expiries", 50)?,
        around: number(around, "the number of strikes", 500)?,
        mode: parse_mode(mode)?,
    })
}

fn parse_mode(word: &str) -> Result<Mode, String> {
    Mode::from_word(word).ok_or_else(|| format!("the mode is ltp, quote or full, not `{word}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<Wish, &str>) {
        let read = parse_wishes(text);
        match expect {
            Ok(wish) => assert_eq!(read, Ok(vec![wish]), "{text}"),
            Err(part) => assert!(read.as_ref().is_err_and(|e| e[0].contains(part)), "{text}: {read:?}"),
        }
    }

    #[test]
    fn wishes_are_read_as_documented() {
        let chain =
            |expiries, around, mode| Wish::Chain { underlying: "NIFTY".into(), expiries, around, mode };
        check("NIFTY:2:25:full", Ok(chain(2, 25, Mode::Full)));
        check(" NIFTY ", Ok(chain(1, 10, Mode::Full)));
        check("NIFTY:2:25:ltp,", Ok(chain(2, 25, Mode::Ltp)));
        let symbol =
            Wish::Instrument { exchange: "NSE".into(), symbol: "NIFTY 50".into(), mode: Mode::Quote };
        check("NSE:NIFTY 50:quote", Ok(symbol));
        check("NSE:", Err("symbol is empty"));
        check("NIFTY:two", Err("number of expiries"));
        check("NIFTY:2:9999", Err("number of strikes"));
        check("NIFTY:2:2:fast", Err("mode is ltp"));
        check("NIFTY:1:2:full:x", Err("a chain is written"));
    }
}
