//! A made dump of any size: the mix of a real one, the same for the same seed, and the morning after.

use std::collections::HashSet;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use kite_wire::{InstrumentRow, InstrumentType};
use market_model::{Exchange, InstrumentToken, Price, Segment};

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const SYLLABLES: [&str; 24] = [
    "A", "BA", "CHE", "DI", "EX", "FO", "GU", "HIN", "IN", "JA", "KO", "LA", "MA", "NI", "OR", "PRA", "RA",
    "SU", "TA", "UN", "VI", "WE", "YA", "ZEN",
];
const TRADES: [&str; 12] = [
    "STEEL",
    "BANK",
    "FINANCE",
    "POWER",
    "CEMENT",
    "PHARMA",
    "TEXTILES",
    "MOTORS",
    "FOODS",
    "CHEMICALS",
    "INFRA",
    "TECH",
];
/// Index names of contracts, the index's symbol, strike step and middle in rupees.
const INDICES: [(&str, &str, Exchange, i64, i64); 7] = [
    ("NIFTY", "NIFTY 50", Exchange::Nse, 50, 25_000),
    ("BANKNIFTY", "NIFTY BANK", Exchange::Nse, 100, 57_000),
    ("FINNIFTY", "NIFTY FIN SERVICE", Exchange::Nse, 50, 27_000),
    ("MIDCPNIFTY", "NIFTY MID SELECT", Exchange::Nse, 25, 13_000),
    ("NIFTYNXT50", "NIFTY NEXT 50", Exchange::Nse, 100, 68_000),
    ("SENSEX", "SENSEX", Exchange::Bse, 100, 82_000),
    ("BANKEX", "BANKEX", Exchange::Bse, 100, 63_000),
];

/// Numbers that look random and are the same every time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % limit
    }
}

/// About `rows` instruments as of `day`, never fewer.
pub(crate) fn dump(seed: u64, rows: usize, day: Date) -> Vec<InstrumentRow> {
    let mut maker =
        Maker { dice: Dice::new(seed), day, rows: Vec::with_capacity(rows), tokens: HashSet::new() };
    let shares = maker.cash(rows);
    maker.indices();
    maker.commodities(rows / 12);
    maker.index_contracts();
    // Stock options fill the rest, so that the mix holds at any size.
    let mut at = 0;
    while maker.rows.len() < rows {
        let name = shares[at % shares.len()].clone();
        let month = at / shares.len();
        maker.share_contracts(&name, month);
        at += 1;
    }
    maker.rows.truncate(rows);
    maker.rows
}

/// The dump of `day`, made of the one before: contracts that ended are gone, a few are new, a few changed.
pub(crate) fn morning_after(before: &[InstrumentRow], seed: u64, day: Date) -> Vec<InstrumentRow> {
    let mut dice = Dice::new(seed);
    let mut rows: Vec<InstrumentRow> =
        before.iter().filter(|row| row.expiry.is_none_or(|end| end >= day)).cloned().collect();
    let tokens: HashSet<u32> = before.iter().map(|row| row.token.0).collect();
    let count = rows.len() as u64;
    for _ in 0..count / 500 {
        let row = &mut rows[dice.below(count) as usize];
        match dice.below(3) {
            0 => row.lot_size += 25,
            1 => row.tick_size = Price::from_paise(1),
            _ => row.name = format!("{} NEW", row.name).into(),
        }
    }
    for number in 0..count / 100 {
        let mut row = rows[dice.below(count) as usize].clone();
        row.tradingsymbol = format!("{}X{number}", row.tradingsymbol).into();
        row.token = InstrumentToken((0xf000_0000 + number as u32 * 256) | (row.token.0 & 0xff));
        if !tokens.contains(&row.token.0) {
            rows.push(row);
        }
    }
    rows
}

struct Maker {
    dice: Dice,
    day: Date,
    rows: Vec<InstrumentRow>,
    tokens: HashSet<u32>,
}

impl Maker {
    /// Shares of both exchanges; returns the symbols that get contracts.
    fn cash(&mut self, rows: usize) -> Vec<String> {
        let mut symbols = HashSet::new();
        let mut with_contracts = Vec::new();
        let count = (rows / 12).max(4);
        for number in 0..count {
            let mut symbol: String =
                (0..2 + self.dice.below(3)).map(|_| SYLLABLES[self.dice.below(24) as usize]).collect();
            let trade = TRADES[self.dice.below(12) as usize];
            let name = format!("{symbol} {trade} LIMITED");
            if self.dice.below(2) == 0 {
                symbol.push_str(&trade[..trade.len().min(4)]);
            }
            if !symbols.insert(symbol.clone()) {
                symbol.push_str(&number.to_string());
                symbols.insert(symbol.clone());
            }
            let listed = if self.dice.below(20) == 0 { format!("{symbol}-BE") } else { symbol.clone() };
            self.add(1, &listed, &name, None, 0, InstrumentType::Equity, "NSE", "NSE", 1);
            if number % 2 == 0 {
                self.add(4, &symbol, &name, None, 0, InstrumentType::Equity, "BSE", "BSE", 1);
            }
            if with_contracts.len() < 220 && listed == symbol {
                with_contracts.push(symbol);
            }
        }
        with_contracts
    }

    fn indices(&mut self) {
        for (_, symbol, exchange, ..) in &INDICES {
            self.add(9, symbol, symbol, None, 0, InstrumentType::Equity, "INDICES", exchange.as_str(), 0);
        }
        self.add(9, "INDIA VIX", "INDIA VIX", None, 0, InstrumentType::Equity, "INDICES", "NSE", 0);
        self.add(9, "GIFT NIFTY", "GIFT NIFTY", None, 0, InstrumentType::Equity, "INDICES", "NSEIX", 0);
    }

    fn commodities(&mut self, rows: usize) {
        for number in 0..rows {
            let name = ["GOLD", "SILVER", "CRUDEOIL", "COPPER"][number % 4];
            let month = (number / 4) % 8;
            let (end, code) = self.month_end(month);
            let strike = 5_000 + 50 * (number / 32) as i64;
            let (exchange, segment, byte) =
                if number % 2 == 0 { ("MCX", "MCX-OPT", 7) } else { ("NCO", "NCO-OPT", 12) };
            let symbol = format!("{name}{code}{strike}CE");
            self.add(
                byte,
                &symbol,
                name,
                Some(end),
                strike * 100,
                InstrumentType::Call,
                segment,
                exchange,
                100,
            );
        }
        let (end, code) = self.month_end(0);
        self.add(
            7,
            &format!("GOLD{code}FUT"),
            "GOLD",
            Some(end),
            0,
            InstrumentType::Future,
            "MCX-FUT",
            "MCX",
            100,
        );
    }

    fn index_contracts(&mut self) {
        for (name, _, exchange, step, middle) in &INDICES {
            let (derivatives, byte) = if *exchange == Exchange::Nse { ("NFO", 2) } else { ("BFO", 5) };
            for month in 0..3 {
                let (end, code) = self.month_end(month);
                let segment = format!("{derivatives}-FUT");
                let symbol = format!("{name}{code}FUT");
                self.add(
                    byte,
                    &symbol,
                    name,
                    Some(end),
                    0,
                    InstrumentType::Future,
                    &segment,
                    derivatives,
                    65,
                );
                self.options(name, &code, end, middle - 60 * step, *step, 120, derivatives, byte, 65);
            }
            if *name == "NIFTY" || *name == "SENSEX" {
                for week in 1..5 {
                    let end = self.day + (week * 7).days();
                    let code = format!("{:02}{}{:02}", end.year() % 100, end.month(), end.day());
                    self.options(name, &code, end, middle - 60 * step, *step, 120, derivatives, byte, 65);
                }
            }
        }
    }

    fn share_contracts(&mut self, name: &str, month: usize) {
        let (end, code) = self.month_end(month);
        let middle = 200 + 10 * self.dice.below(300) as i64;
        let symbol = format!("{name}{code}FUT");
        self.add(2, &symbol, name, Some(end), 0, InstrumentType::Future, "NFO-FUT", "NFO", 550);
        self.options(name, &code, end, middle - 100, 10, 30, "NFO", 2, 550);
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of a row")]
    fn options(
        &mut self,
        name: &str,
        code: &str,
        end: Date,
        first: i64,
        step: i64,
        strikes: i64,
        exchange: &str,
        byte: u32,
        lot: u32,
    ) {
        let segment = format!("{exchange}-OPT");
        for strike in (0..strikes).map(|at| first + at * step) {
            for side in [InstrumentType::Call, InstrumentType::Put] {
                let symbol = format!("{name}{code}{strike}{}", side.as_str());
                self.add(byte, &symbol, name, Some(end), strike * 100, side, &segment, exchange, lot);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of a row")]
    fn add(
        &mut self,
        byte: u32,
        symbol: &str,
        name: &str,
        expiry: Option<Date>,
        strike_paise: i64,
        instrument_type: InstrumentType,
        segment: &str,
        exchange: &str,
        lot_size: u32,
    ) {
        let token = loop {
            let token = ((1 + self.dice.below(1 << 23)) as u32) << 8 | byte;
            if self.tokens.insert(token) {
                break token;
            }
        };
        self.rows.push(InstrumentRow {
            token: InstrumentToken(token),
            exchange_token: token >> 8,
            tradingsymbol: symbol.into(),
            name: name.into(),
            last_price: Price::ZERO,
            expiry,
            strike: Price::from_paise(strike_paise),
            tick_size: if lot_size == 0 { Price::ZERO } else { Price::from_paise(5) },
            lot_size,
            instrument_type,
            segment: Segment::from_word(segment),
            exchange: Exchange::from_word(exchange),
        });
    }

    /// The last Tuesday of a month from now, and how symbols write it.
    fn month_end(&self, months: usize) -> (Date, String) {
        let month = self.day.first_of_month() + (months as i64 + 1).months();
        let mut end = month.last_of_month();
        while end.weekday() != Weekday::Tuesday {
            end = end.yesterday().unwrap_or(end);
        }
        let name = MONTHS[end.month() as usize - 1];
        (end, format!("{:02}{name}", end.year() % 100))
    }
}
