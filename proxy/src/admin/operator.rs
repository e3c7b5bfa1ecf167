//! The running proxy as its operator sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use forebay_cache::clock::Clock as _;
use forebay_config::model::HostPattern;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};

use super::inspect::{self, Look};
use super::{AdminState, Change, ConnectionStatus, ServerStatus, SiteStatus, StatusReport, TierStatus, UpstreamStatus};
use crate::explain::{Question, explain};
use crate::purge::api;
use crate::purge::reply::Reply;
use crate::runtime::{Runtime, Shared};
use crate::upstream::{Order, Unchanged};

/// Gathers what the admin listener shows.
pub(crate) struct Operator {
    shared: Arc<Shared>,
    draining: watch::Receiver<bool>,
    started: Instant,
    /// One look at the disk tier at a time: each reads all of it.
    inspections: Arc<Semaphore>,
}

impl Operator {
    pub(crate) fn new(shared: Arc<Shared>, draining: watch::Receiver<bool>) -> Self {
        Self { shared, draining, started: Instant::now(), inspections: Arc::new(Semaphore::new(1)) }
    }

    /// The admin listener as a Pingora service. It goes on while the proxy drains.
    pub(crate) fn service(self: &Arc<Self>, listener: std::net::TcpListener) -> AdminService {
        AdminService { operator: Arc::clone(self), listener: Some(listener) }
    }

    /// Brings the gauges of the tiers up to date.
    fn refresh(&self) -> Vec<TierStatus> {
        let lasting = &self.shared.lasting;
        let (purges, metrics) = (lasting.store.purges(), &lasting.metrics.purges);
        metrics.records.set(i64::try_from(purges.records()).unwrap_or(i64::MAX));
        metrics.widened.inc_by(purges.widened().saturating_sub(metrics.widened.get()));
        std::iter::once(self.memory()).chain(self.disk()).collect()
    }

    fn disk(&self) -> Option<TierStatus> {
        let lasting = &self.shared.lasting;
        let (stats, disk) = (lasting.store.disk_stats()?, &lasting.metrics.disk);
        disk.objects.set(i64::try_from(stats.objects).unwrap_or(i64::MAX));
        disk.bytes.set(i64::try_from(stats.bytes).unwrap_or(i64::MAX));
        disk.count(stats.admissions, stats.rejections, stats.evictions);
        lasting.metrics.device.set(&stats);
        Some(TierStatus {
            name: stats.degraded.map_or_else(|| "disk".to_owned(), |reason| format!("disk (degraded: {reason})")),
            objects: stats.objects,
            bytes: stats.bytes,
            capacity: stats.size,
            hits: disk.hits.get(),
            misses: disk.misses.get(),
        })
    }

    fn memory(&self) -> TierStatus {
        let lasting = &self.shared.lasting;
        let (stats, memory) = (lasting.store.stats(), &lasting.metrics.memory);
        memory.objects.set(i64::try_from(stats.objects).unwrap_or(i64::MAX));
        memory.bytes.set(i64::try_from(stats.bytes).unwrap_or(i64::MAX));
        memory.count(stats.admissions, stats.rejections, stats.evictions);
        TierStatus {
            name: "memory".to_owned(),
            objects: stats.objects,
            bytes: stats.bytes,
            capacity: self.shared.runtime().config.memory.size,
            hits: memory.hits.get(),
            misses: memory.misses.get(),
        }
    }

    fn open_connections(&self) -> u64 {
        self.shared.connections_limit.saturating_sub(self.shared.connections.available_permits()) as u64
    }
}

#[async_trait]
impl AdminState for Operator {
    async fn purge(&self, call: &api::Call<'_>) -> Reply {
        api::answer(&self.shared.runtime(), call).await
    }

    fn ready(&self) -> Vec<String> {
        if *self.draining.borrow() { vec!["draining".to_owned()] } else { Vec::new() }
    }

    fn degraded(&self) -> Vec<String> {
        let disk = self.shared.lasting.store.disk().and_then(|disk| disk.degraded());
        disk.map(|reason| format!("disk tier degraded: {reason}")).into_iter().collect()
    }

    fn inspect(&self, look: Look) -> Result<mpsc::Receiver<String>, String> {
        let lasting = &self.shared.lasting;
        lasting.store.disk().ok_or("there is no disk tier")?;
        let permit = Arc::clone(&self.inspections).try_acquire_owned().map_err(|_| "somebody looks at it already")?;
        inspect::answer(Arc::clone(&self.shared), look, lasting.clock.now(), permit).map_err(|e| e.to_string())
    }

    fn metrics(&self) -> String {
        self.refresh();
        for pool in &self.shared.runtime().pools {
            let (metrics, now) = (&self.shared.lasting.metrics, self.shared.lasting.clock.now());
            metrics.queued(&pool.name, pool.queued());
            // Servers of one name are one to the metrics: a name may stand for others every minute.
            let mut labels: BTreeMap<Arc<str>, (bool, u32)> = BTreeMap::new();
            for server in pool.servers().iter() {
                let (up, active) = labels.entry(Arc::clone(&server.label)).or_default();
                *up |= matches!(server.condition(now), "up" | "ejected");
                *active += server.active();
            }
            for server in pool.leaving() {
                labels.entry(Arc::clone(&server.label)).or_default().1 += server.active();
            }
            for (label, (up, active)) in labels {
                metrics.server(&pool.name, &label, up, active);
            }
        }
        self.shared.lasting.metrics.render()
    }

    fn top(&self) -> Value {
        let uptime = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let report = self.shared.lasting.account.top().report(&self.shared.runtime(), uptime);
        serde_json::to_value(report).unwrap_or_default()
    }

    async fn explain(&self, question: Question) -> Result<Value, String> {
        let finding = explain(&self.shared.runtime(), &question).await?;
        serde_json::to_value(finding).map_err(|error| error.to_string())
    }

    fn upstreams(&self) -> Vec<UpstreamStatus> {
        self.pools(&self.shared.runtime())
    }

    fn order(&self, pool: Option<&str>, server: &str, order: Order) -> usize {
        let runtime = self.shared.runtime();
        let now = self.shared.lasting.clock.now();
        let meant = runtime.pools.iter().filter(|known| pool.is_none_or(|pool| *known.name == *pool));
        meant.map(|pool| pool.order(server, order, now)).sum()
    }

    fn change(&self, pool: &str, change: Change) -> Result<usize, Unchanged> {
        let runtime = self.shared.runtime();
        let pool = runtime.pools.iter().find(|known| *known.name == *pool).ok_or(Unchanged::Unknown)?;
        match change {
            Change::Add(words) => pool.add(*words),
            Change::Remove(server) => pool.remove(&server),
        }
    }

    fn status(&self) -> StatusReport {
        let runtime = self.shared.runtime();
        let metrics = &self.shared.lasting.metrics;
        let sites = sites(&runtime);
        let unrouted = metrics.unrouted();
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.started.elapsed(),
            requests: sites.iter().map(|site| site.requests).sum::<u64>() + unrouted.requests(),
            served: sites.iter().map(|site| site.served).sum(),
            fills_in_flight: u64::try_from(metrics.fills_in_flight.get()).unwrap_or(0),
            connections: ConnectionStatus {
                open: self.open_connections(),
                limit: self.shared.connections_limit as u64,
                refused: metrics.connections_refused.get(),
            },
            tiers: self.refresh(),
            sites,
            upstreams: self.pools(&runtime),
        }
    }
}

fn sites(runtime: &Runtime) -> Vec<SiteStatus> {
    let named = runtime.config.sites.iter().zip(&runtime.sites);
    named
        .map(|(words, site)| SiteStatus {
            label: site.metrics.label().to_owned(),
            hosts: words.hosts.iter().map(host).collect(),
            upstream: words.upstream.and_then(|index| runtime.pools.get(index)).map(|pool| pool.name.to_string()),
            requests: site.metrics.requests(),
            served: site.metrics.served(),
        })
        .collect()
}

fn host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(name) => format!("*.{name}"),
        HostPattern::Any => "*".to_owned(),
    }
}

impl Operator {
    fn pools(&self, runtime: &Runtime) -> Vec<UpstreamStatus> {
        let now = self.shared.lasting.clock.now();
        let server = |server: &Arc<crate::upstream::Server>| ServerStatus {
            name: server.label.to_string(),
            address: server.address.to_string(),
            weight: server.weight,
            backup: server.backup,
            state: server.condition(now),
            origin: server.origin.word(),
            complaint: server.probe.as_ref().and_then(|probe| probe.complaint()),
            active: server.active(),
            max_connections: server.max_connections,
            requests: server.metrics.requests(),
            errors: server.metrics.errors(),
        };
        let leaving = |gone: &Arc<crate::upstream::Server>| ServerStatus { state: "leaving", ..server(gone) };
        let pools = runtime.pools.iter();
        pools
            .map(|pool| UpstreamStatus {
                name: pool.name.to_string(),
                balance: forebay_config::balance_word(pool.balance()),
                queued: pool.queued(),
                servers: pool.servers().iter().map(server).chain(pool.leaving().iter().map(leaving)).collect(),
                names: pool.names(),
            })
            .collect()
    }
}

/// See [`Operator::service`].
pub(crate) struct AdminService {
    operator: Arc<Operator>,
    listener: Option<std::net::TcpListener>,
}

#[async_trait]
impl Service for AdminService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let Some(listener) = self.listener.take() else { return };
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => super::serve(listener, Arc::clone(&self.operator) as Arc<_>, shutdown).await,
            Err(error) => tracing::error!(%error, "the admin listener cannot serve"),
        }
    }

    fn name(&self) -> &'static str {
        "admin"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
