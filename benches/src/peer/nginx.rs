//! nginx: `proxy_cache` with its descriptors kept open, connections that stay.
//!
//! Files go by `sendfile`. Stored responses do not: read into one buffer and written with their head they cost nginx
//! a quarter less at 1 KiB, and no more at 64 KiB. `tcp_nopush` stays off, as by default: with it, every stored
//! response of 64 KiB waited 40 ms for an acknowledgement. Where files are what is compared, they go by `sendfile`.
//!
//! When less than a sixteenth of `worker_connections` is free it closes those that idle, so there are more than are used.

use std::process::Command;

use super::Start;
use crate::Result;
use crate::setting::FILES_HOST;
use crate::work::Kept;

pub(super) const PROGRAM: &str = "/usr/sbin/nginx";

/// Debian has `stream` in a package of its own.
const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let Start { setting, directory, http, https, l4, kept, .. } = start;
    let sendfile = if *kept == Kept::Disk { "on" } else { "off" };
    let (origin, root, directory) = (setting.origin.address, setting.root.display(), directory.display());
    let (certificate, key) = (setting.certificate.display(), setting.key.display());
    // The workers of a root process become nobody otherwise, who may not enter a private directory.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let config = start.write(
        "nginx.conf",
        &format!(
            "load_module {STREAM};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/pid;
error_log {directory}/error.log crit;
events {{ worker_connections 22000; multi_accept on; }}
stream {{
    server {{ listen {l4} backlog=16384; proxy_pass {origin}; tcp_nodelay on; }}
}}
http {{
    access_log off;
    sendfile {sendfile};
    output_buffers 2 128k;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    open_file_cache max=10000 inactive=600s;
    open_file_cache_valid 600s;
    server_tokens off;
    types {{ image/png png; text/html html; }}
    client_body_temp_path {directory}/client;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    proxy_cache_path {directory}/cache levels=1:2 keys_zone=all:32m inactive=1h max_size=1g use_temp_path=off;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
    server {{
        listen {http} default_server backlog=16384;
        listen {https} default_server ssl http2 backlog=16384;
        server_name _;
        proxy_set_header Host $host;
        location / {{
            proxy_cache all;
            proxy_cache_valid 200 1h;
            add_header X-Cache $upstream_cache_status;
            proxy_pass http://{origin};
        }}
        location /pass/ {{ proxy_pass http://{origin}; }}
    }}
    server {{
        listen {http};
        listen {https} ssl http2;
        server_name {FILES_HOST};
        root {root};
        sendfile on;
    }}
}}
"
        ),
    )?;
    let mut command = Command::new(PROGRAM);
    command.arg("-e").arg(format!("{directory}/error.log")).arg("-c").arg(config);
    Ok(command)
}
