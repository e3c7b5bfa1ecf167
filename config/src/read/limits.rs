//! `[limits]`

use std::time::Duration;

use super::{TIMEOUT, absent};
use crate::model::Limits;
use crate::reading::Reading;
use crate::table::Table;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

pub(super) fn read(table: Option<Table<'_, '_>>, reading: &Reading<'_>) -> Limits {
    let mut table = table.unwrap_or_else(|| absent(reading, "[limits]"));
    let mut count =
        |word, range, default: u64| table.take(word).and_then(|item| item.integer(range)).unwrap_or(default);
    let connections = count("connections", 1..=1_000_000, 10_000);
    let connections_per_client = count("connections_per_client", 0..=1_000_000, 0);
    let fields = count("fields", 10..=10_000, 100);
    let h2_streams = count("h2_streams", 1..=10_000, 100);
    let mut timeout = |word, default| {
        table.take(word).and_then(|item| item.duration(TIMEOUT)).unwrap_or_else(|| Duration::from_secs(default))
    };
    let head_timeout = timeout("head_timeout", 10);
    let handshake_timeout = timeout("handshake_timeout", 10);
    let keepalive_timeout = timeout("keepalive_timeout", 60);
    let body_timeout = timeout("body_timeout", 60);
    let send_grace = timeout("send_grace", 30);
    let mut size = |word, range, default: u64| table.take(word).and_then(|item| item.size(range)).unwrap_or(default);
    let send_rate_floor = size("send_rate_floor", 0..=1024 * MIB, KIB);
    let body_size = size("body_size", 0..=TIB, 0);
    let head_size = size("head_size", KIB..=MIB, 32 * KIB);
    let target = table.take("target_size");
    let target_size = target.as_ref().and_then(|item| item.size(256..=MIB)).unwrap_or(8 * KIB);
    if let Some(item) = target.filter(|_| target_size > head_size) {
        let hint = "the target is part of the head: make head_size larger or target_size smaller";
        reading.misfit(&item.span, "`target_size` is larger than `head_size`", hint);
    }
    table.finish();
    Limits {
        connections: narrow(connections),
        connections_per_client: narrow(connections_per_client),
        head_timeout,
        handshake_timeout,
        keepalive_timeout,
        body_timeout,
        send_rate_floor,
        send_grace,
        // A default larger than a small head_size would never be reached.
        target_size: narrow(target_size.min(head_size)),
        head_size: narrow(head_size),
        fields: narrow(fields),
        body_size,
        h2_streams: u32::try_from(h2_streams).unwrap_or(u32::MAX),
    }
}

/// The ranges above are far beneath what a `usize` holds.
fn narrow(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
