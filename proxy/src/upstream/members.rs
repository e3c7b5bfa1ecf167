//! Which servers a pool has: those the configuration lists, those that names stand for at the moment, and what the operator has
//! added and removed since. A server that goes gets nothing new; what it has it finishes, for a [`Lease`](super::Lease) holds it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, Guard};
use forebay_config::model::{self, UpstreamServer};
use parking_lot::Mutex;
use pingora_core::connectors::l4::BindTo;
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;

use super::health::Monitor;
use super::names::{Directory, Name, NameStatus, Target, begin};
use super::pool::Around;
use super::registry::PoolState;
use super::server::{Origin, Server, ServerId};
use super::standing::Patience;
use super::tls::{self, Tls};
use super::upkeep::Upkeep;
use crate::account::metrics::Metrics;

/// Servers an operator may add to a pool.
const MOST_ADDED: usize = 1000;

/// Requests on one connection of HTTP/2 at a time; the server may allow less.
const STREAMS: usize = 100;

/// The servers of a pool.
#[derive(Debug)]
pub(super) struct Members {
    /// In the order of the configuration, those added last.
    servers: ArcSwap<Vec<Arc<Server>>>,
    entries: Vec<Entry>,
    changes: Mutex<Changes>,
    /// Gone, and perhaps with something left to do.
    leaving: Mutex<Vec<Weak<Server>>>,
    workshop: Workshop,
}

/// One that is listed.
#[derive(Debug, Clone)]
struct Entry {
    words: UpstreamServer,
    name: Option<Arc<Name>>,
    origin: Origin,
}

/// What the operator made different.
#[derive(Debug, Default)]
struct Changes {
    added: Vec<Entry>,
    /// As they were called: a name with all its servers, or an address.
    removed: Vec<String>,
}

/// Why a server is neither added nor removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unchanged {
    /// There is no such pool or server.
    Unknown,
    /// It cannot be, in words.
    Conflict(&'static str),
}

/// What servers are made with.
#[derive(Debug)]
struct Workshop {
    upstream: model::Upstream,
    resolver: model::Resolver,
    tls: Option<Tls>,
    state: Arc<PoolState>,
    monitor: Arc<Monitor>,
    upkeep: Arc<Upkeep>,
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
}

impl Members {
    /// Those of the configuration.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or metrics cannot be registered, in words.
    pub(super) fn new(
        upstream: &model::Upstream,
        state: &Arc<PoolState>,
        around: &Around<'_>,
    ) -> Result<Arc<Self>, String> {
        let Around { registry, metrics, resolver, .. } = *around;
        let workshop = Workshop {
            upstream: upstream.clone(),
            resolver: resolver.clone(),
            tls: upstream.tls.as_ref().map(Tls::load).transpose()?,
            state: Arc::clone(state),
            monitor: Arc::clone(&registry.monitor),
            upkeep: Arc::clone(&registry.upkeep),
            directory: Arc::clone(&registry.directory),
            metrics: Arc::clone(metrics),
        };
        let entry = |words: &UpstreamServer| workshop.entry(words.clone(), Origin::Config);
        let entries = upstream.servers.iter().map(entry).collect::<prometheus::Result<Vec<_>>>();
        let entries = entries.map_err(|error| error.to_string())?;
        let names: Vec<Arc<Name>> = entries.iter().filter_map(|entry| entry.name.clone()).collect();
        if !registry.is_offline() {
            begin(&names);
        }
        let members = Arc::new(Self {
            servers: ArcSwap::default(),
            entries,
            changes: Mutex::default(),
            leaving: Mutex::default(),
            workshop,
        });
        for name in names {
            name.watch(&members);
        }
        members.gather();
        Ok(members)
    }

    /// Those that there are now.
    pub(super) fn load(&self) -> Guard<Arc<Vec<Arc<Server>>>> {
        self.servers.load()
    }

    /// The same, to be kept.
    pub(super) fn load_full(&self) -> Arc<Vec<Arc<Server>>> {
        self.servers.load_full()
    }

    /// Those that are gone and still have requests.
    pub(super) fn leaving(&self) -> Vec<Arc<Server>> {
        let mut leaving = self.leaving.lock();
        leaving.retain(|server| server.strong_count() > 0);
        let present = self.servers.load();
        let is_back = |server: &Server| present.iter().any(|known| known.address == server.address);
        leaving.iter().filter_map(Weak::upgrade).filter(|server| server.active() > 0 && !is_back(server)).collect()
    }

    /// The names among them.
    pub(super) fn names(&self) -> Vec<NameStatus> {
        let changes = self.changes.lock();
        self.entries
            .iter()
            .chain(&changes.added)
            .filter_map(|entry| entry.name.as_ref())
            .map(|name| name.status())
            .collect()
    }

    /// What the operator made different, in words.
    pub(super) fn changes(&self) -> Vec<String> {
        let changes = self.changes.lock();
        let added = changes.added.iter().map(|entry| format!("{} was added", entry.words.address));
        added.chain(changes.removed.iter().map(|name| format!("{name} was removed"))).collect()
    }

    /// Looks who belongs here now.
    pub(super) fn gather(&self) {
        self.gather_with(&self.changes.lock());
    }

    /// Adds a server; one of the configuration that was removed comes back by the words it has there.
    ///
    /// # Errors
    ///
    /// It is there already, or there are too many.
    pub(super) fn add(self: &Arc<Self>, words: UpstreamServer) -> Result<usize, Unchanged> {
        let mut changes = self.changes.lock();
        let before = changes.removed.len();
        changes.removed.retain(|name| *name != words.address);
        if changes.removed.len() == before {
            let is_there = self
                .servers
                .load()
                .iter()
                .any(|known| known.is_called(&words.address) || words.resolved.contains(&known.address));
            let is_listed = self.entries.iter().chain(&changes.added).any(|entry| entry.words.address == words.address);
            if is_there || is_listed {
                return Err(Unchanged::Conflict("it is there already"));
            }
            if changes.added.len() >= MOST_ADDED {
                return Err(Unchanged::Conflict("too many were added: write them into the configuration"));
            }
            let entry = self.workshop.entry(words, Origin::Operator);
            let entry = entry.map_err(|_| Unchanged::Conflict("its metrics cannot be registered"))?;
            if let Some(name) = &entry.name {
                name.watch(self);
            }
            changes.added.push(entry);
        }
        self.gather_with(&changes);
        Ok(1)
    }

    /// Removes the servers of this name, or at this address; how many that are.
    ///
    /// # Errors
    ///
    /// There is none, or nobody would be left.
    pub(super) fn remove(&self, name: &str) -> Result<usize, Unchanged> {
        let mut changes = self.changes.lock();
        let present = self.servers.load_full();
        let gone = present.iter().filter(|server| server.is_called(name)).count();
        let is_listed = self.entries.iter().chain(&changes.added).any(|entry| entry.words.address == name);
        if changes.removed.iter().any(|known| known == name) || (gone == 0 && !is_listed) {
            return Err(Unchanged::Unknown);
        }
        if gone > 0 && !present.iter().any(|server| !server.is_called(name) && server.weight > 0) {
            return Err(Unchanged::Conflict("nobody would be left: disable it, or add another first"));
        }
        let before = changes.added.len();
        changes.added.retain(|entry| entry.words.address != name);
        if changes.added.len() == before {
            changes.removed.push(name.to_owned());
        }
        self.gather_with(&changes);
        Ok(gone)
    }

    /// Under the lock of the changes: two at a time would lose what one of them found.
    fn gather_with(&self, changes: &Changes) {
        let present = self.servers.load_full();
        let mut servers: Vec<Arc<Server>> = Vec::new();
        for entry in self.entries.iter().chain(&changes.added) {
            for target in entry.targets() {
                let is_removed = |name: &String| *name == entry.words.address || *name == target.address.to_string();
                // Two names of one address are one server.
                let is_known = servers.iter().any(|known| known.address == target.address);
                if is_known || changes.removed.iter().any(is_removed) {
                    continue;
                }
                let (weight, backup) = target.of_service.unwrap_or((entry.words.weight, entry.words.backup));
                let is_it = |known: &&Arc<Server>| {
                    known.address == target.address
                        && (known.weight, known.backup) == (weight, backup)
                        && *known.label == *entry.words.address
                };
                match present.iter().find(is_it) {
                    Some(known) => servers.push(Arc::clone(known)),
                    None => match self.workshop.make(entry, &target, weight, backup) {
                        Ok(server) => servers.push(Arc::new(server)),
                        Err(error) => tracing::error!(address = %target.address, %error, "server cannot be used"),
                    },
                }
            }
        }
        let mut leaving = self.leaving.lock();
        leaving.retain(|server| server.strong_count() > 0);
        let stays = |server: &Arc<Server>| servers.iter().any(|known| known.address == server.address);
        leaving.extend(present.iter().filter(|server| !stays(server)).map(Arc::downgrade));
        drop(leaving);
        self.servers.store(Arc::new(servers));
        // Whoever waits may find room where there was none, or that there is nobody left to wait for.
        self.workshop.state.queue.call_all();
    }
}

impl Entry {
    fn targets(&self) -> Vec<Target> {
        let Some(name) = &self.name else {
            let host = tls::host(&self.words.address).to_owned();
            let target = |address: &SocketAddr| Target { address: *address, host: host.clone(), of_service: None };
            return self.words.resolved.iter().map(target).collect();
        };
        name.targets()
    }
}

impl Workshop {
    fn entry(&self, words: UpstreamServer, origin: Origin) -> prometheus::Result<Entry> {
        let Self { resolver, upkeep, directory, metrics, .. } = self;
        let name = match &words.name {
            Some(name) => {
                let counters = metrics.name(&words.address)?;
                Some(directory.name(name, &words.address, resolver, &words.resolved, counters, upkeep))
            }
            None => None,
        };
        let origin = if name.is_some() && origin == Origin::Config { Origin::Name } else { origin };
        Ok(Entry { words, name, origin })
    }

    /// One address of a server.
    fn make(&self, entry: &Entry, target: &Target, weight: u32, backup: bool) -> prometheus::Result<Server> {
        let Self { upstream, tls, state: pool, monitor, upkeep, metrics, .. } = self;
        let (words, address) = (&entry.words, target.address);
        let mut peer = HttpPeer::new(address, tls.is_some(), String::new());
        peer.options.connection_timeout = Some(upstream.connect_timeout);
        peer.options.total_connection_timeout = Some(upstream.connect_timeout);
        peer.options.read_timeout = Some(upstream.read_timeout);
        peer.options.write_timeout = Some(upstream.write_timeout);
        // An address of the other family cannot be connected from.
        let source = upstream.source.filter(|source| source.is_ipv4() == address.is_ipv4());
        peer.options.bind_to = source.map(bind_to);
        if let Some(tls) = tls {
            tls.apply(&mut peer, &target.host);
        }
        // By ALPN: a server that does not know HTTP/2 is spoken to as others are.
        let multiplexed = (upstream.protocol == model::UpstreamProtocol::H2).then(|| {
            let mut peer = peer.clone();
            peer.options.alpn = ALPN::H2H1;
            peer.options.max_h2_streams = STREAMS;
            peer
        });
        let state = pool.server(address);
        let probe = match &upstream.health {
            Some(health) => {
                let watcher = (Arc::downgrade(&state), Arc::downgrade(pool));
                let counters = metrics.health(&address.to_string())?;
                Some(monitor.probe(&peer, health, watcher, counters, upkeep))
            }
            None => None,
        };
        Ok(Server {
            id: ServerId::of(address),
            address,
            label: Arc::from(words.address.as_str()),
            weight,
            max_connections: words.max_connections,
            backup,
            origin: entry.origin,
            peer,
            multiplexed,
            metrics: metrics.upstream(&upstream.name, &words.address)?,
            probe,
            patience: Patience { max_fails: upstream.max_fails, fail_timeout: upstream.fail_timeout },
            slow_start: upstream.slow_start,
            state,
        })
    }
}

fn bind_to(source: IpAddr) -> BindTo {
    let mut bind_to = BindTo::default();
    bind_to.addr = Some(SocketAddr::new(source, 0));
    bind_to
}
