//! Raw tables into the model: one file for each table.
//!
//! Each reader takes its words out of a [`Table`], gives every absent one its default and reports what is wrong. To go
//! on after a mistake it fills in any value of the type: the configuration is thrown away when there was one.

mod admin;
mod cache_rules;
mod client_certificate;
mod cluster;
mod disk;
mod health;
mod icp;
mod limits;
mod listen;
mod log;
mod memory;
mod protection;
mod purge;
mod refresh_pattern;
mod resolver;
mod route;
mod routing;
mod server;
mod shared;
mod site;
mod sticky;
pub(crate) mod syntax;
mod tcp;
mod upstream;
mod upstream_tls;

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

pub(crate) use cache_rules::SET_COOKIE;
pub(crate) use client_certificate::CLIENT_CERTIFICATE;
pub(crate) use health::show_status;
pub(crate) use icp::PARENT_BALANCE;
pub(crate) use listen::PROXY_PROTOCOL;
pub(crate) use log::FORMATS;
pub(crate) use protection::{OVER, SUSPICION};
pub(crate) use purge::{MODE, SLASH};
pub(crate) use site::PRESETS;
pub(crate) use tcp::PROXY_VERSION;
pub(crate) use upstream::{BALANCE, PROTOCOL, server_words};

use crate::model::{Cluster, Config, DiskTier, MemoryTier, SharedTier};
use crate::reading::Reading;
use crate::table::Table;

/// Timeouts: long enough to be kept, short enough that nothing waits for ever.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
/// Freshness lifetimes. Squid's ceiling, and that of RFC 9111's times in practice: a year.
const LIFETIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(365 * 86_400);

/// The file as a whole.
pub(crate) fn config(reading: &Reading<'_>, root: Spanned<DeTable<'_>>) -> Config {
    let mut table = Table::new(reading, "the file", reading.source.end(), root.into_inner());
    let server = server::read(table.take("server").and_then(|item| item.table("[server]")), reading);
    let listeners = listen::read(&mut table);
    let admin = admin::read(table.take("admin").and_then(|item| item.table("[admin]")), &listeners, reading);
    let log = log::read(table.take("log").and_then(|item| item.table("[log]")), reading);
    let limits = limits::read(table.take("limits").and_then(|item| item.table("[limits]")), reading);
    let (memory, disk, shared) = cache(&mut table, reading);
    let icp = table.take("icp").and_then(|item| item.table("[icp]")).map(icp::read);
    let cluster = table.take("cluster").and_then(|item| item.table("[cluster]")).map(cluster::read);
    let shared = shared.and_then(|(words, span)| with_cluster(words, &span, cluster.as_ref(), reading));
    let resolver = resolver::read(table.take("resolver").and_then(|item| item.table("[resolver]")), reading);
    let pools = upstream::read(&mut table, &resolver);
    let sites = site::read(&mut table, &pools, listeners.tls.as_ref());
    let claimed: Vec<_> = sites.iter().flat_map(|site| site.hosts.iter().cloned()).collect();
    let tcp = tcp::read(&mut table, &listeners, &pools, &claimed);
    table.finish();
    Config {
        server,
        listen: listeners.list,
        admin,
        log,
        limits,
        memory,
        disk,
        icp,
        shared,
        cluster,
        tcp,
        resolver,
        upstreams: pools.list,
        sites,
    }
}

/// What `[cache.shared]` says, and where it stands.
type SharedWords = Option<(shared::Words, Range<usize>)>;

/// `[cache]`, the parent of the tiers.
fn cache(root: &mut Table<'_, '_>, reading: &Reading<'_>) -> (MemoryTier, Option<DiskTier>, SharedWords) {
    let Some(mut table) = root.take("cache").and_then(|item| item.table("[cache]")) else {
        return (memory::read(None, reading), None, None);
    };
    let tier = memory::read(table.take("memory").and_then(|item| item.table("[cache.memory]")), reading);
    let disk = table.take("disk").and_then(|item| item.table("[cache.disk]")).map(|table| disk::read(table, reading));
    let shared = table.take("shared").and_then(|item| item.table("[cache.shared]")).map(|table| {
        let span = table.span.clone();
        (shared::read(table), span)
    });
    table.finish();
    (tier, disk, shared)
}

/// What is purged must be purged on every node that could take it from there.
fn with_cluster(
    words: shared::Words,
    span: &Range<usize>,
    cluster: Option<&Cluster>,
    reading: &Reading<'_>,
) -> Option<SharedTier> {
    if cluster.is_none() {
        let hint = "add [cluster]: what is purged at one node would come back from another";
        reading.misfit(span, "[cache.shared] without [cluster]", hint);
    }
    cluster.map(|cluster| shared::complete(words, cluster))
}

/// A table that is not in the file, to read the defaults from.
fn absent<'r, 't>(reading: &'r Reading<'r>, place: &str) -> Table<'r, 't> {
    Table::new(reading, place, 0..0, DeTable::new())
}
