//! The formats of the access log: one file each.

mod combined;
mod json;
mod squid;

use std::time::{SystemTime, UNIX_EPOCH};

use forebay_config::model::LogFormat;

use super::entry::Entry;
use super::time::Utc;

/// Turns entries into lines. Belongs to the one thread that writes them.
#[derive(Debug)]
pub(super) struct Formatter {
    format: LogFormat,
    date: CommonDate,
}

impl Formatter {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, date: CommonDate { second: u64::MAX, text: String::new() } }
    }

    /// Appends the line of `entry`, its line feed included.
    pub(super) fn line(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        match self.format {
            LogFormat::Combined => combined::combined(entry, self.date.of(entry.start), out),
            LogFormat::CombinedCache => {
                combined::combined(entry, self.date.of(entry.start), out);
                combined::cache(entry, out);
            }
            LogFormat::Squid => squid::squid(entry, out),
            LogFormat::Json => json::json(entry, out),
        }
        out.push(b'\n');
    }
}

/// Requests come by the thousand within one second, so the date is written out once for all of them.
#[derive(Debug)]
struct CommonDate {
    second: u64,
    text: String,
}

impl CommonDate {
    fn of(&mut self, time: SystemTime) -> &str {
        let second = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second {
            self.text = Utc::new(time).common();
            self.second = second;
        }
        &self.text
    }
}

#[cfg(test)]
mod tests;
