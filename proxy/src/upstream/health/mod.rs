//! Active health checks: every server is asked by one task, however many sites and pools name it with the same words.
//!
//! A [`Probe`] lives as long as a pool holds it. A reload makes its pools before it lets go of the old ones, so a probe goes
//! on through it, and what it knows with it.

mod check;
mod verdict;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use forebay_cache::clock::{Clock as _, SystemClock};
use forebay_config::model::{Check, Health};
use parking_lot::Mutex;
use pingora_core::connectors::TransportConnector;
use pingora_core::upstreams::peer::HttpPeer;
use regex::bytes::Regex;

use self::verdict::Verdict;
use super::balance::Lots;
use super::registry::PoolState;
use super::server::State;
use super::upkeep::Upkeep;
use crate::account::metrics::HealthMetrics;

/// All probes there are.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    probes: Mutex<HashMap<Key, Weak<Probe>>>,
}

/// What makes two checks the same: whom, what, and by which TLS.
type Key = (SocketAddr, Health, u64);

/// The checks of one server.
#[derive(Debug)]
pub(crate) struct Probe {
    health: Health,
    peer: HttpPeer,
    body: Option<Regex>,
    verdict: Mutex<Verdict>,
    /// What the last check found wrong.
    complaint: Mutex<Option<String>>,
    watchers: Mutex<Vec<Watcher>>,
    metrics: HealthMetrics,
}

/// A server of a pool that goes by this probe.
type Watcher = (Weak<State>, Weak<PoolState>);

impl Monitor {
    /// The probe for these words, new or as it was; `watcher` is told when the server comes back.
    pub(super) fn probe(
        &self,
        peer: &HttpPeer,
        health: &Health,
        watcher: Watcher,
        metrics: HealthMetrics,
        upkeep: &Upkeep,
    ) -> Arc<Probe> {
        let Some(address) = peer._address.as_inet().copied() else { return Probe::new(peer, health, metrics) };
        let mut probes = self.probes.lock();
        probes.retain(|_, probe| probe.strong_count() > 0);
        let key = (address, health.clone(), peer.group_key);
        let probe = match probes.get(&key).and_then(Weak::upgrade) {
            Some(probe) => probe,
            None => {
                let probe = Probe::new(peer, health, metrics);
                probes.insert(key, Arc::downgrade(&probe));
                upkeep.spawn(run(Arc::downgrade(&probe)));
                probe
            }
        };
        drop(probes);
        let mut watchers = probe.watchers.lock();
        watchers.retain(|(server, _)| server.strong_count() > 0);
        watchers.push(watcher);
        drop(watchers);
        probe
    }
}

impl Probe {
    fn new(peer: &HttpPeer, health: &Health, metrics: HealthMetrics) -> Arc<Self> {
        let body = match &health.check {
            Check::Http { body: Some(pattern), .. } => Regex::new(pattern).ok(),
            _ => None,
        };
        Arc::new(Self {
            health: health.clone(),
            peer: peer.clone(),
            body,
            verdict: Mutex::new(Verdict::new()),
            complaint: Mutex::new(None),
            watchers: Mutex::default(),
            metrics,
        })
    }

    /// Whether the server is taken to be well.
    pub(crate) fn is_up(&self) -> bool {
        self.verdict.lock().is_up()
    }

    /// What the last check found wrong.
    pub(crate) fn complaint(&self) -> Option<String> {
        self.complaint.lock().clone()
    }

    fn record(&self, found: Result<(), String>) {
        let (good, complaint) = (found.is_ok(), found.err());
        self.metrics.checked(good);
        (*self.complaint.lock()).clone_from(&complaint);
        if !self.verdict.lock().record(good, self.health.rise, self.health.fall) {
            return;
        }
        let reason = complaint.unwrap_or_default();
        tracing::warn!(server = %self.peer._address, up = good, reason, "health checks changed their verdict");
        let now = SystemClock.now();
        for (server, pool) in self.watchers.lock().iter() {
            if let Some(server) = server.upgrade().filter(|_| good) {
                server.standing.lock().came_back(now);
            }
            // Who waits may find room, or that there is nobody to wait for.
            if let Some(pool) = pool.upgrade() {
                pool.queue.call_all();
            }
        }
    }

    /// The time to the next check.
    fn pause(&self, lots: &Lots) -> Duration {
        let jitter = u64::try_from(self.health.jitter.as_millis()).unwrap_or(0);
        let drawn = Duration::from_millis(lots.draw() % (2 * jitter + 1));
        (self.health.interval + drawn).saturating_sub(self.health.jitter)
    }
}

async fn run(probe: Weak<Probe>) {
    let connector = TransportConnector::new(None);
    let lots = Lots::seeded();
    while let Some(present) = probe.upgrade() {
        let found = check::check(&connector, &present.peer, &present.health, present.body.as_ref()).await;
        present.record(found);
        let pause = present.pause(&lots);
        drop(present);
        tokio::time::sleep(pause).await;
    }
}
