//! `health = { … }` of `[[upstream]]`

use std::time::Duration;

use super::TIMEOUT;
use crate::model::{Check, Health};
use crate::table::{Item, Table};
use crate::values::{Wrong, address, quoted, regular_expression};

/// Oftener than this a check is a load.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

pub(super) fn read(item: Item<'_, '_>) -> Option<Health> {
    let mut table = item.table("{ path = \"/\" } or { tcp = true }")?;
    let check = check(&mut table);
    let interval = table.take("interval").and_then(|item| item.duration(INTERVAL_MIN..=*TIMEOUT.end()));
    let interval = interval.unwrap_or(Duration::from_secs(3));
    let jitter = table.take("jitter").and_then(|item| item.duration(Duration::ZERO..=interval / 2));
    let timeout = table.take("timeout").and_then(|item| item.duration(TIMEOUT));
    let mut count = |word, default| {
        let value = table.take(word).and_then(|item| item.integer(1..=100));
        value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default)
    };
    let (rise, fall) = (count("rise", 2), count("fall", 3));
    table.finish();
    Some(Health {
        check: check?,
        interval,
        jitter: jitter.unwrap_or(interval / 10),
        timeout: timeout.unwrap_or(Duration::from_secs(2)),
        rise,
        fall,
    })
}

fn check(table: &mut Table<'_, '_>) -> Option<Check> {
    let reading = table.reading;
    let tcp = table.take("tcp").and_then(|item| item.boolean()).unwrap_or(false);
    let path = table.take("path");
    let method = table.take("method");
    let host = table.take("host");
    let status = table.take("status");
    let body = table.take("body");
    if tcp {
        for item in [&path, &method, &host, &status, &body].into_iter().flatten() {
            let hint = "remove it, or tcp = true";
            reading.misfit(&item.key, format!("`{}` with `tcp = true`, which asks for nothing", item.word), hint);
        }
        return Some(Check::Tcp);
    }
    let Some(path) = path else {
        reading.misfit(&table.span, "`health` asks for nothing", "write { path = \"/\" }, or { tcp = true }");
        return None;
    };
    let method = method.map_or_else(|| Some("GET".to_owned()), |item| found(&item, "GET", parse_method));
    let path = found(&path, "/", parse_path);
    let host = host.and_then(|item| found(&item, "www.example.com", parse_host));
    let status = status.map_or_else(|| Some(vec![(200, 399)]), |item| found(&item, "200-399", parse_status));
    let body = body.and_then(|item| found(&item, "ok", regular_expression::parse));
    Some(Check::Http { method: method?, path: path?, host, status: status?, body })
}

fn found<T>(item: &Item<'_, '_>, example: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
    item.parsed(example, parse).map(|found| found.value)
}

fn parse_method(text: &str) -> Result<String, Wrong> {
    if ["GET", "HEAD", "OPTIONS"].contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{} would not just look", quoted(text)), "write \"GET\", \"HEAD\" or \"OPTIONS\""))
    }
}

fn parse_path(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if plain && text.starts_with('/') && text.len() <= 2048 {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{} is not a path", quoted(text)), "begin with /, and percent-encode: \"/health\""))
    }
}

fn parse_host(text: &str) -> Result<String, Wrong> {
    let name = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(text, |(name, _)| name);
    if address::is_host_name(name) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(
            format!("{} is not a host", quoted(text)),
            "write what a browser would send: \"www.example.com\"",
        ))
    }
}

/// `200`, `200-399`, `200-299,401`.
fn parse_status(text: &str) -> Result<Vec<(u16, u16)>, Wrong> {
    let wrong = || {
        let hint = "write statuses and ranges of them: \"200-399\", \"200,401\"";
        Wrong::new(format!("{} is not a set of statuses", quoted(text)), hint)
    };
    let code = |text: &str| text.trim().parse().ok().filter(|code| (100..=599).contains(code));
    let ranges = text.split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((code(first)?, code(last)?)).filter(|(first, last): &(u16, u16)| first <= last)
    });
    ranges.collect::<Option<Vec<_>>>().ok_or_else(wrong)
}

/// As `status` writes it: the way back.
pub(crate) fn show_status(ranges: &[(u16, u16)]) -> String {
    let show = |(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(show).collect::<Vec<_>>().join(",")
}
