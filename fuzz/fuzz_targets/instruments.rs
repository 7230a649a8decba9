//! Fuzzes `checks::instruments`, which says what must hold.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/kite-wire/tests/checks/decoders.rs"]
mod checks;

fuzz_target!(|data: &[u8]| checks::instruments(data));
