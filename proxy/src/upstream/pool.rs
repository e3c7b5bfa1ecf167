//! A pool of servers as requests see it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forebay_cache::clock::{Clock, Timestamp};
use forebay_config::model;
use http::HeaderMap;
use tokio::time::Instant;

use super::affinity::{Asker, Asking, HashKey, hash};
use super::balance::{self, Load};
use super::gate::Permit;
use super::lease::Lease;
use super::members::{Members, Unchanged};
use super::names::NameStatus;
use super::registry::{PoolState, Registry};
use super::server::{Availability, Server, ServerId};
use super::shield::Shield;
use super::standing::Mode;
use super::sticky::{Session, Sticky, set_by};
use crate::account::metrics::Metrics;
use crate::fetch::FetchError;

/// Longest pause of another cache while it sends, or is sent to.
const PEER_SILENCE: Duration = Duration::from_secs(60);

/// An `[[upstream]]` of the config, ready to be chosen from.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) name: Arc<str>,
    pub(crate) keepalive: bool,
    balance: model::Balance,
    hash_key: HashKey,
    hash_balance_factor: u32,
    queue: usize,
    queue_timeout: Duration,
    drain_timeout: Duration,
    sticky: Option<Sticky>,
    members: Arc<Members>,
    state: Arc<PoolState>,
    /// What stands before it.
    shield: Option<Shield>,
}

/// What a pool is made with, beside its words.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) metrics: &'a Arc<Metrics>,
    pub(crate) resolver: &'a model::Resolver,
    pub(crate) state_dir: &'a Path,
}

/// Why no server takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoServer {
    /// None is left that could be asked.
    NoneLeft,
    /// All are busy, and as many wait already as may.
    QueueFull,
    /// All were busy for too long.
    QueueTimeout,
}

/// What an operator may want of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Ready,
    Drain,
    Disable,
}

/// What a look at the servers comes to.
enum Choice {
    Taken(Lease),
    /// Those that could be asked are busy.
    Busy,
    Nobody,
}

impl Pool {
    /// The same, behind `shield`.
    pub(crate) fn behind(mut self, shield: Option<Shield>) -> Self {
        self.shield = shield;
        self
    }

    /// Whether a request with these fields is a bot's, and would have to wait.
    pub(crate) fn is_shut_to_bot(&self, fields: &HeaderMap) -> bool {
        self.shield.as_ref().is_some_and(|shield| shield.is_shut_to_bot(fields))
    }

    /// Lets a request with these fields in, at once or when there is room: what `max_requests` and the queue say. One
    /// that nobody waits for (`background`) is never queued, nor is one that `waits` says no to.
    ///
    /// # Errors
    ///
    /// 503, with the reason.
    pub(crate) async fn enter(
        &self,
        fields: &HeaderMap,
        background: bool,
        waits: bool,
    ) -> Result<Option<Permit>, FetchError> {
        match &self.shield {
            Some(shield) => shield.enter(fields, background, waits).await.map(Some),
            None => Ok(None),
        }
    }

    /// From the config's words. A name that resolved to several addresses gives each of them the server's weight.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or its metrics cannot be registered, in words.
    pub(crate) fn new(upstream: &model::Upstream, around: &Around<'_>) -> Result<Self, String> {
        let state = around.registry.pool(&upstream.name);
        let members = Members::new(upstream, &state, around)?;
        let sticky = match &upstream.sticky {
            Some(sticky) => Some(Sticky::new(sticky, &upstream.name, around.state_dir)?),
            None => None,
        };
        Ok(Self {
            name: Arc::from(upstream.name.as_str()),
            keepalive: upstream.keepalive,
            balance: upstream.balance,
            hash_key: HashKey::new(upstream.balance, upstream.hash_name.as_deref()),
            hash_balance_factor: upstream.hash_balance_factor,
            queue: upstream.queue,
            queue_timeout: upstream.queue_timeout,
            drain_timeout: upstream.drain_timeout,
            sticky,
            members,
            state,
            shield: None,
        })
    }

    /// A pool of one: another cache. It is asked from the address that it knows us by.
    ///
    /// # Errors
    ///
    /// When its metrics cannot be registered.
    pub(crate) fn of_peer(peer: &model::IcpPeer, icp: &model::Icp, around: &Around<'_>) -> Result<Self, String> {
        let server = model::UpstreamServer::new(&peer.http, vec![peer.address], peer.weight);
        let upstream = model::Upstream {
            keepalive: true,
            source: Some(icp.address.ip()).filter(|address| !address.is_unspecified()),
            connect_timeout: icp.timeout,
            read_timeout: PEER_SILENCE,
            write_timeout: PEER_SILENCE,
            ..model::Upstream::new("icp", vec![server])
        };
        Self::new(&upstream, around)
    }

    /// What a choice for this request depends on.
    pub(crate) fn asker(&self, asking: &Asking<'_>) -> Asker {
        let session = self.sticky.as_ref().and_then(|sticky| sticky.session(asking.fields));
        Asker { key: self.hash_key.of(asking), session }
    }

    /// Takes out of a request that is sent on what is between the client and us alone.
    pub(crate) fn hide_cookie(&self, fields: &mut HeaderMap) {
        if let Some(Sticky::Inserted(inserted)) = &self.sticky {
            inserted.hide(fields);
        }
    }

    /// Ties the client's session to `server`, whose answer to `request` this is: an answer for this client alone, which
    /// nobody stores.
    pub(crate) fn keep_session(&self, request: &HeaderMap, server: ServerId, answer: &mut HeaderMap, secure: bool) {
        // A sibling's answer is no server's of this pool.
        if !self.members.load().iter().any(|known| known.id == server) {
            return;
        }
        match &self.sticky {
            Some(Sticky::Inserted(inserted)) if inserted.server(request) == Some(server) => {}
            Some(Sticky::Inserted(inserted)) => inserted.put(answer, server, secure),
            Some(Sticky::Application { name }) => {
                for session in set_by(answer, name).map(hash) {
                    if self.home(session, &self.members.load()) == Some(server) {
                        self.state.learned.invalidate(&session);
                    } else {
                        self.state.learned.insert(session, server.0);
                    }
                }
            }
            None => {}
        }
    }

    /// The server that a session without another belongs to.
    fn home(&self, session: u64, servers: &[Arc<Server>]) -> Option<ServerId> {
        let now = Timestamp::EPOCH;
        let takes_part = |server: &&Arc<Server>| server.weight > 0 && !server.backup;
        let loads: Vec<Load> = servers.iter().filter(takes_part).map(|server| server.load(now)).collect();
        balance::home(&loads, session).and_then(|index| loads.get(index)).map(|load| ServerId(load.id))
    }

    /// The server that has the session, as far as it can still be asked.
    fn at_session<'s>(
        &self,
        asker: &Asker,
        servers: &'s [Arc<Server>],
        tried: &[ServerId],
        now: Timestamp,
    ) -> Option<&'s Arc<Server>> {
        let has_it = match asker.session? {
            Session::At(server) => server,
            Session::Hashed(session) => match self.state.learned.get(&session) {
                Some(learned) => ServerId(learned),
                None => self.home(session, servers)?,
            },
        };
        let server = servers.iter().find(|server| server.id == has_it && !tried.contains(&server.id))?;
        matches!(server.availability(now), Availability::Ready | Availability::Sessions).then_some(server)
    }

    /// A server for a request of `asker`, none of those in `tried`; waits in the queue while those that could be asked are
    /// all at their `max_connections`.
    ///
    /// # Errors
    ///
    /// None is left, or none has had room in time.
    pub(crate) async fn lease(&self, clock: &impl Clock, asker: &Asker, tried: &[ServerId]) -> Result<Lease, NoServer> {
        let settled = || match self.choose(clock.now(), asker, tried) {
            Choice::Taken(lease) => Some(Ok(lease)),
            Choice::Nobody => Some(Err(NoServer::NoneLeft)),
            Choice::Busy => None,
        };
        if let Some(settled) = settled() {
            return settled;
        }
        let deadline = Instant::now() + self.queue_timeout;
        let mut place = self.state.queue.enter(self.queue).ok_or(NoServer::QueueFull)?;
        loop {
            // What became free before there was a place has called somebody else.
            if let Some(settled) = settled() {
                return settled;
            }
            let others = tokio::time::timeout_at(deadline, place.called()).await.map_err(|_| NoServer::QueueTimeout)?;
            if let Some(settled) = settled() {
                return settled;
            }
            self.state.queue.pass_on(others);
            place = self.state.queue.return_to_front();
        }
    }

    fn choose(&self, now: Timestamp, asker: &Asker, tried: &[ServerId]) -> Choice {
        let servers = self.members.load();
        if let Some(server) = self.at_session(asker, &servers, tried, now) {
            return if server.enter() { Choice::Taken(Lease::new(server, &self.state)) } else { Choice::Busy };
        }
        let fit = best(&servers, tried, now);
        match fit.as_slice() {
            [] => return Choice::Nobody,
            [only] => return if only.enter() { Choice::Taken(Lease::new(only, &self.state)) } else { Choice::Busy },
            _ => {}
        }
        let _turn = self.state.turn.lock();
        // Those that have room now may have none a moment later: somebody else took it, so somebody is served.
        loop {
            let with_room: Vec<&Arc<Server>> = fit.iter().copied().filter(|server| server.has_room()).collect();
            let mut loads: Vec<Load> = with_room.iter().map(|server| server.load(now)).collect();
            let lots = &self.state.lots;
            let chosen = match asker.session {
                // Its server is gone: all its requests go to the same other one.
                Some(Session::Hashed(session)) => balance::home(&loads, session),
                _ => balance::choose(self.balance, &mut loads, asker.key, self.hash_balance_factor, lots),
            };
            let Some(server) = chosen.and_then(|index| with_room.get(index)) else { return Choice::Busy };
            if server.enter() {
                for (server, load) in with_room.iter().zip(&loads) {
                    server.state.credit.store(load.credit, Ordering::Relaxed);
                }
                return Choice::Taken(Lease::new(server, &self.state));
            }
        }
    }

    /// Does what the operator wants of the server of this name or address; how many that are.
    pub(crate) fn order(&self, server: &str, order: Order, now: Timestamp) -> usize {
        let mode = match order {
            Order::Ready => Mode::Ready,
            Order::Drain => Mode::Draining { until: now.saturating_add(self.drain_timeout) },
            Order::Disable => Mode::Disabled,
        };
        let servers = self.members.load();
        let meant: Vec<_> = servers.iter().filter(|known| known.is_called(server)).collect();
        for server in &meant {
            tracing::info!(upstream = %self.name, server = %server.label, ?order, "server was told");
            server.state.standing.lock().set_mode(mode, now);
        }
        self.state.queue.call_all();
        meant.len()
    }

    /// The word for how it chooses.
    pub(crate) fn balance(&self) -> model::Balance {
        self.balance
    }

    /// Requests that wait for a server with room.
    pub(crate) fn queued(&self) -> usize {
        self.state.queue.len()
    }

    /// Adds a server until the next reload; how many that are.
    ///
    /// # Errors
    ///
    /// Why it stays as it is.
    pub(crate) fn add(&self, words: model::UpstreamServer) -> Result<usize, Unchanged> {
        let label = words.address.clone();
        let added = self.members.add(words)?;
        tracing::info!(upstream = %self.name, server = label, "server was added");
        Ok(added)
    }

    /// Removes servers until the next reload; how many that are.
    ///
    /// # Errors
    ///
    /// Why it stays as it is.
    pub(crate) fn remove(&self, server: &str) -> Result<usize, Unchanged> {
        let removed = self.members.remove(server)?;
        tracing::info!(upstream = %self.name, server, "server was removed");
        Ok(removed)
    }

    /// What the operator made different from the config, in words.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.members.changes()
    }

    /// Servers that are not its own any more, and have requests still.
    pub(crate) fn leaving(&self) -> Vec<Arc<Server>> {
        self.members.leaving()
    }

    /// Names that are looked up for it.
    pub(crate) fn names(&self) -> Vec<NameStatus> {
        self.members.names()
    }

    /// Every server, in the order of the config.
    pub(crate) fn servers(&self) -> Arc<Vec<Arc<Server>>> {
        self.members.load_full()
    }
}

/// The servers to choose from: those that are ready; else the backups that are; else those that failed lately.
fn best<'s>(servers: &'s [Arc<Server>], tried: &[ServerId], now: Timestamp) -> Vec<&'s Arc<Server>> {
    let mut ranked: Vec<((Availability, bool), &Arc<Server>)> = servers
        .iter()
        .filter(|server| !tried.contains(&server.id))
        .map(|server| ((server.availability(now), server.backup), server))
        .filter(|((availability, _), _)| *availability <= Availability::Last)
        .collect();
    let Some(first) = ranked.iter().map(|(rank, _)| *rank).min() else { return Vec::new() };
    ranked.retain(|(rank, _)| *rank == first);
    ranked.into_iter().map(|(_, server)| server).collect()
}
