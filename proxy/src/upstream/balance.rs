//! Which server of a pool takes the next request.

use parking_lot::Mutex;

/// Smooth weighted round robin: over a round each server takes exactly its weight, and turns are spread as evenly as
/// the weights allow (5:1:1 gives a a b a c a a, not a a a a a b c).
#[derive(Debug)]
pub(crate) struct SmoothRoundRobin {
    weights: Vec<i64>,
    total: i64,
    /// What each server has saved up; locked for a handful of additions.
    credit: Mutex<Vec<i64>>,
}

impl SmoothRoundRobin {
    pub(crate) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let weights: Vec<i64> = weights.into_iter().map(i64::from).collect();
        let credit = Mutex::new(vec![0; weights.len()]);
        Self { total: weights.iter().sum(), weights, credit }
    }

    /// Index of the next server; `None` when every weight is zero.
    pub(crate) fn next(&self) -> Option<usize> {
        let mut credit = self.credit.lock();
        let mut best: Option<(usize, i64)> = None;
        for (index, (saved, weight)) in credit.iter_mut().zip(&self.weights).enumerate() {
            *saved += weight;
            if *weight > 0 && best.is_none_or(|(_, most)| *saved > most) {
                best = Some((index, *saved));
            }
        }
        let (index, _) = best?;
        if let Some(saved) = credit.get_mut(index) {
            *saved -= self.total;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(weights: &[u32], count: usize) -> Vec<usize> {
        let balance = SmoothRoundRobin::new(weights.iter().copied());
        (0..count).map(|_| balance.next().unwrap()).collect()
    }

    #[test]
    fn shares_are_exact_and_turns_are_spread() {
        assert_eq!(turns(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[2, 1], 300).iter().filter(|turn| **turn == 0).count(), 200);
        assert_eq!(turns(&[1, 1], 4), [0, 1, 0, 1]);
    }

    #[test]
    fn weight_zero_takes_none() {
        assert_eq!(turns(&[0, 3], 3), [1, 1, 1]);
        assert_eq!(SmoothRoundRobin::new([0, 0]).next(), None);
    }
}
