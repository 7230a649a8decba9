//! kite-wire
