//! A sibling or parent: where it is, how fast it answers, whether it does.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use forebay_cache::clock::Timestamp;
use forebay_config::model;
use parking_lot::Mutex;

use super::bucket::Bucket;
use crate::account::metrics::IcpPeerMetrics;
use crate::upstream::Pool;

/// How long nothing is fetched from a peer that a fetch from has failed.
const AVOIDED: Duration = Duration::from_secs(10);

/// Shortest wait for an answer, however fast the peer usually is: an interpreter that collects its garbage, or a core that
/// is busy with something else, is no reason to take a peer for dead.
const SHORTEST: Duration = Duration::from_millis(50);

/// What a peer is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Asked for what it has.
    Sibling,
    /// Fetches for us, too.
    Parent,
}

/// An `[[icp.sibling]]` or `[[icp.parent]]`.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    /// Where it is fetched from, as the config writes it.
    pub(crate) label: Arc<str>,
    /// Its HTTP side.
    pub(crate) pool: Arc<Pool>,
    /// What comes from it is not stored here.
    pub(crate) proxy_only: bool,
    pub(crate) weight: u32,
    pub(crate) metrics: IcpPeerMetrics,
    /// Where it is asked; `None`: it is not.
    pub(super) icp: Option<SocketAddr>,
    /// Packets of it that are answered.
    pub(super) bucket: Bucket,
    http: IpAddr,
    dead_after: u32,
    /// Questions in a row without an answer.
    unanswered: AtomicU32,
    times: Mutex<Option<Times>>,
    /// Milliseconds since the epoch until which nothing is fetched from it.
    avoided_until: AtomicI64,
}

/// How long answers take, smoothed as RFC 6298 section 2 has it.
#[derive(Debug, Clone, Copy)]
struct Times {
    mean: Duration,
    deviation: Duration,
}

impl Peer {
    pub(super) fn new(
        kind: Kind,
        words: &model::IcpPeer,
        pool: Pool,
        metrics: IcpPeerMetrics,
        config: &model::Icp,
    ) -> Self {
        metrics.up.set(1);
        Self {
            kind,
            label: Arc::from(words.http.as_str()),
            pool: Arc::new(pool),
            proxy_only: words.proxy_only,
            weight: words.weight,
            metrics,
            icp: words.icp,
            bucket: Bucket::new(config.rate),
            http: words.address.ip(),
            dead_after: config.dead_after,
            unanswered: AtomicU32::new(0),
            times: Mutex::new(None),
            avoided_until: AtomicI64::new(0),
        }
    }

    /// Whether it is at this address.
    pub(super) fn is_at(&self, address: IpAddr) -> bool {
        self.http == address || self.icp.is_some_and(|icp| icp.ip() == address)
    }

    /// Whether it answers, as far as it is asked at all.
    pub(super) fn is_alive(&self) -> bool {
        self.icp.is_none() || self.unanswered.load(Ordering::Relaxed) < self.dead_after
    }

    /// Whether it answers, and can be fetched from.
    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        self.is_alive() && self.avoided_until.load(Ordering::Relaxed) <= now.millis()
    }

    /// A fetch from it failed.
    pub(crate) fn fetch_failed(&self, now: Timestamp) {
        self.avoided_until.store(now.saturating_add(AVOIDED).millis(), Ordering::Relaxed);
    }

    /// It answered; `after` how long, where that is known.
    pub(super) fn answered(&self, after: Option<Duration>) {
        if self.unanswered.swap(0, Ordering::Relaxed) >= self.dead_after {
            tracing::info!(peer = %self.label, "the peer answers again");
        }
        self.metrics.up.set(1);
        let Some(after) = after else { return };
        let mut times = self.times.lock();
        let next = times.map_or(Times { mean: after, deviation: after / 2 }, |times| Times {
            mean: (times.mean * 7 + after) / 8,
            deviation: (times.deviation * 3 + times.mean.abs_diff(after)) / 4,
        });
        *times = Some(next);
        self.metrics.time.set(next.mean.as_secs_f64());
    }

    /// It did not answer; whether this is what makes it count as dead.
    pub(super) fn missed(&self) -> bool {
        let before = self.unanswered.fetch_add(1, Ordering::Relaxed);
        let dies = before + 1 == self.dead_after;
        if dies {
            tracing::warn!(peer = %self.label, "the peer does not answer: it is not waited for until it does");
            self.metrics.up.set(0);
        }
        // Far from its end however long it is dead.
        self.unanswered.fetch_min(u32::MAX / 2, Ordering::Relaxed);
        dies
    }

    /// How long its answer is worth waiting for, `timeout` at most.
    pub(super) fn patience(&self, timeout: Duration) -> Duration {
        let times = *self.times.lock();
        times.map_or(timeout, |times| (times.mean + times.deviation * 4).max(SHORTEST)).min(timeout)
    }
}
