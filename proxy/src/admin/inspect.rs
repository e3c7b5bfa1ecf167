//! Looking at the disk tier while it serves: `/cache/stats`, `/cache/check`, `/cache/list?prefix=`. What `forebay cache`
//! asks of a running instance. The answer comes line by line, from a thread of its own with the least priority; who hangs
//! up ends it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_cache::clock::Timestamp;
use forebay_cache::store::disk::{CheckReport, DiskStats, DiskStore, Listed};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::request::Request;
use crate::runtime::Shared;

/// Lines that wait to be sent; the thread waits for room.
const WAITING: usize = 64;
/// Listed entries are sent in pieces of about so many bytes.
const PIECE: usize = 16 << 10;
/// How often a check says how far it is. A client may wait ten times as long.
const PROGRESS: Duration = Duration::from_secs(1);

/// What is asked of the disk tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// Figures.
    Stats,
    /// Whether all of it is sound.
    Check,
    /// Entries whose URI begins with this.
    List(String),
}

impl Look {
    /// The look a request asks for, if it is one.
    pub(super) fn of(request: &Request) -> Option<Self> {
        match request.path.as_str() {
            "/cache/stats" => Some(Self::Stats),
            "/cache/check" => Some(Self::Check),
            "/cache/list" => {
                let prefix = request.query.split('&').find_map(|parameter| parameter.strip_prefix("prefix="));
                let prefix = percent_encoding::percent_decode_str(prefix.unwrap_or_default());
                Some(Self::List(prefix.decode_utf8_lossy().into_owned()))
            }
            _ => None,
        }
    }
}

/// Answers `look` from another thread; the lines end when the answer does. `permit` is held until then.
pub(super) fn answer(
    shared: Arc<Shared>,
    look: Look,
    now: Timestamp,
    permit: OwnedSemaphorePermit,
) -> std::io::Result<mpsc::Receiver<String>> {
    let (lines, answer) = mpsc::channel(WAITING);
    std::thread::Builder::new().name("inspect".to_owned()).spawn(move || {
        // Of this thread alone; it serves just as well where that is refused.
        let _ = rustix::process::setpriority_process(None, 19);
        if let Some(disk) = shared.lasting.store.disk() {
            tell(disk, look, now, &lines);
        }
        drop(permit);
    })?;
    Ok(answer)
}

fn tell(disk: &DiskStore, look: Look, now: Timestamp, lines: &mpsc::Sender<String>) {
    match look {
        Look::Stats => {
            let _ = lines.blocking_send(stats(&disk.stats()));
        }
        Look::Check => {
            let mut told = Instant::now();
            let mut there = true;
            let report = disk.check_while(|report| {
                if told.elapsed() >= PROGRESS {
                    told = Instant::now();
                    there = lines.blocking_send(format!("checked {}\n", report.sound + report.damaged)).is_ok();
                }
                there
            });
            if there {
                let _ = lines.blocking_send(check(&report));
            }
        }
        Look::List(prefix) => {
            let mut piece = String::new();
            disk.list(&prefix, now, |each| {
                piece.push_str(&line(&each));
                piece.len() < PIECE || lines.blocking_send(std::mem::take(&mut piece)).is_ok()
            });
            let _ = lines.blocking_send(piece);
        }
    }
}

/// The figures, a line each.
pub(crate) fn stats(stats: &DiskStats) -> String {
    let mut text = format!(
        "entries          {}\nbytes            {}\nsize             {}\nadmissions       {}\nrejections       {}\n\
         evictions        {}\nread errors      {}\nwrite errors     {}\ndamaged          {}\nrecovery seconds {:.3}\n",
        stats.objects,
        stats.bytes,
        stats.size,
        stats.admissions,
        stats.rejections,
        stats.evictions,
        stats.read_errors,
        stats.write_errors,
        stats.corrupt,
        stats.recovery.as_secs_f64()
    );
    if let Some(reason) = &stats.degraded {
        let _ = writeln!(text, "degraded         {reason}");
    }
    text
}

/// What a check found, a line each.
pub(crate) fn check(report: &CheckReport) -> String {
    format!(
        "sound            {}\nbytes verified   {}\ndamaged          {}\ndamaged at start {}\n",
        report.sound, report.bytes, report.damaged, report.at_start
    )
}

/// Status, bytes, seconds of freshness left, URI.
pub(crate) fn line(listed: &Listed) -> String {
    format!("{} {:>12} {:>9} {}\n", listed.status, listed.length, listed.ttl, listed.key)
}
