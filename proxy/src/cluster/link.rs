//! The link to Redis: publishes, applies, acknowledges; connects again whenever it is lost.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use async_trait::async_trait;
use forebay_cache::clock::Clock as _;
use forebay_cache::key::CacheKey;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use redis::RedisResult;
use tokio::sync::mpsc;

use super::entry::Entry;
use super::position::Position;
use super::state::State;
use super::tickets::SharedTickets;
use super::wire::{Ack, BLOCK, News, Node, Wire};
use super::{Claim, Cluster, Publish, Told};
use crate::purge::{Order, Origin, carry_out};
use crate::runtime::Lasting;

/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(1);

/// Silence after which a node is not waited for.
const AWAY: Duration = Duration::from_secs(4);

/// Silence after which it is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(7 * 86_400);

/// Pause before connecting again.
const PAUSE: Duration = Duration::from_millis(200);

/// Purges that wait for Redis to come back; with one more, all become a purge of everything.
const OUTBOX: usize = 10_000;

/// Earlier purges that a node reads when it starts, to know what it may take from the shared tier.
const REMEMBERED: usize = 10_000;

/// Publications whose acknowledgements are still told to somebody.
const AWAITED: usize = 65_536;

/// The link as a Pingora service.
pub(crate) struct ClusterService {
    pub(crate) lasting: Arc<Lasting>,
    pub(crate) cluster: Arc<Cluster>,
}

#[async_trait]
impl Service for ClusterService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let Some(published) = self.cluster.published.lock().take() else { return };
        let (state, found) = match State::open(&self.cluster.state) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "no thread for the cluster's state: purges are of this node alone");
                return;
            }
        };
        let outbox: VecDeque<_> = found.unpublished.into_iter().map(|entry| (entry, Vec::new())).collect();
        self.cluster.metrics.unpublished.set(i64::try_from(outbox.len()).unwrap_or(i64::MAX));
        let link = Link {
            lasting: Arc::clone(&self.lasting),
            cluster: Arc::clone(&self.cluster),
            published,
            state,
            outbox,
            claims: VecDeque::new(),
            awaited: AHashMap::new(),
            nodes: Vec::new(),
            at: found.at,
            remembers: false,
            tickets: None,
        };
        tokio::select! {
            () = link.run() => {}
            _ = shutdown.changed() => {}
        }
    }

    fn name(&self) -> &'static str {
        "cluster"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

struct Link {
    lasting: Arc<Lasting>,
    cluster: Arc<Cluster>,
    published: mpsc::Receiver<Publish>,
    /// What is written down.
    state: State,
    /// Entries that are still to be published.
    outbox: VecDeque<(Vec<u8>, Vec<Claim>)>,
    /// Purges of this process that are not back in the stream yet, by their places.
    claims: VecDeque<(Position, Vec<Claim>)>,
    /// Who waits for the acknowledgements of what.
    awaited: AHashMap<Position, mpsc::UnboundedSender<Told>>,
    /// The others: name, when they were last heard of, how far they are.
    nodes: Vec<Node>,
    /// How far this node has come; `None`: it does not know.
    at: Option<Position>,
    /// Whether the ledger has what was published before this process began.
    remembers: bool,
    /// Keys of session tickets, where they are shared.
    tickets: Option<SharedTickets>,
}

impl Link {
    async fn run(mut self) {
        let mut told = false;
        loop {
            let config = self.cluster.config.clone();
            let patience = self.cluster.patience();
            let connected = self.meanwhile(Wire::connect(&config, patience)).await;
            let ended = match connected {
                Ok(wire) => {
                    told = false;
                    self.serve(wire).await
                }
                Err(error) => Err(error),
            };
            self.cluster.metrics.connected.set(0);
            if let Some(ledger) = &self.cluster.ledger {
                ledger.close();
            }
            if let Err(error) = ended {
                if !told {
                    tracing::error!(redis = %config.redis, %error, "Redis is lost: purges are of this node alone until it is back");
                }
                told = true;
            }
            self.meanwhile(tokio::time::sleep(PAUSE)).await;
        }
    }

    /// Awaits `work`; what is published in the meantime waits for better times.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(publish) = self.published.recv() => self.keep(publish),
            }
        }
    }

    /// Keeps a purge until Redis is back; whoever asked for it is told when it is written down.
    fn keep(&mut self, publish: Publish) {
        let Publish { entry, tell, claim } = publish;
        let mut claims: Vec<Claim> = claim.into_iter().collect();
        let entry = if self.outbox.len() >= OUTBOX {
            claims.extend(self.outbox.drain(..).flat_map(|(_, claims)| claims));
            self.state.empty();
            self.everything()
        } else {
            entry.write()
        };
        self.outbox.push_back((entry.clone(), claims));
        self.state.keep(entry, Box::new(move || drop(tell.send(Told::Later))));
        self.cluster.metrics.unpublished.set(i64::try_from(self.outbox.len()).unwrap_or(i64::MAX));
    }

    /// An entry that purges everything elsewhere. This process has done what it stands for: it need not do more.
    fn everything(&self) -> Vec<u8> {
        let Cluster { config, run, .. } = self.cluster.as_ref();
        Entry { node: config.node.clone(), run: *run, ..Entry::everything() }.write()
    }

    /// Catches up, then publishes and applies until the connection is lost.
    async fn serve(&mut self, mut wire: Wire) -> RedisResult<()> {
        self.cluster.fall_behind(self.lasting.clock.now());
        self.tickets = match SharedTickets::new(&self.cluster.config, &self.lasting.tickets) {
            Some(Err(error)) => {
                tracing::error!(%error, "session tickets are not shared");
                None
            }
            read => read.and_then(Result::ok),
        };
        // First: whoever publishes from now on waits for this node; what was published before is read below.
        self.beat(&mut wire).await?;
        self.publish_kept(&mut wire).await?;
        let acks = wire.last("acks").await?;
        self.remember(&mut wire).await?;
        self.catch_up(&mut wire).await?;
        self.open_ledger(&mut wire).await?;
        self.cluster.caught_up();
        self.cluster.metrics.connected.set(1);
        tracing::info!(node = %self.cluster.config.node, "the cluster is connected");
        let config = self.cluster.config.clone();
        let blocking = self.meanwhile(Wire::connect(&config, BLOCK + self.cluster.patience())).await?;
        let (news, mut arriving) = mpsc::channel(4);
        let reader = tokio::spawn(read(blocking, self.at.unwrap_or_default(), acks, news));
        let ended = self.exchange(&mut wire, &mut arriving).await;
        reader.abort();
        ended
    }

    /// Publishes what has waited for Redis.
    async fn publish_kept(&mut self, wire: &mut Wire) -> RedisResult<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        while let Some((entry, _)) = self.outbox.front() {
            let (at, _) = wire.publish(entry).await?;
            self.cluster.metrics.published.inc();
            if let Some((_, claims)) = self.outbox.pop_front() {
                self.claims.push_back((at, claims));
            }
        }
        self.state.empty();
        self.cluster.metrics.unpublished.set(0);
        Ok(())
    }

    /// Reads what was published before this process began: it says what may be taken from the shared tier.
    async fn remember(&mut self, wire: &mut Wire) -> RedisResult<()> {
        let Some(ledger) = self.cluster.ledger.as_ref().filter(|_| !self.remembers) else { return Ok(()) };
        let (entries, is_all) = wire.newest(REMEMBERED).await?;
        if let Some((first, _)) = entries.first().filter(|_| !is_all) {
            ledger.begin_at(*first);
        }
        for (at, bytes) in &entries {
            ledger.note(*at, &Entry::read(bytes).purge);
        }
        self.remembers = true;
        Ok(())
    }

    async fn open_ledger(&self, wire: &mut Wire) -> RedisResult<()> {
        if let Some(ledger) = &self.cluster.ledger {
            ledger.open(wire.history(false).await?);
        }
        Ok(())
    }

    async fn exchange(&mut self, wire: &mut Wire, arriving: &mut mpsc::Receiver<RedisResult<News>>) -> RedisResult<()> {
        let mut beats = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                news = arriving.recv() => {
                    let Some(news) = news else { return Ok(()) };
                    let News { purges, acks } = news?;
                    self.apply(wire, purges, false).await?;
                    for (_, ack) in acks {
                        self.tell(ack);
                    }
                }
                Some(publish) = self.published.recv() => {
                    match wire.publish(&publish.entry.write()).await {
                        Ok((at, nodes)) => {
                            self.learned(nodes);
                            self.publication(at, publish);
                        }
                        Err(error) => {
                            self.keep(publish);
                            return Err(error);
                        }
                    }
                }
                _ = beats.tick() => {
                    // Kept while the second connection was made.
                    self.publish_kept(wire).await?;
                    self.publish_overflow(wire).await?;
                    self.beat(wire).await?;
                    // Another node may have drawn it anew.
                    self.open_ledger(wire).await?;
                }
            }
        }
    }

    async fn publish_overflow(&mut self, wire: &mut Wire) -> RedisResult<()> {
        if self.cluster.overflow.lock().is_empty() {
            return Ok(());
        }
        // Those that come meanwhile are for the next beat.
        let count = self.cluster.overflow.lock().len();
        let (at, _) = wire.publish(&self.everything()).await?;
        let claims = self.cluster.overflow.lock().drain(..count).flatten().collect();
        self.claims.push_back((at, claims));
        Ok(())
    }

    fn publication(&mut self, at: Position, publish: Publish) {
        self.cluster.metrics.published.inc();
        let Publish { tell, claim, .. } = publish;
        self.claims.push_back((at, claim.into_iter().collect()));
        let now = self.lasting.clock.now().millis();
        let is_here = |seen: i64| now.saturating_sub(seen) < i64::try_from(AWAY.as_millis()).unwrap_or(i64::MAX);
        let others = || self.nodes.iter().filter(|(node, ..)| *node != self.cluster.config.node);
        let names = |here: bool| {
            others().filter(|(_, seen, _)| is_here(*seen) == here).map(|(node, ..)| node.clone()).collect()
        };
        let told = Told::Published { expected: names(true), away: names(false) };
        if tell.send(told).is_ok() && self.awaited.len() < AWAITED {
            self.awaited.insert(at, tell);
        }
    }

    fn tell(&mut self, ack: Ack) {
        let Ack { purge, node, count } = ack;
        if let Some(tell) = self.awaited.get(&purge)
            && tell.send(Told::Applied { node, count }).is_err()
        {
            self.awaited.remove(&purge);
        }
    }

    /// Applies all that has been published since this node was last connected.
    async fn catch_up(&mut self, wire: &mut Wire) -> RedisResult<()> {
        let known = match self.at {
            Some(at) => at == Position::default() || wire.has(at).await?,
            None => false,
        };
        if !known {
            // Nobody can say what was missed.
            let last = wire.last("purges").await?;
            if self.at.is_some() {
                tracing::warn!("more was published than Redis remembers: everything is purged");
            }
            // A node that is new has read what there is to know; this one knew more than Redis does.
            if let Some(ledger) = self.cluster.ledger.as_ref().filter(|_| self.at.is_some()) {
                ledger.begin_at(last);
                wire.history(true).await?;
            }
            self.carry_out(&Entry::everything()).await;
            self.moved(last);
        }
        loop {
            let news = wire.read(self.at.unwrap_or_default(), Position(u64::MAX, u64::MAX), false).await?;
            if news.purges.is_empty() {
                return Ok(());
            }
            self.apply(wire, news.purges, true).await?;
        }
    }

    /// Applies these, in their order, then acknowledges them.
    async fn apply(&mut self, wire: &mut Wire, purges: Vec<(Position, Vec<u8>)>, replayed: bool) -> RedisResult<()> {
        let mut acks = Vec::new();
        let mut last = None;
        for (at, bytes) in purges {
            if self.at.is_some_and(|done| at <= done) {
                continue;
            }
            let entry = Entry::read(&bytes);
            if let Some(ledger) = &self.cluster.ledger {
                ledger.note(at, &entry.purge);
            }
            let (node, run) = (&self.cluster.config.node, self.cluster.run);
            if entry.node != *node || entry.run != run {
                let count = self.carry_out(&entry).await;
                let counter = if replayed { &self.cluster.metrics.replayed } else { &self.cluster.metrics.applied };
                counter.inc();
                acks.push(Ack { purge: at, node: node.clone(), count });
            }
            last = Some(at);
        }
        if let Some(last) = last {
            self.moved(last);
        }
        if acks.is_empty() { Ok(()) } else { wire.acknowledge(&acks).await }
    }

    async fn carry_out(&self, entry: &Entry) -> u64 {
        let keys = entry.keys.iter().filter_map(|bytes| CacheKey::from_bytes(bytes)).collect();
        let order =
            Order { purge: entry.purge.clone(), keys, dry_run: false, origin: Origin::Cluster, dialect: "cluster" };
        match carry_out(&self.lasting, &order).await {
            Ok(outcome) => outcome.count,
            Err(error) => {
                // It was checked when it was read.
                tracing::error!(%error, "a purge of another node cannot be carried out");
                0
            }
        }
    }

    /// All up to this place is applied here.
    fn moved(&mut self, at: Position) {
        self.at = Some(at);
        self.state.at(at);
        if let Some(ledger) = &self.cluster.ledger {
            ledger.reached(at);
        }
        while self.claims.front().is_some_and(|(place, _)| *place <= at) {
            self.claims.pop_front();
        }
    }

    fn learned(&mut self, nodes: Vec<Node>) {
        let now = self.lasting.clock.now().millis();
        let most = i64::try_from(FORGOTTEN.as_millis()).unwrap_or(i64::MAX);
        self.nodes = nodes;
        self.nodes.retain(|(_, seen, _)| now.saturating_sub(*seen) < most);
    }

    async fn beat(&mut self, wire: &mut Wire) -> RedisResult<()> {
        let now = self.lasting.clock.now().millis();
        let at = self.at.unwrap_or_default();
        let nodes = wire.beat(&self.cluster.config.node, now, at).await?;
        self.learned(nodes);
        let newest = self.nodes.iter().map(|(_, _, at)| at.0).max().unwrap_or(0);
        // One that has read nothing yet is about to.
        for (node, _, at) in self.nodes.iter().filter(|(_, _, at)| *at != Position::default()) {
            self.cluster.metrics.lag(node, newest.saturating_sub(at.0));
        }
        self.awaited.retain(|_, tell| !tell.is_closed());
        if let Some(ledger) = &self.cluster.ledger {
            ledger.set_clock(wire.clock().await?);
        }
        self.agree_on_tickets(wire).await
    }

    async fn agree_on_tickets(&mut self, wire: &mut Wire) -> RedisResult<()> {
        let Some(tickets) = &mut self.tickets else { return Ok(()) };
        match tickets.agree(wire, &self.cluster.metrics).await {
            Err(error) if !error.is_io_error() => {
                // Redis is there and says no: purges go on.
                tracing::error!(%error, "session tickets are not shared: may this user TIME, HSETNX and HDEL?");
                self.tickets = None;
                Ok(())
            }
            done => done,
        }
    }
}

/// Reads what is new, on a connection of its own, for it waits there.
async fn read(mut wire: Wire, mut purges: Position, mut acks: Position, tell: mpsc::Sender<RedisResult<News>>) {
    loop {
        let news = wire.read(purges, acks, true).await;
        if let Ok(news) = &news {
            purges = news.purges.last().map_or(purges, |(at, _)| *at);
            acks = news.acks.last().map_or(acks, |(at, _)| *at);
            if news.purges.is_empty() && news.acks.is_empty() {
                continue;
            }
        }
        let failed = news.is_err();
        if tell.send(news).await.is_err() || failed {
            return;
        }
    }
}
