//! What the disk tier tells beyond what every tier does.

use forebay_cache::store::disk::DiskStats;
use prometheus::{Gauge, IntCounter, IntGauge, Result};

use super::Make;

/// Counters and gauges of the disk tier.
#[derive(Debug)]
pub(crate) struct DeviceMetrics {
    write_errors: IntCounter,
    read_errors: IntCounter,
    corrupt: IntCounter,
    recovery: Gauge,
    degraded: IntGauge,
}

impl DeviceMetrics {
    pub(super) fn new(make: &Make) -> Result<Self> {
        Ok(Self {
            write_errors: make.counter("forebay_disk_write_errors_total", "Operations that failed while writing.")?,
            read_errors: make.counter("forebay_disk_read_errors_total", "Reads of the disk tier that failed.")?,
            corrupt: make.counter(
                "forebay_disk_corrupt_total",
                "Records that were not what had been written, and were dropped.",
            )?,
            recovery: make.float_gauge("forebay_disk_recovery_seconds", "How long the last recovery took.")?,
            degraded: make.gauge("forebay_disk_degraded", "1 while nothing can be stored on disk, else 0.")?,
        })
    }

    /// Brings everything up to date with the tier's own counters, which only grow.
    pub(crate) fn set(&self, stats: &DiskStats) {
        for (metric, now) in [
            (&self.write_errors, stats.write_errors),
            (&self.read_errors, stats.read_errors),
            (&self.corrupt, stats.corrupt),
        ] {
            metric.inc_by(now.saturating_sub(metric.get()));
        }
        self.recovery.set(stats.recovery.as_secs_f64());
        self.degraded.set(i64::from(stats.degraded.is_some()));
    }
}
