//! A MariaDB server on a private directory, reached by a unix socket; or servers that replicate, reached by TCP.

use std::net::SocketAddr;
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
        let init = "CREATE DATABASE wordpress CHARACTER SET utf8mb4;\n";
        Self::spawn(directory, init, &["--skip-networking".to_owned(), "--skip-log-bin".to_owned()])
    }

    /// The primary of a cluster, with this `server_id`; its user `app` has the password `app`.
    #[must_use]
    pub fn start_primary(directory: &Path, id: u32, address: SocketAddr) -> Self {
        let init = "CREATE USER 'app'@'%' IDENTIFIED BY 'app';\nGRANT ALL ON *.* TO 'app'@'%';\n";
        Self::spawn(directory, init, &[Self::of_cluster(id, address), vec!["--log-bin=binlog".to_owned()]].concat())
    }

    /// A replica of `primary`, once it has what the primary has.
    #[must_use]
    pub fn start_replica(directory: &Path, id: u32, address: SocketAddr, primary: SocketAddr) -> Self {
        let server = Self::spawn(directory, "SELECT 1;\n", &Self::of_cluster(id, address));
        let (host, port) = (primary.ip(), primary.port());
        server.run(&format!(
            "CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, MASTER_USER='app', MASTER_PASSWORD='app', \
             MASTER_USE_GTID=slave_pos; START SLAVE"
        ));
        let follows = || Self::ask(address, "SELECT @@server_id").is_some();
        assert!(eventually(follows), "{}", server.run("SHOW SLAVE STATUS\\G"));
        server
    }

    fn of_cluster(id: u32, address: SocketAddr) -> Vec<String> {
        let (host, port) = (address.ip(), address.port());
        vec![format!("--server-id={id}"), format!("--bind-address={host}"), format!("--port={port}")]
    }

    /// Runs a statement as root, by the socket.
    fn run(&self, statement: &str) -> String {
        let socket = format!("--socket={}", self.socket.display());
        let done = Command::new("mariadb").args(["--no-defaults", "-uroot", &socket, "-e", statement]).output();
        let done = done.expect("mariadb: run scripts/setup.sh test");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// The answer to a query of `app` at this address, on a connection of its own.
    #[must_use]
    pub fn ask(address: SocketAddr, query: &str) -> Option<String> {
        let (host, port) = (format!("-h{}", address.ip()), format!("-P{}", address.port()));
        let done = Command::new("mariadb")
            .args(["--no-defaults", "--protocol=tcp", "--connect-timeout=10", &host, &port, "-uapp", "-papp"])
            .args(["-N", "-B", "-e", query])
            .output()
            .expect("mariadb: run scripts/setup.sh test");
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    fn spawn(directory: &Path, statements: &str, words: &[String]) -> Self {
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
        std::fs::write(&init, statements).expect("write init.sql");
        let log = std::fs::File::create(directory.join("mariadb.log")).expect("log");
        let child = Command::new("mariadbd")
            .args(["--no-defaults", "--innodb-buffer-pool-size=64M", user])
            .args(words)
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
