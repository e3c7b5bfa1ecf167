//! The built binary, running.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::answer::{Answer, ReadError};
use crate::client_h1::{Client, HOST};
use crate::client_h2::H2Client;
use crate::origin::Origin;
use crate::patience::{eventually, patience};
use crate::proxy_config::ProxyConfig;

type Lines = Arc<Mutex<Vec<String>>>;

/// A running Forebay on ports that the kernel chose. Dropping it kills it.
pub struct Proxy {
    child: Child,
    directory: TempDir,
    stdout: Lines,
    stderr: Lines,
    /// Scheme (`http`, `https`, `admin`) and address of each socket, in the order they were announced.
    sockets: Vec<(String, SocketAddr)>,
}

// === impl Proxy ===

impl Proxy {
    /// Starts with the default configuration before this origin.
    #[must_use]
    pub fn before(origin: &Origin) -> Self {
        ProxyConfig::new().origin(origin).start()
    }

    /// A configuration to change first.
    pub fn config() -> ProxyConfig {
        ProxyConfig::new()
    }

    /// Starts with this configuration text, kept in `directory` (which the proxy removes at its end).
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start_in(directory: TempDir, config: &str) -> Self {
        let file = directory.path().join("forebay.toml");
        std::fs::write(&file, config).expect("write the configuration");
        Self::start(directory, &["run", "--config", file.to_str().expect("UTF-8 path")])
    }

    /// Starts with these arguments.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start(directory: TempDir, arguments: &[&str]) -> Self {
        Self::spawn(directory, Command::new(crate::binary::path()).args(arguments))
    }

    /// Starts with this configuration text beside a process that has the cache directory it names, as in an upgrade.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start_as_successor(directory: TempDir, config: &str) -> Self {
        let file = directory.path().join("forebay.toml");
        std::fs::write(&file, config).expect("write the configuration");
        let mut command = Command::new(crate::binary::path());
        Self::spawn(directory, command.env("FOREBAY_TAKEOVER", "1").args(["run", "--config"]).arg(file))
    }

    /// Starts with this configuration text, its `cache` directory a file system of its own that holds `size` (`8m`).
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start_on_small_device(directory: TempDir, config: &str, size: &str) -> Self {
        let (file, cache) = (directory.path().join("forebay.toml"), directory.path().join("cache"));
        std::fs::write(&file, config).expect("write the configuration");
        std::fs::create_dir_all(&cache).expect("mount point");
        let script = format!("mount -t tmpfs -o size={size} tmpfs \"$0\" && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", &script]).arg(cache).arg(crate::binary::path());
        Self::spawn(directory, command.args(["run", "--config"]).arg(file))
    }

    fn spawn(directory: TempDir, command: &mut Command) -> Self {
        let mut child = command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the binary");
        let stdout = collect(child.stdout.take().expect("stdout"));
        let stderr = collect(child.stderr.take().expect("stderr"));
        let mut proxy = Self { child, directory, stdout, stderr, sockets: Vec::new() };
        let is_ready = |line: &String| line.split_whitespace().next_back() == Some("ready");
        let mut ended = false;
        let ready = eventually(|| {
            ended = ended || proxy.child.try_wait().expect("wait").is_some();
            ended || proxy.stderr.lock().iter().any(is_ready)
        });
        assert!(ready && !ended, "did not become ready:\n{}", proxy.stderr().join("\n"));
        proxy.sockets = proxy.stderr.lock().iter().filter_map(|line| announced(line)).collect();
        proxy
    }

    /// Addresses announced for a scheme (`http`, `https`, `admin`), in the order of the configuration.
    pub fn sockets<'a>(&'a self, scheme: &'a str) -> impl Iterator<Item = SocketAddr> + 'a {
        self.sockets.iter().filter(move |(s, _)| s == scheme).map(|(_, address)| *address)
    }

    /// Its first listener without TLS.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.sockets("http").next().expect("an http listener")
    }

    /// Its first listener with TLS.
    #[must_use]
    pub fn https(&self) -> SocketAddr {
        self.sockets("https").next().expect("an https listener")
    }

    /// Its admin listener.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.sockets("admin").next().expect("an admin listener")
    }

    // --- speaking to it ---

    /// A connection without TLS.
    #[must_use]
    pub fn connect(&self) -> Client {
        Client::connect(self.http())
    }

    /// A TLS connection for HTTP/1.1 to the usual host.
    #[must_use]
    pub fn connect_tls(&self) -> Client {
        Client::connect_tls(self.https(), HOST)
    }

    /// An HTTP/2 connection to the usual host.
    #[must_use]
    pub fn connect_h2(&self) -> H2Client {
        H2Client::connect(self.https(), HOST)
    }

    /// An HTTP/2 connection to this host.
    #[must_use]
    pub fn connect_h2_to(&self, host: &str) -> H2Client {
        H2Client::connect(self.https(), host)
    }

    /// `GET` on a connection of its own.
    pub fn get(&self, target: &str) -> Answer {
        self.connect().get(target)
    }

    /// `GET` with fields on a connection of its own.
    pub fn get_with(&self, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.connect().request("GET", target, fields)
    }

    /// Sends raw bytes on a connection of its own and reads one response.
    ///
    /// # Errors
    /// As [`Client::read_response_to`].
    pub fn send_raw(&self, bytes: impl AsRef<[u8]>) -> (Result<Answer, ReadError>, Client) {
        let mut client = self.connect();
        // A proxy that refuses early may close before it has taken everything.
        let _ = client.try_send(bytes);
        (client.read_response_to("GET"), client)
    }

    // --- looking at it ---

    /// `GET` at the admin listener.
    #[must_use]
    pub fn ask_admin(&self, target: &str) -> Answer {
        Client::connect(self.admin()).request("GET", target, &[("Host", "localhost")])
    }

    /// `/metrics` of the admin listener.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.ask_admin("/metrics").text().to_owned()
    }

    /// Sum of all series of this metric whose labels contain all of `labels` (as `name="value"`).
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let metrics = self.metrics();
        let lines = metrics.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Lines of standard output so far: the access log.
    #[must_use]
    pub fn access_log(&self) -> Vec<String> {
        self.stdout.lock().clone()
    }

    /// The access log once it has at least this many lines.
    #[must_use]
    pub fn access_log_of(&self, lines: usize) -> Vec<String> {
        assert!(eventually(|| self.stdout.lock().len() >= lines), "access log: {:?}", self.access_log());
        self.access_log()
    }

    /// Lines of standard error so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lock().clone()
    }

    /// Its directory: configuration, certificates, state.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Resident memory, KiB.
    #[must_use]
    pub fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("KiB")
    }

    /// Bytes taken of the small device it was started on.
    #[must_use]
    pub fn device_used(&self) -> u64 {
        let root = std::path::PathBuf::from(format!("/proc/{}/root", self.child.id()));
        let cache = self.directory.path().join("cache");
        let device = rustix::fs::statfs(root.join(cache.strip_prefix("/").unwrap_or(&cache))).expect("the device");
        (device.f_blocks - device.f_bfree) * device.f_bsize.unsigned_abs()
    }

    /// Runs a shell script where the small device is mounted, in the `cache` directory.
    ///
    /// # Panics
    /// When it fails.
    pub fn on_device(&self, script: &str) {
        let (pid, cache) = (self.child.id().to_string(), self.directory.path().join("cache"));
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-U", "-m", "--preserve-credentials", "sh", "-ec"]);
        let status = command.arg(format!("cd \"$0\"; {script}")).arg(cache).status().expect("nsenter");
        assert!(status.success(), "{script}");
    }

    /// The files it has open, as the kernel names them.
    #[must_use]
    pub fn open_files(&self) -> Vec<std::path::PathBuf> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("descriptors");
        descriptors.flatten().filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok()).collect()
    }

    /// Open file descriptors.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("descriptors").count()
    }

    // --- ending it ---

    /// Kills it (SIGKILL) and gives its directory back, with all that it left there.
    #[must_use]
    pub fn kill(mut self) -> TempDir {
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::mem::replace(&mut self.directory, tempfile::tempdir().expect("temporary directory"))
    }

    /// Kills it and starts it again with the configuration it had.
    #[must_use]
    pub fn kill_and_restart(self) -> Self {
        let directory = self.kill();
        let file = directory.path().join("forebay.toml");
        Self::start(directory, &["run", "--config", file.to_str().expect("UTF-8 path")])
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("pid");
        kill_process(pid, signal).expect("signal");
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(start.elapsed() < patience(), "did not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- standard error of the proxy\n{}\n---", self.stderr().join("\n"));
        }
    }
}

/// `listening on http://127.0.0.1:1234` or `admin on http://127.0.0.1:1234`, whatever a logger put before it.
fn announced(line: &str) -> Option<(String, SocketAddr)> {
    let (before, url) = line.trim_end().rsplit_once(' ')?;
    let (scheme, address) = url.split_once("://")?;
    let scheme = match before {
        _ if before.ends_with("listening on") => scheme,
        _ if before.ends_with("admin on") => "admin",
        _ => return None,
    };
    Some((scheme.to_owned(), address.trim_end_matches('/').parse().ok()?))
}

fn collect(pipe: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let shared = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            shared.lock().push(String::from_utf8_lossy(&line).into_owned());
        }
    });
    lines
}
