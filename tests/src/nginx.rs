//! A real nginx that answers on several ports: the upstream of many a tutorial.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::origin::closed_address;
use crate::patience::eventually;

/// A running nginx. Dropping it stops it.
pub struct Nginx {
    child: Child,
    addresses: Vec<SocketAddr>,
    directory: PathBuf,
}

// === impl Nginx ===

impl Nginx {
    /// Starts one that says each of `contents` on a port of its own.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn saying(directory: &Path, contents: &[&str]) -> Self {
        let say = |content| format!("location / {{ add_header Cache-Control no-store; return 200 \"{content}\"; }}");
        let servers: Vec<String> = contents.iter().map(say).collect();
        Self::serving(directory, "", &servers.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts one with a `server` for each of these directives, on a port of its own; `how` stands behind the port.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn serving(directory: &Path, how: &str, directives: &[&str]) -> Self {
        let directory = directory.join("nginx");
        std::fs::create_dir_all(&directory).expect("directory");
        let addresses: Vec<SocketAddr> = directives.iter().map(|_| closed_address()).collect();
        let mut servers = String::new();
        for (address, directives) in addresses.iter().zip(directives) {
            writeln!(servers, "server {{ listen {address} {how}; {directives} }}").expect("write");
        }
        let config = directory.join("nginx.conf");
        let text = configuration(&directory, &servers);
        std::fs::write(&config, text).expect("write configuration");
        let child = spawn(&directory, &config);
        let server = Self { child, addresses, directory };
        server.wait();
        server
    }

    /// Where the server of this index listens.
    #[must_use]
    pub fn address(&self, index: usize) -> SocketAddr {
        self.addresses[index]
    }

    fn wait(&self) {
        let is_up = eventually(|| self.addresses.iter().all(|address| std::net::TcpStream::connect(address).is_ok()));
        let said = std::fs::read_to_string(self.directory.join("error.log")).unwrap_or_default();
        assert!(is_up, "nginx: {said}");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        crate::mariadb::stop(&mut self.child);
    }
}

fn spawn(directory: &Path, config: &Path) -> Child {
    // It is told when we are killed.
    Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "nginx", "-e"])
        .arg(directory.join("error.log"))
        .arg("-c")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx: run scripts/setup.sh test")
}

fn configuration(directory: &Path, servers: &str) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let directory = directory.display();
    format!(
        "{user}
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/client;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type text/plain;
    {servers}
}}
"
    )
}
