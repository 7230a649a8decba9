use option_greeks::implied_volatility;

use super::*;
use crate::config::{SimConfig, WholeMarket};
use crate::listing::Listing;
use crate::model::Model;
use crate::rules::Rules;

/// Friday 20 November 2026, 14:00 in India.
const NOW: UnixNanos = UnixNanos::from_secs(1_795_163_400);

fn listing() -> Listing {
    let whole_market = Some(WholeMarket::new(2_000, 4_000.0));
    let config = SimConfig { whole_market, ..SimConfig::default() };
    let model = Model::new(config.seed, config.market.clone());
    Listing::build(&config, &Rules::new(config.sessions), &model, NOW).unwrap()
}

fn middle(tick: &Tick) -> Option<f64> {
    let depth = tick.depth()?;
    Some((depth.best_bid()?.price.to_f64() + depth.best_offer()?.price.to_f64()) / 2.0)
}

#[test]
fn volatilities_can_be_solved_from_the_packets_and_parity_holds() {
    let listing = listing();
    let load = listing.load.as_ref().unwrap();
    let (mut options, mut solved, mut pairs) = (0, 0, 0);
    for variant in 0..VARIANTS {
        let moment = load.moment(variant, NOW);
        let price = |at: usize| load.tick(Slot(at as u32), moment).as_ref().and_then(middle);
        for (at, listed) in listing.instruments.iter().enumerate().skip(listing.ordinary()) {
            let Kind::Load(of) = listed.kind else { panic!("{listed:?}") };
            let LoadContract::Option { years, strike, side } = of.contract else { continue };
            options += 1;
            let forward = Load { contract: LoadContract::Future { years }, ..of }.fair(variant);
            let kind = if side == OptionSide::Call { OptionKind::Call } else { OptionKind::Put };
            let inputs = OptionInputs {
                model: PricingModel::Black76 { forward },
                kind,
                strike,
                rate: of.rate,
                years_to_expiry: years,
            };
            let found = price(at).and_then(|price| implied_volatility(&inputs, price).ok());
            solved +=
                u32::from(found.is_some_and(|found| (found - of.volatility(strike / of.base)).abs() < 0.03));
            // Calls and puts of a strike are neighbours.
            let discount = (-of.rate * years).exp();
            if side == OptionSide::Call
                && let (Some(call), Some(put)) = (price(at), price(at + 1))
                && listing.instruments[at + 1].expiry.is_some()
                && at + 1 < listing.instruments.len() - 1
            {
                let parity = (call - put) - discount * (forward - strike);
                assert!(parity.abs() < 0.1 + 0.002 * of.base, "{}: {parity}", listed.tradingsymbol);
                pairs += 1;
            }
        }
    }
    assert!(options > 10_000 && pairs > 4_000, "{options} {pairs}");
    assert!(f64::from(solved) > 0.9 * f64::from(options), "{solved} of {options}");
}

#[test]
fn a_packet_in_a_mode_is_the_beginning_of_the_full_one() {
    let listing = listing();
    let load = listing.load.as_ref().unwrap();
    let moment = load.moment(3, NOW);
    let of = |mode| {
        let mut bytes = Vec::new();
        load.write(load.first(), mode, moment, &mut bytes);
        bytes
    };
    let full = of(Mode::Full);
    assert_eq!(full[..2], 184u16.to_be_bytes());
    assert_eq!(of(Mode::Quote)[2..], full[2..46]);
    assert_eq!(of(Mode::Ltp)[2..], full[2..10]);
    let tick = load.tick(load.first(), moment).unwrap();
    assert_eq!(tick.exchange_timestamp(), Some(NOW));
}
