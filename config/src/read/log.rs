//! `[log]`

use super::absent;
use crate::model::{Log, LogFormat, LogTarget};
use crate::reading::Reading;
use crate::table::Table;
use crate::values::{Wrong, choice, path};

/// The words of `format`.
pub(crate) const FORMATS: [(&str, LogFormat); 4] = [
    ("combined", LogFormat::Combined),
    ("combined+cache", LogFormat::CombinedCache),
    ("squid", LogFormat::Squid),
    ("json", LogFormat::Json),
];

/// The words of `level`.
const LEVELS: [(&str, &str); 5] =
    [("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("trace", "trace")];

pub(super) fn read(table: Option<Table<'_, '_>>, reading: &Reading<'_>) -> Log {
    let mut table = table.unwrap_or_else(|| absent(reading, "[log]"));
    let format = table
        .take("format")
        .and_then(|item| item.parsed("combined+cache", |text| choice::parse(text, &FORMATS)))
        .map_or(LogFormat::CombinedCache, |found| found.value);
    let target = table
        .take("path")
        .and_then(|item| item.parsed("/var/log/forebay/access.log", target))
        .map_or(LogTarget::Stdout, |found| found.value);
    let level = table
        .take("level")
        .and_then(|item| item.parsed("info", |text| choice::parse(text, &LEVELS)))
        .map_or("info", |found| found.value);
    table.finish();
    Log { format, target, level: level.to_owned() }
}

fn target(text: &str) -> Result<LogTarget, Wrong> {
    match text {
        "off" => Ok(LogTarget::Off),
        "-" => Ok(LogTarget::Stdout),
        _ => path::file_to_write(text).map(LogTarget::File),
    }
}
