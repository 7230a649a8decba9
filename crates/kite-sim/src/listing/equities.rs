//! Large shares that the simulated market knows, with round prices and made-up behaviour.

/// A share on NSE.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EquitySpec {
    /// Kite's symbol.
    pub(crate) symbol: &'static str,
    /// Company name as the dump has it.
    pub(crate) name: &'static str,
    /// Kite's token.
    pub(crate) token: u32,
    /// Price around which it moves.
    pub(crate) base: f64,
    /// Move per move of the common factor.
    pub(crate) beta: f64,
    /// Volatility of its own, per root of a year.
    pub(crate) own_volatility: f64,
}

const fn equity(
    symbol: &'static str,
    name: &'static str,
    token: u32,
    base: f64,
    beta: f64,
    own_volatility: f64,
) -> EquitySpec {
    EquitySpec { symbol, name, token, base, beta, own_volatility }
}

/// Every share, largest companies first.
pub(crate) const EQUITIES: &[EquitySpec] = &[
    equity("RELIANCE", "RELIANCE INDUSTRIES", 738_561, 1_480.0, 1.05, 0.16),
    equity("HDFCBANK", "HDFC BANK", 341_249, 1_010.0, 1.0, 0.13),
    equity("BHARTIARTL", "BHARTI AIRTEL", 2_714_625, 2_080.0, 0.8, 0.17),
    equity("TCS", "TATA CONSULTANCY SERV LT", 2_953_217, 3_120.0, 0.75, 0.16),
    equity("ICICIBANK", "ICICI BANK", 1_270_529, 1_390.0, 1.1, 0.13),
    equity("SBIN", "STATE BANK OF INDIA", 779_521, 965.0, 1.2, 0.17),
    equity("INFY", "INFOSYS", 408_065, 1_540.0, 0.85, 0.18),
    equity("BAJFINANCE", "BAJAJ FINANCE", 81_153, 1_035.0, 1.3, 0.21),
    equity("HINDUNILVR", "HINDUSTAN UNILEVER", 356_865, 2_430.0, 0.5, 0.14),
    equity("LT", "LARSEN & TOUBRO", 2_939_649, 4_010.0, 1.15, 0.16),
    equity("ITC", "ITC", 424_961, 405.0, 0.6, 0.14),
    equity("MARUTI", "MARUTI SUZUKI INDIA", 2_815_745, 15_850.0, 0.95, 0.18),
    equity("M&M", "MAHINDRA & MAHINDRA", 519_937, 3_690.0, 1.15, 0.19),
    equity("KOTAKBANK", "KOTAK MAHINDRA BANK", 492_033, 2_080.0, 0.95, 0.15),
    equity("HCLTECH", "HCL TECHNOLOGIES", 1_850_625, 1_610.0, 0.85, 0.19),
    equity("SUNPHARMA", "SUN PHARMACEUTICAL IND L", 857_857, 1_780.0, 0.6, 0.17),
    equity("AXISBANK", "AXIS BANK", 1_510_401, 1_270.0, 1.2, 0.17),
    equity("ULTRACEMCO", "ULTRATECH CEMENT", 2_952_193, 11_700.0, 0.95, 0.17),
    equity("TITAN", "TITAN COMPANY", 897_537, 3_860.0, 0.9, 0.18),
    equity("BAJAJFINSV", "BAJAJ FINSERV", 4_268_801, 2_080.0, 1.2, 0.19),
    equity("NTPC", "NTPC", 2_977_281, 326.0, 0.95, 0.18),
    equity("ONGC", "OIL AND NATURAL GAS CORP.", 633_601, 248.0, 0.9, 0.2),
    equity("BEL", "BHARAT ELECTRONICS", 98_049, 417.0, 1.3, 0.25),
    equity("ADANIPORTS", "ADANI PORT & SEZ", 3_861_249, 1_505.0, 1.4, 0.26),
    equity("ADANIENT", "ADANI ENTERPRISES", 6_401, 2_440.0, 1.5, 0.3),
    equity("ASIANPAINT", "ASIAN PAINTS", 60_417, 2_870.0, 0.7, 0.19),
    equity("JSWSTEEL", "JSW STEEL", 3_001_089, 1_165.0, 1.2, 0.2),
    equity("POWERGRID", "POWER GRID CORP. LTD.", 3_834_113, 276.0, 0.8, 0.17),
    equity("WIPRO", "WIPRO", 969_473, 246.0, 0.85, 0.19),
    equity("BAJAJ-AUTO", "BAJAJ AUTO", 4_267_265, 9_050.0, 0.9, 0.19),
    equity("COALINDIA", "COAL INDIA", 5_215_745, 379.0, 0.8, 0.18),
    equity("TATASTEEL", "TATA STEEL", 895_745, 172.0, 1.3, 0.21),
    equity("NESTLEIND", "NESTLE INDIA", 4_598_529, 1_265.0, 0.5, 0.15),
    equity("JIOFIN", "JIO FINANCIAL SERVICES", 4_644_609, 308.0, 1.2, 0.26),
    equity("GRASIM", "GRASIM INDUSTRIES", 315_393, 2_740.0, 0.95, 0.17),
    equity("TRENT", "TRENT", 502_785, 4_300.0, 1.2, 0.28),
    equity("HINDALCO", "HINDALCO INDUSTRIES", 348_929, 805.0, 1.3, 0.21),
    equity("EICHERMOT", "EICHER MOTORS", 232_961, 7_150.0, 0.9, 0.19),
    equity("SBILIFE", "SBI LIFE INSURANCE CO", 5_582_849, 2_010.0, 0.75, 0.18),
    equity("HDFCLIFE", "HDFC LIFE INS CO", 119_553, 765.0, 0.75, 0.18),
    equity("TECHM", "TECH MAHINDRA", 3_465_729, 1_440.0, 0.95, 0.2),
    equity("CIPLA", "CIPLA", 177_665, 1_515.0, 0.6, 0.17),
    equity("SHRIRAMFIN", "SHRIRAM FINANCE", 1_102_337, 818.0, 1.3, 0.24),
    equity("TATACONSUM", "TATA CONSUMER PRODUCT", 878_593, 1_170.0, 0.7, 0.19),
    equity("BRITANNIA", "BRITANNIA INDUSTRIES", 140_033, 5_860.0, 0.5, 0.16),
    equity("APOLLOHOSP", "APOLLO HOSPITALS ENTER. L", 40_193, 7_450.0, 0.7, 0.19),
    equity("DRREDDY", "DR. REDDY'S LABORATORIES", 225_537, 1_245.0, 0.6, 0.19),
    equity("HEROMOTOCO", "HERO MOTOCORP", 345_089, 5_700.0, 0.9, 0.2),
    equity("INDUSINDBK", "INDUSIND BANK", 1_346_049, 840.0, 1.3, 0.28),
    equity("BPCL", "BHARAT PETROLEUM CORP LT", 134_657, 366.0, 1.0, 0.22),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_is_on_nse() {
        for share in EQUITIES {
            assert_eq!(share.token & 0xff, 1, "{}", share.symbol);
        }
    }
}
