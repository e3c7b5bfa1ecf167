//! Least time: what a server is expected to take, from what it took. Peak-EWMA, as Finagle and linkerd have it: a slow
//! answer counts at once, a quick one by and by, and what is long ago counts for nothing.

use std::time::Duration;

use forebay_cache::clock::Timestamp;

use super::Load;

/// After this time without an answer a measurement has lost two thirds of its say.
const DECAY: Duration = Duration::from_secs(10);

/// A moving average of the time to the first byte.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::upstream) struct Cost {
    seconds: f64,
    at: Option<Timestamp>,
}

impl Cost {
    /// An answer began after `took`.
    pub(in crate::upstream) fn observe(&mut self, took: Duration, now: Timestamp) {
        let seconds = took.as_secs_f64();
        self.seconds = match self.at {
            Some(before) if seconds <= self.seconds => {
                let kept = remaining(before, now);
                self.seconds * kept + seconds * (1.0 - kept)
            }
            _ => seconds,
        };
        self.at = Some(now);
    }

    /// Seconds a request is expected to take, `None` when none was ever answered. It falls while nothing is heard, so that
    /// a server that was slow once is asked again.
    pub(in crate::upstream) fn at(&self, now: Timestamp) -> Option<f64> {
        self.at.map(|before| self.seconds * remaining(before, now))
    }
}

fn remaining(before: Timestamp, now: Timestamp) -> f64 {
    (-now.since(before).as_secs_f64() / DECAY.as_secs_f64()).exp()
}

/// The one that is expected to be done first with what it has and this request too. Who never answered is hoped to be twice
/// as quick as the quickest: it is asked soon, and not by everybody at once. `None` when nothing is known of anyone.
pub(super) fn least(loads: &[Load]) -> Option<usize> {
    let quickest = loads.iter().filter_map(|load| load.cost).reduce(f64::min)?;
    #[expect(clippy::cast_precision_loss, reason = "weights are small")]
    let expected = |load: &Load| {
        // A microsecond at least: nothing takes no time, however long ago it was.
        load.cost.unwrap_or(quickest / 2.0).max(1e-6) * (f64::from(load.active) + 1.0) / load.weight as f64
    };
    let mut best: Option<(usize, f64)> = None;
    for (index, load) in loads.iter().enumerate() {
        let expected = expected(load);
        if best.is_none_or(|(_, least)| expected < least) {
            best = Some((index, expected));
        }
    }
    best.map(|(index, _)| index)
}
