//! L4: connections that are passed on byte by byte, to the servers of a pool. Which pool is told by the listener or, where
//! it says so, by the name in the TLS ClientHello, whose bytes are passed on untouched.

mod header;
pub(crate) mod hello;
mod relay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use forebay_cache::clock::Clock as _;
use forebay_config::model::{self, HostPattern, ProxyVersion};
use http::HeaderMap;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::account::metrics::{Metrics, TcpMetrics};
use crate::runtime::Lasting;
use crate::upstream::{Asking, Lease, Pool};

/// Where connections go, by the address they came to. A reload puts another in its place; connections stay where they are.
#[derive(Debug, Default)]
pub(crate) struct Tcp {
    by_address: AHashMap<SocketAddr, Names>,
}

/// The services of one address.
#[derive(Debug, Default)]
pub(crate) struct Names {
    exact: AHashMap<String, Arc<Service>>,
    /// By the name beneath the asterisk.
    wildcard: AHashMap<String, Arc<Service>>,
    /// For those who name nothing that is known here.
    any: Option<Arc<Service>>,
}

/// A `[[tcp]]`
#[derive(Debug)]
pub(crate) struct Service {
    pool: Arc<Pool>,
    send_proxy: Option<ProxyVersion>,
    idle_timeout: Duration,
    /// How many connections there may be.
    room: Option<Arc<Semaphore>>,
    metrics: TcpMetrics,
}

impl Tcp {
    /// Compiles `config`. `pools` are those of the config, in its order.
    ///
    /// # Errors
    ///
    /// When the metrics cannot be registered.
    pub(crate) fn new(config: &model::Config, pools: &[Arc<Pool>], metrics: &Metrics) -> prometheus::Result<Self> {
        let mut all = Self::default();
        for tcp in &config.tcp {
            let Some(pool) = pools.get(tcp.upstream) else { continue };
            let service = Arc::new(Service {
                pool: Arc::clone(pool),
                send_proxy: tcp.send_proxy,
                idle_timeout: tcp.idle_timeout,
                room: (tcp.connections > 0)
                    .then(|| Arc::new(Semaphore::new(tcp.connections.min(Semaphore::MAX_PERMITS)))),
                metrics: metrics.tcp(&label(tcp))?,
            });
            let names = all.by_address.entry(tcp.listen).or_default();
            if tcp.sni.is_empty() {
                names.any = Some(Arc::clone(&service));
            }
            for pattern in &tcp.sni {
                match pattern {
                    HostPattern::Exact(name) => drop(names.exact.insert(name.clone(), Arc::clone(&service))),
                    HostPattern::Wildcard(name) => drop(names.wildcard.insert(name.clone(), Arc::clone(&service))),
                    HostPattern::Any => names.any = Some(Arc::clone(&service)),
                }
            }
        }
        Ok(all)
    }

    /// What there is at this address of the config.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<&Names> {
        self.by_address.get(&address)
    }
}

/// The address, and the first name where there is one.
fn label(tcp: &model::Tcp) -> String {
    match tcp.sni.first() {
        Some(HostPattern::Exact(name)) => format!("{} {name}", tcp.listen),
        Some(HostPattern::Wildcard(name)) => format!("{} *.{name}", tcp.listen),
        Some(HostPattern::Any) | None => tcp.listen.to_string(),
    }
}

impl Names {
    /// Whether clients have to be heard before it is known where they go.
    pub(crate) fn asks_for_names(&self) -> bool {
        !(self.exact.is_empty() && self.wildcard.is_empty())
    }

    /// The service of a name, in whatever case: the exact one, then the longest wildcard.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<&Arc<Service>> {
        let named = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let mut rest = name.as_str();
            self.exact.get(rest).or_else(|| {
                while let Some((_, parent)) = rest.split_once('.') {
                    if let Some(service) = self.wildcard.get(parent) {
                        return Some(service);
                    }
                    rest = parent;
                }
                None
            })
        });
        named.or(self.any.as_ref())
    }
}

/// Passes a connection on, from what was read of it (`early`) to its end.
pub(crate) async fn serve(lasting: &Lasting, service: &Service, client: TcpStream, from: SocketAddr, early: &[u8]) {
    let metrics = &service.metrics;
    let room = service.room.as_ref().map(|room| Arc::clone(room).try_acquire_owned());
    if let Some(Err(_)) = room {
        return metrics.error("connections");
    }
    let _open = metrics.open();
    let Some((mut server, _lease)) = connect(lasting, service, from).await else {
        metrics.error("connect");
        // A reset says that nobody is there; an orderly end would look like an answer.
        let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
        return;
    };
    let _ = server.set_nodelay(true);
    let mut first = match service.send_proxy {
        Some(version) => header::of(version, from, client.local_addr().unwrap_or(from)),
        None => Vec::new(),
    };
    first.extend_from_slice(early);
    if !first.is_empty() && server.write_all(&first).await.is_err() {
        return metrics.error("upstream");
    }
    metrics.received(early.len());
    if let Err(ended) = relay::run(&client, &server, service.idle_timeout, metrics).await {
        metrics.error(ended.reason());
        ended.tell(&client, &server);
    }
}

/// A connection to a server of the pool: one that refuses is followed by the next.
async fn connect(lasting: &Lasting, service: &Service, from: SocketAddr) -> Option<(TcpStream, Lease)> {
    let fields = HeaderMap::new();
    let asker = service.pool.asker(&Asking { fields: &fields, client: from.ip(), path_query: "" });
    let mut tried = Vec::new();
    loop {
        let lease = service.pool.lease(&lasting.clock, &asker, &tried).await.ok()?;
        let server = lease.server();
        let within = server.peer.options.connection_timeout.unwrap_or(Duration::from_secs(5));
        let started = Instant::now();
        match timeout(within, TcpStream::connect(server.address)).await {
            Ok(Ok(stream)) => {
                lease.answered(started.elapsed(), lasting.clock.now());
                return Some((stream, lease));
            }
            failed => {
                let error = failed.map_or_else(
                    |_| "connect timeout".to_owned(),
                    |made| made.err().map_or_else(String::new, |error| error.to_string()),
                );
                tracing::warn!(upstream = %service.pool.name, server = %server.label, %error, "cannot connect");
                lease.refused(lasting.clock.now());
                tried.push(server.id);
            }
        }
    }
}
