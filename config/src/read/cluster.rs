//! `[cluster]`

use std::path::PathBuf;
use std::time::Duration;

use crate::model::Cluster;
use crate::table::Table;
use crate::values::{Wrong, path, quoted};

/// Shortest secret: whoever has what it seals can try as many as he likes.
const SHORTEST_SECRET: usize = 32;

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
    let secret_file =
        table.take("secret_file").and_then(|item| item.parsed("/etc/forebay/cluster.secret", secret)).map(file);
    let ticket_rotation = table
        .take("ticket_rotation")
        .and_then(|item| item.duration(Duration::from_secs(5)..=Duration::from_secs(86_400)))
        .unwrap_or(Duration::from_secs(6 * 3600));
    table.finish();
    Cluster {
        redis: redis.map(|found| found.value).unwrap_or_default(),
        node: node.map(|found| found.value).unwrap_or_default(),
        name: prefix.unwrap_or_else(|| "forebay".to_owned()),
        username,
        password_file,
        ca,
        timeout,
        secret_file,
        ticket_rotation,
    }
}

/// `redis://host:port` or `rediss://host:port`, with `/number` of a database.
pub(super) fn url(text: &str) -> Result<String, Wrong> {
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

/// A file that holds a secret long enough.
fn secret(text: &str) -> Result<PathBuf, Wrong> {
    let path = path::absolute(text)?;
    let wrong = |message: String| Wrong::new(message, "make one: openssl rand -hex 32");
    let held = std::fs::read_to_string(&path).map_err(|error| wrong(format!("{}: {error}", quoted(text))))?;
    let length = held.trim().len();
    if length < SHORTEST_SECRET {
        return Err(wrong(format!("{} holds {length} characters, and that is guessed", quoted(text))));
    }
    Ok(path)
}

/// A name that is part of a key.
pub(super) fn name(text: &str) -> Result<String, Wrong> {
    let sound = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if sound && (1..=64).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{} is not a name", quoted(text)), "letters, digits, `-`, `_` and `.`, 64 at most"))
    }
}
