//! h2o: files alone, one thread. It has no cache of what it proxies; for hits it shows what a server of files can do.

use std::process::Command;

use super::Start;
use crate::Result;

pub(super) const PROGRAM: &str = "/usr/bin/h2o";

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let Start { setting, directory, http, https, .. } = start;
    let (root, directory) = (setting.root.display(), directory.display());
    let (certificate, key) = (setting.certificate.display(), setting.key.display());
    // As root it becomes nobody otherwise, who may not write into our directory.
    let user = if rustix::process::getuid().is_root() { "user: root" } else { "" };
    let config = start.write(
        "h2o.conf",
        &format!(
            "{user}
num-threads: 1
max-connections: 19900
http1-request-timeout: 600
http2-idle-timeout: 600
pid-file: {directory}/pid
error-log: {directory}/error.log
file.mime.addtypes:
  image/png: .png
listen:
  host: {}
  port: {}
listen:
  host: {}
  port: {}
  ssl:
    certificate-file: {certificate}
    key-file: {key}
hosts:
  default:
    paths:
      /:
        file.dir: {root}
",
            http.ip(),
            http.port(),
            https.ip(),
            https.port()
        ),
    )?;
    let mut command = Command::new(PROGRAM);
    command.arg("-c").arg(config);
    Ok(command)
}
