//! kite-client
