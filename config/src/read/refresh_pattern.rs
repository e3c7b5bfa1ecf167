//! `[[site.refresh_pattern]]`

use super::LIFETIME;
use crate::model::RefreshPattern;
use crate::table::Table;
use crate::values::regular_expression;
use crate::values::squid_line::{self, PERCENT_MAX};

/// One pattern, in words or as one line of a squid.conf. `None` after a mistake.
pub(super) fn read(mut table: Table<'_, '_>) -> Option<RefreshPattern> {
    let reading = table.reading;
    if let Some(line) = table.take("line") {
        let found = line.parsed(". 30 20% 3600", squid_line::parse);
        for word in ["pattern", "ignore_case", "min", "percent", "max"] {
            if let Some(item) = table.take(word) {
                reading.mistake(
                    &item.key,
                    format!("`{word}` beside `line`"),
                    "`line` says it all: keep one of the two",
                );
            }
        }
        table.finish();
        return found.map(|found| found.value);
    }
    let pattern = table
        .require("pattern", "say which URLs: pattern = '\\.(css|js)$', or line = \". 30 20% 3600\"")
        .and_then(|item| item.parsed("\\\\.css$", regular_expression::parse));
    let ignore_case = table.take("ignore_case").and_then(|item| item.boolean()).unwrap_or(false);
    let hint = "write it as in Squid: min = \"30m\", percent = 20, max = \"60h\"";
    let mut duration = |word| table.require(word, hint).and_then(|item| item.duration_in("m", LIFETIME));
    let min = duration("min");
    let max = duration("max");
    let percent = table
        .require("percent", "write the share of the age of Last-Modified: percent = 20")
        .and_then(|item| item.integer(0..=u64::from(PERCENT_MAX)));
    table.finish();
    Some(RefreshPattern {
        pattern: pattern?.value,
        ignore_case,
        min: min?,
        percent: u32::try_from(percent?).unwrap_or(PERCENT_MAX),
        max: max?,
    })
}
