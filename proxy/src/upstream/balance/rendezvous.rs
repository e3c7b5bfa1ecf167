//! Rendezvous hashing (Thaler and Ravishankar) with weights, and with bounded loads (Mirrokni, Thorup and Zadimoghaddam).
//!
//! Every server has a score for every key, and the highest takes it: when a server goes, its keys go to the second on
//! their own lists, and no other key moves. A ring would do the same for less work with hundreds of servers; a pool has
//! a handful, and there is nothing to be kept or rebuilt.

use super::{Load, mix};

/// Index of the server for `key`: the one with the highest score that has room.
pub(super) fn choose(loads: &[Load], key: u64, factor: u32) -> Option<usize> {
    let in_flight: u64 = loads.iter().map(|load| u64::from(load.active)).sum();
    let total: u64 = loads.iter().map(|load| load.full_weight).sum();
    let has_room = |load: &Load| {
        factor == 0 || u128::from(load.active) < room(in_flight + 1, load.full_weight, total.max(1), factor)
    };
    let mut best: Option<(usize, f64)> = None;
    for (index, load) in loads.iter().enumerate().filter(|(_, load)| has_room(load)) {
        let score = score(load, key);
        if best.is_none_or(|(_, most)| score > most) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

/// How many may be in flight at a server, of `in_flight` at all: its share times the factor, rounded up.
fn room(in_flight: u64, weight: u64, total: u64, factor: u32) -> u128 {
    (u128::from(in_flight) * u128::from(weight) * u128::from(factor)).div_ceil(u128::from(total) * 100)
}

/// The winner is distributed by weight if the score is `-weight / ln(u)` with `u` even in 0..1.
fn score(load: &Load, key: u64) -> f64 {
    const TWO_TO_53: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds, and weights are small")]
    let (drawn, weight) = ((mix(load.id ^ mix(key)) >> 11) as f64, load.full_weight as f64);
    -weight / ((drawn + 0.5) / TWO_TO_53).ln()
}
