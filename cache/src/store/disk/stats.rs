//! What the tier counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Figures of the disk tier for metrics. Counters are since start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Entries: variants, and codings of them.
    pub objects: u64,
    /// Bytes taken of `size`: all files with their overhead, and what fills in flight have reserved.
    pub bytes: u64,
    /// The ceiling.
    pub size: u64,
    /// Entries written.
    pub admissions: u64,
    /// Entries not written: too large, too much waiting, no room, or the tier is degraded.
    pub rejections: u64,
    /// Entries removed for room.
    pub evictions: u64,
    /// Operations that failed while writing.
    pub write_errors: u64,
    /// Reads that failed.
    pub read_errors: u64,
    /// Records and blocks that were not what they must be, and were dropped.
    pub corrupt: u64,
    /// How long the last recovery took.
    pub recovery: Duration,
    /// Why nothing is stored at the moment; `None` when all is well.
    pub degraded: Option<String>,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) admissions: AtomicU64,
    pub(super) rejections: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) write_errors: AtomicU64,
    pub(super) read_errors: AtomicU64,
    pub(super) corrupt: AtomicU64,
    /// Of these, what recovery found.
    pub(super) at_start: AtomicU64,
    pub(super) recovery_micros: AtomicU64,
    pub(super) degraded: Mutex<Option<String>>,
}

impl Counters {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters as they are; sizes are for the caller to fill in.
    pub(super) fn read(&self) -> DiskStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DiskStats {
            admissions: get(&self.admissions),
            rejections: get(&self.rejections),
            evictions: get(&self.evictions),
            write_errors: get(&self.write_errors),
            read_errors: get(&self.read_errors),
            corrupt: get(&self.corrupt),
            recovery: Duration::from_micros(get(&self.recovery_micros)),
            degraded: self.degraded.lock().clone(),
            ..DiskStats::default()
        }
    }

    /// Notes why nothing is stored; logs the change, not each failure.
    pub(super) fn degrade(&self, reason: String) {
        let mut degraded = self.degraded.lock();
        if degraded.as_ref() != Some(&reason) {
            tracing::error!(reason, "disk tier degraded: requests go on without it");
            *degraded = Some(reason);
        }
    }

    /// All is well again.
    pub(super) fn heal(&self) {
        if self.degraded.lock().take().is_some() {
            tracing::info!("disk tier works again");
        }
    }
}
