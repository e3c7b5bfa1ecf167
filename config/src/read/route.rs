//! `[[site.route]]`

use super::upstream::Pools;
use super::{cache_rules, client_certificate, protection, routing};
use crate::model::{Conditions, Route, Site};
use crate::reading::Located;
use crate::table::Table;
use crate::values::{path, path_pattern};

/// What a route is for, and where it says so.
pub(super) type Seen = Located<(String, Conditions)>;

/// One route; `site` holds the rules it starts from, `seen` what the routes before it are for.
pub(super) fn read(mut table: Table<'_, '_>, site: &Site, pools: &Pools, seen: &mut Vec<Seen>) -> Option<Route> {
    let reading = table.reading;
    let conditions = routing::conditions(&mut table);
    let conditional = conditions != Conditions::default();
    let found =
        if conditional { table.take("path") } else { table.require("path", "say which requests: path = \"/api/\"") };
    let missing = found.is_none();
    let path = found.and_then(|item| item.parsed("/api/", path_pattern::route));
    let place = path.as_ref().map_or_else(|| table.span.clone(), |path| path.span.clone());
    let pattern = path.map(|path| path.value).or_else(|| (conditional && missing).then(|| "/".to_owned()));
    if let Some(pattern) = &pattern {
        let twin = seen.iter().find(|other| other.value.0 == *pattern && other.value.1 == conditions);
        if let Some(twin) = twin {
            let hint = format!("line {} has a route for it already", reading.source.line(twin.span.start));
            reading.mistake(&place, format!("`path`: there are two routes {pattern:?}"), hint);
        }
        seen.push(Located { value: (pattern.clone(), conditions.clone()), span: place.clone() });
    }
    let upstream = table.take("upstream").map_or(site.upstream, |item| pools.find(&item));
    let root = table.take("root").and_then(|item| item.parsed("/var/www/html", path::directory));
    let root = root.map(|found| found.value).or_else(|| site.root.clone());
    let offload = match table.take("offload") {
        None => root.is_some(),
        Some(item) => {
            let offload = item.boolean().unwrap_or(false);
            if offload && root.is_none() {
                let hint = "give the site a root, or remove offload";
                reading.misfit(&item.key, "`offload` in a site without `root`", hint);
            }
            offload
        }
    };
    let mut base = site.cache.clone();
    // Two routes could answer the same URL differently, and what is stored goes by the URL.
    base.enabled &= !conditions.ask_more_than_the_key();
    let cache = cache_rules::read(&mut table, base, "site.route");
    if cache.enabled && conditions.ask_more_than_the_key() {
        let hint = "what is stored goes by scheme, host, path and query alone: remove cache = \"on\"";
        reading.misfit(&place, "the cache in a route that `methods`, `headers`, `cookies` or `from` choose", hint);
    }
    if let Some(name) = conditions.query.iter().map(|one| &one.name).find(|name| ignores(&cache.ignore_params, name))
        && cache.enabled
    {
        let hint = "a parameter that is left out of the key cannot choose what is stored: write cache = \"off\"";
        reading.misfit(&place, format!("`query`: {name:?} is one of `ignore_params`"), hint);
    }
    let client_certificate = client_certificate::of_route(&mut table, site);
    let protection = protection::read(&mut table, site.protection.clone(), "site.route");
    let rewriting = routing::rewriting(&mut table, pattern.as_deref());
    let action = routing::action(&mut table);
    let request_headers = routing::edits(&mut table, "request_headers");
    let response_headers = routing::edits(&mut table, "response_headers");
    table.finish();
    Some(Route {
        path: pattern?,
        conditions,
        client_certificate,
        upstream,
        root,
        offload,
        cache,
        protection,
        rewriting,
        action,
        request_headers,
        response_headers,
    })
}

/// Whether a name is one of these patterns.
fn ignores(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => pattern == name,
    })
}
