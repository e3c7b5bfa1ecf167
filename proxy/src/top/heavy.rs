//! The heaviest keys of a stream in bounded memory: space-saving (Metwally, Agrawal, El Abbadi 2005).

use super::Map;

/// At most a fixed number of keys with their weights. Any key that weighs more than the whole divided by that number is
/// among them; what is told of a key's weight is at most `error` too much.
#[derive(Debug)]
pub(crate) struct Heavy<V> {
    most: usize,
    slots: Map<Slot<V>>,
}

/// One key that is kept.
#[derive(Debug, Clone)]
pub(crate) struct Slot<V> {
    pub(crate) weight: u64,
    /// What it took over from the key whose place it has.
    pub(crate) error: u64,
    pub(crate) value: V,
}

impl<V: Default> Heavy<V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, slots: Map::with_capacity_and_hasher(most, ahash::RandomState::new()) }
    }

    /// Adds `weight` to `key`, which takes the place of the lightest where there is no room.
    pub(crate) fn note(&mut self, key: &str, weight: u64) -> &mut V {
        let mut error = 0;
        if self.slots.len() >= self.most && !self.slots.contains_key(key) {
            let lightest = self.slots.iter().min_by_key(|(_, slot)| slot.weight);
            if let Some((lightest, slot)) = lightest.map(|(key, slot)| (key.clone(), slot.weight)) {
                error = slot;
                self.slots.remove(&lightest);
            }
        }
        let slot = self.slots.entry_ref(key).or_insert_with(|| Slot { weight: error, error, value: V::default() });
        slot.weight = slot.weight.saturating_add(weight);
        &mut slot.value
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Slot<V>)> {
        self.slots.iter_mut().map(|(key, slot)| (&**key, slot))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Slot<V>)> {
        self.slots.iter().map(|(key, slot)| (&**key, slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heavy_key_stays_among_any_number_of_light_ones() {
        let mut heavy = Heavy::<u64>::new(8);
        for round in 0..10_000 {
            *heavy.note("/heavy", 1) += 1;
            heavy.note(&format!("/light/{round}"), 1);
        }
        assert_eq!(heavy.iter().count(), 8);
        let (_, slot) = heavy.iter().find(|(key, _)| *key == "/heavy").unwrap();
        assert!(slot.weight - slot.error <= 10_000 && slot.weight >= 10_000, "{slot:?}");
    }

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut heavy = Heavy::<()>::new(8);
        for key in ["a", "b", "a"] {
            heavy.note(key, 2);
        }
        let mut found: Vec<_> = heavy.iter().map(|(key, slot)| (key, slot.weight, slot.error)).collect();
        found.sort_unstable();
        assert_eq!(found, [("a", 4, 0), ("b", 2, 0)]);
    }
}
