//! `[resolver]`

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::model::Resolver;
use crate::reading::Reading;
use crate::table::Table;
use crate::values::{Wrong, quoted};

pub(super) fn read(table: Option<Table<'_, '_>>, reading: &Reading<'_>) -> Resolver {
    let defaults = Resolver::default();
    let Some(mut table) = table else { return defaults };
    let servers = table.take("servers").and_then(|item| item.list("192.168.0.2", server)).unwrap_or_default();
    let mut time = |word, least, most, default| {
        let item = table.take(word);
        let found =
            item.as_ref().and_then(|item| item.duration(Duration::from_millis(least)..=Duration::from_secs(most)));
        (found.unwrap_or(default), item)
    };
    let (min_ttl, _) = time("min_ttl", 100, 3600, defaults.min_ttl);
    let (max_ttl, item) = time("max_ttl", 100, 86_400, defaults.max_ttl);
    let (timeout, _) = time("timeout", 10, 30, defaults.timeout);
    if let Some(item) = item.filter(|_| max_ttl < min_ttl) {
        reading.misfit(&item.span, "`max_ttl` is shorter than `min_ttl`", "make it as long at least");
    }
    table.finish();
    let servers = servers.into_iter().map(|found| found.value).collect();
    Resolver { servers, min_ttl, max_ttl: max_ttl.max(min_ttl), timeout }
}

/// An address, with a port if it is another than 53.
fn server(text: &str) -> Result<SocketAddr, Wrong> {
    let alone = || text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 53));
    text.parse().ok().or_else(alone).ok_or_else(|| {
        let hint = "write a numeric address: \"192.168.0.2\", or \"192.168.0.2:5353\" for another port than 53";
        Wrong::new(format!("{} is not an address", quoted(text)), hint)
    })
}
