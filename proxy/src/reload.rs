//! Reload: a new configuration takes the place of the old one, or nothing changes at all.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use forebay_config::Config;
use forebay_config::model::ProxyProtocol;
use ipnet::IpNet;

use forebay_config::Places;

use crate::assemble;
use crate::runtime::Shared;

/// Reads `path` again. A configuration with mistakes is reported and the present one goes on; what is bound at start
/// (listeners, admin, log, memory, state directory) stays as it is until a restart, and a difference there is said.
pub(crate) fn reload(shared: &Arc<Shared>, path: &Path) {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
    let accepted = replace(shared, path);
    shared.lasting.metrics.config_read(accepted);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

fn replace(shared: &Arc<Shared>, path: &Path) -> bool {
    let config = match forebay_config::load(path) {
        Ok(config) => config,
        Err(report) => {
            tracing::error!("the configuration has mistakes; the present one goes on\n{report}");
            return false;
        }
    };
    for warning in forebay_config::warnings(&config) {
        tracing::warn!("{warning}");
    }
    let present = shared.runtime();
    let fixed = [
        ("[[listen]]", config.listen != present.config.listen),
        ("`listen` of [[tcp]]", bound(&config) != bound(&present.config)),
        ("[admin]", config.admin != present.config.admin),
        ("[log]", config.log != present.config.log),
        ("[cache.memory]", config.memory != present.config.memory),
        ("[cache.shared]", config.shared != present.config.shared),
        ("[cluster]", config.cluster != present.config.cluster),
        ("[icp]", config.icp != present.config.icp),
        ("[cache.disk]", config.disk != present.config.disk),
        ("limits.connections", config.limits.connections != present.config.limits.connections),
        ("server.threads", config.server.threads != present.config.server.threads),
        ("server.state_dir", config.server.state_dir != present.config.server.state_dir),
        ("server.user", config.server.user != present.config.server.user),
    ];
    for (word, _) in fixed.iter().filter(|(_, differs)| *differs) {
        tracing::warn!("{word} has changed: that takes a restart");
    }
    match assemble::runtime(config, Places::read(path), Arc::clone(&shared.lasting)) {
        Ok(runtime) => {
            for pool in &present.pools {
                for change in pool.changes() {
                    tracing::warn!(upstream = %pool.name, "{change} since the configuration was read, which counts again now");
                }
            }
            shared.replace(runtime);
            tracing::info!(path = %path.display(), "the configuration was reloaded");
            true
        }
        Err(error) => {
            tracing::error!("the configuration cannot be used; the present one goes on: {error}");
            false
        }
    }
}

/// What is bound for `[[tcp]]`, and how its connections begin.
fn bound(config: &Config) -> Vec<(SocketAddr, ProxyProtocol, &[IpNet])> {
    let raw = config.tcp.iter().filter(|tcp| config.listen.iter().all(|listen| listen.address != tcp.listen));
    let mut found: Vec<_> = raw.map(|tcp| (tcp.listen, tcp.proxy_protocol, tcp.proxy_from.as_slice())).collect();
    found.dedup();
    found
}
