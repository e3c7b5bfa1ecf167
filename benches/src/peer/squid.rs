//! Squid: an accelerator with everything in `cache_mem`.

use std::process::Command;

use super::Start;
use crate::Result;

pub(super) const PROGRAM: &str = "/usr/sbin/squid";

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let Start { setting, http, .. } = start;
    let (host, port) = (setting.origin.address.ip(), setting.origin.address.port());
    let config = start.write(
        "squid.conf",
        &format!(
            "http_port {http} accel defaultsite=site.test no-vhost
cache_peer {host} parent {port} 0 no-query originserver no-digest
http_access allow all
acl pass urlpath_regex ^/pass/
cache deny pass
server_persistent_connections off
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
coredump_dir none
cache_mem 256 MB
memory_cache_mode always
maximum_object_size_in_memory 2 MB
max_filedescriptors 20000
client_idle_pconn_timeout 10 minutes
shutdown_lifetime 0 seconds
"
        ),
    )?;
    // Started as root it becomes the user `proxy`, who cannot write into our directory: what it says goes to the output.
    let mut command = Command::new(PROGRAM);
    // A name of its own, so that its shared memory is nobody else's.
    command.args(["-N", "-d1", "-n", &format!("bench{}", http.port())]).arg("-f").arg(config);
    Ok(command)
}
