//! Bid, offer and the levels behind them around a fair price.

use market_model::{Depth, DepthLevel, Price, Quantity};

use crate::listing::{Kind, Listed};
use crate::load::LoadContract;

/// The quoted market around a fair price, in paise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touch {
    /// Best bid; zero when nobody bids.
    pub(crate) bid: i64,
    /// Best offer.
    pub(crate) ask: i64,
}

// === impl Touch ===

impl Touch {
    /// Best prices that enclose `fair` rupees on the instrument's price grid: `bid <= fair <= ask` and `bid < ask`,
    /// except that nobody bids below one tick.
    pub(crate) fn around(listed: &Listed, fair: f64) -> Self {
        let tick = listed.tick_paise.max(1);
        let half = fair * half_spread(listed);
        let steps = |rupees: f64| rupees * 100.0 / tick as f64;
        let bid = (steps(fair - half) + 1e-9).floor().max(0.0) as i64;
        let ask = ((steps(fair + half) - 1e-9).ceil() as i64).max(bid + 1);
        Self { bid: bid * tick, ask: ask * tick }
    }

    /// Five levels each side. `position` varies the quantities.
    pub(crate) fn depth(&self, listed: &Listed, position: i64) -> Depth {
        let tick = listed.tick_paise.max(1);
        let mut depth = Depth::default();
        let sides = [(&mut depth.buy, self.bid, -tick, 1), (&mut depth.sell, self.ask, tick, 2)];
        for (levels, best, step, name) in sides {
            for (level, at) in levels.iter_mut().zip(0i64..) {
                let paise = best + step * at;
                if paise <= 0 {
                    break;
                }
                // Each level changes at its own pace, so that not the whole book moves on every tick.
                let bits = listed.stream.child(name).bits((position >> at) * 8 + at);
                *level = DepthLevel {
                    price: Price::from_paise(paise),
                    quantity: lots(listed, 1 + bits % (40 + 30 * at as u64)),
                    orders: 1 + (bits >> 32) as u16 % 24,
                };
            }
        }
        depth
    }
}

/// Half the distance of bid and offer as a share of the price.
fn half_spread(listed: &Listed) -> f64 {
    match listed.kind {
        Kind::Option { .. } => 0.001_2,
        Kind::Load(load) if matches!(load.contract, LoadContract::Option { .. }) => 0.001_2,
        Kind::Future { .. } => 0.000_02,
        _ => 0.000_05,
    }
}

/// `count` lots as units; shares trade in hundreds here.
pub(crate) fn lots(listed: &Listed, count: u64) -> Quantity {
    let unit = match listed.kind {
        Kind::Equity(_) | Kind::Synthetic(_) => 20,
        _ => u64::from(listed.lot_size),
    };
    Quantity::try_from(count * unit).unwrap_or(Quantity::MAX)
}
