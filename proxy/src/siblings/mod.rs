//! Siblings and parents: other caches that are asked before the AP servers are, by ICP version 2 (RFC 2186), and this one
//! as they ask it.
//!
//! A fill asks all siblings at once ([`ask`]); who says HIT first is fetched from ([`crate::fetch`]). What they ask us is
//! answered by [`answer`] with the functions that the request path decides by, so that nobody is promised what he will not
//! get. [`service`] reads the socket, [`questions`] tells answers from forgeries.

mod answer;
mod ask;
mod bucket;
mod packet;
mod peer;
mod questions;
mod rendezvous;
mod service;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_cache::clock::Timestamp;
use forebay_config::model::{self, ParentBalance};

pub(crate) use self::peer::{Kind, Peer};
use self::questions::Questions;
pub(crate) use self::service::IcpService;
use crate::account::metrics::{IcpMetrics, Metrics};
use crate::upstream::Pool;

/// The `[icp]` of the config, its socket bound.
pub(crate) struct Siblings {
    config: model::Icp,
    socket: UdpSocket,
    /// Siblings, then parents.
    peers: Vec<Arc<Peer>>,
    questions: Questions,
    /// Whose turn it is among the parents.
    turn: AtomicUsize,
    /// What `allow` may ask beside the peers.
    others: bucket::Bucket,
    metrics: Arc<IcpMetrics>,
}

impl Siblings {
    /// Binds the socket. `pool` makes what a peer is fetched from.
    ///
    /// # Errors
    ///
    /// The address cannot be bound.
    pub(crate) fn bind(
        config: &model::Icp,
        metrics: &Metrics,
        pool: impl Fn(&model::IcpPeer) -> Result<Pool, String>,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind(config.address)?;
        socket.set_nonblocking(true)?;
        let siblings = config.siblings.iter().map(|peer| (Kind::Sibling, peer));
        let words = siblings.chain(config.parents.iter().map(|peer| (Kind::Parent, peer)));
        let mut peers = Vec::new();
        for (kind, words) in words {
            let pool = pool(words).map_err(io::Error::other)?;
            let metrics = metrics.icp.peer(&words.http).map_err(io::Error::other)?;
            peers.push(Arc::new(Peer::new(kind, words, pool, metrics, config)));
        }
        Ok(Self {
            config: config.clone(),
            socket,
            peers,
            questions: Questions::default(),
            turn: AtomicUsize::new(0),
            others: bucket::Bucket::new(config.rate),
            metrics: Arc::clone(&metrics.icp),
        })
    }

    /// Where it is asked.
    ///
    /// # Errors
    ///
    /// As the kernel says.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Whether a connection from there is a peer's.
    pub(crate) fn is_peer(&self, address: IpAddr) -> bool {
        self.peers.iter().any(|peer| peer.is_at(address))
    }

    /// The parents that can take a miss of `url`, the one whose turn it is first.
    pub(crate) fn parents(&self, url: &str, now: Timestamp) -> Vec<Arc<Peer>> {
        let usable = |peer: &&Arc<Peer>| peer.kind == Kind::Parent && peer.is_usable(now);
        let mut parents: Vec<Arc<Peer>> = self.peers.iter().filter(usable).cloned().collect();
        match self.config.balance {
            ParentBalance::HashUri => rendezvous::order(&mut parents, url),
            ParentBalance::RoundRobin => {
                let total: usize = parents.iter().map(|parent| parent.weight as usize).sum();
                let mut turn = self.turn.fetch_add(1, Ordering::Relaxed) % total.max(1);
                let first = parents.iter().position(|parent| {
                    let weight = parent.weight as usize;
                    let its = turn < weight;
                    turn = turn.saturating_sub(weight);
                    its
                });
                parents.rotate_left(first.unwrap_or(0));
            }
        }
        parents
    }

    /// Which way a parent was chosen, in Squid's words.
    pub(crate) const fn parent_choice(&self, timed_out: bool) -> &'static str {
        match (self.config.balance, timed_out) {
            (ParentBalance::RoundRobin, false) => "ROUNDROBIN_PARENT",
            (ParentBalance::RoundRobin, true) => "TIMEOUT_ROUNDROBIN_PARENT",
            (ParentBalance::HashUri, false) => "CARP",
            (ParentBalance::HashUri, true) => "TIMEOUT_CARP",
        }
    }

    /// Longest wait for an answer, and for the head of what a sibling said it has.
    pub(crate) const fn timeout(&self) -> std::time::Duration {
        self.config.timeout
    }
}
