//! redis-fanout
