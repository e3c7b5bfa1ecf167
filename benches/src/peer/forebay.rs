//! Forebay, as it is configured for a site; one thread, no access log.

use std::process::Command;

use super::{Start, own};
use crate::Result;
use crate::setting::FILES_HOST;
use crate::work::Kept;

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let Start { setting, directory, http, https, l4, kept, more } = start;
    let (origin, root) = (setting.origin.address, setting.root.display());
    let (certificate, key) = (setting.certificate.display(), setting.key.display());
    let state = directory.display();
    let tiers = match kept {
        Kept::Memory => String::new(),
        Kept::Disk => format!(
            "[cache.memory]\nsize = \"1MiB\"\nmax_object = \"256KiB\"\n[cache.disk]\npath = \"{state}/cache\"\nsize = \"1GiB\"\n"
        ),
    };
    let config = start.write(
        "forebay.toml",
        &format!(
            r#"[server]
threads = 1
state_dir = "{state}"
[log]
path = "off"
level = "warn"
[[listen]]
address = "{http}"
[[listen]]
address = "{https}"
tls = true
[admin]
off = true
[limits]
connections = 20000
keepalive_timeout = "600s"
{tiers}{more}[[upstream]]
name = "ap"
servers = [{{ address = "{origin}" }}]
[[tcp]]
listen = "{l4}"
upstream = "ap"
[[site]]
hosts = ["*"]
upstream = "ap"
certificate = "{certificate}"
key = "{key}"
[[site.route]]
path = "/pass/"
cache = "off"
[[site]]
hosts = ["{FILES_HOST}"]
root = "{root}"
sendfile = true
"#
        ),
    )?;
    let mut command = Command::new(own("forebay")?);
    command.args(["run", "--config"]).arg(config);
    Ok(command)
}
