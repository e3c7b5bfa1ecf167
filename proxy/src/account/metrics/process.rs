//! The `process_*` metrics every Prometheus client offers, from `/proc/self`. What cannot be read stays as it was.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Counter, IntGauge, Result};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::Make;

/// The metrics of this process, current as of the last [`refresh`](Self::refresh).
#[derive(Debug)]
pub(super) struct Process {
    cpu_seconds: Counter,
    open_fds: IntGauge,
    max_fds: IntGauge,
    resident: IntGauge,
    virtual_memory: IntGauge,
    threads: IntGauge,
}

impl Process {
    pub(super) fn new(make: &Make) -> Result<Self> {
        let start = make.float_gauge("process_start_time_seconds", "When the process started, in Unix time.")?;
        // The metrics are among the first things made; a few milliseconds make no difference to anyone.
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        let cpu_seconds: Counter =
            make.add(Counter::new("process_cpu_seconds_total", "User and system CPU time spent, in seconds.")?)?;
        Ok(Self {
            cpu_seconds,
            open_fds: make.gauge("process_open_fds", "Open file descriptors.")?,
            max_fds: make.gauge("process_max_fds", "Most file descriptors that may be open.")?,
            resident: make.gauge("process_resident_memory_bytes", "Resident memory.")?,
            virtual_memory: make.gauge("process_virtual_memory_bytes", "Virtual memory.")?,
            threads: make.gauge("process_threads", "Threads.")?,
        })
    }

    pub(super) fn refresh(&mut self) {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        // Far below 2^53 seconds: exact.
        #[expect(clippy::cast_precision_loss, reason = "seconds of CPU time stay far below 2^53")]
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        self.cpu_seconds.inc_by((cpu - self.cpu_seconds.get()).max(0.0));
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            self.max_fds.set(i64::try_from(limit).unwrap_or(i64::MAX));
        }
        if let Ok(fds) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory's own.
            self.open_fds.set(i64::try_from(fds.count().saturating_sub(1)).unwrap_or(i64::MAX));
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            for (field, gauge, unit) in [
                ("VmRSS:", &self.resident, 1024),
                ("VmSize:", &self.virtual_memory, 1024),
                ("Threads:", &self.threads, 1),
            ] {
                if let Some(value) = number(&status, field) {
                    gauge.set(value.saturating_mul(unit));
                }
            }
        }
    }
}

/// The number after `field` at the start of a line.
fn number(status: &str, field: &str) -> Option<i64> {
    status.lines().find_map(|line| line.strip_prefix(field))?.split_ascii_whitespace().next()?.parse().ok()
}
