//! The built binary: where it is, and running it to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// `FOREBAY_BIN`, or `forebay` beside this test's own executable, built when it is missing or older than its sources.
pub fn path() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(path) = std::env::var_os("FOREBAY_BIN") {
            // Tests run in their package's directory, people name it from the workspace's.
            return workspace().join(path);
        }
        let test = std::env::current_exe().expect("own path");
        // target/<profile>/deps/main-0123456789abcdef
        let directory = test.ancestors().nth(2).expect("target/<profile>");
        let binary = directory.join("forebay");
        let built = binary.metadata().and_then(|file| file.modified()).ok();
        if built.is_none_or(|built| built < newest_source()) {
            build(directory);
        }
        binary
    });
    &BINARY
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace")
}

fn build(directory: &Path) {
    let profile = directory.file_name().and_then(|name| name.to_str()).expect("profile");
    let profile = if profile == "debug" { "dev" } else { profile };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--profile", profile])
        .current_dir(workspace())
        .status()
        .expect("cargo");
    assert!(status.success(), "the binary does not build");
}

fn newest_source() -> SystemTime {
    fn newest(directory: &Path) -> SystemTime {
        let entries = std::fs::read_dir(directory).expect("sources");
        let times = entries.map(|entry| {
            let entry = entry.expect("sources");
            let file = entry.metadata().expect("sources");
            if file.is_dir() { newest(&entry.path()) } else { file.modified().expect("mtime") }
        });
        times.max().unwrap_or(SystemTime::UNIX_EPOCH)
    }
    ["proxy/src", "cache/src", "config/src"].iter().map(|part| newest(&workspace().join(part))).max().expect("parts")
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Runs `forebay` with these arguments to its end.
///
/// # Panics
/// When it is not over within 10 s (it is killed then).
#[must_use]
pub fn forebay(arguments: &[&str]) -> Outcome {
    let mut child = Command::new(path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the binary");
    let deadline = Instant::now() + Duration::from_secs(10);
    let id = child.id();
    let (sent, over) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Killed if the test has not heard of its end by then.
        if over.recv_timeout(deadline - Instant::now()).is_err() {
            let pid = rustix::process::Pid::from_raw(id.cast_signed()).expect("pid");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let (mut stdout, mut stderr) = (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
    let reading = std::thread::spawn(move || std::io::read_to_string(&mut stderr).expect("UTF-8"));
    let stdout = std::io::read_to_string(&mut stdout).expect("UTF-8");
    let stderr = reading.join().expect("stderr");
    let status = child.wait().expect("wait");
    let _ = sent.send(());
    assert!(Instant::now() < deadline, "forebay {arguments:?} did not end: {stdout}{stderr}");
    Outcome { code: status.code(), stdout, stderr }
}
