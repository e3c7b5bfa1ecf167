//! A real Squid, as sibling of the caches under test.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::answer::Answer;
use crate::client_h1::Client;
use crate::nodes::{HTTP, ICP, Nodes};
use crate::origin::Origin;
use crate::patience::eventually;

/// A running Squid. Dropping it stops it.
pub struct Squid {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

/// An accelerator as the configuration text of `squid.conf` has it.
pub struct SquidConfig {
    address: SocketAddr,
    text: String,
    namespace: Option<String>,
}

// === impl SquidConfig ===

impl SquidConfig {
    /// Node `n` before `origin`, everything in memory.
    #[must_use]
    pub fn node(nodes: &Nodes, n: u8, origin: &Origin) -> Self {
        Self::at(SocketAddr::new(nodes.ip(n), HTTP), origin.address())
    }

    /// An accelerator at this address, with ICP on its usual port, before the server at `origin`.
    #[must_use]
    pub fn at(address: SocketAddr, origin: SocketAddr) -> Self {
        let ip = address.ip();
        let text = format!(
            "http_port {address} accel vhost
icp_port {ICP}
udp_incoming_address {ip}
tcp_outgoing_address {ip}
cache_peer {} parent {} 0 no-query originserver no-digest name=ap
http_access allow all
icp_access allow all
log_icp_queries on
icp_query_timeout 2000
server_persistent_connections off
cache_mem 32 MB
memory_cache_mode always
pid_filename none
coredump_dir none
cache_store_log none
digest_generation off
visible_hostname squid.test
shutdown_lifetime 0 seconds
",
            origin.ip(),
            origin.port(),
        );
        Self { address, text, namespace: None }
    }

    /// With this node as sibling.
    #[must_use]
    pub fn sibling(self, nodes: &Nodes, n: u8) -> Self {
        self.sibling_at(nodes.http(n))
    }

    /// With a sibling at this address, its ICP on the usual port.
    #[must_use]
    pub fn sibling_at(self, http: SocketAddr) -> Self {
        let line = format!("cache_peer {} sibling {} {ICP} no-digest name=s{}", http.ip(), http.port(), http.ip());
        self.line(&line)
    }

    /// In this network namespace.
    #[must_use]
    pub fn within(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    /// With one more line.
    #[must_use]
    pub fn line(self, line: &str) -> Self {
        Self { text: self.text + line + "\n", ..self }
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(self) -> Squid {
        let directory = tempfile::tempdir().expect("temporary directory");
        // It becomes a user of its own, who has to write here.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(directory.path(), open).expect("permissions");
        let log = |name: &str| directory.path().join(name).display().to_string();
        let text = format!("{}access_log stdio:{}\ncache_log {}\n", self.text, log("access.log"), log("cache.log"));
        let config = directory.path().join("squid.conf");
        std::fs::write(&config, text).expect("configuration");
        // A name of its own, so that its shared memory is nobody else's.
        let name = format!("t{}n{}", std::process::id(), self.address.ip().to_string().replace(['.', ':'], "x"));
        let inside = self.namespace.iter().flat_map(|name| ["ip", "netns", "exec", name.as_str()]);
        let mut words = inside.chain(["setpriv"]);
        let child = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["--pdeathsig", "KILL", "/usr/sbin/squid", "-N", "-n", &name, "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("squid: run scripts/setup.sh test");
        let squid = Squid { child, address: self.address, directory };
        let up = eventually(|| std::net::TcpStream::connect(squid.address).is_ok());
        assert!(up, "Squid: {}", squid.read("cache.log"));
        squid
    }
}

// === impl Squid ===

impl Squid {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `GET` on a connection of its own.
    pub fn get(&self, target: &str) -> Answer {
        Client::connect(self.address).get(target)
    }

    /// Lines of its access log so far.
    #[must_use]
    pub fn access_log(&self) -> Vec<String> {
        self.read("access.log").lines().map(ToOwned::to_owned).collect()
    }

    /// Whether its access log has, or gets, a line with all of these words.
    #[must_use]
    pub fn logs(&self, words: &[&str]) -> bool {
        eventually(|| self.access_log().iter().any(|line| words.iter().all(|word| line.contains(word))))
    }

    fn read(&self, name: &str) -> String {
        let path: &Path = &self.directory.path().join(name);
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Squid {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- access log of Squid\n{}\n---", self.read("access.log"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
