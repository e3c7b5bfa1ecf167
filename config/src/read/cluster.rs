//! `[cluster]`

use std::path::PathBuf;
use std::time::Duration;

use crate::model::Cluster;
use crate::table::Table;
use crate::values::{Wrong, path, quoted};

pub(super) fn read(mut table: Table<'_, '_>) -> Cluster {
    let redis = table
        .require("redis", "say where Redis or Valkey is: redis = \"redis://192.168.0.10:6379\"")
        .and_then(|item| item.parsed("redis://192.168.0.10:6379", url));
    let node = table
        .require("node", "each node has a name of its own: node = \"cache1\"")
        .and_then(|item| item.parsed("cache1", name));
    let prefix = table.take("name").and_then(|item| item.parsed("forebay", name)).map(|found| found.value);
    let username = table.take("username").and_then(|item| item.parsed("forebay", name)).map(|found| found.value);
    let file = |found: crate::reading::Located<PathBuf>| found.value;
    let password_file =
        table.take("password_file").and_then(|item| item.parsed("/etc/forebay/redis", path::absolute)).map(file);
    let ca = table.take("ca").and_then(|item| item.parsed("/etc/forebay/redis-ca.pem", path::absolute)).map(file);
    let timeout = table
        .take("timeout")
        .and_then(|item| item.duration(Duration::from_millis(50)..=Duration::from_secs(30)))
        .unwrap_or(Duration::from_secs(1));
    table.finish();
    Cluster {
        redis: redis.map(|found| found.value).unwrap_or_default(),
        node: node.map(|found| found.value).unwrap_or_default(),
        name: prefix.unwrap_or_else(|| "forebay".to_owned()),
        username,
        password_file,
        ca,
        timeout,
    }
}

/// `redis://host:port` or `rediss://host:port`, with `/number` of a database.
fn url(text: &str) -> Result<String, Wrong> {
    const HINT: &str = "write \"redis://192.168.0.10:6379\", or \"rediss://…\" for TLS";
    let wrong = |message: &str| Wrong::new(format!("{} {message}", quoted(text)), HINT);
    let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
    let rest = rest.ok_or_else(|| wrong("is no URL of Redis"))?;
    if rest.contains('@') {
        let hint = "remove it, and write username = \"…\" and password_file = \"…\"";
        return Err(Wrong::new("a password does not belong into a URL that is printed", hint));
    }
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let sound = database.is_empty() || database.parse::<u32>().is_ok();
    if !sound {
        return Err(wrong("does not end with the number of a database"));
    }
    crate::values::address::host_port(authority)?;
    Ok(text.to_owned())
}

/// A name that is part of a key.
fn name(text: &str) -> Result<String, Wrong> {
    let sound = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if sound && (1..=64).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{} is not a name", quoted(text)), "letters, digits, `-`, `_` and `.`, 64 at most"))
    }
}
