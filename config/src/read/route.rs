//! `[[site.route]]`

use super::upstream::Pools;
use super::{cache_rules, protection};
use crate::model::{Route, Site};
use crate::reading::Located;
use crate::table::Table;
use crate::values::path_pattern;

/// One route; `site` holds the rules it starts from, `seen` the paths of the routes before it.
pub(super) fn read(
    mut table: Table<'_, '_>,
    site: &Site,
    pools: &Pools,
    seen: &mut Vec<Located<String>>,
) -> Option<Route> {
    let reading = table.reading;
    let path = table
        .require("path", "say which requests: path = \"/api/\"")
        .and_then(|item| item.parsed("/api/", path_pattern::prefix));
    if let Some(path) = &path {
        if let Some(twin) = seen.iter().find(|other| other.value == path.value) {
            let hint = format!("line {} has a route for it already", reading.source.line(twin.span.start));
            reading.mistake(&path.span, format!("`path`: there are two routes {:?}", path.value), hint);
        }
        seen.push(path.clone());
    }
    let upstream = table.take("upstream").map_or(site.upstream, |item| pools.find(&item));
    let offload = match table.take("offload") {
        None => site.root.is_some(),
        Some(item) => {
            let offload = item.boolean().unwrap_or(false);
            if offload && site.root.is_none() {
                let hint = "give the site a root, or remove offload";
                reading.misfit(&item.key, "`offload` in a site without `root`", hint);
            }
            offload
        }
    };
    let cache = cache_rules::read(&mut table, site.cache.clone(), "site.route");
    let protection = protection::read(&mut table, site.protection.clone(), "site.route");
    table.finish();
    Some(Route { path: path?.value, upstream, offload, cache, protection })
}
