//! `[server]`

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::absent;
use crate::model::Server;
use crate::reading::Reading;
use crate::table::Table;
use crate::values::{Wrong, network, path, quoted};

pub(super) fn read(table: Option<Table<'_, '_>>, reading: &Reading<'_>) -> Server {
    let mut table = table.unwrap_or_else(|| absent(reading, "[server]"));
    let threads = table.take("threads").and_then(|item| item.integer(0..=1024)).unwrap_or(0);
    let state_dir = table.take("state_dir").and_then(|item| item.parsed("/var/lib/forebay", path::absolute));
    let user = table.take("user").and_then(|item| item.parsed("forebay", user_name)).map(|found| found.value);
    let drain = table.take("drain").and_then(|item| item.duration(Duration::ZERO..=Duration::from_secs(3600)));
    let trusted = table.take("trusted_proxies").and_then(|item| item.list("10.0.0.0/8", network::parse));
    let explain_to = table.take("explain_to").and_then(|item| item.list("10.0.0.0/8", network::parse));
    table.finish();
    Server {
        threads: usize::try_from(threads).unwrap_or(0),
        state_dir: state_dir.map_or_else(|| PathBuf::from("/var/lib/forebay"), |found| found.value),
        user,
        drain: drain.unwrap_or(Duration::from_secs(30)),
        trusted_proxies: trusted.unwrap_or_default().into_iter().map(|found| found.value).collect(),
        explain_to: explain_to.map_or_else(loopback, |list| list.into_iter().map(|found| found.value).collect()),
    }
}

/// Who sits at the machine may know.
fn loopback() -> Vec<IpNet> {
    vec![IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8), IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128)]
}

/// The name of a user. Whether there is one is known when the process becomes it.
fn user_name(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.$".contains(&byte));
    if plain && !text.starts_with('-') && (1..=32).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{} is not a user name", quoted(text)), "write the name of a user: \"www-data\""))
    }
}
