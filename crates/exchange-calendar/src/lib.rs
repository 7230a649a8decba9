//! exchange-calendar
