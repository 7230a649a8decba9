//! option-greeks
