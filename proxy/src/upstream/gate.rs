//! The gate of a pool: how many requests its AP servers work on at a time, all together, and who waits for how long.
//!
//! A PHP farm that gets more than it can work on serves nobody: each request takes longer, none ends in time. So no more
//! than `max_requests` are let in, passes and fills alike; the others wait here, people before bots, each kind in the
//! order in which it came. When the queue is full a person takes the place of the bot that came last. What nobody waits
//! for (a refresh in the background) does not queue at all, and leaves a quarter of the room to those who do.
//!
//! The state outlives reloads: a request of the configuration before counts until it ends.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::account::metrics::GateGauges;

/// Who wants to be let in; earlier ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Somebody waits for the answer.
    Person,
    /// A program does, by its `User-Agent`.
    Bot,
    /// Nobody does.
    Background,
}

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    /// It would have had to wait, and is not to.
    Busy,
    /// As many wait as may.
    Full,
    /// It waited for as long as it may.
    Timeout,
}

/// What the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Requests that are worked on at a time. At least 1.
    pub(crate) most: usize,
    /// Requests that may wait.
    pub(crate) queue: usize,
    /// For how long.
    pub(crate) patience: Duration,
}

/// The gates of all pools, by name.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<String, Arc<Gate>>>);

/// The gate of one pool.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    gauges: Option<GateGauges>,
    most: usize,
    running: usize,
    people: VecDeque<oneshot::Sender<Permit>>,
    bots: VecDeque<oneshot::Sender<Permit>>,
}

/// The right to be worked on. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Permit(Option<Arc<Gate>>);

// === impl Gates ===

impl Gates {
    /// The gate of the pool of this name, which lets `most` in from now on and tells `gauges`.
    pub(crate) fn gate(&self, name: &str, most: usize, gauges: Option<GateGauges>) -> Arc<Gate> {
        let gate = Arc::clone(self.0.lock().entry(name.to_owned()).or_default());
        {
            let mut state = gate.0.lock();
            state.most = most;
            state.gauges = gauges;
        }
        // There may be more room than before.
        gate.call();
        gate
    }
}

// === impl Gate ===

impl Gate {
    /// Whether a request of this rank would have to wait.
    pub(crate) fn is_shut(&self, rank: Rank) -> bool {
        !self.0.lock().is_open_to(rank)
    }

    /// How many are worked on, and how many wait.
    #[cfg(test)]
    fn load(&self) -> (usize, usize) {
        let mut state = self.0.lock();
        state.forget_those_who_left();
        (state.running, state.people.len() + state.bots.len())
    }

    /// Lets a request in, at once or when there is room.
    ///
    /// # Errors
    ///
    /// There is none, and the request may not wait (`waits`), or not any longer.
    pub(crate) async fn enter(self: &Arc<Self>, rank: Rank, room: Room, waits: bool) -> Result<Permit, Shut> {
        let place = {
            let mut state = self.0.lock();
            if state.is_open_to(rank) {
                state.running += 1;
                state.tell();
                return Ok(Permit(Some(Arc::clone(self))));
            }
            if rank == Rank::Background || !waits {
                return Err(Shut::Busy);
            }
            let place = state.place(rank, room.queue).ok_or(Shut::Full)?;
            state.tell();
            place
        };
        let _place = Leaving(self);
        match tokio::time::timeout(room.patience, place).await {
            Ok(Ok(permit)) => Ok(permit),
            // Somebody took its place.
            Ok(Err(_)) => Err(Shut::Full),
            Err(_) => Err(Shut::Timeout),
        }
    }

    /// Lets in whoever is next, while there is room.
    fn call(self: &Arc<Self>) {
        loop {
            let mut state = self.0.lock();
            if state.running >= state.most {
                return;
            }
            let Some(next) = state.people.pop_front().or_else(|| state.bots.pop_front()) else { return };
            state.running += 1;
            state.tell();
            drop(state);
            // Who has left meanwhile drops the permit, or is given none: either way the room is counted again.
            if let Err(permit) = next.send(Permit(Some(Arc::clone(self)))) {
                permit.forget();
            }
        }
    }

    fn leave(self: &Arc<Self>) {
        let mut state = self.0.lock();
        state.running = state.running.saturating_sub(1);
        state.tell();
        drop(state);
        self.call();
    }
}

// === impl State ===

impl State {
    fn is_open_to(&self, rank: Rank) -> bool {
        let nobody_waits = self.people.is_empty() && (rank == Rank::Person || self.bots.is_empty());
        let most = match rank {
            Rank::Background if self.most > 1 => self.most - (self.most / 4).max(1),
            _ => self.most,
        };
        nobody_waits && self.running < most
    }

    fn place(&mut self, rank: Rank, most: usize) -> Option<oneshot::Receiver<Permit>> {
        self.forget_those_who_left();
        if self.people.len() + self.bots.len() >= most {
            // The first to be refused is the bot that came last; dropping its sender tells it.
            if rank != Rank::Person || self.bots.pop_back().is_none() {
                return None;
            }
        }
        let (sender, place) = oneshot::channel();
        if rank == Rank::Person { &mut self.people } else { &mut self.bots }.push_back(sender);
        Some(place)
    }

    fn forget_those_who_left(&mut self) {
        self.people.retain(|place| !place.is_closed());
        self.bots.retain(|place| !place.is_closed());
    }

    fn tell(&self) {
        if let Some(gauges) = &self.gauges {
            gauges.set(self.running, self.people.len() + self.bots.len());
        }
    }
}

/// Somebody who waits, and will not any more: by being let in, refused, or gone.
struct Leaving<'g>(&'g Gate);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.forget_those_who_left();
        state.tell();
    }
}

// === impl Permit ===

impl Permit {
    /// Counts it as given back, without calling the next one.
    fn forget(mut self) {
        if let Some(gate) = self.0.take() {
            let mut state = gate.0.lock();
            state.running = state.running.saturating_sub(1);
            state.tell();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.leave();
        }
    }
}

#[cfg(test)]
mod tests;
