//! What requests are served with: a part that a reload replaces, and a part that outlives it.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use forebay_cache::body::SpoolSpace;
use forebay_cache::clock::SystemClock;
use forebay_cache::fill::Fills;
use forebay_cache::groups::CacheGroups;
use forebay_cache::key::CacheKey;
use forebay_cache::queries::Queries;
use forebay_cache::store::TieredStore;
use forebay_config::{Config, Places};
use pingora_core::connectors::http::Connector;
use tokio::sync::Semaphore;

use crate::account::Account;
use crate::account::metrics::Metrics;
use crate::cluster::Cluster;
use crate::compress::files::FileCodings;
use crate::compress::large::LargeCodings;
use crate::compress::once::Encodings;
use crate::fetch::{Canary, FetchError};
use crate::front::files::OpenFiles;
use crate::guard;
use crate::listen::tickets::Tickets;
use crate::listen::tls::Certificates;
use crate::shared::SharedTier;
use crate::siblings::Siblings;
use crate::site::Site;
use crate::stages::route::Routes;
use crate::tcp::Tcp;
use crate::upstream::{Gates, Pool, Registry};

/// Everything one configuration says, compiled. A request holds on to the one it began with.
pub(crate) struct Runtime {
    pub(crate) config: Config,
    /// Another one for each: what one configuration led to is not for another.
    pub(crate) generation: u64,
    /// Files that were sent a moment ago.
    pub(crate) open_files: OpenFiles,
    /// Where its words stand.
    pub(crate) places: Places,
    pub(crate) certificates: Certificates,
    pub(crate) routes: Routes,
    /// Where connections go that are passed on byte by byte.
    pub(crate) tcp: Tcp,
    /// In the order of the config.
    pub(crate) sites: Vec<Arc<Site>>,
    /// In the order of the config.
    pub(crate) pools: Vec<Arc<Pool>>,
    pub(crate) lasting: Arc<Lasting>,
}

/// What a reload does not touch: the cache, connections to AP servers, counters, the log.
pub(crate) struct Lasting {
    pub(crate) clock: SystemClock,
    pub(crate) store: TieredStore,
    pub(crate) fills: Arc<Fills<FetchError>>,
    pub(crate) not_shared: moka::sync::Cache<CacheKey, &'static str, ahash::RandomState>,
    pub(crate) groups: CacheGroups,
    pub(crate) queries: Queries,
    pub(crate) gates: Gates,
    pub(crate) canary: Canary,
    pub(crate) encodings: Encodings,
    pub(crate) large_codings: LargeCodings,
    pub(crate) file_codings: FileCodings,
    pub(crate) spool: Arc<SpoolSpace>,
    pub(crate) connector: Connector,
    /// What clients did and do, as far as it is limited.
    pub(crate) clients: guard::State,
    pub(crate) upstreams: Registry,
    pub(crate) account: Account,
    /// Keys of TLS sessions that are resumed.
    pub(crate) tickets: Arc<Tickets>,
    /// Other nodes that purges reach.
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// What other nodes have stored.
    pub(crate) shared: Option<Arc<SharedTier>>,
    /// Other caches that are asked before the AP servers.
    pub(crate) siblings: Option<Arc<Siblings>>,
    pub(crate) metrics: Arc<Metrics>,
    /// Names this instance in `Via`, so that a request that comes back is known.
    pub(crate) pseudonym: String,
}

/// The process.
pub(crate) struct Shared {
    runtime: ArcSwap<Runtime>,
    pub(crate) lasting: Arc<Lasting>,
    /// One permit for each client connection that may be open.
    pub(crate) connections: Arc<Semaphore>,
    /// How many those are.
    pub(crate) connections_limit: usize,
}

impl Shared {
    pub(crate) fn new(runtime: Runtime) -> Arc<Self> {
        let lasting = Arc::clone(&runtime.lasting);
        let connections_limit = runtime.config.limits.connections.min(Semaphore::MAX_PERMITS);
        let connections = Arc::new(Semaphore::new(connections_limit));
        Arc::new(Self { runtime: ArcSwap::from_pointee(runtime), lasting, connections, connections_limit })
    }

    /// The runtime that requests beginning now are served with.
    pub(crate) fn runtime(&self) -> Arc<Runtime> {
        self.runtime.load_full()
    }

    /// The same for a moment, and without a share in it, whose count all threads would write to.
    pub(crate) fn peek(&self) -> Guard<Arc<Runtime>> {
        self.runtime.load()
    }

    /// Puts `runtime` in place of the present one; requests in flight end with theirs.
    pub(crate) fn replace(&self, runtime: Runtime) {
        self.runtime.store(Arc::new(runtime));
    }
}
