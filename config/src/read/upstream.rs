//! `[[upstream]]`

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use super::{TIMEOUT, health, sticky, upstream_tls};
use crate::model::{BOTS, Balance, Resolver, ServerName, Upstream, UpstreamProtocol, UpstreamServer};
use crate::reading::{Located, Reading};
use crate::table::{Item, Table};
use crate::values::{Wrong, address, choice, nearest, quoted, upstream_name};

/// The words of `balance`.
pub(crate) const BALANCE: [(&str, Balance); 9] = [
    ("round-robin", Balance::RoundRobin),
    ("least-connections", Balance::LeastConnections),
    ("random-two", Balance::RandomTwo),
    ("least-time", Balance::LeastTime),
    ("first", Balance::First),
    ("hash-uri", Balance::HashUri),
    ("hash-client", Balance::HashClient),
    ("hash-header", Balance::HashHeader),
    ("hash-cookie", Balance::HashCookie),
];

/// The words of `protocol`.
pub(crate) const PROTOCOL: [(&str, UpstreamProtocol); 2] =
    [("http/1.1", UpstreamProtocol::Http1), ("h2", UpstreamProtocol::H2)];

/// What others call them: HAProxy, nginx, Envoy.
const BALANCE_ELSEWHERE: [(&str, &str); 12] = [
    ("roundrobin", "round-robin"),
    ("static-rr", "round-robin"),
    ("rr", "round-robin"),
    ("leastconn", "least-connections"),
    ("least_conn", "least-connections"),
    ("random", "random-two"),
    ("least_time", "least-time"),
    ("peak_ewma", "least-time"),
    ("source", "hash-client"),
    ("ip_hash", "hash-client"),
    ("uri", "hash-uri"),
    ("hdr", "hash-header"),
];

/// Longest wait for an AP server: reports and imports take their time.
const READ_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Who says what a service does not leave to us.
const OF_SERVICE: &str = "its SRV records say it: the lowest priority takes requests by weight, the others are backups";

/// Every upstream, and where its name stands.
pub(super) struct Pools {
    pub(super) list: Vec<Upstream>,
    names: Vec<Option<Located<String>>>,
}

impl Pools {
    /// The upstream that the value of `item` names.
    pub(super) fn find(&self, item: &Item<'_, '_>) -> Option<usize> {
        let name = item.parsed("ap", |text| Ok(text.to_owned()))?;
        let found = self.names.iter().position(|known| known.as_ref().is_some_and(|known| known.value == name.value));
        // With a pool whose own name is missing or wrong it is that name which has to be put right.
        if found.is_none() && self.names.iter().all(Option::is_some) {
            let known: Vec<&str> = self.names.iter().flatten().map(|known| known.value.as_str()).collect();
            let hint = match nearest(&name.value, &known) {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None if known.is_empty() => "there is no [[upstream]]: add one with this name".to_owned(),
                None => format!("known: {}", known.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")),
            };
            let message = format!("`{}`: there is no upstream {}", item.word, quoted(&name.value));
            item.reading.misfit(&name.span, message, hint);
        }
        found
    }
}

pub(super) fn read(root: &mut Table<'_, '_>, resolver: &Resolver) -> Pools {
    let mut pools = Pools { list: Vec::new(), names: Vec::new() };
    let Some(item) = root.take("upstream") else { return pools };
    if item.is_table() {
        // Its name is lost with it: no site that uses it is to blame.
        pools.names.push(None);
    }
    for table in item.tables("[[upstream]]") {
        one(table, resolver, &mut pools);
    }
    pools
}

fn one(mut table: Table<'_, '_>, resolver: &Resolver, pools: &mut Pools) {
    let reading = table.reading;
    let name = table
        .require("name", "sites call it by its name: name = \"ap\"")
        .and_then(|item| item.parsed("ap", upstream_name::parse));
    if let Some(name) = &name
        && let Some(twin) = pools.names.iter().flatten().find(|known| known.value == name.value)
    {
        let hint = format!("line {} has an upstream of this name already", reading.source.line(twin.span.start));
        reading.mistake(&name.span, format!("`name`: there are two upstreams {}", quoted(&name.value)), hint);
    }
    let balance = table
        .take("balance")
        .and_then(|item| item.parsed("round-robin", parse_balance))
        .map_or(Balance::RoundRobin, |found| found.value);
    let hash_name = hash_name(&mut table, balance);
    let hash_balance_factor = table.take("hash_balance_factor").and_then(|item| factor(&item)).unwrap_or(150);
    let protocol_item = table.take("protocol");
    let protocol = protocol_item
        .as_ref()
        .and_then(|item| item.parsed("h2", |text| choice::parse(text, &PROTOCOL)))
        .map_or(UpstreamProtocol::Http1, |found| found.value);
    let keepalive = table.take("keepalive").and_then(|item| item.boolean()).unwrap_or(false);
    let servers = servers(&mut table, resolver);
    let source = table.take("source").and_then(|item| item.parsed("192.168.0.150", source)).map(|found| found.value);
    let mut number = |word, most, default| table.take(word).and_then(|item| item.integer(0..=most)).unwrap_or(default);
    let queue = number("queue", 1_000_000, 256);
    let max_fails = number("max_fails", 1000, 3);
    let mut timeout = |word, most, default| {
        let range = *TIMEOUT.start()..=most;
        table.take(word).and_then(|item| item.duration(range)).unwrap_or_else(|| Duration::from_secs(default))
    };
    let queue_timeout = timeout("queue_timeout", *TIMEOUT.end(), 5);
    let fail_timeout = timeout("fail_timeout", *TIMEOUT.end(), 10);
    let drain_timeout = timeout("drain_timeout", READ_TIMEOUT_MAX, 1800);
    let connect_timeout = timeout("connect_timeout", *TIMEOUT.end(), 5);
    let read_timeout = timeout("read_timeout", READ_TIMEOUT_MAX, 60);
    let write_timeout = timeout("write_timeout", *TIMEOUT.end(), 60);
    let slow_start = table.take("slow_start").and_then(|item| item.duration(Duration::ZERO..=*TIMEOUT.end()));
    let max_requests = table.take("max_requests").and_then(|item| max_requests(&item)).flatten();
    let bots = table.take("bots").and_then(|item| item.list("bot", word)).map_or_else(
        || BOTS.iter().map(|bot| (*bot).to_owned()).collect(),
        |words| words.into_iter().map(|word| word.value).collect(),
    );
    let health = table.take("health").and_then(health::read);
    let sticky = table.take("sticky").and_then(sticky::read);
    let tls_item = table.take("tls");
    let has_tls = tls_item.is_some();
    let tls = tls_item.and_then(upstream_tls::read);
    // What is wrong with `tls` has been said.
    if let Some(item) = protocol_item.filter(|_| protocol == UpstreamProtocol::H2 && tls.is_none()) {
        let hint = "add tls = true: whether a server speaks HTTP/2 is found out by ALPN";
        if !has_tls {
            item.reading.misfit(&item.key, "`protocol` \"h2\" without `tls`", hint);
        }
    }
    table.finish();
    let text = name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
    pools.names.push(name);
    pools.list.push(Upstream {
        name: text,
        balance,
        hash_name,
        hash_balance_factor,
        protocol,
        keepalive,
        servers,
        source,
        queue: usize::try_from(queue).unwrap_or(usize::MAX),
        queue_timeout,
        max_fails: u32::try_from(max_fails).unwrap_or(u32::MAX),
        fail_timeout,
        slow_start: slow_start.unwrap_or(Duration::ZERO),
        health,
        sticky,
        tls,
        drain_timeout,
        max_requests,
        bots,
        connect_timeout,
        read_timeout,
        write_timeout,
    });
}

/// A numeric address without port.
fn source(text: &str) -> Result<IpAddr, Wrong> {
    let hint = "write a numeric address of this machine, without port: \"192.168.0.150\"";
    text.parse().map_err(|_| Wrong::new(format!("{} is not an address", quoted(text)), hint))
}

/// A number, or `"none"` for no limit.
fn max_requests(item: &Item<'_, '_>) -> Option<Option<usize>> {
    if item.is_string("none") {
        return Some(None);
    }
    item.integer(1..=1_000_000).map(|most| usize::try_from(most).ok())
}

/// Part of a `User-Agent`.
fn word(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.bytes().any(|byte| byte.is_ascii_control()) || !text.is_ascii() {
        let hint = "write a part of what programs send as User-Agent, in any case: \"bot\"";
        return Err(Wrong::new(format!("{} is no part of a User-Agent", quoted(text)), hint));
    }
    Ok(text.to_owned())
}

fn parse_balance(text: &str) -> Result<Balance, Wrong> {
    let elsewhere = BALANCE_ELSEWHERE.iter().find(|(theirs, _)| *theirs == text);
    choice::parse(text, &BALANCE).map_err(|wrong| match elsewhere {
        Some((_, ours)) => Wrong::new(wrong.message, format!("here it is called {}", quoted(ours))),
        None => wrong,
    })
}

/// `hash_name`: what to hash, where that has a name.
fn hash_name(table: &mut Table<'_, '_>, balance: Balance) -> Option<String> {
    let item = table.take("hash_name");
    let (example, what) = match balance {
        Balance::HashHeader => ("X-Tenant", "header"),
        Balance::HashCookie => ("PHPSESSID", "cookie"),
        _ => {
            if let Some(item) = item {
                let hint = "set balance = \"hash-header\" or \"hash-cookie\", or remove hash_name";
                item.reading.misfit(&item.key, "`hash_name` without anything to hash by it", hint);
            }
            return None;
        }
    };
    let Some(item) = item else {
        let hint = format!("say which {what}: hash_name = \"{example}\"");
        table.reading.misfit(&table.span, "`hash_name` is missing in [[upstream]]", hint);
        return None;
    };
    item.parsed(example, token).map(|found| found.value)
}

/// The name of a header or a cookie: a token (RFC 9110 section 5.6.2).
pub(super) fn token(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if plain && (1..=128).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{} is not a name", quoted(text)), "write letters, digits and hyphens: \"X-Tenant\""))
    }
}

/// `hash_balance_factor`, in HAProxy's terms: at 100 % a server could never be above its share, and none would fit.
fn factor(item: &Item<'_, '_>) -> Option<u32> {
    let value = item.integer(0..=10_000)?;
    if (1..=100).contains(&value) {
        let hint = "choose 101 or more, or 0 to let hashing alone decide";
        item.wrong(Wrong::new(format!("{value} would leave no room for a share that is not exactly fair"), hint));
        return None;
    }
    u32::try_from(value).ok()
}

fn servers(table: &mut Table<'_, '_>, resolver: &Resolver) -> Vec<UpstreamServer> {
    let reading = table.reading;
    const HINT: &str = "name at least one: servers = [{ address = \"192.168.0.100:80\" }]";
    let Some(item) = table.require("servers", HINT) else { return Vec::new() };
    let span = item.span.clone();
    let Some(items) = item.array("{ address = \"192.168.0.100:80\" }") else { return Vec::new() };
    if items.is_empty() {
        reading.mistake(&span, "`servers` is empty", HINT);
        return Vec::new();
    }
    let count = items.len();
    let mut seen: Vec<String> = Vec::new();
    let servers: Vec<UpstreamServer> = items.into_iter().filter_map(|item| server(item, resolver, &mut seen)).collect();
    if servers.len() == count && servers.iter().all(|server| server.weight == 0) {
        reading.mistake(&span, "every server has weight 0", "give at least one a weight of 1 or more");
    } else if servers.len() == count && servers.iter().all(|server| server.backup) {
        reading.mistake(&span, "every server is a backup", "a backup stands in for others: leave `backup` out for one");
    }
    servers
}

/// `{ address = "…", weight = 2 }`, or the address alone.
fn server(item: Item<'_, '_>, resolver: &Resolver, seen: &mut Vec<String>) -> Option<UpstreamServer> {
    let reading = item.reading;
    let (found, weight, max_connections, backup) = if item.is_table() {
        let mut table = item.table("an entry of `servers`")?;
        let found = table
            .require("address", "write { address = \"192.168.0.100:80\" }")
            .and_then(|item| item.parsed("192.168.0.100:80", server_words));
        let is_service = found.as_ref().is_some_and(|found| matches!(found.value.name, Some(ServerName::Service(_))));
        let mut number = |word, most, default| {
            let item = table.take(word)?;
            if is_service && word == "weight" {
                item.reading.misfit(&item.key, "`weight` of a service", OF_SERVICE);
            }
            Some(item.integer(0..=most).and_then(|value| u32::try_from(value).ok()).unwrap_or(default))
        };
        let weight = number("weight", 1000, 1).unwrap_or(1);
        let max_connections = number("max_connections", 1_000_000, 0).unwrap_or(0);
        let backup = table.take("backup").is_some_and(|item| {
            if is_service {
                item.reading.misfit(&item.key, "`backup` of a service", OF_SERVICE);
            }
            item.boolean().unwrap_or(false)
        });
        table.finish();
        (found, weight, max_connections, backup)
    } else {
        (item.element("192.168.0.100:80", server_words), 1, 0, false)
    };
    let Located { value: words, span } = found?;
    if seen.contains(&words.address) {
        let hint = "name it once, with weight = 2 for twice the requests";
        reading.mistake(&span, format!("the server {} is listed twice", quoted(&words.address)), hint);
    }
    seen.push(words.address.clone());
    let resolved = match &words.name {
        Some(ServerName::Host { host, port }) if resolver.servers.is_empty() => resolve(reading, host, *port, &span)?,
        _ => words.resolved,
    };
    Some(UpstreamServer { resolved, weight, max_connections, backup, ..words })
}

/// One server by its address, its name or that of a service. A name is not looked up.
pub(crate) fn server_words(text: &str) -> Result<UpstreamServer, Wrong> {
    if let Some(service) = text.strip_prefix("srv:") {
        let is_one = address::is_host_name(service) && service.starts_with('_') && service.contains("._");
        if !is_one {
            let hint = "write \"srv:_http._tcp.ap.example.com\"";
            return Err(Wrong::new(format!("{} is not the name of a service", quoted(text)), hint));
        }
        let name = Some(ServerName::Service(service.to_owned()));
        return Ok(UpstreamServer { name, ..UpstreamServer::new(text, Vec::new(), 1) });
    }
    let (host, port) = address::host_port(text)?;
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(UpstreamServer::new(text, vec![SocketAddr::new(address, port)], 1)),
        Err(_) => {
            let name = Some(ServerName::Host { host, port });
            Ok(UpstreamServer { name, ..UpstreamServer::new(text, Vec::new(), 1) })
        }
    }
}

pub(super) fn resolve(reading: &Reading<'_>, host: &str, port: u16, span: &Range<usize>) -> Option<Vec<SocketAddr>> {
    let reason = match (reading.resolve)(host, port) {
        Ok(found) if !found.is_empty() => {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in found {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            return Some(addresses);
        }
        Ok(_) => "it has no address".to_owned(),
        Err(error) => error.to_string(),
    };
    let hint = "see the name and this machine's resolver (getent hosts), or write the address";
    reading.mistake(span, format!("the host {} does not resolve: {reason}", quoted(host)), hint);
    None
}
