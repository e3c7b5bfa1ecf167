//! `[cache.shared]`

use std::path::PathBuf;
use std::time::Duration;

use super::cluster::{name, url};
use crate::model::{Cluster, SharedTier};
use crate::reading::Located;
use crate::table::{Item, Table};
use crate::values::path;

/// What the table says; the rest is as in `[cluster]`.
pub(super) struct Words {
    redis: Option<String>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    redis_cluster: bool,
    max_object: u64,
    max_lifetime: Duration,
    deadline: Duration,
}

pub(super) fn read(mut table: Table<'_, '_>) -> Words {
    let redis = table.take("redis").and_then(|item| item.parsed("redis://192.168.0.10:6379", url));
    let username = table.take("username").and_then(|item| item.parsed("forebay", name));
    let file = |found: Located<PathBuf>| found.value;
    let password_file =
        table.take("password_file").and_then(|item| item.parsed("/etc/forebay/redis", path::absolute)).map(file);
    let ca = table.take("ca").and_then(|item| item.parsed("/etc/forebay/redis-ca.pem", path::absolute)).map(file);
    let item = table.take("redis_cluster");
    let redis_cluster = item.as_ref().and_then(Item::boolean).unwrap_or(false);
    if let Some(item) = item.filter(|_| redis_cluster && redis.is_none()) {
        let hint = "write redis = \"redis://…\" here, too: the streams of [cluster] need one instance";
        item.reading.misfit(&item.key, "`redis_cluster` without `redis`", hint);
    }
    let max_object = table.take("max_object").and_then(|item| item.size(1024..=64 << 20)).unwrap_or(1 << 20);
    let max_lifetime = table
        .take("max_lifetime")
        .and_then(|item| item.duration(Duration::from_secs(1)..=Duration::from_secs(7 * 86_400)))
        .unwrap_or(Duration::from_secs(86_400));
    let deadline = table
        .take("deadline")
        .and_then(|item| item.duration(Duration::from_millis(1)..=Duration::from_secs(10)))
        .unwrap_or(Duration::from_millis(25));
    table.finish();
    Words {
        redis: redis.map(|found| found.value),
        username: username.map(|found| found.value),
        password_file,
        ca,
        redis_cluster,
        max_object,
        max_lifetime,
        deadline,
    }
}

/// With the connection of the cluster, unless it says where Redis is: then nothing of that is taken over.
pub(super) fn complete(words: Words, cluster: &Cluster) -> SharedTier {
    let Words { redis, username, password_file, ca, redis_cluster, max_object, max_lifetime, deadline } = words;
    let is_same = redis.is_none();
    let or = |own: Option<PathBuf>, theirs: &Option<PathBuf>| own.or_else(|| theirs.clone().filter(|_| is_same));
    SharedTier {
        username: username.or_else(|| cluster.username.clone().filter(|_| is_same)),
        password_file: or(password_file, &cluster.password_file),
        ca: or(ca, &cluster.ca),
        redis: redis.unwrap_or_else(|| cluster.redis.clone()),
        redis_cluster,
        max_object,
        max_lifetime,
        deadline,
    }
}
