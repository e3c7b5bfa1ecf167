//! Squid: an accelerator with everything in `cache_mem`.

use std::process::Command;

use super::Start;
use crate::Result;

pub(super) const PROGRAM: &str = "/usr/sbin/squid";

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let Start { setting, directory, http, .. } = start;
    let (host, port) = (setting.origin.address.ip(), setting.origin.address.port());
    let directory = directory.display();
    let user = if rustix::process::getuid().is_root() { "cache_effective_user root" } else { "" };
    let config = start.write(
        "squid.conf",
        &format!(
            "{user}
http_port {http} accel defaultsite=site.test no-vhost
cache_peer {host} parent {port} 0 no-query originserver no-digest
http_access allow all
acl pass urlpath_regex ^/pass/
cache deny pass
server_persistent_connections off
access_log none
cache_log {directory}/cache.log
cache_store_log none
pid_filename none
coredump_dir {directory}
cache_mem 256 MB
memory_cache_mode always
maximum_object_size_in_memory 2 MB
max_filedescriptors 16000
client_idle_pconn_timeout 10 minutes
shutdown_lifetime 0 seconds
"
        ),
    )?;
    let mut command = Command::new(PROGRAM);
    command.arg("-N").arg("-f").arg(config);
    Ok(command)
}
