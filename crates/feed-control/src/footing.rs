//! What is kept of a plan, so that the next instance or the next start continues it instead of moving everything.

use std::sync::Arc;

use jiff::civil::Date;
use market_model::{Exchange, InstrumentToken, Price};

use crate::plan::{Assignments, Home, MoveCause, Why};
use crate::{ChainKey, FeedControlError, Ladders};

const VERSION: u64 = 1;
const WHYS: [Why; 6] =
    [Why::Only, Why::Preferred, Why::WithUnderlying, Why::Lightest, Why::Split, Why::Stayed];
const CAUSES: [MoveCause; 6] = [
    MoveCause::Lost,
    MoveCause::Draining,
    MoveCause::Removed,
    MoveCause::Shrunk,
    MoveCause::Displaced,
    MoveCause::Asked,
];

/// Where instruments are and ladders stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footing {
    /// The account of every instrument.
    pub assignments: Assignments,
    /// The centre of every ladder.
    pub centres: Vec<(ChainKey, Price)>,
}

// === impl Footing ===

impl Footing {
    /// Of `assignments` and where `ladders` stand.
    pub fn new(assignments: Assignments, ladders: &Ladders) -> Self {
        let centres = ladders.centres().map(|(key, centre)| (key.clone(), centre)).collect();
        Self { assignments, centres }
    }

    /// In one or two bytes per instrument.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer(Vec::new());
        to.number(VERSION);
        to.number(self.assignments.names.len() as u64);
        self.assignments.names.iter().for_each(|name| to.text(name));
        // One run of ascending tokens for each account and history.
        let mut homes = self.assignments.homes.clone();
        let key = |home: &Home| {
            let moved = home.moved.map(|(from, cause)| (from, place(&CAUSES, cause)));
            (home.account, place(&WHYS, home.why), moved)
        };
        homes.sort_by_key(|(token, home)| (key(home), *token));
        let runs: Vec<_> = homes.chunk_by(|(_, a), (_, b)| a == b).collect();
        to.number(runs.len() as u64);
        for run in runs {
            let (account, why, moved) = key(&run[0].1);
            to.number(u64::from(account));
            to.number(why);
            let (from, cause) = moved.map_or((0, 0), |(from, cause)| (u64::from(from) + 1, cause));
            to.number(from);
            to.number(cause);
            to.number(run.len() as u64);
            let mut last = 0;
            for (token, _) in run {
                to.number(u64::from(token.0 - last));
                last = token.0;
            }
        }
        to.number(self.centres.len() as u64);
        for (chain, centre) in &self.centres {
            to.text(chain.exchange.as_str());
            to.text(&chain.underlying);
            to.number(chain.expiry.year().unsigned_abs().into());
            to.number(chain.expiry.month().unsigned_abs().into());
            to.number(chain.expiry.day().unsigned_abs().into());
            to.number(centre.raw().unsigned_abs());
        }
        to.0
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`FeedControlError::Footing`] for anything else; one can always start without.
    pub fn decode(bytes: &[u8]) -> Result<Self, FeedControlError> {
        Reader(bytes).footing().ok_or(FeedControlError::Footing)
    }
}

fn place<T: PartialEq>(all: &[T], one: T) -> u64 {
    all.iter().position(|other| *other == one).unwrap_or_default() as u64
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number as u8) | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn footing(mut self) -> Option<Footing> {
        if self.number()? != VERSION {
            return None;
        }
        let names = self.count()?;
        let names: Vec<Arc<str>> = (0..names).map(|_| self.text().map(Arc::from)).collect::<Option<_>>()?;
        let name = |at: u64| u16::try_from(at).ok().filter(|at| usize::from(*at) < names.len());
        let mut homes = Vec::new();
        for _ in 0..self.count()? {
            let account = name(self.number()?)?;
            let why = *WHYS.get(usize::try_from(self.number()?).ok()?)?;
            let from = self.number()?;
            let cause = *CAUSES.get(usize::try_from(self.number()?).ok()?)?;
            let moved = match from.checked_sub(1) {
                None => None,
                Some(from) => Some((name(from)?, cause)),
            };
            let mut token = 0u32;
            for _ in 0..self.count()? {
                token = token.checked_add(u32::try_from(self.number()?).ok()?)?;
                homes.push((InstrumentToken(token), Home { account, why, moved }));
            }
        }
        homes.sort_by_key(|(token, _)| *token);
        if homes.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        let mut centres = Vec::new();
        for _ in 0..self.count()? {
            let (exchange, underlying) = (Exchange::from_word(self.text()?), self.text()?.into());
            let year = i16::try_from(self.number()?).ok()?;
            let (month, day) = (i8::try_from(self.number()?).ok()?, i8::try_from(self.number()?).ok()?);
            let expiry = Date::new(year, month, day).ok()?;
            let centre = Price::from_raw(i64::try_from(self.number()?).ok()?);
            centres.push((ChainKey { exchange, underlying, expiry }, centre));
        }
        self.0.is_empty().then_some(Footing { assignments: Assignments { names, homes }, centres })
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A number of things of at least one byte each, so there are no more than bytes.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len())
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn any_footing() -> impl Strategy<Value = Footing> {
        let home =
            (0u16..3, 0usize..6, prop::option::of((0u16..3, 0usize..6))).prop_map(|(account, why, moved)| {
                Home { account, why: WHYS[why], moved: moved.map(|(from, cause)| (from, CAUSES[cause])) }
            });
        let homes = prop::collection::btree_map(any::<u32>(), home, 0..200);
        let centre = ("[A-Z]{1,10}", 0i32..4000, 0i64..i64::MAX).prop_map(|(name, day, raw)| {
            let expiry = date(2026, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
            (ChainKey { exchange: Exchange::Nfo, underlying: name.into(), expiry }, Price::from_raw(raw))
        });
        (homes, prop::collection::vec(centre, 0..20)).prop_map(|(homes, centres)| Footing {
            assignments: Assignments {
                names: ["main", "second", "third"].map(Arc::from).into(),
                homes: homes.into_iter().map(|(token, home)| (InstrumentToken(token), home)).collect(),
            },
            centres,
        })
    }

    proptest! {
        #[test]
        fn a_footing_is_read_as_it_was_written(footing in any_footing()) {
            prop_assert_eq!(Footing::decode(&footing.encode()).unwrap(), footing);
        }

        #[test]
        fn no_bytes_make_it_panic(
            footing in any_footing(),
            cut in any::<prop::sample::Index>(),
            wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = footing.encode();
            let part = &bytes[..cut.index(bytes.len())];
            prop_assert!(Footing::decode(part).is_err(), "a part is not the whole");
            for (at, byte) in wrong {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = Footing::decode(&bytes);
        }
    }
}
