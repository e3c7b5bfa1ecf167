//! Traffic Server: a reverse proxy with one event thread and its RAM cache.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::Start;
use crate::Result;

pub(super) const PROGRAM: &str = "/usr/bin/traffic_server";

/// Files it refuses to start without.
const EMPTY: [&str; 8] = [
    "cache.config",
    "hosting.config",
    "parent.config",
    "plugin.config",
    "socks.config",
    "splitdns.config",
    "volume.config",
    "strategies.yaml",
];

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let Start { setting, directory, http, https, .. } = start;
    let origin = setting.origin.address;
    let (certificate, key) = (setting.certificate.display(), setting.key.display());
    // It refuses to stay root; `#-1` is whoever starts it.
    let user = if rustix::process::getuid().is_root() { "nobody" } else { "#-1" };
    for part in ["etc", "cache", "run", "log"] {
        let path = directory.join(part);
        fs::create_dir(&path)?;
        fs::set_permissions(path, Permissions::from_mode(0o777))?;
    }
    for name in EMPTY {
        start.write(&format!("etc/{name}"), "")?;
    }
    let (http, https, root) = (http.port(), https.port(), directory.display());
    start.write("etc/storage.config", "cache 256M\n")?;
    start.write("etc/logging.yaml", "logging: {}\n")?;
    start.write("etc/sni.yaml", "sni: []\n")?;
    start.write("etc/ip_allow.yaml", "ip_allow:\n- {apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}\n")?;
    start.write("etc/remap.config", &format!("map / http://{origin}/\n"))?;
    start.write("etc/ssl_multicert.config", &format!("dest_ip=* ssl_cert_name={certificate} ssl_key_name={key}\n"))?;
    start.write(
        "etc/records.config",
        &format!(
            "CONFIG proxy.config.http.server_ports STRING {http} {https}:ssl:proto=http;http2
CONFIG proxy.config.admin.user_id STRING {user}
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.cache.threads_per_disk INT 1
CONFIG proxy.config.cache.ram_cache.size INT 128M
CONFIG proxy.config.cache.dir STRING {root}/cache
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.http.wait_for_cache INT 1
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 600
CONFIG proxy.config.http.transaction_no_activity_timeout_in INT 600
CONFIG proxy.config.net.connections_throttle INT 19900
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.crash_log_helper STRING
"
        ),
    )?;
    let runroot = start.write(
        "runroot.yaml",
        &format!(
            "prefix: {root}
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/sbin
sysconfdir: {root}/etc
datadir: {root}/cache
includedir: /usr/include
libdir: /usr/lib
libexecdir: /usr/lib/trafficserver/modules
localstatedir: {root}
runtimedir: {root}/run
logdir: {root}/log
cachedir: {root}/cache
"
        ),
    )?;
    let mut command = Command::new(PROGRAM);
    command.arg(format!("--run-root={}", runroot.display()));
    Ok(command)
}
