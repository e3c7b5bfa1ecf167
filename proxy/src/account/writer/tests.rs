use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_config::model::{Log, LogFormat, LogTarget};
use prometheus::IntCounter;

use super::{AccessLog, Open, Sink};
use crate::account::entry::Entry;
use crate::account::format::Formatter;
use crate::account::metrics::{Metrics, SiteMetrics};
use crate::account::tests::full_entry;
use crate::top::Top;

const LONG: Duration = Duration::from_secs(30);

fn site() -> Arc<SiteMetrics> {
    Metrics::new().unwrap().site("s").unwrap()
}

fn numbered(site: &Arc<SiteMetrics>, number: usize) -> Entry {
    Entry { target: Bytes::from(format!("/{number}")), ..full_entry(site) }
}

fn counter() -> IntCounter {
    IntCounter::new("dropped", "dropped").unwrap()
}

fn to_file(path: &Path) -> AccessLog {
    let config =
        Log { format: LogFormat::Combined, target: LogTarget::File(path.to_owned()), level: "info".to_owned() };
    AccessLog::start(&config, counter(), Arc::new(Top::new())).unwrap()
}

fn spawn(open: Open, queue: usize) -> AccessLog {
    AccessLog::spawn(Some(Formatter::new(LogFormat::Combined)), open, queue, counter(), Arc::new(Top::new())).unwrap()
}

#[test]
fn lines_arrive_complete_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let (log, site) = (to_file(&path), site());
    for number in 0..5_000 {
        log.push(numbered(&site, number));
    }
    assert!(log.flush_and_stop(LONG));
    let text = fs::read_to_string(&path).unwrap();
    let targets: Vec<&str> = text.lines().map(|line| line.split(' ').nth(6).unwrap()).collect();
    let expected: Vec<String> = (0..5_000).map(|number| format!("/{number}")).collect();
    assert_eq!(targets, expected);
    assert_eq!(log.dropped.get(), 0);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0, "not for everyone to read");
}

#[test]
fn reopen_sends_earlier_lines_to_the_renamed_file_and_later_ones_to_the_new() {
    let directory = tempfile::tempdir().unwrap();
    let (path, renamed) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
    let (log, site) = (to_file(&path), site());
    log.push(numbered(&site, 1));
    fs::rename(&path, &renamed).unwrap();
    log.push(numbered(&site, 2));
    log.reopen();
    log.push(numbered(&site, 3));
    assert!(log.flush_and_stop(LONG));
    assert_eq!(fs::read_to_string(renamed).unwrap().lines().count(), 2);
    assert!(fs::read_to_string(path).unwrap().contains("GET /3 "));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let target = LogTarget::File(directory.path().join("missing/access.log"));
    let config = Log { format: LogFormat::Json, target, level: "info".to_owned() };
    assert!(AccessLog::start(&config, counter(), Arc::new(Top::new())).is_err());
}

#[test]
fn a_failed_reopen_keeps_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let (inner, moved) = (directory.path().join("log"), directory.path().join("moved"));
    fs::create_dir(&inner).unwrap();
    let (log, site) = (to_file(&inner.join("access.log")), site());
    fs::rename(&inner, &moved).unwrap();
    log.reopen();
    log.push(numbered(&site, 7));
    assert!(log.flush_and_stop(LONG));
    assert!(fs::read_to_string(moved.join("access.log")).unwrap().contains("GET /7 "));
}

/// Tells of each write and waits until it may go on.
struct Gate {
    entered: Sender<()>,
    go_on: Receiver<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.go_on.recv();
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_queue_drops_counts_and_never_blocks() {
    let (entered, entries) = channel();
    let (release, go_on) = channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let mut gate: Option<Sink> = Some(Box::new(Gate { entered, go_on, written: Arc::clone(&written) }));
    let (log, site) = (spawn(Box::new(move || gate.take().ok_or_else(|| io::ErrorKind::NotFound.into())), 8), site());
    log.push(numbered(&site, 0));
    entries.recv().unwrap();
    // The writer sits in `write`. Were a push to wait for it, this would never end, for it is released only below.
    for number in 1..=100 {
        log.push(numbered(&site, number));
    }
    assert_eq!(log.dropped.get(), 92);
    assert!(!log.flush_and_stop(Duration::from_millis(20)), "a stuck writer is not waited for");
    drop(release);
    assert!(log.flush_and_stop(LONG));
    let lines = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    assert_eq!(lines.lines().count(), 9);
}

#[test]
fn lines_after_the_stop_are_counted_as_dropped() {
    let written = Recorder::default();
    let sink = written.clone();
    let (log, site) = (spawn(Box::new(move || Ok(Box::new(sink.clone()))), 8), site());
    assert!(log.flush_and_stop(LONG));
    // The thread drops its end of the queue just after it answered.
    let deadline = Instant::now() + LONG;
    while log.dropped.get() == 0 && Instant::now() < deadline {
        log.push(numbered(&site, 1));
        std::thread::yield_now();
    }
    assert_ne!(log.dropped.get(), 0);
    assert!(written.text().is_empty());
}

/// Records writes; fails those it is told to, in the middle.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<(Vec<u8>, Vec<usize>)>>);

impl Recorder {
    /// Each number: so many bytes are taken, then the next write fails.
    fn failing(after: &[usize]) -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), after.to_vec()))))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (taken, failures) = &mut *self.0.lock().unwrap();
        let count = match failures.first_mut() {
            Some(0) => {
                failures.remove(0);
                return Err(io::ErrorKind::StorageFull.into());
            }
            Some(left) => {
                let count = bytes.len().min(*left);
                *left -= count;
                count
            }
            None => bytes.len(),
        };
        taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_torn_by_a_full_disk_does_not_spoil_the_next() {
    let recorder = Recorder::failing(&[10]);
    let sink = recorder.clone();
    let (log, site) = (spawn(Box::new(move || Ok(Box::new(sink.clone()))), 8), site());
    log.push(numbered(&site, 1));
    // Makes the lines two batches, and the file turns out to be the same.
    log.reopen();
    log.push(numbered(&site, 2));
    assert!(log.flush_and_stop(LONG));
    let text = recorder.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0].len(), 10);
    assert!(lines[1].starts_with("192.0.2.7 - - ") && lines[1].contains("GET /2 "));
    assert_eq!(log.dropped.get(), 1);
}
