//! A real Redis.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use tempfile::TempDir;

use crate::certs;
use crate::origin::closed_address;
use crate::patience::eventually;

/// Within its directory.
const PID_FILE: &str = "redis.pid";

/// A running Redis on a loopback port. Dropping it kills it.
pub struct Redis {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
    arguments: Vec<String>,
    port: &'static str,
}

// === impl Redis ===

impl Redis {
    /// Starts one that keeps what it has.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with more arguments.
    #[must_use]
    pub fn with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::launch(tempfile::tempdir().expect("temporary directory"), arguments, "--port")
    }

    /// Starts one that speaks TLS alone, with a certificate of the test's authority.
    #[must_use]
    pub fn tls() -> Self {
        Self::tls_with(&[])
    }

    /// The same with more arguments.
    #[must_use]
    pub fn tls_with(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let files = certs::site(directory.path(), &["127.0.0.1"]);
        let path = |path: PathBuf| path.to_str().expect("UTF-8 path").to_owned();
        let authority = path(certs::authority(directory.path()));
        let words = [
            ["--port", "0"],
            ["--tls-auth-clients", "no"],
            ["--tls-cert-file", &path(files.certificate)],
            ["--tls-key-file", &path(files.key)],
            ["--tls-ca-cert-file", &authority],
        ];
        let arguments = words.iter().flatten().chain(more).map(|&word| word.to_owned()).collect();
        Self::launch(directory, arguments, "--tls-port")
    }

    /// Starts so many that make up a Redis Cluster together.
    ///
    /// # Panics
    ///
    /// When they do not find each other.
    #[must_use]
    pub fn cluster(count: usize) -> Vec<Self> {
        let start = || {
            // By default it is 10,000 above the other, where there may be no port.
            let bus = closed_address().port().to_string();
            (Self::with(&["--cluster-enabled", "yes", "--cluster-port", &bus]), bus)
        };
        let nodes: Vec<(Self, String)> = (0..count).map(|_| start()).collect();
        for (n, (node, _)) in nodes.iter().enumerate() {
            let slot = |n: usize| n * 16384 / count;
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &slot(n).to_string(), &(slot(n + 1) - 1).to_string()]);
            for (other, bus) in &nodes {
                let address = other.address();
                node.command(&["CLUSTER", "MEET", &address.ip().to_string(), &address.port().to_string(), bus]);
            }
        }
        let agree = || {
            nodes.iter().all(|(node, _)| {
                let info = node.ask(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{count}"))
            })
        };
        assert!(eventually(agree), "the nodes of the cluster do not find each other");
        nodes.into_iter().map(|(node, _)| node).collect()
    }

    fn launch(directory: TempDir, arguments: Vec<String>, port: &'static str) -> Self {
        for _ in 0..5 {
            let address = closed_address();
            let mut child = spawn(address, &directory, &arguments, port);
            // It ends at once where somebody else has taken the port meanwhile.
            if comes_up(&mut child, &directory) {
                return Self { child, address, directory, arguments, port };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("Redis does not come up");
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whom to trust, as PEM, if it speaks TLS.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).expect("a running Redis");
    }

    /// Its answer to a command, as it comes over the wire.
    #[must_use]
    pub fn ask(&self, words: &[&str]) -> String {
        let mut stream = TcpStream::connect(self.address).expect("a running Redis");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        // What follows ends the answer.
        stream.write_all(format!("{command}*1\r\n$4\r\nQUIT\r\n").as_bytes()).expect("a command");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer).trim_end_matches("+OK\r\n").to_owned()
    }

    /// Carries out a command.
    pub fn command(&self, words: &[&str]) {
        let answer = self.ask(words);
        assert!(!answer.starts_with('-'), "{answer}");
    }

    /// Its keys that match.
    #[must_use]
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let answer = self.ask(&["KEYS", pattern]);
        answer
            .split("\r\n")
            .filter(|line| !line.is_empty() && !line.starts_with(['*', '$']))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Removes what it has kept, after [`Self::kill`].
    pub fn forget(&self) {
        let kept = self.directory.path().join("appendonlydir");
        std::fs::remove_dir_all(kept).expect("what Redis keeps");
    }

    /// Starts it again after [`Self::kill`].
    pub fn restart(&mut self) {
        self.child = spawn(self.address, &self.directory, &self.arguments, self.port);
        assert!(comes_up(&mut self.child, &self.directory), "Redis does not come back");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether it listens before it ends; it writes its pid down once it does.
fn comes_up(child: &mut Child, directory: &TempDir) -> bool {
    let file = directory.path().join(PID_FILE);
    let id = child.id().to_string();
    let is_up = || std::fs::read_to_string(&file).is_ok_and(|text| text.trim() == id);
    let mut has_ended = false;
    eventually(|| {
        is_up() || {
            has_ended = child.try_wait().is_ok_and(|status| status.is_some());
            has_ended
        }
    }) && !has_ended
}

fn spawn(address: SocketAddr, directory: &TempDir, arguments: &[String], port: &str) -> Child {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "redis-server", "--save", "", "--appendonly", "yes", "--appendfsync", "no"])
        .args(["--bind", &address.ip().to_string(), port, &address.port().to_string()])
        .args(["--dir", directory.path().to_str().expect("UTF-8 path"), "--pidfile", PID_FILE])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server: run scripts/setup.sh test")
}
