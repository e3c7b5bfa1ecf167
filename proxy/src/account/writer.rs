//! The access log's own thread: a bounded queue in, batches of lines out.
//!
//! The request path moves an [`Entry`] into the queue and goes on; a full queue drops the line and counts it. Formatting,
//! the file and whatever it waits for belong to the thread.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use forebay_config::model::{Log, LogTarget};
use prometheus::IntCounter;

use super::entry::Entry;
use super::format::Formatter;
use crate::top::Top;

/// Lines that wait at most. At 100,000 requests a second a disk may stall for 0.6 s before a line is dropped.
const QUEUE: usize = 64 * 1024;
/// How long lines gather before they are written. The thread is woken once in this time however many requests there are,
/// so the request path pays for one wake-up in a thousand, not for each.
const GATHER: Duration = Duration::from_millis(10);
/// Bytes after which a batch is written without waiting for more.
const BATCH: usize = 64 * 1024;
/// A failing disk fails for each batch; it is reported this often.
const COMPLAINT: Duration = Duration::from_secs(60);
/// How long `reopen` waits for room in the queue.
const REOPEN_LIMIT: Duration = Duration::from_secs(10);

type Sink = Box<dyn Write + Send>;
type Open = Box<dyn FnMut() -> io::Result<Sink> + Send>;

enum Message {
    // Boxed: the queue's slots are made at start and would be 20 MiB otherwise.
    Line(Box<Entry>),
    Reopen,
    Stop(SyncSender<()>),
}

/// The access log, as the rest of the process sees it. Dropping it writes what is queued, without waiting for it.
pub(crate) struct AccessLog {
    queue: SyncSender<Message>,
    /// False for `path = "off"`: then the thread gets what [`Top`] wants, and writes nothing.
    writes: bool,
    dropped: IntCounter,
}

impl AccessLog {
    /// Opens the target and starts the thread. `dropped` counts lines that were lost: to a full queue, a failed write, or a
    /// log that is stopped.
    ///
    /// # Errors
    /// When the file cannot be opened for appending (it is made if missing, mode 0640) or no thread can be started.
    pub(crate) fn start(config: &Log, dropped: IntCounter, top: Arc<Top>) -> io::Result<Self> {
        let open: Open = match &config.target {
            LogTarget::Off => Box::new(|| Ok(Box::new(io::sink()))),
            LogTarget::Stdout => Box::new(|| Ok(Box::new(io::stdout()))),
            LogTarget::File(path) => {
                let path = path.clone();
                Box::new(move || {
                    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?;
                    Ok(Box::new(file))
                })
            }
        };
        let formatter = (config.target != LogTarget::Off).then(|| Formatter::new(config.format));
        Self::spawn(formatter, open, QUEUE, dropped, top)
    }

    fn spawn(
        formatter: Option<Formatter>,
        mut open: Open,
        queue: usize,
        dropped: IntCounter,
        top: Arc<Top>,
    ) -> io::Result<Self> {
        let sink = open()?;
        let writes = formatter.is_some();
        let (sender, receiver) = sync_channel(queue);
        let writer =
            Writer { formatter, top, open, sink, lines: Vec::new(), count: 0, torn: false, complained: None, dropped };
        let dropped = writer.dropped.clone();
        thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(Self { queue: sender, writes, dropped })
    }

    /// Queues the line of `entry`. Never waits.
    pub(crate) fn push(&self, entry: Entry) {
        if !self.writes && !Top::wants(entry.cache) {
            return;
        }
        if self.queue.try_send(Message::Line(Box::new(entry))).is_err() && self.writes {
            self.dropped.inc();
        }
    }

    /// Whether lines go anywhere.
    pub(crate) fn is_on(&self) -> bool {
        self.writes
    }

    /// Opens the file again, after the lines queued so far. If that fails the old file is kept and the error logged.
    pub(crate) fn reopen(&self) {
        if !self.control(Message::Reopen, Instant::now() + REOPEN_LIMIT) {
            tracing::error!("access log not reopened: its writer does not keep up or is stopped");
        }
    }

    /// Writes what is queued and ends the thread; false if that took longer than `limit`.
    pub(crate) fn flush_and_stop(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let (done, stopped) = sync_channel(1);
        // Where nothing is written nothing is lost.
        !self.writes
            || self.control(Message::Stop(done), deadline)
                && stopped.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
    }

    /// Unlike a line, a command waits for room.
    fn control(&self, mut message: Message, deadline: Instant) -> bool {
        loop {
            message = match self.queue.try_send(message) {
                Ok(()) => return true,
                Err(TrySendError::Full(message)) if Instant::now() < deadline => message,
                Err(_) => return false,
            };
            thread::sleep(Duration::from_millis(2));
        }
    }
}

struct Writer {
    /// `None`: nothing is written.
    formatter: Option<Formatter>,
    top: Arc<Top>,
    open: Open,
    sink: Sink,
    /// Formatted, not yet written.
    lines: Vec<u8>,
    /// How many they are.
    count: u64,
    /// The last write broke off within a line.
    torn: bool,
    complained: Option<Instant>,
    dropped: IntCounter,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Message>) {
        while let Ok(first) = queue.recv() {
            if matches!(first, Message::Line(_)) {
                thread::sleep(GATHER);
            }
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Line(entry) => self.line(&entry),
                    Message::Reopen => self.reopen(),
                    Message::Stop(done) => {
                        self.write();
                        let rest = queue.try_iter().filter(|message| matches!(message, Message::Line(_))).count();
                        let lost = if self.formatter.is_some() { rest } else { 0 };
                        self.dropped.inc_by(u64::try_from(lost).unwrap_or(u64::MAX));
                        // Whoever asked may have given up waiting.
                        let _ = done.send(());
                        return;
                    }
                }
                next = queue.try_recv().ok();
            }
            self.write();
        }
        self.write();
    }

    fn line(&mut self, entry: &Entry) {
        self.top.record(entry);
        let Some(formatter) = &mut self.formatter else { return };
        formatter.line(entry, &mut self.lines);
        self.count += 1;
        if self.lines.len() >= BATCH {
            self.write();
        }
    }

    fn reopen(&mut self) {
        self.write();
        match (self.open)() {
            // `torn` stays: whether the file is a new one is not known, and an empty line does no harm.
            Ok(sink) => self.sink = sink,
            Err(error) => tracing::error!(%error, "access log not reopened, the old file stays in use"),
        }
    }

    fn write(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let begun = self.torn && self.sink.write_all(b"\n").is_ok();
        let mut written = 0;
        let result = write_counting(&mut *self.sink, &self.lines, &mut written).and_then(|()| self.sink.flush());
        match result {
            Ok(()) => self.torn = self.torn && !begun,
            Err(error) => {
                let lost = self.lines.get(written..).unwrap_or_default();
                let lost = memchr::memchr_iter(b'\n', lost).count();
                // A failed flush after the last byte says nothing of how much arrived: all may be lost.
                let lost = if lost == 0 { self.count } else { u64::try_from(lost).unwrap_or(u64::MAX) };
                self.dropped.inc_by(lost);
                let last = written.checked_sub(1).and_then(|last| self.lines.get(last));
                self.torn = last.map_or(self.torn && !begun, |last| *last != b'\n');
                if self.complained.is_none_or(|last| last.elapsed() >= COMPLAINT) {
                    tracing::error!(%error, lost, "access log lines lost");
                    self.complained = Some(Instant::now());
                }
            }
        }
        self.lines.clear();
        self.lines.shrink_to(4 * BATCH);
        self.count = 0;
    }
}

/// `write_all` that tells how far it came.
fn write_counting(sink: &mut dyn Write, mut bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                *written += count;
                bytes = bytes.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
