//! One address of one server: what the configuration says of it, and what is known of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use forebay_cache::clock::Timestamp;
use parking_lot::Mutex;
use pingora_core::upstreams::peer::HttpPeer;

use super::affinity::hash;
use super::balance::{Cost, Load};
use super::health::Probe;
use super::standing::{Mode, Patience, Standing, share};
use crate::account::metrics::UpstreamMetrics;

/// Names a server, by its address, without telling it: the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ServerId(pub(crate) u64);

impl ServerId {
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self(hash(address.to_string().as_bytes()))
    }
}

/// How a server came to its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Its address stands in the config.
    Config,
    /// A name in the config stands for it.
    Name,
    /// The operator added it.
    Operator,
}

impl Origin {
    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Name => "name",
            Self::Operator => "added",
        }
    }
}

/// A server of a pool, as one configuration has it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) id: ServerId,
    pub(crate) address: SocketAddr,
    /// As the config writes it: the label of logs and metrics.
    pub(crate) label: Arc<str>,
    pub(crate) weight: u32,
    /// Requests it may have in flight; 0: any number.
    pub(crate) max_connections: u32,
    /// Asked while no other can be.
    pub(crate) backup: bool,
    pub(crate) origin: Origin,
    /// Pingora's view: address and deadlines.
    pub(crate) peer: HttpPeer,
    /// The same, where HTTP/2 may be spoken.
    pub(super) multiplexed: Option<HttpPeer>,
    pub(crate) metrics: Arc<UpstreamMetrics>,
    /// Who asks whether it is well, where the config wants that.
    pub(crate) probe: Option<Arc<Probe>>,
    pub(super) patience: Patience,
    pub(super) slow_start: Duration,
    pub(super) state: Arc<State>,
}

/// What is known of a server, whatever configurations come and go.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Requests in flight.
    active: AtomicU32,
    pub(super) standing: Mutex<Standing>,
    cost: Mutex<Cost>,
    /// What it has saved up of its turns. Changed under the pool's lock alone.
    pub(super) credit: AtomicI64,
}

/// Whether a server may be chosen for a request that has no session there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Availability {
    Ready,
    /// It failed lately: when no other can be asked.
    Last,
    /// For its sessions alone.
    Sessions,
    /// Not at all.
    Never,
}

impl Server {
    /// How a request is sent: on a connection that others may share, or `alone` by HTTP/1.1.
    pub(crate) fn peer_for(&self, alone: bool) -> &HttpPeer {
        self.multiplexed.as_ref().filter(|_| !alone).unwrap_or(&self.peer)
    }

    /// Requests in flight.
    pub(crate) fn active(&self) -> u32 {
        self.state.active.load(Ordering::Relaxed)
    }

    /// Whether this is its name in the config, or its address.
    pub(super) fn is_called(&self, name: &str) -> bool {
        *self.label == *name || self.address.to_string() == name
    }

    /// Where it stands, in a word.
    pub(crate) fn condition(&self, now: Timestamp) -> &'static str {
        let standing = self.state.standing.lock();
        match standing.mode {
            Mode::Disabled => "disabled",
            Mode::Draining { until } if self.active() == 0 && until <= now => "drained",
            Mode::Draining { .. } => "draining",
            Mode::Ready if !self.is_up() => "down",
            Mode::Ready if standing.is_ejected(now) => "ejected",
            Mode::Ready => "up",
        }
    }

    /// Whether health checks say so, or nobody checks.
    pub(crate) fn is_up(&self) -> bool {
        self.probe.as_ref().is_none_or(|probe| probe.is_up())
    }

    pub(super) fn availability(&self, now: Timestamp) -> Availability {
        if !self.is_up() {
            return Availability::Never;
        }
        let standing = self.state.standing.lock();
        match standing.mode {
            Mode::Disabled => Availability::Never,
            Mode::Draining { until } if until <= now => Availability::Never,
            Mode::Draining { .. } => Availability::Sessions,
            Mode::Ready if self.weight == 0 => Availability::Sessions,
            Mode::Ready if standing.is_ejected(now) => Availability::Last,
            Mode::Ready => Availability::Ready,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.max_connections == 0 || self.active() < self.max_connections
    }

    /// What the balance is told.
    pub(super) fn load(&self, now: Timestamp) -> Load {
        let since = self.state.standing.lock().back_since();
        Load {
            id: self.id.0,
            weight: share(self.weight, since, self.slow_start, now),
            full_weight: u64::from(self.weight),
            active: self.active(),
            cost: self.state.cost.lock().at(now),
            credit: self.state.credit.load(Ordering::Relaxed),
        }
    }

    /// Counts a request, if there is room for it.
    pub(super) fn enter(&self) -> bool {
        let most = if self.max_connections == 0 { u32::MAX } else { self.max_connections };
        let more = |active: u32| (active < most).then(|| active + 1);
        self.state.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// A request has ended.
    pub(super) fn leave(&self) {
        self.state.active.fetch_sub(1, Ordering::AcqRel);
    }

    /// An answer began after `took`.
    pub(super) fn answered(&self, took: Duration, now: Timestamp) {
        self.state.cost.lock().observe(took, now);
    }
}
