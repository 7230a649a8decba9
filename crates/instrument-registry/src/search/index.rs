//! What searching needs beside the catalog: symbols in alphabetical order, and which words name which underlying.

use market_model::{InstrumentCatalog, InstrumentSlot, UnderlyingId};
use rustc_hash::FxHashMap;

use super::term::{Term, words};
use super::{ids, write_names};

/// Built once per catalog. Contracts are found through their underlying, so words are kept for underlyings only.
#[derive(Debug, Default)]
pub(crate) struct SearchIndex {
    /// Slots by tradingsymbol in capitals.
    symbols: Vec<InstrumentSlot>,
    /// Every word once, in order, in one text.
    text: String,
    /// Where each word ends in `text`.
    word_ends: Vec<u32>,
    /// Where each word's underlyings end in `units`.
    unit_ends: Vec<u32>,
    /// Underlyings per word, in the order of the catalog: those with derivatives first.
    units: Vec<UnderlyingId>,
}

impl SearchIndex {
    pub(crate) fn build(catalog: &InstrumentCatalog) -> Self {
        let (text, word_ends, unit_ends, units) = index_words(catalog);
        Self { symbols: sort_symbols(catalog), text, word_ends, unit_ends, units }
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.symbols.capacity()
            + self.units.capacity()
            + self.word_ends.capacity()
            + self.unit_ends.capacity())
            + self.text.capacity()
    }

    /// Instruments whose symbol begins with `prefix` (in capitals), in alphabetical order.
    pub(super) fn symbols_from<'a>(
        &'a self,
        catalog: &'a InstrumentCatalog,
        prefix: &'a str,
    ) -> impl Iterator<Item = InstrumentSlot> + 'a {
        let symbol = move |slot: &InstrumentSlot| capitals(&catalog.get(*slot).tradingsymbol);
        let start = self.symbols.partition_point(|slot| symbol(slot).lt(prefix.bytes()));
        let begins = move |slot: &InstrumentSlot| symbol(slot).take(prefix.len()).eq(prefix.bytes());
        self.symbols[start..].iter().copied().take_while(begins)
    }

    /// Underlyings that one word names: the word that names the fewest, of those that name any. A word that may as
    /// well describe a contract is only asked when no other names anything.
    pub(super) fn units_with_rarest(
        &self,
        words: &[&str],
        terms: &[Option<Term>],
    ) -> impl Iterator<Item = UnderlyingId> {
        let ranges = words.iter().zip(terms).map(|(word, term)| (term.is_some(), self.units_from(word)));
        let named = ranges.filter(|(_, units)| !units.is_empty());
        let rarest = named.min_by_key(|(is_term, units)| (*is_term, units.len()));
        let mut found: Vec<UnderlyingId> = rarest.map(|(_, units)| units.to_vec()).unwrap_or_default();
        // A prefix covers several words, and a name may hold more than one of them.
        found.sort_unstable();
        found.dedup();
        found.into_iter()
    }

    /// Underlyings named by a word that begins with `prefix`.
    fn units_from(&self, prefix: &str) -> &[UnderlyingId] {
        let count = self.word_ends.len();
        let first = partition(count, |at| self.word(at) < prefix);
        let last = partition(count, |at| self.word(at) < prefix || self.word(at).starts_with(prefix));
        &self.units[start_of(&self.unit_ends, first)..start_of(&self.unit_ends, last)]
    }

    fn word(&self, at: usize) -> &str {
        &self.text[start_of(&self.word_ends, at)..self.word_ends[at] as usize]
    }
}

fn start_of(ends: &[u32], at: usize) -> usize {
    at.checked_sub(1).map_or(0, |before| ends[before] as usize)
}

fn partition(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

fn capitals(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().map(|byte| byte.to_ascii_uppercase())
}

fn sort_symbols(catalog: &InstrumentCatalog) -> Vec<InstrumentSlot> {
    // Most symbols differ within sixteen bytes: comparing them as numbers spares most walks to the rows.
    let mut keys: Vec<(u128, InstrumentSlot)> = (0u32..)
        .map(InstrumentSlot)
        .zip(catalog.instruments())
        .map(|(slot, row)| {
            let mut start = [0; 16];
            start.iter_mut().zip(capitals(&row.tradingsymbol)).for_each(|(place, byte)| *place = byte);
            (u128::from_be_bytes(start), slot)
        })
        .collect();
    let symbol = |slot: InstrumentSlot| capitals(&catalog.get(slot).tradingsymbol);
    keys.sort_unstable_by(|(a, slot_a), (b, slot_b)| {
        a.cmp(b).then_with(|| symbol(*slot_a).cmp(symbol(*slot_b))).then_with(|| slot_a.cmp(slot_b))
    });
    keys.into_iter().map(|(_, slot)| slot).collect()
}

fn index_words(catalog: &InstrumentCatalog) -> (String, Vec<u32>, Vec<u32>, Vec<UnderlyingId>) {
    let mut by_word: FxHashMap<Box<str>, Vec<UnderlyingId>> = FxHashMap::default();
    let mut names = String::new();
    for id in ids(catalog) {
        names.clear();
        write_names(catalog, catalog.underlying(id), &mut names);
        for word in words(&names) {
            let units = match by_word.get_mut(word) {
                Some(units) => units,
                None => by_word.entry(word.into()).or_default(),
            };
            if units.last() != Some(&id) {
                units.push(id);
            }
        }
    }
    let mut sorted: Vec<(Box<str>, Vec<UnderlyingId>)> = by_word.into_iter().collect();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut text = String::with_capacity(sorted.iter().map(|(word, _)| word.len()).sum());
    let mut units = Vec::with_capacity(sorted.iter().map(|(_, units)| units.len()).sum());
    let (mut word_ends, mut unit_ends) = (Vec::with_capacity(sorted.len()), Vec::with_capacity(sorted.len()));
    for (word, mut named) in sorted {
        text.push_str(&word);
        units.append(&mut named);
        // Both fit: a dump is bounded to far less than 4 GB.
        word_ends.push(text.len() as u32);
        unit_ends.push(units.len() as u32);
    }
    (text, word_ends, unit_ends, units)
}
