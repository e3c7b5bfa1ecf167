//! `[site.purge]`

use crate::model::{NotCached, PurgeKey, PurgeMode, PurgeSlash, SitePurge};
use crate::table::Table;
use crate::values::{choice, network, path_pattern, secret};

/// The words of `slash`.
pub(crate) const SLASH: [(&str, PurgeSlash); 2] = [("page", PurgeSlash::Page), ("host", PurgeSlash::Host)];
/// The words of `mode`.
pub(crate) const MODE: [(&str, PurgeMode); 2] = [("hard", PurgeMode::Hard), ("soft", PurgeMode::Soft)];

/// Who may purge on the public side, and what it means.
pub(super) fn read(mut table: Table<'_, '_>) -> SitePurge {
    let reading = table.reading;
    let (allow, token) = (table.take("allow"), table.take("token"));
    let nobody = allow.is_none() && token.is_none();
    let allow = allow.and_then(|item| item.list("192.168.0.0/24", network::parse)).unwrap_or_default();
    let token = token.and_then(|item| item.parsed("…", secret::parse)).map(|found| found.value);
    let (header, key) = (table.take("key_header"), table.take("key_value"));
    if nobody && header.is_none() && key.is_none() {
        let hint = "say who may purge: allow = [\"192.168.0.0/24\"], token = \"…\", or key_header and key_value";
        reading.misfit(&table.span, "[site.purge] that nobody may use", hint);
    }
    let key = match (header, key) {
        (Some(header), Some(key)) => {
            let header = header.parsed("X-Purge-Key", secret::field_name);
            let key = key.parsed("…", secret::parse);
            header.zip(key).map(|(header, key)| PurgeKey { header: header.value, value: key.value })
        }
        (None, None) => None,
        (Some(item), None) => {
            reading.misfit(
                &item.key,
                "`key_header` without `key_value`",
                "add key_value = \"…\", the value of that field",
            );
            None
        }
        (None, Some(item)) => {
            reading.misfit(&item.key, "`key_value` without `key_header`", "add key_header = \"X-Purge-Key\"");
            None
        }
    };
    let slash = table.take("slash").and_then(|item| item.parsed("page", |text| choice::parse(text, &SLASH)));
    let mode = table.take("mode").and_then(|item| item.parsed("hard", |text| choice::parse(text, &MODE)));
    let not_cached = table.take("not_cached").and_then(|item| {
        let status = item.integer(200..=412)?;
        let known = [(200, NotCached::Ok), (404, NotCached::NotFound), (412, NotCached::PreconditionFailed)];
        let found = known.iter().find(|(known, _)| *known == status).map(|(_, not_cached)| *not_cached);
        if found.is_none() {
            reading.mistake(&item.span, format!("`not_cached` is {status}"), "choose 200, 404 or 412");
        }
        found
    });
    let get_path = table.take("get_path").and_then(|item| item.parsed("/purge/", path_pattern::prefix));
    let get_path = get_path.map(|found| {
        if found.value == "/" || !found.value.ends_with('/') {
            let hint = "write a path of its own that ends in a slash: \"/purge/\"";
            reading.mistake(&found.span, "`get_path` would hide the site", hint);
        }
        found.value
    });
    table.finish();
    SitePurge {
        allow: allow.into_iter().map(|found| found.value).collect(),
        key,
        token,
        slash: slash.map_or(PurgeSlash::Page, |found| found.value),
        mode: mode.map_or(PurgeMode::Hard, |found| found.value),
        not_cached: not_cached.unwrap_or(NotCached::Ok),
        get_path,
    }
}
