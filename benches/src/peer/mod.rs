//! The servers that are compared, each configured as its own documentation advises for speed: one worker on one core,
//! no access log, long keep-alive, its cache in memory or on files that the page cache holds.

mod floor;
mod forebay;
mod h2o;
mod haproxy;
mod nginx;
mod squid;
mod trafficserver;
mod varnish;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::setting::{Setting, free_address};
use crate::work::Kept;
use crate::{Result, SERVER_CORE, cpu};

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// One kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// Ours.
    Forebay,
    /// A bare epoll loop that answers without looking: what the sockets alone cost.
    Floor,
    /// `proxy_cache`, `open_file_cache`, `sendfile`.
    Nginx,
    /// `malloc` storage.
    Varnish,
    /// `http-request cache-use`.
    Haproxy,
    /// An accelerator with `cache_mem`.
    Squid,
    /// A reverse proxy with its RAM cache.
    TrafficServer,
    /// Files alone.
    H2o,
}

/// What a server of each kind needs to start.
struct Start<'a> {
    setting: &'a Setting,
    /// Its own directory.
    directory: &'a Path,
    http: SocketAddr,
    https: SocketAddr,
    l4: SocketAddr,
    kept: Kept,
    /// More of its configuration.
    more: &'a str,
}

impl Start<'_> {
    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Peer {
    /// Every kind, ours first.
    pub const ALL: [Self; 8] = [
        Self::Forebay,
        Self::Floor,
        Self::Nginx,
        Self::Varnish,
        Self::Haproxy,
        Self::Squid,
        Self::TrafficServer,
        Self::H2o,
    ];

    /// As the table calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forebay => "Forebay",
            Self::Floor => "floor",
            Self::Nginx => "nginx",
            Self::Varnish => "Varnish",
            Self::Haproxy => "HAProxy",
            Self::Squid => "Squid",
            Self::TrafficServer => "Traffic Server",
            Self::H2o => "h2o (files)",
        }
    }

    /// Whether it has a TLS listener.
    #[must_use]
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Forebay | Self::Nginx | Self::Haproxy | Self::TrafficServer | Self::H2o)
    }

    /// Whether it is installed.
    #[must_use]
    pub fn is_available(self) -> bool {
        self.version().is_some()
    }

    /// The version it names itself; `None` where it is not installed.
    #[must_use]
    pub fn version(self) -> Option<String> {
        let (program, argument) = match self {
            Self::Forebay => (own("forebay").ok()?, "--version"),
            Self::Floor => return own("floor").ok().map(|_| String::new()),
            Self::Nginx => (nginx::PROGRAM.into(), "-v"),
            Self::Varnish => (varnish::PROGRAM.into(), "-V"),
            Self::Haproxy => (haproxy::PROGRAM.into(), "-v"),
            Self::Squid => (squid::PROGRAM.into(), "-v"),
            Self::TrafficServer => (trafficserver::PROGRAM.into(), "--version"),
            Self::H2o => (h2o::PROGRAM.into(), "--version"),
        };
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let is_version = |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
        let mut words = text.split(|c: char| c.is_whitespace() || "/-()".contains(c));
        Some(words.find(is_version).unwrap_or_default().to_owned())
    }

    /// Starts one and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// It does not start; what it said is in the error.
    pub fn start(self, setting: &Setting, kept: Kept) -> Result<Server> {
        self.start_on(setting, kept, "", SERVER_CORE)
    }

    /// One of ours, with more words in its configuration, on this core.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_with(self, setting: &Setting, more: &str, core: usize) -> Result<Server> {
        self.start_on(setting, Kept::Memory, more, core)
    }

    fn start_on(self, setting: &Setting, kept: Kept, more: &str, core: usize) -> Result<Server> {
        let (http, https, l4) = (free_address()?, free_address()?, free_address()?);
        let directory = setting.directory.join(format!("{}-{}", self.name().replace(' ', ""), http.port()));
        fs::create_dir(&directory)?;
        let start = Start { setting, directory: &directory, http, https, l4, kept, more };
        let command = match self {
            Self::Forebay => forebay::command(&start),
            Self::Floor => floor::command(&start),
            Self::Nginx => nginx::command(&start),
            Self::Varnish => varnish::command(&start),
            Self::Haproxy => haproxy::command(&start),
            Self::Squid => squid::command(&start),
            Self::TrafficServer => trafficserver::command(&start),
            Self::H2o => h2o::command(&start),
        }?;
        let output = directory.join("output");
        let file = fs::File::create(&output)?;
        let mut pinned = Command::new("taskset");
        pinned.arg("-c").arg(core.to_string()).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            pinned.env(name, value.unwrap_or_default());
        }
        let child = pinned.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
        let mut server = Server { peer: self, http, https, l4, child };
        let addresses = if self.has_tls() { &[http, https][..] } else { &[http] };
        let until = Instant::now() + PATIENCE;
        while !addresses.iter().all(|address| TcpStream::connect(address).is_ok()) {
            if Instant::now() > until || server.child.try_wait()?.is_some() {
                return Err(format!("{} does not start:\n{}", self.name(), fs::read_to_string(output)?).into());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(server)
    }
}

/// A program of this workspace, beside this one.
fn own(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() { Ok(path) } else { Err(format!("{} is not built", path.display()).into()) }
}

/// A running server. It is ended when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// What it is.
    pub peer: Peer,
    /// Its plain listener.
    pub http: SocketAddr,
    /// Its TLS listener, where it has one.
    pub https: SocketAddr,
    /// Where it passes connections on byte by byte, if it does.
    pub l4: SocketAddr,
    child: Child,
}

impl Server {
    /// What it and its children have used so far.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn usage(&self) -> Result<cpu::Usage> {
        cpu::usage(self.child.id()).map_err(|error| format!("{}: {error}", self.peer.name()).into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Politely, so that it ends its own children.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(None) => sleep(Duration::from_millis(20)),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
