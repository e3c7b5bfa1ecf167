//! Which of the servers that can take a request takes it. Pure: what is known of the servers comes in, an index comes out.

mod cost;
mod rendezvous;
mod round_robin;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use forebay_config::model::Balance;

pub(super) use cost::Cost;

/// What the choice is made of: one server that can take the request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    /// Who it is, the same in every process.
    pub(super) id: u64,
    /// Its share of requests at the moment; above 0.
    pub(super) weight: u64,
    /// Its share when nothing is the matter: hashing goes by this one, or keys would move.
    pub(super) full_weight: u64,
    /// Requests in flight.
    pub(super) active: u32,
    /// Seconds a request is expected to take; `None` when nothing is known.
    pub(super) cost: Option<f64>,
    /// What it has saved up of its turns.
    pub(super) credit: i64,
}

/// Index of the server to be asked; `None` if there is none. `key` is what is hashed, `factor` how far a server may be above
/// its share before its keys go elsewhere, in percent (0: as far as it likes).
pub(super) fn choose(
    balance: Balance,
    loads: &mut [Load],
    key: Option<u64>,
    factor: u32,
    lots: &Lots,
) -> Option<usize> {
    let hashed = key.and_then(|key| rendezvous::choose(loads, key, factor));
    match balance {
        Balance::RoundRobin => round_robin::next(loads, |_| true),
        Balance::First => (!loads.is_empty()).then_some(0),
        Balance::LeastConnections => least_connections(loads),
        Balance::RandomTwo => better_of_two(loads, lots),
        Balance::LeastTime => cost::least(loads).or_else(|| least_connections(loads)),
        Balance::HashUri | Balance::HashClient | Balance::HashHeader | Balance::HashCookie => {
            hashed.or_else(|| round_robin::next(loads, |_| true))
        }
    }
}

/// Where `key` belongs, however much there is to do.
pub(super) fn home(loads: &[Load], key: u64) -> Option<usize> {
    rendezvous::choose(loads, key, 0)
}

/// Whether the first has fewer requests in flight for its weight, as nginx compares them.
fn is_less_loaded(one: &Load, other: &Load) -> bool {
    u128::from(one.active) * u128::from(other.weight) < u128::from(other.active) * u128::from(one.weight)
}

/// Where several have the fewest they take turns.
fn least_connections(loads: &mut [Load]) -> Option<usize> {
    let least = loads.iter().reduce(|least, load| if is_less_loaded(load, least) { load } else { least })?.clone();
    round_robin::next(loads, |load| !is_less_loaded(&least, load))
}

/// Mitzenmacher's power of two choices: nearly as even as looking at all, without everybody running to the same one.
fn better_of_two(loads: &[Load], lots: &Lots) -> Option<usize> {
    let first = draw(loads, None, lots)?;
    let Some(second) = draw(loads, Some(first), lots) else { return Some(first) };
    let (one, other) = (loads.get(first)?, loads.get(second)?);
    Some(if is_less_loaded(other, one) { second } else { first })
}

/// Draws an index by weight, not `without`.
fn draw(loads: &[Load], without: Option<usize>, lots: &Lots) -> Option<usize> {
    let drawn = || loads.iter().enumerate().filter(move |(index, _)| Some(*index) != without);
    let total: u64 = drawn().map(|(_, load)| load.weight).sum();
    let mut ticket = lots.draw().checked_rem(total)?;
    drawn().find_map(|(index, load)| match ticket.checked_sub(load.weight) {
        Some(rest) => {
            ticket = rest;
            None
        }
        None => Some(index),
    })
}

/// Random numbers, the same for the same seed: Steele's splitmix64 over a counter, which needs no lock.
#[derive(Debug)]
pub(super) struct Lots(AtomicU64);

impl Lots {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// With a seed that nobody knows.
    pub(super) fn seeded() -> Self {
        Self::new(ahash::RandomState::new().hash_one(0))
    }

    pub(super) fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }
}

/// The finalizer of splitmix64: every bit of the input changes half of the output.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
