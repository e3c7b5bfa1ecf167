//! A MariaDB server on a private directory, reached by a unix socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::patience::eventually;

/// A running database server. Dropping it kills it.
pub struct MariaDb {
    child: Child,
    socket: PathBuf,
}

// === impl MariaDb ===

impl MariaDb {
    /// Makes a data directory beneath `directory` and starts a server on it with an empty database `wordpress`.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let data = directory.join("data");
        let socket = directory.join("mariadb.sock");
        let user = if rustix::process::geteuid().is_root() { "--user=root" } else { "--skip-show-database" };
        let install = Command::new("mariadb-install-db")
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ])
            .args(["--basedir=/usr", user])
            .arg(format!("--datadir={}", data.display()))
            .output()
            .expect("mariadb-install-db: run scripts/setup.sh test");
        assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
        let init = directory.join("init.sql");
        std::fs::write(&init, "CREATE DATABASE wordpress CHARACTER SET utf8mb4;\n").expect("write init.sql");
        let log = std::fs::File::create(directory.join("mariadb.log")).expect("log");
        let child = Command::new("mariadbd")
            .args(["--no-defaults", "--skip-networking", "--skip-log-bin", "--innodb-buffer-pool-size=64M", user])
            // Nothing here outlives the test.
            .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--sync-frm=0"])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", socket.display()))
            .arg(format!("--pid-file={}", directory.join("mariadb.pid").display()))
            .arg(format!("--init-file={}", init.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mariadbd");
        let server = Self { child, socket };
        let log = || std::fs::read_to_string(directory.join("mariadb.log")).unwrap_or_default();
        assert!(eventually(|| server.socket.exists() && log().contains("ready for connections")), "{}", log());
        server
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks a process to end, and waits for it.
pub(crate) fn stop(child: &mut Child) {
    // Once it has been waited for, its number may be another's.
    if matches!(child.try_wait(), Ok(None))
        && let Some(pid) = Pid::from_raw(child.id().cast_signed())
    {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = child.wait();
}
