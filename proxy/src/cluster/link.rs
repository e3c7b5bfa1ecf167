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
use super::tickets::SharedTickets;
use super::wire::{Ack, News, Node, Wire};
use super::{Cluster, Publish, Told};
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
        let link = Link {
            lasting: Arc::clone(&self.lasting),
            cluster: Arc::clone(&self.cluster),
            published,
            outbox: VecDeque::new(),
            awaited: AHashMap::new(),
            nodes: Vec::new(),
            at: Position::load(&self.cluster.state),
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
    /// Entries that are still to be published.
    outbox: VecDeque<Vec<u8>>,
    /// Who waits for the acknowledgements of what.
    awaited: AHashMap<Position, mpsc::UnboundedSender<Told>>,
    /// The others: name, when they were last heard of, how far they are.
    nodes: Vec<Node>,
    /// How far this node has come; `None`: it does not know.
    at: Option<Position>,
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
                Some(publish) = self.published.recv() => self.keep(&publish),
            }
        }
    }

    fn keep(&mut self, publish: &Publish) {
        if self.outbox.len() >= OUTBOX {
            self.outbox.clear();
            // This process has done it all: it need not do more.
            let everything = Entry::everything().purge;
            let Entry { node, run, .. } = publish.entry.clone();
            self.outbox.push_back(Entry { node, run, purge: everything, keys: Vec::new() }.write());
        } else {
            self.outbox.push_back(publish.entry.write());
        }
        self.cluster.metrics.unpublished.set(i64::try_from(self.outbox.len()).unwrap_or(i64::MAX));
        let _ = publish.tell.send(Told::Later);
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
        while let Some(entry) = self.outbox.front().cloned() {
            wire.publish(&entry).await?;
            self.outbox.pop_front();
            self.cluster.metrics.published.inc();
        }
        self.cluster.metrics.unpublished.set(0);
        let acks = wire.last("acks").await?;
        self.catch_up(&mut wire).await?;
        self.cluster.caught_up();
        self.cluster.metrics.connected.set(1);
        tracing::info!(node = %self.cluster.config.node, "the cluster is connected");
        let config = self.cluster.config.clone();
        let blocking = self.meanwhile(Wire::connect(&config, self.cluster.patience())).await?;
        let (news, mut arriving) = mpsc::channel(4);
        let reader = tokio::spawn(read(blocking, self.at.unwrap_or_default(), acks, news));
        let ended = self.exchange(&mut wire, &mut arriving).await;
        reader.abort();
        ended
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
                            self.keep(&publish);
                            return Err(error);
                        }
                    }
                }
                _ = beats.tick() => {
                    if !self.outbox.is_empty() {
                        // Kept while the second connection was made: from the beginning.
                        return Ok(());
                    }
                    self.beat(wire).await?;
                }
            }
        }
    }

    fn publication(&mut self, at: Position, publish: Publish) {
        self.cluster.metrics.published.inc();
        let now = self.lasting.clock.now().millis();
        let is_here = |seen: i64| now.saturating_sub(seen) < i64::try_from(AWAY.as_millis()).unwrap_or(i64::MAX);
        let others = || self.nodes.iter().filter(|(node, ..)| *node != self.cluster.config.node);
        let names = |here: bool| {
            others().filter(|(_, seen, _)| is_here(*seen) == here).map(|(node, ..)| node.clone()).collect()
        };
        let told = Told::Published { expected: names(true), away: names(false) };
        if publish.tell.send(told).is_ok() && self.awaited.len() < AWAITED {
            self.awaited.insert(at, publish.tell);
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
            let (node, run) = (&self.cluster.config.node, self.cluster.run);
            if entry.node != *node || entry.run != run {
                let count = self.carry_out(&entry).await;
                let counter = if replayed { &self.cluster.metrics.replayed } else { &self.cluster.metrics.applied };
                counter.inc();
                acks.push(Ack { purge: at, node: node.clone(), count });
            }
            last = Some(at);
        }
        // Before the file, which may be slow: somebody waits for this.
        let acknowledged = if acks.is_empty() { Ok(()) } else { wire.acknowledge(&acks).await };
        if let Some(last) = last {
            self.moved(last);
        }
        acknowledged
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

    fn moved(&mut self, at: Position) {
        self.at = Some(at);
        if let Err(error) = at.store(&self.cluster.state) {
            tracing::warn!(%error, "how far this node has come cannot be written down: a restart applies more than it has to");
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
