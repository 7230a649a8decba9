//! kite-sim
