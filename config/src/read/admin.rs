//! `[admin]`

use std::net::SocketAddr;

use super::absent;
use super::listen::Listeners;
use crate::model::Admin;
use crate::reading::Reading;
use crate::table::Table;
use crate::values::{address, secret};

/// 6081: where Varnish is purged, and one of the few ports that WordPress plugins purge on loopback.
const DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 6081);

pub(super) fn read(table: Option<Table<'_, '_>>, listeners: &Listeners, reading: &Reading<'_>) -> Option<Admin> {
    let mut table = table.unwrap_or_else(|| absent(reading, "[admin]"));
    let off = table.take("off").and_then(|item| item.boolean()).unwrap_or(false);
    let address = table.take("address").and_then(|item| item.parsed("127.0.0.1:6081", address::listen));
    let token = table.take("token").and_then(|item| item.parsed("…", secret::parse)).map(|found| found.value);
    let place = address.as_ref().map(|found| found.span.clone());
    table.finish();
    let address = address.map_or_else(|| SocketAddr::from(DEFAULT), |found| found.value);
    if off {
        return None;
    }
    if let Some(public) = listeners.addresses.iter().find(|public| overlap(public.value, address)) {
        let hint = format!(
            "choose another port for [admin] address: line {} listens on {}",
            reading.source.line(public.span.start),
            public.value
        );
        // Where no address is given it is the listener that stands on the default one.
        let place = place.as_ref().unwrap_or(&public.span);
        reading.misfit(place, format!("the admin address {address} is a public one"), hint);
    }
    Some(Admin { address, token })
}

/// Whether a connection to one of the addresses could be one to the other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}
