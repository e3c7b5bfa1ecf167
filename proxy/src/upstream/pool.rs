//! A pool of AP servers as requests see it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use forebay_cache::clock::Timestamp;
use forebay_config::model;
use pingora_core::connectors::l4::BindTo;
use pingora_core::upstreams::peer::HttpPeer;

use super::balance::SmoothRoundRobin;
use crate::account::metrics::{Metrics, UpstreamMetrics};

/// How long a server that refused a connection is asked last (nginx: `max_fails=1 fail_timeout=10s`).
const AVOIDED: Duration = Duration::from_secs(10);

/// Longest pause of another cache while it sends, or is sent to.
const PEER_SILENCE: Duration = Duration::from_secs(60);

/// An `[[upstream]]` of the config, ready to be chosen from.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) name: Arc<str>,
    pub(crate) keepalive: bool,
    servers: Vec<Arc<Server>>,
    balance: SmoothRoundRobin,
}

/// One address of one server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// As the config writes it: the label of logs and metrics.
    pub(crate) label: Arc<str>,
    pub(crate) weight: u32,
    /// Pingora's view: address and deadlines.
    pub(crate) peer: HttpPeer,
    pub(crate) metrics: Arc<UpstreamMetrics>,
    /// Milliseconds since the epoch until which other servers are preferred.
    avoided_until: AtomicI64,
}

fn bind_to(source: IpAddr) -> BindTo {
    let mut bind_to = BindTo::default();
    bind_to.addr = Some(SocketAddr::new(source, 0));
    bind_to
}

impl Server {
    /// No connection could be made: ask others first for a while.
    pub(crate) fn connect_failed(&self, now: Timestamp) {
        self.avoided_until.store(now.saturating_add(AVOIDED).millis(), Ordering::Relaxed);
    }

    /// A connection was made.
    pub(crate) fn connected(&self) {
        self.avoided_until.store(0, Ordering::Relaxed);
    }

    /// Whether other servers are preferred at the moment.
    pub(crate) fn is_avoided(&self, now: Timestamp) -> bool {
        self.avoided_until.load(Ordering::Relaxed) > now.millis()
    }
}

impl Pool {
    /// From the config's words. A name that resolved to several addresses gives each of them the server's weight.
    ///
    /// # Errors
    ///
    /// When its metrics cannot be registered.
    pub(crate) fn new(upstream: &model::Upstream, metrics: &Metrics) -> prometheus::Result<Self> {
        let mut servers = Vec::new();
        let mut weights = Vec::new();
        for server in &upstream.servers {
            for address in &server.resolved {
                let mut peer = HttpPeer::new(*address, false, String::new());
                peer.options.connection_timeout = Some(upstream.connect_timeout);
                peer.options.total_connection_timeout = Some(upstream.connect_timeout);
                peer.options.read_timeout = Some(upstream.read_timeout);
                peer.options.write_timeout = Some(upstream.write_timeout);
                // An address of the other family cannot be connected from.
                let source = upstream.source.filter(|source| source.is_ipv4() == address.is_ipv4());
                peer.options.bind_to = source.map(bind_to);
                let label = Arc::from(server.address.as_str());
                let metrics = metrics.upstream(&upstream.name, &server.address)?;
                let avoided_until = AtomicI64::new(0);
                servers.push(Arc::new(Server {
                    address: *address,
                    label,
                    weight: server.weight,
                    peer,
                    metrics,
                    avoided_until,
                }));
                weights.push(server.weight);
            }
        }
        let name = Arc::from(upstream.name.as_str());
        Ok(Self { name, keepalive: upstream.keepalive, servers, balance: SmoothRoundRobin::new(weights) })
    }

    /// A pool of one: another cache. It is asked from the address that it knows us by.
    ///
    /// # Errors
    ///
    /// When its metrics cannot be registered.
    pub(crate) fn of_peer(peer: &model::IcpPeer, icp: &model::Icp, metrics: &Metrics) -> prometheus::Result<Self> {
        let server =
            model::UpstreamServer { address: peer.http.clone(), resolved: vec![peer.address], weight: peer.weight };
        let upstream = model::Upstream {
            name: "icp".to_owned(),
            balance: model::Balance::RoundRobin,
            keepalive: true,
            servers: vec![server],
            source: Some(icp.address.ip()).filter(|address| !address.is_unspecified()),
            connect_timeout: icp.timeout,
            read_timeout: PEER_SILENCE,
            write_timeout: PEER_SILENCE,
        };
        Self::new(&upstream, metrics)
    }

    /// Servers to try for one request, each once: the balance's choice and those after it, those that refused a
    /// connection lately behind all others. Servers of weight 0 are not among them.
    pub(crate) fn candidates(&self, now: Timestamp) -> Vec<&Arc<Server>> {
        let Some(first) = self.balance.next() else { return Vec::new() };
        let (ahead, behind) = self.servers.split_at_checked(first).unwrap_or_default();
        let mut order: Vec<_> = behind.iter().chain(ahead).filter(|server| server.weight > 0).collect();
        order.sort_by_key(|server| server.is_avoided(now));
        order
    }

    /// Every server, in the order of the config.
    pub(crate) fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }
}
