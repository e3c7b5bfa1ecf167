//! Varnish: `malloc` storage, threads started beforehand.

use std::process::Command;

use super::Start;
use crate::Result;

pub(super) const PROGRAM: &str = "/usr/sbin/varnishd";

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let Start { setting, directory, http, .. } = start;
    let (host, port) = (setting.origin.address.ip(), setting.origin.address.port());
    let vcl = start.write(
        "site.vcl",
        &format!(
            r#"vcl 4.1;
backend default {{ .host = "{host}"; .port = "{port}"; }}
sub vcl_recv {{
    if (req.url ~ "^/pass/") {{ return (pass); }}
}}
"#
        ),
    )?;
    let mut command = Command::new(PROGRAM);
    command.args(["-F", "-j", "none", "-T", "none", "-s", "malloc,256m", "-t", "3600"]);
    command.args(["-p", "thread_pools=1", "-p", "thread_pool_min=100", "-p", "timeout_idle=600"]);
    command.arg("-a").arg(http.to_string()).arg("-f").arg(vcl).arg("-n").arg(directory.join("work"));
    Ok(command)
}
