//! Where two crates that do not know each other meet.

pub(crate) mod catalog;
pub(crate) mod recorder;
pub(crate) mod simulator;
