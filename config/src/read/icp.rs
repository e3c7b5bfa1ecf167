//! `[icp]`, `[[icp.sibling]]`, `[[icp.parent]]`

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::upstream::resolve;
use crate::model::{Icp, IcpPeer, ParentBalance};
use crate::reading::{Located, Reading};
use crate::table::{Item, Table};
use crate::values::{Wrong, address, choice, network, quoted};

/// The words of `icp.balance`.
pub(crate) const PARENT_BALANCE: [(&str, ParentBalance); 2] =
    [("round-robin", ParentBalance::RoundRobin), ("hash-uri", ParentBalance::HashUri)];

/// Squid's `icp_query_timeout`.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn read(mut table: Table<'_, '_>) -> Icp {
    let reading = table.reading;
    let address = table
        .require("address", "say where to be asked: address = \"0.0.0.0:3130\"")
        .and_then(|item| item.parsed("0.0.0.0:3130", address::listen));
    let timeout = table.take("timeout").and_then(|item| item.duration(millis(10)..=Duration::from_secs(60)));
    let dead_after = table.take("dead_after").and_then(|item| item.integer(1..=1000)).unwrap_or(1);
    let probe = table.take("probe").and_then(|item| item.duration(millis(100)..=Duration::from_secs(3600)));
    let allow = table.take("allow").and_then(|item| item.list("10.0.0.0/8", network::parse));
    let rate = table.take("rate").and_then(|item| item.integer(1..=10_000_000)).unwrap_or(10_000);
    let balance = table
        .take("balance")
        .and_then(|item| item.parsed("round-robin", |text| choice::parse(text, &PARENT_BALANCE)))
        .map_or(ParentBalance::RoundRobin, |found| found.value);
    let own = address.as_ref().map(|found| found.value);
    let mut seen = Vec::new();
    let siblings = peers(table.take("sibling"), "[[icp.sibling]]", own, &mut seen);
    let parents = peers(table.take("parent"), "[[icp.parent]]", own, &mut seen);
    if siblings.is_empty() && parents.is_empty() && allow.as_ref().is_none_or(Vec::is_empty) {
        let hint = "add an [[icp.sibling]], or name in `allow` who may ask";
        reading.misfit(&table.span, "[icp] without anybody to ask or to answer", hint);
    }
    table.finish();
    Icp {
        address: own.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
        timeout: timeout.unwrap_or(TIMEOUT),
        dead_after: u32::try_from(dead_after).unwrap_or(1),
        probe: probe.unwrap_or(Duration::from_secs(1)),
        allow: allow.unwrap_or_default().into_iter().map(|found| found.value).collect(),
        rate: u32::try_from(rate).unwrap_or(u32::MAX),
        balance,
        siblings,
        parents,
    }
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn peers(
    item: Option<Item<'_, '_>>,
    place: &str,
    own: Option<SocketAddr>,
    seen: &mut Vec<Located<SocketAddr>>,
) -> Vec<IcpPeer> {
    let tables = item.map(|item| item.tables(place)).unwrap_or_default();
    tables.into_iter().filter_map(|table| peer(table, place == "[[icp.parent]]", own, seen)).collect()
}

fn peer(
    mut table: Table<'_, '_>,
    is_parent: bool,
    own: Option<SocketAddr>,
    seen: &mut Vec<Located<SocketAddr>>,
) -> Option<IcpPeer> {
    let reading = table.reading;
    let http = table
        .require("http", "say where its pages are: http = \"192.168.0.151:80\"")
        .and_then(|item| item.parsed("192.168.0.151:80", with_text));
    let icp = if is_parent {
        table.take("icp")
    } else {
        table.require("icp", "say where it is asked: icp = \"192.168.0.151:3130\"")
    };
    let icp = icp.and_then(|item| item.parsed("192.168.0.151:3130", with_text));
    let proxy_only = table.take("proxy_only").and_then(|item| item.boolean()).unwrap_or(false);
    let weight = if is_parent { table.take("weight").and_then(|item| item.integer(1..=1000)) } else { None };
    table.finish();
    let icp = match icp {
        Some(found) => Some(asked(reading, &found, own, seen)?),
        None => None,
    };
    let Located { value: (text, host, port), span } = http?;
    let address = first(reading, &host, port, &span)?;
    Some(IcpPeer {
        icp,
        http: text,
        address,
        proxy_only,
        weight: weight.and_then(|w| u32::try_from(w).ok()).unwrap_or(1),
    })
}

/// The address that a peer is asked at: one of its own, for answers are told apart by it.
fn asked(
    reading: &Reading<'_>,
    found: &Located<(String, String, u16)>,
    own: Option<SocketAddr>,
    seen: &mut Vec<Located<SocketAddr>>,
) -> Option<SocketAddr> {
    let Located { value: (text, host, port), span } = found;
    let address = first(reading, host, *port, span)?;
    if own == Some(address) {
        let hint = "leave this instance out of its own peers";
        reading.misfit(span, format!("`icp`: {} is our own address", quoted(text)), hint);
    }
    if let Some(twin) = seen.iter().find(|other| other.value == address) {
        let hint = format!("line {} has it already", reading.source.line(twin.span.start));
        reading.mistake(span, format!("`icp`: {} is named twice", quoted(text)), hint);
    }
    seen.push(Located { value: address, span: span.clone() });
    Some(address)
}

fn first(reading: &Reading<'_>, host: &str, port: u16, span: &Range<usize>) -> Option<SocketAddr> {
    resolve(reading, host, port, span)?.into_iter().next()
}

fn with_text(text: &str) -> Result<(String, String, u16), Wrong> {
    address::host_port(text).map(|(host, port)| (text.to_owned(), host, port))
}
