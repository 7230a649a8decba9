//! snapshot-wire
