//! HAProxy: one thread, its small-object cache.

use std::process::Command;

use super::Start;
use crate::Result;

pub(super) const PROGRAM: &str = "/usr/sbin/haproxy";

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let Start { setting, http, https, l4, .. } = start;
    let (origin, certificate) = (setting.origin.address, setting.certificate_and_key.display());
    let config = start.write(
        "haproxy.cfg",
        &format!(
            "global
    nbthread 1
    maxconn 19800
    no strict-limits
    maxpipes 256
    ssl-default-bind-options ssl-min-ver TLSv1.2
cache all
    total-max-size 256
    max-object-size 1000000
    max-age 3600
    process-vary on
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 60s
    timeout http-keep-alive 600s
frontend all
    bind {http}
    bind {https} ssl crt {certificate} alpn h2,http/1.1
    acl pass path_beg /pass/
    use_backend pass if pass
    default_backend cached
listen l4
    mode tcp
    bind {l4}
    option splice-auto
    server ap {origin}
backend cached
    http-request cache-use all
    http-response cache-store all
    server ap {origin}
backend pass
    option httpclose
    server ap {origin}
"
        ),
    )?;
    let mut command = Command::new(PROGRAM);
    command.arg("-db").arg("-f").arg(config);
    Ok(command)
}
