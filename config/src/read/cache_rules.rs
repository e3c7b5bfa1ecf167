//! The words of the cache, in `[[site]]` and `[[site.route]]` alike.

use std::collections::HashSet;
use std::time::Duration;

use super::{LIFETIME, refresh_pattern};
use crate::model::{CacheRules, SetCookie};
use crate::table::{Item, Table};
use crate::values::{Wrong, choice, name_pattern, path_pattern, status};

/// The words of `set_cookie`.
pub(crate) const SET_COOKIE: [(&str, SetCookie); 3] =
    [("refuse", SetCookie::Refuse), ("strip", SetCookie::Strip), ("rfc", SetCookie::Rfc)];

/// The words of `cache`.
const ON_OFF: [(&str, bool); 2] = [("on", true), ("off", false)];

/// The rules of `base` with the words of `table` over them.
///
/// A list replaces that of `base`; with `extra_` before its name it is added to it.
pub(super) fn read(table: &mut Table<'_, '_>, base: CacheRules, place: &str) -> CacheRules {
    let mut rules = base;
    let enabled = table.take("cache").and_then(|item| item.parsed("off", |text| choice::parse(text, &ON_OFF)));
    if let Some(found) = enabled {
        rules.enabled = found.value;
    }
    let set_cookie =
        table.take("set_cookie").and_then(|item| item.parsed("refuse", |text| choice::parse(text, &SET_COOKIE)));
    if let Some(found) = set_cookie {
        rules.set_cookie = found.value;
    }
    let cookies = ("bypass_cookies", "extra_bypass_cookies");
    names(table, cookies, "wordpress_logged_in_*", name_pattern::cookie, &mut rules.bypass_cookies);
    let paths = ("bypass_paths", "extra_bypass_paths");
    names(table, paths, "/wp-admin/", path_pattern::bypass, &mut rules.bypass_paths);
    let params = ("bypass_params", "extra_bypass_params");
    names(table, params, "preview=true", name_pattern::parameter_value, &mut rules.bypass_params);
    let fields = ("bypass_fields", "extra_bypass_fields");
    names(table, fields, "X-Requested-With", name_pattern::field, &mut rules.bypass_fields);
    let ignored = ("ignore_params", "extra_ignore_params");
    names(table, ignored, "utm_*", name_pattern::parameter, &mut rules.ignore_params);
    let ignored = ("ignore_cookies", "extra_ignore_cookies");
    names(table, ignored, "_ga*", name_pattern::cookie, &mut rules.ignore_cookies);
    set(&mut rules.max_queries, table.take("max_queries").and_then(|item| max_queries(&item)));
    set(&mut rules.deception_armor, table.take("deception_armor").and_then(|item| item.boolean()));
    set(&mut rules.leak_canary, table.take("leak_canary").and_then(|item| leak_canary(&item)));
    set(&mut rules.surrogate_control, table.take("surrogate_control").and_then(|item| item.boolean()));
    set(&mut rules.sort_query, table.take("sort_query").and_then(|item| item.boolean()));
    set(&mut rules.drop_cookies, table.take("drop_cookies").and_then(|item| item.boolean()));
    set(&mut rules.lifetimes, table.take("lifetimes").and_then(lifetimes));
    set(&mut rules.max_lifetime, table.take("max_lifetime").and_then(|item| max_lifetime(&item)));
    let stale = table.take("stale_while_revalidate").and_then(|item| item.duration(LIFETIME));
    set(&mut rules.stale_while_revalidate, stale);
    set(&mut rules.stale_if_error, table.take("stale_if_error").and_then(|item| item.duration(LIFETIME)));
    if let Some(item) = table.take("refresh_pattern") {
        rules.refresh_patterns = item
            .tables(&format!("[[{place}.refresh_pattern]]"))
            .into_iter()
            .filter_map(refresh_pattern::read)
            .collect();
    }
    rules
}

fn set<T>(rule: &mut T, found: Option<T>) {
    if let Some(value) = found {
        *rule = value;
    }
}

/// A list of names, and the list of names to add to it.
fn names(
    table: &mut Table<'_, '_>,
    (word, extra): (&'static str, &'static str),
    example: &str,
    parse: fn(&str) -> Result<String, Wrong>,
    rule: &mut Vec<String>,
) {
    let reading = table.reading;
    let mut seen: HashSet<String> = HashSet::new();
    if let Some(list) = table.take(word).and_then(|item| item.list(example, parse)) {
        rule.clear();
        for name in list {
            if seen.insert(name.value.clone()) {
                rule.push(name.value);
            } else {
                reading.mistake(&name.span, format!("`{word}` names {:?} twice", name.value), "keep one of the two");
            }
        }
    }
    // What is added may repeat what is there: a preset grows, and no file should break by it.
    seen.extend(rule.iter().cloned());
    let added = table.take(extra).and_then(|item| item.list(example, parse)).unwrap_or_default();
    rule.extend(added.into_iter().map(|name| name.value).filter(|name| seen.insert(name.clone())));
}

/// `{ "200" = "1h" }`, ordered by status.
fn lifetimes(item: Item<'_, '_>) -> Option<Vec<(u16, Duration)>> {
    let reading = item.reading;
    let mut table = item.table("lifetimes = { \"200\" = \"1h\" }")?;
    let mut lifetimes = Vec::new();
    for (name, mut item) in table.take_all() {
        item.word = "lifetimes";
        let duration = item.duration(LIFETIME);
        match status::parse(&name.value) {
            Ok(status) => lifetimes.extend(duration.map(|duration| (status, duration))),
            Err(wrong) => reading.wrong(&name.span, "lifetimes", wrong),
        }
    }
    lifetimes.sort_unstable();
    Some(lifetimes)
}

/// One in so many, or `"off"`.
fn leak_canary(item: &Item<'_, '_>) -> Option<Option<u64>> {
    if item.is_string("off") {
        return Some(None);
    }
    item.integer(1..=1_000_000_000).map(Some)
}

/// A number, or `"none"` for no limit.
fn max_queries(item: &Item<'_, '_>) -> Option<Option<usize>> {
    if item.is_string("none") {
        return Some(None);
    }
    item.integer(0..=100_000).map(|most| usize::try_from(most).ok())
}

/// A duration, or `"none"` for no ceiling.
fn max_lifetime(item: &Item<'_, '_>) -> Option<Option<Duration>> {
    if item.is_string("none") {
        return Some(None);
    }
    item.duration(LIFETIME).map(Some)
}
