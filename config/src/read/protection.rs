//! The words of protection, in `[[site]]` and `[[site.route]]` alike.

use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use crate::check::htpasswd;
use crate::model::{AccessRule, Auth, LimitKey, Over, Protection, RequestLimit, Suspect, Suspicion};
use crate::table::{Item, Table};
use crate::values::{Wrong, choice, name_pattern, network, path, path_pattern, quoted, rate};

/// The words of `action` in a limit.
pub(crate) const OVER: [(&str, Over); 2] = [("refuse", Over::Refuse), ("delay", Over::Delay)];

/// The words of `action` in `[site.suspect]`.
pub(crate) const SUSPICION: [(&str, Suspicion); 3] =
    [("refuse", Suspicion::Refuse), ("tarpit", Suspicion::Tarpit), ("mark", Suspicion::Mark)];

/// Largest `body_size`: 1 TiB.
const BODY_SIZE_MAX: u64 = 1 << 40;

/// Most requests a limit lets come at once, or at the same time, and largest threshold.
const COUNT: RangeInclusive<u64> = 1..=1_000_000;

/// How long a client may stay suspect, and in what time its requests are counted.
const PERIOD: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// How long a request may be held.
const HELD: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(300);

/// The protection of `base` with the words of `table` over it. A list replaces that of `base`; with `extra_` before its
/// name it is added to it.
pub(super) fn read(table: &mut Table<'_, '_>, base: Protection, place: &str) -> Protection {
    let mut protection = base;
    if let Some(item) = table.take("access") {
        let tables = item.tables(&format!("[[{place}.access]]"));
        protection.access = tables.into_iter().filter_map(access).collect();
    }
    if let Some(item) = table.take("limit") {
        protection.limits = limits(item, &format!("[[{place}.limit]]"));
    }
    if let Some(item) = table.take("extra_limit") {
        protection.limits.extend(limits(item, &format!("[[{place}.extra_limit]]")));
    }
    if let Some(item) = table.take("suspect") {
        protection.suspect = or_off(item, &format!("[{place}.suspect]"), suspect);
    }
    if let Some(item) = table.take("auth") {
        protection.auth = or_off(item, &format!("[{place}.auth]"), auth);
    }
    if let Some(item) = table.take("body_size") {
        protection.body_size = item.size(0..=BODY_SIZE_MAX);
    }
    protection
}

/// A table, or the word `"off"` for none.
fn or_off<T>(item: Item<'_, '_>, place: &str, read: fn(Table<'_, '_>) -> Option<T>) -> Option<T> {
    if item.is_string("off") { None } else { item.table(place).and_then(read) }
}

fn access(mut table: Table<'_, '_>) -> Option<AccessRule> {
    let reading = table.reading;
    let path = path_of(&mut table);
    let (allow, deny) = (table.take("allow"), table.take("deny"));
    let span = table.span.clone();
    table.finish();
    let (item, allow) = match (allow, deny) {
        (Some(item), None) => (item, true),
        (None, Some(item)) => (item, false),
        (Some(_), Some(item)) => {
            let hint = "write two rules: the first that matches decides";
            reading.mistake(&item.key, "`allow` and `deny` in one rule", hint);
            return None;
        }
        (None, None) => {
            let hint = "say who: allow = [\"192.0.2.0/24\"], or deny = [\"all\"]";
            reading.misfit(&span, "neither `allow` nor `deny` in a rule of access", hint);
            return None;
        }
    };
    let place = item.span.clone();
    let networks = networks(item);
    if networks.is_empty() {
        reading.misfit(&place, "the rule names no network", "name at least one, or \"all\"");
    }
    Some(AccessRule { allow, networks, path })
}

/// Networks, or `"all"`.
fn networks(item: Item<'_, '_>) -> Vec<IpNet> {
    let parse = |text: &str| match text {
        "all" => Ok(vec![IpNet::V4(Default::default()), IpNet::V6(Default::default())]),
        _ => network::parse(text).map(|network| vec![network]),
    };
    let found = item.list("192.0.2.0/24", parse).unwrap_or_default();
    found.into_iter().flat_map(|found| found.value).collect()
}

fn path_of(table: &mut Table<'_, '_>) -> Option<String> {
    let found = table.take("path").and_then(|item| item.parsed("/wp-admin/", path_pattern::bypass));
    found.map(|found| found.value)
}

fn except(table: &mut Table<'_, '_>) -> Vec<IpNet> {
    table.take("except").map(networks).unwrap_or_default()
}

fn limits(item: Item<'_, '_>, place: &str) -> Vec<RequestLimit> {
    item.tables(place).into_iter().filter_map(limit).collect()
}

fn limit(mut table: Table<'_, '_>) -> Option<RequestLimit> {
    let reading = table.reading;
    let path = path_of(&mut table);
    let methods = table.take("methods").and_then(|item| item.list("POST", method)).unwrap_or_default();
    let key = table.take("key").and_then(|item| item.parsed("address", key)).map(|found| found.value);
    let rate_item = table.take("rate");
    let rate = rate_item.as_ref().and_then(|item| item.parsed("10/s", rate::parse)).map(|found| found.value);
    let burst_item = table.take("burst");
    let burst = burst_item.as_ref().and_then(|item| item.integer(COUNT));
    let over = table.take("action").and_then(|item| item.parsed("refuse", |text| choice::parse(text, &OVER)));
    let delay = table.take("delay").and_then(|item| item.duration(HELD)).unwrap_or(Duration::from_secs(5));
    let concurrent_item = table.take("concurrent");
    let concurrent = concurrent_item.as_ref().and_then(|item| item.integer(COUNT));
    let except = except(&mut table);
    let span = table.span.clone();
    table.finish();
    if rate_item.is_none() && concurrent_item.is_none() {
        let hint = "say what is limited: rate = \"10/s\", concurrent = 20 or both";
        reading.misfit(&span, "neither `rate` nor `concurrent` in a limit", hint);
    }
    if let (Some(item), None) = (&burst_item, &rate_item) {
        reading.misfit(&item.key, "`burst` without `rate`", "add rate = \"10/s\", or remove burst");
    }
    Some(RequestLimit {
        path,
        methods: methods.into_iter().map(|found| found.value).collect(),
        key: key.unwrap_or(LimitKey::Address),
        rate,
        burst: narrow(burst.unwrap_or_else(|| rate.map_or(1, |rate| u64::from(rate.requests)))),
        over: over.map_or(Over::Refuse, |found| found.value),
        delay,
        concurrent: concurrent.map(narrow),
        except,
    })
}

/// The ranges above are far beneath what a `u32` holds.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A method: a token in upper case.
pub(super) fn method(text: &str) -> Result<String, Wrong> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{} is not a method", quoted(text)), "write it in upper case: \"POST\""))
}

fn key(text: &str) -> Result<LimitKey, Wrong> {
    match text.split_once(':') {
        None if text == "address" => Ok(LimitKey::Address),
        None if text == "all" => Ok(LimitKey::All),
        Some(("header", name)) => field_name(name).map(LimitKey::Header),
        Some(("cookie", name)) if !name.ends_with('*') => name_pattern::cookie(name).map(LimitKey::Cookie),
        _ => {
            let hint = "choose one of: \"address\", \"header:NAME\", \"cookie:NAME\", \"all\"";
            Err(Wrong::new(format!("{} is not one of its words", quoted(text)), hint))
        }
    }
}

/// The name of a field, in lower case.
pub(super) fn field_name(text: &str) -> Result<String, Wrong> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(is_token) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Wrong::new(format!("{} is not the name of a field", quoted(text)), "write the name alone: \"X-Api-Key\""))
}

fn suspect(mut table: Table<'_, '_>) -> Option<Suspect> {
    const HINT: &str = "say how many requests within `period` make a client suspect: threshold = 100";
    let threshold = table.require("threshold", HINT).and_then(|item| item.integer(COUNT));
    let mut time = |word, range: &RangeInclusive<Duration>, default| {
        let found = table.take(word).and_then(|item| item.duration(range.clone()));
        found.unwrap_or_else(|| Duration::from_secs(default))
    };
    let period = time("period", &PERIOD, 10);
    let ban = time("ban", &PERIOD, 60);
    let tarpit = time("tarpit", &HELD, 10);
    let action = table.take("action").and_then(|item| item.parsed("refuse", |text| choice::parse(text, &SUSPICION)));
    let ignore = table.take("ignore").and_then(|item| item.list("/wp-content/", path_pattern::bypass));
    let except = except(&mut table);
    table.finish();
    Some(Suspect {
        threshold: narrow(threshold?),
        period,
        ban,
        action: action.map_or(Suspicion::Refuse, |found| found.value),
        tarpit,
        ignore: ignore.unwrap_or_default().into_iter().map(|found| found.value).collect(),
        except,
    })
}

fn auth(mut table: Table<'_, '_>) -> Option<Auth> {
    const HINT: &str = "name the file of users: file = \"/etc/forebay/htpasswd\"";
    let item = table.require("file", HINT);
    let file = item.as_ref().and_then(|item| item.parsed("/etc/forebay/htpasswd", path::file));
    if let (Some(item), Some(file)) = (&item, &file)
        && let Err(wrong) = htpasswd::read(&file.value)
    {
        item.wrong(wrong);
    }
    let realm = table.take("realm").and_then(|item| item.parsed("Restricted", realm)).map(|found| found.value);
    let forward = table.take("forward").and_then(|item| item.boolean()).unwrap_or(false);
    table.finish();
    Some(Auth { file: file?.value, realm: realm.unwrap_or_else(|| "Restricted".to_owned()), forward })
}

/// What fits into a quoted string as it stands.
fn realm(text: &str) -> Result<String, Wrong> {
    let plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !matches!(byte, b'"' | b'\\');
    if !text.is_empty() && text.len() <= 100 && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    let hint = "write up to 100 characters of ASCII, without quotes and backslashes";
    Err(Wrong::new(format!("{} is not a realm", quoted(text)), hint))
}
