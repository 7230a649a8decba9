//! From wishes to instruments: which tokens are wanted in which mode, given a catalog and prices.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::ToSpan;
use jiff::tz::Offset;
use market_model::{
    Exchange, Expiry, ExpiryChain, InstrumentCatalog, InstrumentSlot, Mode, UnderlyingId, UnixNanos,
};
use rustc_hash::FxHashMap;
use subscription_store::{AccountPreference, Expiries, ExpiryCycle, Ladder, What, Wish};

use crate::desired::{Claim, Pinned, Wanted, Watched};
use crate::quotes::reference;
use crate::{ChainKey, Desired, LadderConfig, LadderStanding, Ladders, Quotes, Unmet, UnmetReason};

/// Instruments named by all wishes together; ten times what the largest set-up streams.
const MOST_CLAIMS: usize = 2_000_000;
/// Seconds India is ahead of UTC.
const INDIA: i32 = 19_800;

/// Resolves wishes and remembers where the ladders stand.
#[derive(Debug, Default)]
pub struct Resolver {
    ladders: Ladders,
    /// Underlyings by name, of the catalog seen last.
    index: FxHashMap<Box<str>, Vec<UnderlyingId>>,
    catalog: Option<Arc<InstrumentCatalog>>,
}

/// Why what wishes came to is no longer what they would come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outdated {
    /// A price has left the centre of its ladder.
    Moved,
    /// A ladder that waited for a price has one.
    FirstPrice,
    /// A contract has ended.
    Ended,
}

struct Resolving<'a, Q> {
    desired: Desired,
    catalog: &'a InstrumentCatalog,
    index: &'a FxHashMap<Box<str>, Vec<UnderlyingId>>,
    ladders: &'a mut Ladders,
    quotes: &'a Q,
    now: UnixNanos,
}

// === impl Resolver ===

impl Resolver {
    /// Without a ladder yet.
    pub fn new(config: LadderConfig) -> Self {
        Self { ladders: Ladders::new(config), ..Self::default() }
    }

    /// Where the ladders stand.
    pub const fn ladders(&self) -> &Ladders {
        &self.ladders
    }

    /// To take over what was kept.
    pub const fn ladders_mut(&mut self) -> &mut Ladders {
        &mut self.ladders
    }

    /// What `wishes` come to now. Ladders follow their prices; one without a price stays where it stood, or waits while
    /// its spot or future is subscribed to get one.
    pub fn resolve(
        &mut self,
        wishes: &Arc<[Wish]>,
        catalog: &Arc<InstrumentCatalog>,
        quotes: &impl Quotes,
        now: UnixNanos,
    ) -> Desired {
        if !self.catalog.as_ref().is_some_and(|known| Arc::ptr_eq(known, catalog)) {
            self.index = index(catalog);
            self.catalog = Some(catalog.clone());
        }
        let desired = Desired { wishes: wishes.clone(), catalog: catalog.clone(), ..Desired::default() };
        let (ladders, index) = (&mut self.ladders, &self.index);
        let mut resolving = Resolving { desired, catalog, index, ladders, quotes, now };
        for (number, wish) in (0..).zip(wishes.iter()) {
            resolving.add(number, wish);
        }
        let mut desired = resolving.desired;
        self.ladders.sweep();
        desired.settle();
        desired
    }

    /// Whether `desired` would come out differently now.
    pub fn outdated(&self, desired: &Desired, quotes: &impl Quotes, now: UnixNanos) -> Option<Outdated> {
        if desired.valid_until.is_some_and(|until| now >= until) {
            return Some(Outdated::Ended);
        }
        let catalog = &desired.catalog;
        let time = (now, self.ladders.config().stale_after);
        let moved = desired.watched.iter().filter_map(|watched| {
            let underlying = catalog.underlying(watched.underlying);
            let chain = &underlying.chains[watched.chain];
            let price = reference(underlying, chain, catalog, quotes, time).map(|(price, _)| price);
            let moves = self.ladders.would_move(&watched.key, &chain.rows, price);
            moves.then(|| match self.ladders.centre_of(&watched.key) {
                Some(_) => Outdated::Moved,
                None => Outdated::FirstPrice,
            })
        });
        moved.max()
    }
}

/// Underlyings by name, the one with the most chains first, as the catalog itself prefers.
fn index(catalog: &InstrumentCatalog) -> FxHashMap<Box<str>, Vec<UnderlyingId>> {
    let mut index: FxHashMap<Box<str>, Vec<UnderlyingId>> = FxHashMap::default();
    for (id, underlying) in (0..).map(UnderlyingId).zip(catalog.underlyings()) {
        index.entry(underlying.name.clone()).or_default().push(id);
    }
    for ids in index.values_mut() {
        ids.sort_by_key(|id| Reverse(catalog.underlying(*id).chains.len()));
    }
    index
}

/// When a contract has ended: where the calendar does not know the instant, at midnight in India.
fn end_of(expiry: &Expiry) -> UnixNanos {
    expiry.instant.unwrap_or_else(|| {
        let midnight = expiry.date.saturating_add(1.day()).at(0, 0, 0, 0);
        let instant = Offset::from_seconds(INDIA).and_then(|india| india.to_timestamp(midnight));
        instant.map_or(UnixNanos(i64::MAX), |instant| UnixNanos::from_secs(instant.as_second()))
    })
}

// === impl Resolving ===

impl<Q: Quotes> Resolving<'_, Q> {
    fn add(&mut self, number: u32, wish: &Wish) {
        match &wish.spec.what {
            What::Instrument { exchange, tradingsymbol } => {
                match self.catalog.by_symbol(exchange, tradingsymbol) {
                    Some(slot) => {
                        if let Err(expiry) = self.claim(number, wish, slot) {
                            let name = tradingsymbol.clone();
                            self.unmet(wish, UnmetReason::Expired { name, on: expiry.date });
                        }
                    }
                    None => {
                        let (exchange, symbol) = (exchange.clone(), tradingsymbol.clone());
                        self.unmet(wish, UnmetReason::UnknownSymbol { exchange, symbol });
                    }
                }
            }
            What::Exchange { exchange } => self.add_exchange(number, wish, exchange),
            What::Ladder(ladder) => self.add_ladder(number, wish, ladder),
        }
    }

    fn add_exchange(&mut self, number: u32, wish: &Wish, exchange: &Exchange) {
        let mut any = false;
        for (slot, instrument) in (0..).map(InstrumentSlot).zip(self.catalog.instruments()) {
            if instrument.exchange == *exchange {
                any = true;
                // What has ended is left out without a word: nobody asked for it by name.
                let _ = self.claim(number, wish, slot);
            }
        }
        if !any {
            self.unmet(wish, UnmetReason::EmptyExchange { exchange: exchange.clone() });
        }
    }

    fn add_ladder(&mut self, number: u32, wish: &Wish, ladder: &Ladder) {
        let ids = self.index.get(&ladder.underlying).map_or(&[][..], Vec::as_slice);
        let on_exchange = |id: &&UnderlyingId| {
            ladder
                .exchange
                .as_ref()
                .is_none_or(|exchange| self.catalog.underlying(**id).exchange == *exchange)
        };
        let Some(&id) = ids.iter().find(on_exchange) else {
            return self.unmet(wish, UnmetReason::UnknownUnderlying { name: ladder.underlying.clone() });
        };
        let underlying = self.catalog.underlying(id);
        let alive = |slot: &InstrumentSlot| {
            self.catalog.get(*slot).expiry().is_none_or(|expiry| end_of(expiry) > self.now)
        };
        let futures: Vec<InstrumentSlot> = underlying.futures.iter().copied().filter(alive).collect();
        // Without the price of one of them the ladder could not follow, whatever the wish leaves out.
        let carrier = underlying.spot.or_else(|| futures.first().copied());
        let spot = underlying.spot.filter(|_| ladder.spot);
        let listed = if ladder.futures { &futures[..] } else { &[] };
        let extra = carrier.filter(|slot| spot != Some(*slot) && !listed.contains(slot));
        for slot in spot.iter().chain(listed).chain(&extra) {
            let _ = self.claim(number, wish, *slot);
        }
        for at in self.chains(wish, ladder, id) {
            self.add_chain(number, wish, ladder, (id, at));
        }
    }

    /// Which chains of the underlying are asked for.
    fn chains(&mut self, wish: &Wish, ladder: &Ladder, id: UnderlyingId) -> Vec<usize> {
        let chains = &self.catalog.underlying(id).chains;
        let now = self.now;
        let alive = |chain: &ExpiryChain| end_of(&chain.expiry) > now;
        match &ladder.expiries {
            Expiries::Nearest { count: 0, .. } => Vec::new(),
            Expiries::Nearest { count, cycle } => {
                let fits = |at: &usize| match cycle {
                    ExpiryCycle::Any => true,
                    ExpiryCycle::Monthly => is_last_of_month(chains, *at),
                    ExpiryCycle::Weekly => !is_last_of_month(chains, *at),
                };
                let near = (0..chains.len()).filter(|at| alive(&chains[*at]));
                let found: Vec<usize> = near.filter(fits).take(usize::from(*count)).collect();
                if found.is_empty() {
                    let (underlying, expiries) = (ladder.underlying.clone(), ladder.expiries.clone());
                    self.unmet(wish, UnmetReason::NoExpiry { underlying, expiries });
                }
                found
            }
            Expiries::Dates(dates) => {
                let mut found = Vec::new();
                for date in dates {
                    let name = ladder.underlying.clone();
                    match chains.iter().position(|chain| chain.expiry.date == *date) {
                        Some(at) if alive(&chains[at]) => found.push(at),
                        Some(_) => self.unmet(wish, UnmetReason::Expired { name, on: *date }),
                        // A day that is over is no longer in the catalog.
                        None if end_of(&Expiry { date: *date, instant: None }) <= now => {
                            self.unmet(wish, UnmetReason::Expired { name, on: *date });
                        }
                        None => {
                            let expiries = Expiries::Dates(vec![*date]);
                            self.unmet(wish, UnmetReason::NoExpiry { underlying: name, expiries });
                        }
                    }
                }
                found
            }
        }
    }

    fn add_chain(&mut self, number: u32, wish: &Wish, ladder: &Ladder, (id, at): (UnderlyingId, usize)) {
        let underlying = self.catalog.underlying(id);
        let chain = &underlying.chains[at];
        let key = ChainKey {
            exchange: underlying.exchange.clone(),
            underlying: underlying.name.clone(),
            expiry: chain.expiry.date,
        };
        let time = (self.now, self.ladders.config().stale_after);
        let price = reference(underlying, chain, self.catalog, self.quotes, time);
        let around = usize::from(ladder.around);
        let window = self.ladders.window(&key, &chain.rows, price.map(|(price, _)| price), around);
        self.desired.watched.push(Watched { key: key.clone(), underlying: id, chain: at });
        self.ends(end_of(&chain.expiry));
        let Some(window) = window else {
            let (underlying, expiry) = (ladder.underlying.clone(), chain.expiry.date);
            return self.unmet(wish, UnmetReason::WaitingForPrice { underlying, expiry });
        };
        let rows = &chain.rows[window];
        for row in rows {
            let call = row.call.filter(|_| ladder.sides.calls());
            let put = row.put.filter(|_| ladder.sides.puts());
            for slot in call.iter().chain(&put) {
                let _ = self.claim(number, wish, *slot);
            }
        }
        let centre = self.ladders.centre_of(&key).unwrap_or_default();
        if let (Some(lowest), Some(highest)) = (rows.first(), rows.last()) {
            self.desired.ladders.push(LadderStanding {
                wish: wish.id.clone(),
                chain: key,
                centre,
                lowest: lowest.strike,
                highest: highest.strike,
                price,
            });
        }
    }

    /// Wants an instrument; one that has ended is not wanted, and when it did is the answer.
    fn claim(&mut self, wish: u32, asked: &Wish, slot: InstrumentSlot) -> Result<(), Expiry> {
        let instrument = self.catalog.get(slot);
        if let Some(expiry) = instrument.expiry() {
            let end = end_of(expiry);
            if end <= self.now {
                return Err(*expiry);
            }
            self.ends(end);
        }
        if self.desired.claims.len() >= MOST_CLAIMS {
            let told = matches!(self.desired.unmet.last(), Some(last) if last.wish == asked.id
                && matches!(last.reason, UnmetReason::TooMuch { .. }));
            if !told {
                self.unmet(asked, UnmetReason::TooMuch { most: MOST_CLAIMS });
            }
            return Ok(());
        }
        self.desired.claims.push(Claim { token: instrument.token, slot, wish, mode: asked.spec.mode });
        Ok(())
    }

    fn ends(&mut self, at: UnixNanos) {
        let until = &mut self.desired.valid_until;
        *until = Some(until.map_or(at, |until| until.min(at)));
    }

    fn unmet(&mut self, wish: &Wish, reason: UnmetReason) {
        self.desired.unmet.push(Unmet { wish: wish.id.clone(), reason });
    }
}

/// Exchanges list every month's last expiry months ahead, so the last one listed in a month is the month's last.
fn is_last_of_month(chains: &[ExpiryChain], at: usize) -> bool {
    let month = |chain: &ExpiryChain| (chain.expiry.date.year(), chain.expiry.date.month());
    chains.get(at + 1).is_none_or(|next| month(next) != month(&chains[at]))
}

// === impl Desired ===

impl Desired {
    /// Joins the claims of each instrument.
    fn settle(&mut self) {
        self.claims.sort_unstable_by_key(|claim| (claim.token, claim.wish));
        let mut pins = Vec::with_capacity(self.wishes.len());
        for wish in self.wishes.iter() {
            pins.push(match &wish.spec.account {
                AccountPreference::Any => Pinned::Any,
                AccountPreference::Prefer(name) => Pinned::Prefer(intern(&mut self.account_names, name)),
                AccountPreference::Only(name) => Pinned::Only(intern(&mut self.account_names, name)),
            });
        }
        let mut at = 0;
        for claims in self.claims.chunk_by(|a, b| a.token == b.token) {
            let (mut mode, mut best) = (Mode::Ltp, None);
            for claim in claims {
                let (pin, spec) = (pins[claim.wish as usize], &self.wishes[claim.wish as usize].spec);
                mode = mode.max(claim.mode);
                let strength = match pin {
                    Pinned::Any => 0,
                    Pinned::Prefer(_) => 1,
                    Pinned::Only(_) => 2,
                };
                best = best.max(Some((spec.priority, strength, Reverse(claim.wish))));
            }
            let end = at + claims.len() as u32;
            if let (Some((priority, _, Reverse(wish))), [first, ..]) = (best, claims) {
                self.wanted.push(Wanted {
                    token: first.token,
                    group: self.catalog.underlying_of(first.slot),
                    mode,
                    priority,
                    account: pins[wish as usize],
                    claims: (at, end),
                });
            }
            at = end;
        }
    }
}

fn intern(names: &mut Vec<Arc<str>>, name: &Arc<str>) -> u16 {
    let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.clone());
        names.len() - 1
    });
    at as u16
}

#[cfg(test)]
mod tests;
