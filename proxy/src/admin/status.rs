//! What the status page shows. Plain data, gathered by whoever knows it.

use crate::upstream::NameStatus;
use std::time::Duration;

/// One look at the running proxy.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatusReport {
    /// Forebay's version.
    pub(crate) version: String,
    /// Since start.
    pub(crate) uptime: Duration,
    /// Requests finished since start.
    pub(crate) requests: u64,
    /// Of these, the ones answered without an AP server.
    pub(crate) served: u64,
    /// Fills that run now.
    pub(crate) fills_in_flight: u64,
    /// Client connections.
    pub(crate) connections: ConnectionStatus,
    /// Tiers of the cache, fastest first.
    pub(crate) tiers: Vec<TierStatus>,
    /// Sites, in the order of the configuration.
    pub(crate) sites: Vec<SiteStatus>,
    /// Pools, in the order of the configuration.
    pub(crate) upstreams: Vec<UpstreamStatus>,
}

/// Client connections, all listeners together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnectionStatus {
    /// Open now.
    pub(crate) open: u64,
    /// The most that may be.
    pub(crate) limit: u64,
    /// Refused since start.
    pub(crate) refused: u64,
}

/// One tier of the cache.
#[derive(Debug, Clone, Default)]
pub(crate) struct TierStatus {
    /// `memory`, `disk`.
    pub(crate) name: String,
    /// Stored responses.
    pub(crate) objects: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Bytes it may hold.
    pub(crate) capacity: u64,
    /// Lookups that found something.
    pub(crate) hits: u64,
    /// Lookups that did not.
    pub(crate) misses: u64,
}

/// One site.
#[derive(Debug, Clone, Default)]
pub(crate) struct SiteStatus {
    /// Its label in the metrics.
    pub(crate) label: String,
    /// Its host patterns.
    pub(crate) hosts: Vec<String>,
    /// Its pool, if it has one.
    pub(crate) upstream: Option<String>,
    /// Requests finished since start.
    pub(crate) requests: u64,
    /// Of these, the ones answered without an AP server.
    pub(crate) served: u64,
}

/// One pool.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamStatus {
    /// Its name.
    pub(crate) name: String,
    /// How it chooses, in the config's word.
    pub(crate) balance: &'static str,
    /// Requests that wait for a server with room.
    pub(crate) queued: usize,
    /// Its servers, and those that leave.
    pub(crate) servers: Vec<ServerStatus>,
    /// Names that are looked up for it.
    pub(crate) names: Vec<NameStatus>,
}

/// One AP server.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerStatus {
    /// As configured.
    pub(crate) name: String,
    /// What that comes to.
    pub(crate) address: String,
    /// As configured.
    pub(crate) weight: u32,
    /// As configured.
    pub(crate) backup: bool,
    /// `up`, `ejected`, `down`, `draining`, `drained`, `disabled`, `leaving`.
    pub(crate) state: &'static str,
    /// How it came to its pool: `config`, `name`, `added`.
    pub(crate) origin: &'static str,
    /// What its last health check found wrong.
    pub(crate) complaint: Option<String>,
    /// Requests it has in flight.
    pub(crate) active: u32,
    /// The most it may have; 0: any number.
    pub(crate) max_connections: u32,
    /// Requests sent since start.
    pub(crate) requests: u64,
    /// Failed connections, failed exchanges and 5xx since start.
    pub(crate) errors: u64,
}
