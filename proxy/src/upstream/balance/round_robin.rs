//! Smooth weighted round robin: over a round each server takes exactly its weight, and turns are spread as evenly as the
//! weights allow (5:1:1 gives a a b a c a a, not a a a a a b c).

use super::Load;

/// The next of those that `takes_part`, whose credits move on; the others' stand still.
pub(super) fn next(loads: &mut [Load], takes_part: impl Fn(&Load) -> bool) -> Option<usize> {
    let mut total = 0i64;
    let mut best: Option<(usize, i64)> = None;
    for (index, load) in loads.iter_mut().enumerate() {
        if !takes_part(load) {
            continue;
        }
        let weight = i64::try_from(load.weight).unwrap_or(i64::MAX);
        total = total.saturating_add(weight);
        load.credit = load.credit.saturating_add(weight);
        if best.is_none_or(|(_, most)| load.credit > most) {
            best = Some((index, load.credit));
        }
    }
    let (index, _) = best?;
    if let Some(load) = loads.get_mut(index) {
        load.credit = load.credit.saturating_sub(total);
    }
    Some(index)
}
