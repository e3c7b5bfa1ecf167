//! Account: one access log line and the metrics, exactly once for every finished request.
//!
//! The request path pays for a few atomic additions and one bounded, never blocking hand-over; lines are formatted and
//! written by a thread of their own ([`writer`]).

pub(crate) mod entry;
mod escape;
mod format;
pub(crate) mod metrics;
pub(crate) mod number;
mod time;
pub(crate) mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use forebay_config::model;

use self::entry::Entry;
use self::metrics::Metrics;
use self::writer::AccessLog;
use crate::top::Top;

/// Where finished requests are accounted for.
pub(crate) struct Account {
    log: AccessLog,
    top: Arc<Top>,
}

impl Account {
    /// Opens the access log.
    ///
    /// # Errors
    /// When the log file cannot be opened or its thread cannot be started.
    pub(crate) fn start(config: &model::Log, metrics: &Metrics) -> io::Result<Self> {
        let top = Arc::new(Top::new());
        let log = AccessLog::start(config, metrics.log_dropped.clone(), Arc::clone(&top))?;
        Ok(Self { log, top })
    }

    /// Counts and logs one request. Taking the entry by value is what makes it "exactly once": the context of a request
    /// builds it when the request ends and has nothing left to hand in again.
    pub(crate) fn finish(&self, entry: Entry) {
        entry.site.record(&entry);
        self.log.push(entry);
    }

    /// What was forwarded lately, and why.
    pub(crate) fn top(&self) -> &Top {
        &self.top
    }

    /// Whether there is a log that lines go to.
    pub(crate) fn logs(&self) -> bool {
        self.log.is_on()
    }

    /// Opens the log file again after it was renamed (SIGUSR1). Lines of requests that finished before the call go to the
    /// old file. May wait for a writer that is behind by a full queue, so not on a worker thread.
    pub(crate) fn reopen_log(&self) {
        self.log.reopen();
    }

    /// Writes what is queued and ends the writer thread. Waits `limit` at most; then what is left is lost and the answer is
    /// false. Requests that finish later are counted as dropped lines.
    pub(crate) fn stop(&self, limit: Duration) -> bool {
        self.log.flush_and_stop(limit)
    }
}

#[cfg(test)]
mod tests;
