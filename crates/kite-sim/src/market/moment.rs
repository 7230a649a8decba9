//! All levels at one instant, computed once and shared by every instrument priced from them.

use market_model::{OptionSide, UnixNanos};
use option_greeks::{OptionInputs, OptionKind, PricingModel};

use crate::listing::{Kind, Listed, Listing};
use crate::model::{Curve, IndexLevel, Model};
use crate::rules::Board;

/// All levels at one instant.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    /// The instant of shares and indices.
    pub(crate) cash_at: UnixNanos,
    /// The instant of futures and options; differs from the other only outside sessions.
    pub(crate) derivatives_at: UnixNanos,
    common: f64,
    levels: Vec<IndexLevel>,
    curves: Vec<Vec<Curve>>,
    vix: f64,
}

// === impl Moment ===

impl Moment {
    pub(crate) fn new(
        model: &Model,
        listing: &Listing,
        cash_at: UnixNanos,
        derivatives_at: UnixNanos,
    ) -> Self {
        let common = model.common(cash_at);
        let indices = listing.expiries.len();
        let levels: Vec<IndexLevel> = (0..indices).map(|index| model.index(index, common, cash_at)).collect();
        // While the two boards keep different hours derivatives follow the level the index would have.
        let underlying: Vec<IndexLevel> = if cash_at == derivatives_at {
            levels.clone()
        } else {
            let common = model.common(derivatives_at);
            (0..indices).map(|index| model.index(index, common, derivatives_at)).collect()
        };
        let curves = listing
            .expiries
            .iter()
            .enumerate()
            .map(|(index, expiries)| {
                expiries
                    .iter()
                    .map(|expiry| model.curve(index, &underlying[index], expiry.instant, derivatives_at))
                    .collect()
            })
            .collect();
        Self {
            cash_at,
            derivatives_at,
            common,
            vix: levels.first().map_or(0.0, |level| model.vix(level, cash_at)),
            levels,
            curves,
        }
    }

    /// The instant prices of `board` belong to.
    pub(crate) fn at(&self, board: Board) -> UnixNanos {
        match board {
            Board::Cash => self.cash_at,
            Board::Derivatives => self.derivatives_at,
        }
    }

    /// Value of index number `index`.
    pub(crate) fn spot(&self, index: usize) -> f64 {
        self.levels[index].spot
    }

    /// Forward and smile of an expiry of an index.
    pub(crate) fn curve(&self, index: usize, expiry: usize) -> &Curve {
        &self.curves[index][expiry]
    }

    /// Fair price of `listed`.
    pub(crate) fn fair(&self, model: &Model, listed: &Listed) -> f64 {
        match listed.kind {
            Kind::Index(index) => self.spot(index),
            Kind::Vix => self.vix,
            Kind::Equity(equity) => model.equity(equity, self.common, self.cash_at),
            Kind::Synthetic(number) => model.synthetic(number, self.common, self.cash_at),
            Kind::Load(load) => load.fair(0),
            Kind::Future { index, expiry } => self.curve(index, expiry).forward,
            Kind::Option { index, expiry, strike, side } => {
                option_price(self.curve(index, expiry), strike, side)
            }
        }
    }
}

/// Black-76 price of an option on `curve`; what it would settle at when its time is over.
pub(crate) fn option_price(curve: &Curve, strike: f64, side: OptionSide) -> f64 {
    let (kind, settled) = match side {
        OptionSide::Call => (OptionKind::Call, curve.forward - strike),
        OptionSide::Put => (OptionKind::Put, strike - curve.forward),
    };
    let inputs = OptionInputs {
        model: PricingModel::Black76 { forward: curve.forward },
        kind,
        strike,
        rate: curve.rate,
        years_to_expiry: curve.years,
    };
    option_greeks::price(&inputs, curve.volatility(strike)).unwrap_or(settled.max(0.0))
}
