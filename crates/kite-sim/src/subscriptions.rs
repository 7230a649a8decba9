//! What one connection has subscribed, spread over a wheel of phases so that ticks do not come all at once.

use std::collections::HashMap;

use market_model::{InstrumentToken, Mode};

use crate::config::SimConfig;
use crate::listing::{Kind, Listed, Listing, Slot};

/// Phases of 25 ms per turn of the wheel, and how often each sort of instrument comes up in a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wheel {
    phases: usize,
    ordinary: usize,
    index: usize,
    synthetic: usize,
    whole: usize,
}

/// Real milliseconds per phase.
pub(crate) const PHASE_MILLIS: u64 = 25;

/// Load instruments that tick together.
const NEIGHBOURS: usize = 32;

/// Tokens and modes of one connection.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    wheel: Wheel,
    modes: HashMap<InstrumentToken, Mode>,
    due: Vec<Vec<(Slot, Mode)>>,
}

// === impl Wheel ===

impl Wheel {
    /// Turns once in the time of the slowest instrument.
    pub(crate) fn new(config: &SimConfig) -> Self {
        let load = config.load.map_or(config.ticks_per_second, |load| load.ticks_per_second);
        let whole = config.whole_market.map_or(config.ticks_per_second, |whole| whole.rate());
        let rates = [config.ticks_per_second, config.index_ticks_per_second, load, whole];
        let turns_per_second = rates.into_iter().fold(f64::INFINITY, f64::min);
        let phases = ((1_000.0 / PHASE_MILLIS as f64 / turns_per_second).round() as usize).max(1);
        let per_turn = |rate: f64| ((rate / turns_per_second).round() as usize).clamp(1, phases);
        Self {
            phases,
            ordinary: per_turn(config.ticks_per_second),
            index: per_turn(config.index_ticks_per_second),
            synthetic: per_turn(load),
            whole: per_turn(whole),
        }
    }

    /// Phases in a turn.
    pub(crate) const fn phases(&self) -> usize {
        self.phases
    }

    /// Which variant the load instruments show in `phase`: the next one with each of their ticks.
    pub(crate) const fn load_turn(&self, phase: u64) -> u64 {
        phase * self.whole as u64 / self.phases as u64
    }

    fn phases_of(self, slot: Slot, listed: &Listed) -> impl Iterator<Item = usize> {
        let times = match listed.kind {
            Kind::Index(_) | Kind::Vix => self.index,
            Kind::Synthetic(_) => self.synthetic,
            Kind::Load(_) => self.whole,
            _ => self.ordinary,
        };
        let first = match listed.kind {
            // Neighbours tick together, so that their packets are read in the order they lie in.
            Kind::Load(_) => slot.index() / NEIGHBOURS % self.phases,
            _ => (listed.stream.bits(-1) % self.phases as u64) as usize,
        };
        (0..times).map(move |time| (first + time * self.phases / times) % self.phases)
    }
}

// === impl Subscriptions ===

impl Subscriptions {
    pub(crate) fn new(wheel: Wheel) -> Self {
        Self { wheel, modes: HashMap::new(), due: vec![Vec::new(); wheel.phases] }
    }

    pub(crate) fn len(&self) -> usize {
        self.modes.len()
    }

    /// Every token, ascending.
    pub(crate) fn tokens(&self) -> Vec<u32> {
        let mut tokens: Vec<u32> = self.modes.keys().map(|token| token.0).collect();
        tokens.sort_unstable();
        tokens
    }

    pub(crate) fn mode(&self, token: InstrumentToken) -> Option<Mode> {
        self.modes.get(&token).copied()
    }

    /// How many tokens are in each mode: ltp, quote, full.
    pub(crate) fn counts(&self) -> [usize; 3] {
        [Mode::Ltp, Mode::Quote, Mode::Full]
            .map(|wanted| self.modes.values().filter(|mode| **mode == wanted).count())
    }

    /// Puts `listed` at `slot` into `mode`.
    pub(crate) fn set(&mut self, slot: Slot, listed: &Listed, mode: Mode) {
        self.forget(slot, listed);
        self.modes.insert(listed.token, mode);
        for phase in self.wheel.phases_of(slot, listed) {
            self.due[phase].push((slot, mode));
        }
    }

    /// Ends the subscription of `listed` at `slot`.
    pub(crate) fn remove(&mut self, slot: Slot, listed: &Listed) {
        self.forget(slot, listed);
        self.modes.remove(&listed.token);
    }

    /// What ticks in `phase` (counted from the start, any number).
    pub(crate) fn due(&self, phase: u64) -> &[(Slot, Mode)] {
        &self.due[(phase % self.wheel.phases as u64) as usize]
    }

    /// Finds the slots again after instruments were listed anew; what is no longer listed is dropped.
    pub(crate) fn relist(&mut self, listing: &Listing) {
        let modes = std::mem::take(&mut self.modes);
        self.due.iter_mut().for_each(Vec::clear);
        for (token, mode) in modes {
            if let Some(slot) = listing.slot(token) {
                self.set(slot, listing.get(slot), mode);
            }
        }
    }

    fn forget(&mut self, slot: Slot, listed: &Listed) {
        if self.modes.contains_key(&listed.token) {
            for phase in self.wheel.phases_of(slot, listed) {
                self.due[phase].retain(|(other, _)| *other != slot);
            }
        }
    }
}
