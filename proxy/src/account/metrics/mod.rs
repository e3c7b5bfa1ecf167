//! The metrics, in a registry of their own.
//!
//! Every label value comes from the configuration or from a fixed list, so nothing a client sends makes a series (row 78 of
//! the attack catalogue). What counts at the rate of requests is held as a handle: a hit costs a few atomic additions, no
//! lookup and no allocation.

mod cluster;
mod device;
mod gate;
mod icp;
mod process;
mod purges;
mod shared;
mod site;
mod tcp;
mod upstream;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use forebay_cache::semantics::coding::Coding;
use parking_lot::Mutex;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
    TextEncoder,
};

pub(crate) use self::cluster::ClusterMetrics;
pub(crate) use self::device::DeviceMetrics;
use self::gate::GateFamilies;
pub(crate) use self::gate::{GateGauges, GateMetrics};
pub(crate) use self::icp::{IcpMetrics, IcpPeerMetrics, Ignored};
use self::process::Process;
use self::purges::PurgeMetrics;
pub(crate) use self::shared::SharedMetrics;
use self::site::RequestMetrics;
pub(crate) use self::site::SiteMetrics;
use self::tcp::TcpFamilies;
pub(crate) use self::tcp::TcpMetrics;
pub(crate) use self::upstream::{HealthMetrics, NameMetrics, UpstreamMetrics};

/// `Content-Type` of [`Metrics::render`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the leak canary may find.
const LEAK_CANARY: [&str; 6] =
    ["clean", "unstable", "inconclusive", "shaped-by-client", "logged-in-page", "email-address"];

/// Everything Forebay tells Prometheus.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    process: Mutex<Process>,

    requests: RequestMetrics,
    sites: Mutex<HashMap<String, Arc<SiteMetrics>>>,
    unrouted: Arc<SiteMetrics>,

    /// The memory tier.
    pub(crate) memory: TierMetrics,
    /// The disk tier.
    pub(crate) disk: TierMetrics,
    /// What only the disk tier has.
    pub(crate) device: DeviceMetrics,
    /// The cluster.
    pub(crate) cluster: Arc<ClusterMetrics>,
    /// The shared tier.
    pub(crate) shared: Arc<SharedMetrics>,
    /// Siblings and parents.
    pub(crate) icp: Arc<IcpMetrics>,
    /// Purges.
    pub(crate) purges: PurgeMetrics,
    /// Fills that run now.
    pub(crate) fills_in_flight: IntGauge,
    /// Requests that joined a fill another request had started.
    pub(crate) coalesced: IntCounter,
    /// Responses not stored because their path has as many queries stored as it may have.
    pub(crate) queries_refused: IntCounter,

    gates: GateFamilies,
    leak_canary: IntCounterVec,
    upstream_requests: IntCounterVec,
    upstream_connect_errors: IntCounterVec,
    upstream_ejections: IntCounterVec,
    upstream_up: IntGaugeVec,
    upstream_active: IntGaugeVec,
    health_checks: IntCounterVec,
    upstream_queued: IntGaugeVec,
    name_lookups: IntCounterVec,
    name_addresses: IntGaugeVec,
    upstream_response: HistogramVec,
    upstreams: Mutex<HashMap<(String, String), Arc<UpstreamMetrics>>>,

    /// By TLS version (1.2, 1.3), then full or resumed.
    tls_handshakes: [[IntCounter; 2]; 2],
    /// Handshakes that failed or took too long.
    pub(crate) tls_handshake_errors: IntCounter,
    connections: IntGaugeVec,
    connections_accepted: IntCounterVec,
    /// Connections closed at once: the cap was reached, or the PROXY protocol was not obeyed.
    pub(crate) connections_refused: IntCounter,

    tcp: TcpFamilies,
    /// Connections that are for no `[[tcp]]`.
    pub(crate) tcp_unknown: TcpMetrics,
    limited: IntCounterVec,
    /// Clients forgotten by the limits although what they did still mattered.
    pub(crate) limit_evictions: IntCounter,
    /// Connections closed at once: their client had as many as it may have.
    pub(crate) connections_limited: IntCounter,

    compressed: [IntCounter; 3],
    /// Access log lines that were lost.
    pub(crate) log_dropped: IntCounter,
    reload_successful: IntGauge,
    reload_timestamp: Gauge,
}

/// Counters of one tier of the cache.
#[derive(Debug)]
pub(crate) struct TierMetrics {
    /// Stored responses. Set before [`Metrics::render`].
    pub(crate) objects: IntGauge,
    /// Their bytes: fields, content, overhead. Set before [`Metrics::render`].
    pub(crate) bytes: IntGauge,
    /// Lookups that found a stored response, fresh or stale.
    pub(crate) hits: IntCounter,
    /// Lookups that found none.
    pub(crate) misses: IntCounter,
    /// Stored responses taken in. Set before [`Metrics::render`].
    pub(crate) admissions: IntCounter,
    /// Stored responses not taken in. Set before [`Metrics::render`].
    pub(crate) rejections: IntCounter,
    /// Stored responses removed for room. Set before [`Metrics::render`].
    pub(crate) evictions: IntCounter,
}

impl TierMetrics {
    /// Brings what the tier counts itself up to date: admissions, rejections, evictions.
    pub(crate) fn count(&self, admissions: u64, rejections: u64, evictions: u64) {
        let counted = [(&self.admissions, admissions), (&self.rejections, rejections), (&self.evictions, evictions)];
        for (metric, now) in counted {
            metric.inc_by(now.saturating_sub(metric.get()));
        }
    }
}

/// Counters of one listener.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    /// Connections that are open.
    pub(crate) open: IntGauge,
    /// Connections accepted so far.
    pub(crate) accepted: IntCounter,
}

impl Metrics {
    /// Registers every metric. Those without site, upstream or listener start at 0, so that a rate can be taken of the first event.
    ///
    /// # Errors
    /// None but a name used twice or malformed: a mistake of this file, found by any test that runs.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let make = Make { registry: Registry::new() };
        let requests = RequestMetrics::new(&make)?;
        let tiers = Tiers::new(&make)?;
        let tls = make.counters("forebay_tls_handshakes_total", "Finished TLS handshakes.", &["version", "resumed"])?;
        let tls = |version, resumed| tls.get_metric_with_label_values(&[version, resumed]);
        let compressed = make.counters("forebay_compressed_total", "Responses compressed.", &["coding"])?;
        let compressed = |coding| compressed.get_metric_with_label_values(&[coding]);
        let build = make.gauges("forebay_build_info", "Always 1; the labels tell what runs.", &["version"])?;
        build.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?.set(1);

        let tcp = TcpFamilies::new(&make)?;
        let unrouted = SiteMetrics::new("other", requests.clone())?;
        let metrics = Self {
            process: Mutex::new(Process::new(&make)?),
            requests,
            sites: Mutex::new(HashMap::new()),
            unrouted: Arc::new(unrouted),
            memory: tiers.tier("memory")?,
            disk: tiers.tier("disk")?,
            device: DeviceMetrics::new(&make)?,
            cluster: Arc::new(ClusterMetrics::new(&make)?),
            shared: Arc::new(SharedMetrics::new(&make)?),
            icp: Arc::new(IcpMetrics::new(&make)?),
            purges: PurgeMetrics::new(&make)?,
            fills_in_flight: make.gauge("forebay_fills_in_flight", "Fills that run now.")?,
            coalesced: make.counter(
                "forebay_coalesced_requests_total",
                "Requests that joined a fill another request had started.",
            )?,
            queries_refused: make.counter(
                "forebay_cache_queries_refused_total",
                "Responses not stored because their path has as many queries stored as it may have.",
            )?,
            gates: GateFamilies::new(&make)?,
            leak_canary: make.counters(
                "forebay_leak_canary_total",
                "Stored pages compared with clean ones, by what was found.",
                &["found"],
            )?,
            upstream_requests: make.counters(
                "forebay_upstream_requests_total",
                "Requests sent to AP servers, by class of the status; code=\"error\" where none came.",
                &["upstream", "server", "code"],
            )?,
            upstream_connect_errors: make.counters(
                "forebay_upstream_connect_errors_total",
                "Connections to AP servers that could not be made.",
                &["upstream", "server"],
            )?,
            upstream_ejections: make.counters(
                "forebay_upstream_ejections_total",
                "Times a server failed and others were asked first for a while.",
                &["upstream", "server"],
            )?,
            upstream_up: make.gauges(
                "forebay_upstream_up",
                "1 if requests are sent to the server, 0 if it is down, drained or disabled.",
                &["upstream", "server"],
            )?,
            upstream_active: make.gauges("forebay_upstream_active", "Requests in flight.", &["upstream", "server"])?,
            health_checks: make.counters(
                "forebay_health_checks_total",
                "Health checks of servers, by their result.",
                &["server", "result"],
            )?,
            name_lookups: make.counters(
                "forebay_name_lookups_total",
                "Look-ups of names of servers.",
                &["name", "result"],
            )?,
            name_addresses: make.gauges("forebay_name_addresses", "Servers a name stands for.", &["name"])?,
            upstream_queued: make.gauges(
                "forebay_upstream_queued",
                "Requests that wait for a server with room.",
                &["upstream"],
            )?,
            upstream_response: make.histogram(
                "forebay_upstream_response_seconds",
                "From a request sent to the first byte of its response.",
                &["upstream", "server"],
                &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0],
            )?,
            upstreams: Mutex::new(HashMap::new()),
            tls_handshakes: [[tls("1.2", "false")?, tls("1.2", "true")?], [tls("1.3", "false")?, tls("1.3", "true")?]],
            tls_handshake_errors: make
                .counter("forebay_tls_handshake_errors_total", "TLS handshakes that failed or took too long.")?,
            connections: make.gauges("forebay_connections", "Open client connections.", &["listener"])?,
            connections_accepted: make.counters(
                "forebay_connections_accepted_total",
                "Client connections accepted.",
                &["listener"],
            )?,
            connections_refused: make.counter(
                "forebay_connections_refused_total",
                "Client connections closed at once because they did not obey the PROXY protocol.",
            )?,
            tcp_unknown: tcp.one("other")?,
            tcp,
            limited: make.counters(
                "forebay_limited_requests_total",
                "Requests that were refused, held back or marked, by reason.",
                &["site", "reason"],
            )?,
            limit_evictions: make.counter(
                "forebay_limit_evictions_total",
                "Clients forgotten by the limits for room, although what they did still mattered.",
            )?,
            connections_limited: make.counter(
                "forebay_connections_limited_total",
                "Client connections closed at once because their client had as many as it may have.",
            )?,
            compressed: [compressed("zstd")?, compressed("br")?, compressed("gzip")?],
            log_dropped: make.counter("forebay_log_dropped_total", "Access log lines that were lost.")?,
            reload_successful: make.gauge(
                "forebay_config_last_reload_successful",
                "1 if the configuration in use is the last one that was read, 0 if that one was refused.",
            )?,
            reload_timestamp: make.float_gauge(
                "forebay_config_last_reload_success_timestamp_seconds",
                "When the configuration in use was read.",
            )?,
            registry: make.registry,
        };
        for found in LEAK_CANARY {
            metrics.leak_canary.get_metric_with_label_values(&[found])?;
        }
        metrics.config_read(true);
        // There from the start, so that a rate can be taken of the first of them.
        metrics.limited.get_metric_with_label_values(&["other", "rate-limit"])?;
        Ok(Arc::new(metrics))
    }

    /// The counters of the site `label`: a configured name, never a client's. The same label is the same counters, so
    /// they go on through a reload.
    ///
    /// # Errors
    /// None in practice: the labels fit the metric.
    pub(crate) fn site(&self, label: &str) -> Result<Arc<SiteMetrics>> {
        let mut sites = self.sites.lock();
        if let Some(site) = sites.get(label) {
            return Ok(Arc::clone(site));
        }
        let site = Arc::new(SiteMetrics::new(label, self.requests.clone())?);
        sites.insert(label.to_owned(), Arc::clone(&site));
        Ok(site)
    }

    /// The counters of requests no site answers for (`site="other"`): unknown hosts, malformed heads.
    pub(crate) fn unrouted(&self) -> &Arc<SiteMetrics> {
        &self.unrouted
    }

    /// The counters of one AP server, by the names the configuration gives pool and server.
    ///
    /// # Errors
    /// None in practice: the labels fit the metric.
    pub(crate) fn upstream(&self, pool: &str, server: &str) -> Result<Arc<UpstreamMetrics>> {
        let key = (pool.to_owned(), server.to_owned());
        let mut upstreams = self.upstreams.lock();
        if let Some(upstream) = upstreams.get(&key) {
            return Ok(Arc::clone(upstream));
        }
        let upstream = UpstreamMetrics::new(
            &[pool, server],
            &self.upstream_requests,
            &self.upstream_connect_errors,
            &self.upstream_ejections,
            &self.upstream_response,
        )?;
        let upstream = Arc::new(upstream);
        upstreams.insert(key, Arc::clone(&upstream));
        Ok(upstream)
    }

    /// The counters of the health checks of the server at this address.
    ///
    /// # Errors
    /// None in practice: the labels fit the metric.
    pub(crate) fn health(&self, server: &str) -> Result<HealthMetrics> {
        HealthMetrics::new(server, &self.health_checks)
    }

    /// The counters of a name of servers.
    ///
    /// # Errors
    /// None in practice: the labels fit the metric.
    pub(crate) fn name(&self, name: &str) -> Result<NameMetrics> {
        NameMetrics::new(name, &self.name_lookups, &self.name_addresses)
    }

    /// Whether a server gets requests, and how many it has, before [`Metrics::render`].
    pub(crate) fn server(&self, pool: &str, server: &str, up: bool, active: u32) {
        self.upstream_up.with_label_values(&[pool, server]).set(i64::from(up));
        self.upstream_active.with_label_values(&[pool, server]).set(i64::from(active));
    }

    /// How many requests wait in the pool's queue, before [`Metrics::render`].
    pub(crate) fn queued(&self, pool: &str, waiting: usize) {
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.upstream_queued.with_label_values(&[pool]).set(waiting);
    }

    /// Counts a comparison of the leak canary, by what it found.
    pub(crate) fn canary(&self, found: &'static str) {
        if let Ok(counter) = self.leak_canary.get_metric_with_label_values(&[found]) {
            counter.inc();
        }
    }

    /// What the gate of a pool tells, by the pool's name.
    ///
    /// # Errors
    /// None in practice: the labels fit the metrics.
    pub(crate) fn gate(&self, pool: &str) -> Result<GateMetrics> {
        self.gates.gate(pool)
    }

    /// The counters of one listener, by its configured address.
    ///
    /// # Errors
    /// None in practice: the labels fit the metric.
    pub(crate) fn listener(&self, address: &str) -> Result<ListenerMetrics> {
        Ok(ListenerMetrics {
            open: self.connections.get_metric_with_label_values(&[address])?,
            accepted: self.connections_accepted.get_metric_with_label_values(&[address])?,
        })
    }

    /// Counts a finished handshake. `version` is what was agreed on; anything but TLS 1.2 counts as 1.3, for no other is
    /// offered.
    pub(crate) fn tls_handshake(&self, version: rustls::ProtocolVersion, resumed: bool) {
        let [old, new] = &self.tls_handshakes;
        let [full, abbreviated] = if version == rustls::ProtocolVersion::TLSv1_2 { old } else { new };
        if resumed { abbreviated } else { full }.inc();
    }

    /// The counters of one `[[tcp]]`, by its configured address and name.
    ///
    /// # Errors
    /// None in practice: the labels fit the metric.
    pub(crate) fn tcp(&self, label: &str) -> Result<TcpMetrics> {
        self.tcp.one(label)
    }

    /// Counts a request that was refused, held back or marked; `reason` is one of a fixed list.
    pub(crate) fn limited(&self, site: &str, reason: &'static str) {
        if let Ok(counter) = self.limited.get_metric_with_label_values(&[site, reason]) {
            counter.inc();
        }
    }

    /// Counts a response that was compressed (not one whose stored, compressed variant was served again).
    pub(crate) fn compressed(&self, coding: Coding) {
        let [zstd, brotli, gzip] = &self.compressed;
        match coding {
            Coding::Zstd => zstd,
            Coding::Brotli => brotli,
            Coding::Gzip => gzip,
        }
        .inc();
    }

    /// Notes the outcome of a reload. A start counts as a good one.
    pub(crate) fn config_read(&self, accepted: bool) {
        self.reload_successful.set(i64::from(accepted));
        if accepted {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.reload_timestamp.set(now.as_secs_f64());
        }
    }

    /// Every metric in the Prometheus text format 0.0.4. Gauges of the tiers are to be set before.
    pub(crate) fn render(&self) -> String {
        self.process.lock().refresh();
        let families = self.registry.gather();
        TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
            // Only a family without metrics is refused, and `gather` leaves those out.
            tracing::error!(%error, "metrics could not be written out");
            String::new()
        })
    }
}

/// Makes and registers at once.
struct Make {
    registry: Registry,
}

impl Make {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }

    fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge> {
        self.add(Gauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}

/// What the tiers have in common.
struct Tiers {
    objects: IntGaugeVec,
    bytes: IntGaugeVec,
    hits: IntCounterVec,
    misses: IntCounterVec,
    admissions: IntCounterVec,
    rejections: IntCounterVec,
    evictions: IntCounterVec,
}

impl Tiers {
    fn new(make: &Make) -> Result<Self> {
        let tier = &["tier"];
        Ok(Self {
            objects: make.gauges("forebay_cache_objects", "Stored responses.", tier)?,
            bytes: make.gauges("forebay_cache_bytes", "Bytes of stored responses, overhead included.", tier)?,
            hits: make.counters("forebay_cache_hits_total", "Lookups that found a stored response.", tier)?,
            misses: make.counters("forebay_cache_misses_total", "Lookups that found none.", tier)?,
            admissions: make.counters("forebay_cache_admissions_total", "Stored responses taken in.", tier)?,
            rejections: make.counters(
                "forebay_cache_rejections_total",
                "Stored responses not taken in: too large, too much waiting, no room, or the tier is degraded.",
                tier,
            )?,
            evictions: make.counters("forebay_cache_evictions_total", "Stored responses removed for room.", tier)?,
        })
    }

    fn tier(&self, tier: &str) -> Result<TierMetrics> {
        let tier = &[tier];
        Ok(TierMetrics {
            objects: self.objects.get_metric_with_label_values(tier)?,
            bytes: self.bytes.get_metric_with_label_values(tier)?,
            hits: self.hits.get_metric_with_label_values(tier)?,
            misses: self.misses.get_metric_with_label_values(tier)?,
            admissions: self.admissions.get_metric_with_label_values(tier)?,
            rejections: self.rejections.get_metric_with_label_values(tier)?,
            evictions: self.evictions.get_metric_with_label_values(tier)?,
        })
    }
}

#[cfg(test)]
mod tests;
