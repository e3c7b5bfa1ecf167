//! `forebay run`: configuration, assembly, sockets, then serve until a signal says otherwise.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use forebay_config::{Config, Places};
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::admin::Operator;
use crate::assemble::{self, AssembleError};
use crate::cluster::ClusterService;
use crate::demo::{self, Demo};
use crate::listen::accept::Listener;
use crate::listen::edge::Edge;
use crate::runtime::Shared;
use crate::shared::SharedService;
use crate::shutdown::Signals;
use crate::siblings::IcpService;

/// How long the log may take to write what it still holds.
const LOG_FLUSH: Duration = Duration::from_secs(5);

/// Exit 0 after a drain, 1 when the start failed; then nothing has been served.
pub(super) fn run(path: Option<&Path>, addresses: &demo::Addresses) -> ExitCode {
    let (config, demo) = match configuration(path, addresses) {
        Ok(configuration) => configuration,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    log_errors(&config.log.level);
    for warning in forebay_config::warnings(&config) {
        if demo.is_none() {
            tracing::warn!("{warning}");
        }
    }
    let places = path.map(Places::read).unwrap_or_default();
    match start(config, places) {
        Ok(started) => {
            announce(&started, demo.as_ref());
            serve(started, path.map(Path::to_owned));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("forebay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn configuration(path: Option<&Path>, addresses: &demo::Addresses) -> Result<(Config, Option<Demo>), String> {
    match path {
        Some(path) => forebay_config::load(path).map(|config| (config, None)).map_err(|report| report.to_string()),
        None => {
            let demo = Demo::start(addresses).map_err(|error| format!("forebay: demo: {error}"))?;
            let config = demo.config().map_err(|report| report.to_string())?;
            Ok((config, Some(demo)))
        }
    }
}

/// The error log: standard error, one line an event. `FOREBAY_LOG` overrules the config's level. Pingora's own lines
/// stay below `debug`: at `trace` it formats fields it has not checked.
fn log_errors(level: &str) {
    let quiet = "pingora_core=warn,h2=warn,rustls=error,hickory=warn";
    let filter = EnvFilter::try_from_env("FOREBAY_LOG").or_else(|_| EnvFilter::try_new(format!("{level},{quiet}")));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let _ = lines.with_ansi(std::io::stderr().is_terminal()).try_init();
}

/// Everything bound, nothing running.
struct Started {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    admin: Option<std::net::TcpListener>,
}

fn start(config: Config, places: Places) -> Result<Started, AssembleError> {
    raise_descriptor_limit();
    let user = config.server.user.clone();
    let lasting = assemble::lasting(&config)?;
    let shared = Shared::new(assemble::runtime(config, places, lasting)?);
    let listeners = assemble::listeners(&shared)?;
    let admin = assemble::admin(&shared.runtime().config)?;
    if let Some(user) = user {
        assemble::become_user(&user, &shared.runtime().config)?;
    }
    shared.lasting.metrics.config_read(true);
    Ok(Started { shared, listeners, admin })
}

/// Each connection is a descriptor; the usual soft limit of 1,024 is for programs that use select(2).
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

fn announce(started: &Started, demo: Option<&Demo>) {
    for listener in &started.listeners {
        let scheme = match &listener.settings {
            settings if settings.is_raw => "tcp",
            settings if settings.tls.is_some() => "https",
            _ => "http",
        };
        if let Ok(address) = listener.socket.local_addr() {
            eprintln!("listening on {scheme}://{address}");
        }
    }
    if let Some(address) = started.shared.lasting.siblings.as_ref().and_then(|siblings| siblings.address().ok()) {
        eprintln!("listening on icp://{address}");
    }
    if let Some(address) = started.admin.as_ref().and_then(|admin| admin.local_addr().ok()) {
        eprintln!("admin on http://{address}");
    }
    if let Some(demo) = demo {
        eprint!("{}", demo.invitation(&started.listeners, started.admin.as_ref()));
    }
}

/// Runs until a signal ends it.
fn serve(started: Started, config: Option<PathBuf>) {
    let Started { shared, listeners, admin } = started;
    let runtime = shared.runtime();
    let threads = match runtime.config.server.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let (drain, draining) = watch::channel(false);
    let operator = Arc::new(Operator::new(Arc::clone(&shared), draining.clone()));
    let signals = Signals::new(Arc::clone(&shared), drain, config);
    let conf = ServerConf { threads: 1, ..ServerConf::default() };
    if let Err(error) = crate::purge::sweeper::start(&shared.lasting) {
        tracing::error!(%error, "nothing clears up behind purges");
    }
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    if let Some(cluster) = &shared.lasting.cluster {
        let (lasting, cluster) = (Arc::clone(&shared.lasting), Arc::clone(cluster));
        server.add_service(ClusterService { lasting, cluster });
    }
    if let Some(tier) = &shared.lasting.shared {
        server.add_service(SharedService { tier: Arc::clone(tier) });
    }
    if let Some(siblings) = &shared.lasting.siblings {
        let (shared, siblings) = (Arc::clone(&shared), Arc::clone(siblings));
        server.add_service(IcpService { shared, siblings, draining: draining.clone() });
    }
    if let Some(upkeep) = shared.lasting.upstreams.service() {
        server.add_service(upkeep);
    }
    server.add_service(Edge { shared: Arc::clone(&shared), listeners, threads, drain: draining });
    if let Some(listener) = admin {
        server.add_service(operator.service(listener));
    }
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    if !shared.lasting.account.stop(LOG_FLUSH) {
        eprintln!("forebay: the last lines of the access log could not be written");
    }
}
