//! How many different values were seen, about: linear counting (Whang, Vander-Zanden, Taylor 1990) in half a kilobyte.

use std::hash::Hash;

use ahash::RandomState;

/// Bits. Beyond some 20,000 values all are set, and the answer is "at least so many".
const BITS: usize = 4096;

/// A set of which only its size can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Distinct {
    bits: Box<[u64]>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { bits: vec![0; BITS / 64].into() }
    }
}

impl Distinct {
    pub(crate) fn note(&mut self, value: impl Hash) {
        // The same in both windows, and no secret: what a client could gain is a wrong number.
        let hash = RandomState::with_seeds(1, 2, 3, 4).hash_one(value);
        let bit = usize::try_from(hash % BITS as u64).unwrap_or(0);
        if let Some(word) = self.bits.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (word, more) in self.bits.iter_mut().zip(&other.bits) {
            *word |= more;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        let set: u32 = self.bits.iter().map(|word| word.count_ones()).sum();
        let bits = f64::from(u32::try_from(BITS).unwrap_or(u32::MAX));
        let empty = (bits - f64::from(set)).max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 40,000")]
        let count = (bits * (bits / empty).ln()).round() as u64;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_within_a_tenth() {
        for many in [1_u64, 10, 100, 1_000, 10_000] {
            let mut distinct = Distinct::default();
            for value in 0..many {
                distinct.note(value);
                distinct.note(value);
            }
            let count = distinct.count();
            assert!(count.abs_diff(many) <= many / 10 + 1, "{many}: {count}");
        }
    }
}
