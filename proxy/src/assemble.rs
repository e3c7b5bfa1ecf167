//! From a configuration to a runtime. All that can fail, fails here, before the first socket serves.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::RandomState;
use forebay_cache::body::SpoolSpace;
use forebay_cache::clock::{Clock as _, SystemClock};
use forebay_cache::fill::Fills;
use forebay_cache::groups::CacheGroups;
use forebay_cache::queries::Queries;
use forebay_cache::store::disk::{DiskConfig, DiskStore};
use forebay_cache::store::{MemoryStore, TieredStore};
use forebay_config::model::{self, HostPattern, LogTarget};
use forebay_config::{Config, Places};
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;

use crate::account::Account;
use crate::account::metrics::Metrics;
use crate::cluster::Cluster;
use crate::compress::files::FileCodings;
use crate::compress::large::LargeCodings;
use crate::compress::once::Encodings;
use crate::fetch::Canary;
use crate::front::files::OpenFiles;
use crate::guard;
use crate::listen::accept::{Listener, Settings};
use crate::listen::{socket, tls};
use crate::runtime::{Lasting, Runtime, Shared};
use crate::shared::SharedTier;
use crate::siblings::Siblings;
use crate::site::Site;
use crate::stages::offload::Root;
use crate::stages::route::Routes;
use crate::tcp::Tcp;
use crate::upstream::{Around, Gates, Pool, Registry, Shield};

/// Number of the next configuration that is compiled.
static GENERATION: AtomicU64 = AtomicU64::new(1);

/// Bytes that may wait in temporary files for slow clients, all together.
const SPOOL_BUDGET: u64 = 8 * 1024 * 1024 * 1024;

/// Keys remembered as not shared, and how long: their requests do not wait for each other (Varnish: hit-for-miss, 120 s).
const NOT_SHARED_KEYS: u64 = 100_000;
const NOT_SHARED_FOR: Duration = Duration::from_secs(120);

/// Connections to AP servers that may idle, where an upstream keeps them.
const IDLE_UPSTREAM_CONNECTIONS: usize = 512;

/// A start that failed: what was wrong with what.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssembleError {
    /// A socket could not be bound.
    #[error("cannot listen on {address}: {error}{}", hint(.error))]
    Listen { address: std::net::SocketAddr, error: io::Error },
    /// A directory or file is not as it must be.
    #[error("{path}: {error}")]
    Path { path: String, error: io::Error },
    /// Something else, in words.
    #[error("{0}")]
    Other(String),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "\nhint: another process listens there; `ss -ltnp` shows which",
        io::ErrorKind::PermissionDenied => {
            "\nhint: ports below 1024 need CAP_NET_BIND_SERVICE; start as root with `server.user`, or by the systemd unit"
        }
        io::ErrorKind::AddrNotAvailable => "\nhint: no interface of this machine has that address",
        _ => "",
    }
}

/// What outlives reloads.
///
/// # Errors
///
/// The state directory or the log file cannot be had.
pub(crate) fn lasting(config: &Config) -> Result<Arc<Lasting>, AssembleError> {
    lasting_with(config, Registry::default())
}

fn lasting_with(config: &Config, upstreams: Registry) -> Result<Arc<Lasting>, AssembleError> {
    let spool = config.server.state_dir.join("spool");
    std::fs::create_dir_all(&spool).map_err(|error| at(&spool, error))?;
    // Found now rather than by the first slow client.
    tempfile::tempfile_in(&spool).map_err(|error| at(&spool, error))?;
    let metrics = Metrics::new().map_err(|error| AssembleError::Other(error.to_string()))?;
    let account = Account::start(&config.log, &metrics).map_err(|error| match &config.log.target {
        LogTarget::File(path) => at(path, error),
        _ => AssembleError::Other(format!("access log: {error}")),
    })?;
    let not_shared = moka::sync::Cache::builder()
        .max_capacity(NOT_SHARED_KEYS)
        .time_to_live(NOT_SHARED_FOR)
        .build_with_hasher(RandomState::new());
    let siblings = siblings(config, &upstreams, &metrics)?;
    let shared = match (&config.shared, &config.cluster) {
        (Some(shared), Some(cluster)) => {
            Some(Arc::new(SharedTier::new(shared, cluster, &metrics).map_err(AssembleError::Other)?))
        }
        _ => None,
    };
    let cluster = config.cluster.as_ref();
    let cluster = cluster.map(|words| Arc::new(Cluster::new(config, words, &metrics, SystemClock.now())));
    let identity = RandomState::new().hash_one(std::process::id());
    let store = TieredStore::new(MemoryStore::new(config.memory.size, config.memory.max_object), disk(config)?);
    let fills = Arc::new(Fills::new(Arc::clone(store.purges())));
    Ok(Arc::new(Lasting {
        clock: SystemClock,
        store,
        fills,
        not_shared,
        groups: CacheGroups::new(SystemClock.now()),
        queries: Queries::default(),
        gates: Gates::default(),
        canary: Canary::default(),
        encodings: Encodings::default(),
        large_codings: LargeCodings::default(),
        file_codings: FileCodings::default(),
        spool: Arc::new(SpoolSpace::new(&spool, SPOOL_BUDGET)),
        connector: Connector::new(Some(ConnectorOptions::new(IDLE_UPSTREAM_CONNECTIONS))),
        clients: guard::State::new(config.limits.connections, metrics.limit_evictions.clone()),
        upstreams,
        account,
        tickets: Arc::default(),
        cluster,
        shared,
        siblings,
        metrics,
        pseudonym: format!("forebay-{identity:016x}"),
    }))
}

/// Opens the disk tier, where there is to be one: what an earlier process stored is found again.
///
/// # Errors
///
/// The directory cannot be used, or another instance has it.
fn disk(config: &Config) -> Result<Option<DiskStore>, AssembleError> {
    let Some(tier) = &config.disk else { return Ok(None) };
    let opened = DiskStore::open(disk_config(tier, config.memory.max_object));
    opened.map(Some).map_err(|error| at(&tier.path, error))
}

/// Binds the ICP socket, where there is to be one.
///
/// # Errors
///
/// As the kernel says.
fn siblings(
    config: &Config,
    upstreams: &Registry,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<Siblings>>, AssembleError> {
    let Some(icp) = &config.icp else { return Ok(None) };
    let around =
        Around { registry: upstreams, metrics, resolver: &config.resolver, state_dir: &config.server.state_dir };
    let bound = Siblings::bind(icp, metrics, |peer| Pool::of_peer(peer, icp, &around));
    let failed = |error| AssembleError::Listen { address: icp.address, error };
    bound.map(|siblings| Some(Arc::new(siblings))).map_err(failed)
}

/// What the disk tier is told. `FOREBAY_TAKEOVER=1` is set by whoever starts this process while its predecessor still
/// serves: then the directory is waited for.
pub(crate) fn disk_config(tier: &forebay_config::model::DiskTier, whole: u64) -> DiskConfig {
    let takeover = std::env::var_os("FOREBAY_TAKEOVER").is_some_and(|value| value == "1");
    DiskConfig { path: tier.path.clone(), size: tier.size, max_object: tier.max_object, whole, takeover }
}

/// Compiles `config`.
///
/// # Errors
///
/// A certificate, root or pattern that is not as `check` found it.
pub(crate) fn runtime(config: Config, places: Places, lasting: Arc<Lasting>) -> Result<Runtime, AssembleError> {
    let other = |error: prometheus::Error| AssembleError::Other(error.to_string());
    let certificates = tls::Certificates::load(&config).map_err(AssembleError::Other)?;
    let mut pools = Vec::with_capacity(config.upstreams.len());
    let state_dir = &config.server.state_dir;
    let Lasting { upstreams: registry, metrics, .. } = &*lasting;
    let around = Around { registry, metrics, resolver: &config.resolver, state_dir };
    for upstream in &config.upstreams {
        let named = |error| AssembleError::Other(format!("upstream {}: {error}", upstream.name));
        let shield = Shield::new(upstream, &lasting.gates, &lasting.metrics).map_err(other)?;
        pools.push(Arc::new(Pool::new(upstream, &around).map_err(named)?.behind(shield)));
    }
    let mut sites = Vec::with_capacity(config.sites.len());
    for site in &config.sites {
        let mut roots: Vec<(&Path, Arc<Root>)> = Vec::new();
        for path in site.root.iter().chain(site.routes.iter().filter_map(|route| route.root.as_ref())) {
            if roots.iter().all(|(known, _)| *known != path) {
                let root = Root::open(path, &site.index, site.sendfile).map_err(|error| at(path, error))?;
                roots.push((path, Arc::new(root)));
            }
        }
        let metrics = lasting.metrics.site(&label(&site.hosts)).map_err(other)?;
        sites.push(Arc::new(Site::new(site, &roots, &pools, metrics, &lasting.clients).map_err(AssembleError::Other)?));
    }
    let tcp = Tcp::new(&config, &pools, &lasting.metrics).map_err(other)?;
    let hosts = config.sites.iter().map(|site| site.hosts.clone());
    let routes = Routes::new(hosts.zip(sites.iter().cloned()));
    let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
    let open_files = OpenFiles::default();
    Ok(Runtime { config, generation, open_files, places, certificates, routes, tcp, sites, pools, lasting })
}

/// A runtime that serves nobody, to be asked what it would do. The directory is its own, and goes with it.
///
/// # Errors
///
/// As [`lasting`] and [`runtime`].
pub(crate) fn offline(mut config: Config, places: Places) -> Result<(Arc<Runtime>, tempfile::TempDir), AssembleError> {
    let directory = tempfile::tempdir().map_err(|error| AssembleError::Other(error.to_string()))?;
    config.server.state_dir = directory.path().to_owned();
    config.log.target = LogTarget::Off;
    config.disk = None;
    let lasting = lasting_with(&config, Registry::offline())?;
    Ok((Arc::new(runtime(config, places, lasting)?), directory))
}

/// A site is called by its first host.
fn label(hosts: &[HostPattern]) -> String {
    match hosts.first() {
        Some(HostPattern::Exact(name)) => name.clone(),
        Some(HostPattern::Wildcard(name)) => format!("*.{name}"),
        Some(HostPattern::Any) | None => "*".to_owned(),
    }
}

/// Binds every listener, or none.
///
/// # Errors
///
/// The first address that cannot be bound.
pub(crate) fn listeners(shared: &Arc<Shared>) -> Result<Vec<Listener>, AssembleError> {
    let runtime = shared.runtime();
    let mut listeners = Vec::new();
    for listen in &runtime.config.listen {
        let failed = |error| AssembleError::Listen { address: listen.address, error };
        let socket = socket::listen(listen.address).map_err(failed)?;
        let tls = if listen.tls { Some(tls::server_config(shared, listen.http2).map_err(failed)?) } else { None };
        let metrics = shared.lasting.metrics.listener(&listen.address.to_string());
        let metrics = metrics.map_err(|error| AssembleError::Other(error.to_string()))?;
        let settings = Arc::new(Settings { listen: listen.clone(), tls, is_raw: false, metrics });
        listeners.push(Listener { socket, settings });
    }
    let mut raw: Vec<&model::Tcp> = Vec::new();
    for tcp in &runtime.config.tcp {
        let fixed = tcp.listen.port() != 0;
        let is_known = runtime.config.listen.iter().any(|listen| listen.address == tcp.listen)
            || raw.iter().any(|other| other.listen == tcp.listen);
        if !fixed || !is_known {
            raw.push(tcp);
        }
    }
    for tcp in raw {
        let failed = |error| AssembleError::Listen { address: tcp.listen, error };
        let socket = socket::listen(tcp.listen).map_err(failed)?;
        let metrics = shared.lasting.metrics.listener(&tcp.listen.to_string());
        let metrics = metrics.map_err(|error| AssembleError::Other(error.to_string()))?;
        let listen = model::Listen {
            address: tcp.listen,
            tls: false,
            http2: false,
            proxy_protocol: tcp.proxy_protocol,
            proxy_from: tcp.proxy_from.clone(),
        };
        listeners.push(Listener { socket, settings: Arc::new(Settings { listen, tls: None, is_raw: true, metrics }) });
    }
    Ok(listeners)
}

/// Binds the admin listener.
///
/// # Errors
///
/// As the kernel says.
pub(crate) fn admin(config: &Config) -> Result<Option<std::net::TcpListener>, AssembleError> {
    let Some(admin) = &config.admin else { return Ok(None) };
    let failed = |error| AssembleError::Listen { address: admin.address, error };
    socket::listen(admin.address).map(Some).map_err(failed)
}

/// Gives a directory and all that is in it to another user. Links are not followed.
fn chown_tree(path: &Path, user: nix::unistd::Uid, group: nix::unistd::Gid) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user.as_raw()), Some(group.as_raw()))?;
    if path.symlink_metadata()?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            chown_tree(&entry?.path(), user, group)?;
        }
    }
    Ok(())
}

fn at(path: &Path, error: io::Error) -> AssembleError {
    AssembleError::Path { path: path.display().to_string(), error }
}

/// Gives up root for `user`, who keeps the state directory and the log.
///
/// # Errors
///
/// There is no such user, or we may not become it.
pub(crate) fn become_user(user: &str, config: &Config) -> Result<(), AssembleError> {
    use nix::unistd::{User, chown, initgroups, setgid, setuid};
    let failed = |error: nix::Error| AssembleError::Other(format!("cannot become user {user:?}: {error}"));
    let unknown =
        || AssembleError::Other(format!("there is no user {user:?}\nhint: `server.user` names a system account"));
    let account = User::from_name(user).map_err(failed)?.ok_or_else(unknown)?;
    let mut kept = vec![config.server.state_dir.clone(), config.server.state_dir.join("spool")];
    if let LogTarget::File(log) = &config.log.target {
        kept.push(log.clone());
    }
    kept.push(config.server.state_dir.join("sticky.key"));
    for path in kept.into_iter().filter(|path| path.exists()) {
        chown(&path, Some(account.uid), Some(account.gid)).map_err(failed)?;
    }
    if let Some(disk) = &config.disk {
        chown_tree(&disk.path, account.uid, account.gid).map_err(|error| at(&disk.path, error))?;
    }
    let name = std::ffi::CString::new(user).map_err(|_| unknown())?;
    initgroups(&name, account.gid).map_err(failed)?;
    setgid(account.gid).map_err(failed)?;
    setuid(account.uid).map_err(failed)
}
