//! The numbers that all options of an expiry share, and their text while they stay the same.

use tick_pipeline::{ForwardSource, OptionGreeks};

use crate::words::forward_source_word;
use crate::writer::{Format, Writer, key};

/// The longest text: four keys, a word and three numbers.
const LONGEST: usize = 144;

/// Forward, rate and time of an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carry {
    forward: u64,
    rate: u64,
    t_years: u64,
    source: ForwardSource,
}

/// The newest carries and their texts: one place for several expiries that share its number.
#[derive(Debug, Default)]
pub(crate) struct Memo([Entry; PLACES]);

const PLACES: usize = 8;

#[derive(Debug)]
struct Entry {
    of: Option<Carry>,
    text: [u8; LONGEST],
    used: usize,
}

// === impl Carry ===

impl Carry {
    /// What `greeks` depend on.
    #[inline(always)]
    pub(crate) const fn of(greeks: &OptionGreeks) -> Self {
        Self {
            forward: greeks.forward.to_bits(),
            rate: greeks.rate.to_bits(),
            t_years: greeks.t_years.to_bits(),
            source: greeks.forward_source,
        }
    }

    #[inline(always)]
    pub(crate) fn write(&self, out: &mut impl Writer) {
        out.key(key!("forward"));
        out.number(f64::from_bits(self.forward));
        out.key(key!("forward_source"));
        out.word(forward_source_word(self.source));
        out.key(key!("rate"));
        out.number(f64::from_bits(self.rate));
        out.key(key!("t_years"));
        out.number(f64::from_bits(self.t_years));
    }
}

// === impl Memo ===

impl Memo {
    /// The text of `carry` and the length of it that counts.
    #[inline(always)]
    pub(crate) fn text_of<F: Format>(&mut self, carry: &Carry) -> (&[u8; LONGEST], usize) {
        // Expiries differ in their time; the golden ratio spreads it over the places.
        let place = carry.t_years.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61;
        let entry = &mut self.0[place as usize % PLACES];
        if entry.of != Some(*carry) {
            entry.renew::<F>(carry);
        }
        (&entry.text, entry.used)
    }
}

// === impl Entry ===

impl Entry {
    #[inline(never)]
    fn renew<F: Format>(&mut self, carry: &Carry) {
        let mut writer = F::writer(Vec::with_capacity(LONGEST), 0);
        carry.write(&mut writer);
        let (text, _) = writer.finish();
        if let Some(place) = self.text.get_mut(..text.len()) {
            place.copy_from_slice(&text);
            (self.of, self.used) = (Some(*carry), text.len());
        }
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self { of: None, text: [0; LONGEST], used: 0 }
    }
}
