//! The market as it stands: prices at the present moment and what the day has seen so far.

use std::sync::Arc;

use market_model::{Mode, Tick, TickBody, UnixNanos};

pub(crate) use book::Touch;
pub(crate) use day::{open_interest, round, volume};
pub(crate) use moment::{Moment, option_price};

use crate::SimError;
use crate::config::SimConfig;
use crate::listing::{Kind, Listed, Listing, Slot};
use crate::model::Model;
use crate::rules::{Board, Rules, TradingDay};
use day::DayState;

mod book;
mod day;
mod moment;

/// How many instants of the day so far open, high, low and average are made from when an instrument is first looked at.
const GRID_POINTS: i64 = 48;

/// What never changes while a listing is valid; candles and truth are computed from it without the market's lock.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    pub(crate) model: Arc<Model>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) listing: Arc<Listing>,
}

/// The simulated market. Time moves when [`Market::advance`] is called, nowhere else.
#[derive(Debug)]
pub(crate) struct Market {
    config: SimConfig,
    basis: Basis,
    cash: TradingDay,
    derivatives: TradingDay,
    now: UnixNanos,
    moment: Moment,
    past: Past,
    days: Vec<Option<DayState>>,
}

/// What the day values of an instrument are made from when it is first looked at.
#[derive(Debug)]
pub(crate) struct Past {
    /// The end of the day before.
    pub(crate) previous_close: Moment,
    /// Moments since the day opened, in equal steps.
    pub(crate) grid: Vec<Moment>,
}

// === impl Market ===

impl Market {
    /// The market of `config` at `now`.
    ///
    /// # Errors
    /// [`SimError::Listing`] when the instruments cannot be listed.
    pub(crate) fn new(config: &SimConfig, now: UnixNanos) -> Result<Self, SimError> {
        let model = Arc::new(Model::new(config.seed, config.market.clone()));
        let rules = Arc::new(Rules::new(config.sessions));
        let listing = Arc::new(Listing::build(config, &rules, &model, now)?);
        let basis = Basis { model, rules, listing };
        let cash = basis.rules.trading_day(Board::Cash, now);
        let derivatives = basis.rules.trading_day(Board::Derivatives, now);
        let mut market = Self {
            moment: basis.moment(cash.market_time(now), derivatives.market_time(now)),
            past: Past {
                previous_close: basis.moment(cash.previous_close, derivatives.previous_close),
                grid: Vec::new(),
            },
            days: Vec::new(),
            config: config.clone(),
            basis,
            cash,
            derivatives,
            now,
        };
        market.start_day();
        Ok(market)
    }

    /// Moves to `now`. Returns whether instruments were listed anew, which makes every [`Slot`] worthless.
    ///
    /// # Errors
    /// [`SimError::Listing`] when the new instruments cannot be listed; the old ones stay.
    pub(crate) fn advance(&mut self, now: UnixNanos) -> Result<bool, SimError> {
        self.now = now;
        let relist = now >= self.basis.listing.valid_until;
        if relist {
            let listing = Listing::build(&self.config, &self.basis.rules, &self.basis.model, now)?;
            self.basis.listing = Arc::new(listing);
        }
        let cash = self.basis.rules.trading_day(Board::Cash, now);
        let derivatives = self.basis.rules.trading_day(Board::Derivatives, now);
        let new_day = (cash, derivatives) != (self.cash, self.derivatives);
        (self.cash, self.derivatives) = (cash, derivatives);
        self.moment = self.basis.moment(cash.market_time(now), derivatives.market_time(now));
        if relist || new_day {
            self.start_day();
        }
        self.extend_grid();
        Ok(relist)
    }

    pub(crate) fn now(&self) -> UnixNanos {
        self.now
    }

    pub(crate) fn basis(&self) -> &Basis {
        &self.basis
    }

    pub(crate) fn listing(&self) -> &Arc<Listing> {
        &self.basis.listing
    }

    pub(crate) fn moment(&self) -> &Moment {
        &self.moment
    }

    /// Whether `slot` trades at this moment.
    pub(crate) fn is_open(&self, slot: Slot) -> bool {
        let board = self.basis.listing.get(slot).board();
        self.trading_day(board).is_open(self.now)
    }

    /// Whether shares, and with them everything made for load, trade at this moment.
    pub(crate) fn is_cash_open(&self) -> bool {
        self.cash.is_open(self.now)
    }

    /// The present state of `slot` as a tick in full mode.
    pub(crate) fn tick(&mut self, slot: Slot) -> Tick {
        if let Some(load) = self.basis.listing.load.as_ref().filter(|load| load.has(slot))
            && let Some(tick) = load.tick(slot, load.moment(self.now.as_secs() as u64, self.now))
        {
            return tick;
        }
        let listed = self.basis.listing.get(slot);
        let (fair, at) = self.basis.fair(listed, &self.moment);
        let day = *self.trading_day(listed.board());
        let state = self.days[slot.index()]
            .get_or_insert_with(|| DayState::start(&self.basis, listed, &day, &self.past));
        state.observe(listed, fair, at, &day)
    }

    fn trading_day(&self, board: Board) -> &TradingDay {
        match board {
            Board::Cash => &self.cash,
            Board::Derivatives => &self.derivatives,
        }
    }

    fn start_day(&mut self) {
        self.days.clear();
        self.days.resize(self.basis.listing.ordinary(), None);
        self.past = Past {
            previous_close: self.basis.moment(self.cash.previous_close, self.derivatives.previous_close),
            grid: Vec::new(),
        };
        self.extend_grid();
    }

    fn extend_grid(&mut self) {
        let length = self.derivatives.close.0 - self.derivatives.open.0;
        let until = self.moment.derivatives_at;
        for point in self.past.grid.len() as i64..GRID_POINTS {
            let at = UnixNanos(self.derivatives.open.0 + length / GRID_POINTS * point);
            if at > until {
                break;
            }
            let moment = self.basis.moment(self.cash.market_time(at), at);
            self.past.grid.push(moment);
        }
    }
}

// === impl Basis ===

impl Basis {
    /// Levels of everything that others are priced from.
    pub(crate) fn moment(&self, cash_at: UnixNanos, derivatives_at: UnixNanos) -> Moment {
        Moment::new(&self.model, &self.listing, cash_at, derivatives_at)
    }

    /// Fair price of `listed` at `moment` and the instant that price belongs to.
    pub(crate) fn fair(&self, listed: &Listed, moment: &Moment) -> (f64, UnixNanos) {
        (moment.fair(&self.model, listed), moment.at(listed.board()))
    }

    /// Fair price of `listed` alone at `at`: what [`Basis::fair`] says for a moment at that instant, for less work.
    pub(crate) fn fair_at(&self, listed: &Listed, at: UnixNanos) -> f64 {
        let model = &self.model;
        let common = model.common(at);
        let level = |index| model.index(index, common, at);
        let curve = |index: usize, expiry: usize| {
            let ends = self.listing.expiries[index][expiry].instant;
            model.curve(index, &level(index), ends, at)
        };
        match listed.kind {
            Kind::Index(index) => level(index).spot,
            Kind::Vix => model.vix(&level(0), at),
            Kind::Equity(equity) => model.equity(equity, common, at),
            Kind::Synthetic(number) => model.synthetic(number, common, at),
            Kind::Load(load) => load.fair(0),
            Kind::Future { index, expiry } => curve(index, expiry).forward,
            Kind::Option { index, expiry, strike, side } => option_price(&curve(index, expiry), strike, side),
        }
    }
}

/// `full` with only what `mode` shows.
pub(crate) fn in_mode(full: &Tick, mode: Mode) -> Tick {
    let body = match (mode, full.body) {
        (Mode::Ltp, _) => TickBody::Ltp,
        (Mode::Quote, TickBody::Full(body)) => TickBody::Quote(body.quote),
        (Mode::Quote, TickBody::IndexFull { ohlc, change, .. }) => TickBody::IndexQuote { ohlc, change },
        (_, body) => body,
    };
    Tick { body, ..*full }
}

#[cfg(test)]
mod tests;
