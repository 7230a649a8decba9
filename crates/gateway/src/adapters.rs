//! Where two parts meet that do not know each other.

pub(crate) mod address;
pub(crate) mod broker;
pub(crate) mod elsewhere;
mod http;
pub(crate) mod quotes;
pub(crate) mod recorder;
pub(crate) mod simulator;
pub(crate) mod users;
pub(crate) mod web_login;
