//! One purge for all nodes, with a real Redis: what was purged is not used anywhere once that was acknowledged, nor by a
//! node that comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use forebay_tests::patience::eventually;
use forebay_tests::redis::Redis;
use forebay_tests::relay::Relay;
use forebay_tests::{Client, Origin, Proxy, ProxyConfig, Reply, assert_eventually, forebay};
use serde_json::Value;

/// Pages of the site.
const PAGES: usize = 20;

/// An origin whose pages have versions, which tests raise.
struct Site {
    origin: Origin,
    versions: Arc<Vec<AtomicU64>>,
}

impl Site {
    fn start() -> Self {
        let versions: Arc<Vec<AtomicU64>> = Arc::new((0..PAGES).map(|_| AtomicU64::new(0)).collect());
        let told = Arc::clone(&versions);
        let origin = Origin::answering(move |request| {
            let page: usize = request.target.trim_start_matches("/p").parse().unwrap_or(0);
            let version = told[page].load(Ordering::SeqCst);
            Reply::ok(version.to_string())
                .field("Cache-Control", "max-age=600")
                .field("Surrogate-Key", format!("page-{page}"))
        });
        Self { origin, versions }
    }

    fn raise(&self, page: usize) -> u64 {
        self.versions[page].fetch_add(1, Ordering::SeqCst) + 1
    }

    fn node(&self, name: &str, redis: SocketAddr, lines: &str) -> ProxyConfig {
        let cluster = format!("[cluster]\nredis = \"redis://{redis}\"\nnode = \"{name}\"\n{lines}");
        let config = ProxyConfig::new().origin(&self.origin).log("path = \"off\"").extra(&cluster);
        if lines.contains("timeout") { config } else { config.extra("timeout = \"10s\"") }
    }

    fn secure_node(&self, name: &str, redis: SocketAddr) -> ProxyConfig {
        let cluster = format!("[cluster]\nredis = \"rediss://{redis}\"\nnode = \"{name}\"");
        ProxyConfig::new().origin(&self.origin).log("path = \"off\"").extra(&cluster)
    }
}

fn version(address: SocketAddr, page: usize) -> u64 {
    Client::connect(address).get(&format!("/p{page}")).text().parse().unwrap()
}

fn is_connected(proxy: &Proxy) -> bool {
    proxy.metric("forebay_cluster_connected", &[]) == 1.0 && proxy.metric("forebay_cluster_behind", &[]) == 0.0
}

/// Purges through the admin listener of `proxy`; the answer.
fn purge(proxy: &Proxy, document: &str) -> Value {
    let mut client = Client::connect(proxy.admin());
    client.send(format!(
        "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{document}",
        document.len()
    ));
    let answer = client.read_response();
    serde_json::from_str(answer.text()).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn status_of(answer: &Value, node: &str) -> String {
    let nodes = answer["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let found = nodes.iter().find(|found| found["node"] == node);
    found.map_or_else(|| "absent".to_owned(), |found| found["status"].as_str().unwrap().to_owned())
}

/// Set when this is dropped.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All of them connected, and known to each other.
fn cluster(site: &Site, redis: &Redis, names: &[&str]) -> Vec<Proxy> {
    let nodes: Vec<_> = names.iter().map(|name| site.node(name, redis.address(), "").start()).collect();
    for node in &nodes {
        assert_eventually!(is_connected(node));
    }
    let all_known = || {
        let answer = purge(&nodes[0], r#"{"url":"http://site.test/nothing"}"#);
        names.iter().all(|name| status_of(&answer, name) == "ok")
    };
    assert_eventually!(all_known());
    nodes
}

#[test]
fn purge_at_one_node_is_acknowledged_by_all_with_what_they_found() {
    let (site, redis) = (Site::start(), Redis::start());
    let nodes = cluster(&site, &redis, &["a", "b", "c"]);
    for node in &nodes[..2] {
        assert_eq!(version(node.http(), 1), 0);
    }
    site.raise(1);
    let answer = purge(&nodes[2], r#"{"url":"http://site.test/p1"}"#);
    let counts: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            answer["nodes"].as_array().unwrap().iter().find(|node| node["node"] == name).unwrap()["count"]
                .as_u64()
                .unwrap()
        })
        .into();
    assert_eq!((counts, answer["count"].as_u64()), (vec![1, 1, 0], Some(2)), "{answer}");
    for node in &nodes {
        assert_eq!(version(node.http(), 1), 1);
    }
}

#[test]
fn tags_and_soft_purges_reach_all_nodes_too() {
    let (site, redis) = (Site::start(), Redis::start());
    let nodes = cluster(&site, &redis, &["a", "b"]);
    for document in [r#"{"tags":["page-2"]}"#, r#"{"tags":["page-2"],"soft":true}"#, r#"{"everything":true}"#] {
        let before = version(nodes[1].http(), 2);
        assert_eq!(site.raise(2), before + 1);
        assert_eq!(status_of(&purge(&nodes[0], document), "b"), "ok");
        assert_eq!(version(nodes[1].http(), 2), before + 1, "{document}");
    }
}

#[test]
fn command_tells_what_each_node_did() {
    let (site, redis) = (Site::start(), Redis::start());
    let nodes = cluster(&site, &redis, &["a", "b"]);
    version(nodes[1].http(), 3);
    let admin = nodes[0].admin().to_string();
    let outcome = forebay(&["purge", "--all-nodes", "--admin", &admin, "http://site.test/p3"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("a: ok, 0") && outcome.stdout.contains("b: ok, 1"), "{}", outcome.stdout);
    let single = ProxyConfig::new().origin(&site.origin).start();
    let outcome = forebay(&["purge", "--all-nodes", "--admin", &single.admin().to_string(), "http://site.test/p3"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
}

#[test]
fn hundreds_of_purges_while_reading_leave_nothing_stale() {
    let (site, redis) = (Site::start(), Redis::start());
    let nodes = cluster(&site, &redis, &["a", "b", "c"]);
    let addresses: Vec<_> = nodes.iter().map(Proxy::http).collect();
    let (stop, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        // Also if an assertion fails.
        let _stop = StopAtEnd(&stop);
        for (n, address) in addresses.iter().enumerate() {
            let (stop, reads) = (&stop, &reads);
            scope.spawn(move || {
                let mut client = Client::connect(*address);
                let mut page = n;
                while !stop.load(Ordering::Relaxed) {
                    client.get(&format!("/p{}", page % PAGES));
                    reads.fetch_add(1, Ordering::Relaxed);
                    page += 7;
                }
            });
        }
        let mut stale = 0;
        for n in 0..300 {
            let page = n % PAGES;
            let raised = site.raise(page);
            let document = match n % 3 {
                0 => format!(r#"{{"url":"http://site.test/p{page}"}}"#),
                1 => format!(r#"{{"tags":["page-{page}"]}}"#),
                _ => format!(r#"{{"prefix":"http://site.test/p{page}"}}"#),
            };
            let answer = purge(&nodes[n % 3], &document);
            for name in ["a", "b", "c"] {
                assert_eq!(status_of(&answer, name), "ok", "{answer}");
            }
            stale += addresses.iter().filter(|address| version(**address, page) < raised).count();
        }
        assert_eq!(stale, 0);
    });
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads > 1000, "{reads}");
    eprintln!("300 purges in {:?}, {reads} reads meanwhile", started.elapsed());
}

#[test]
fn node_that_was_killed_uses_nothing_that_was_purged_meanwhile() {
    let (site, redis) = (Site::start(), Redis::start());
    let one = site.node("a", redis.address(), "timeout = \"500ms\"").start();
    let two = site.node("b", redis.address(), "").disk("").start();
    assert_eventually!(is_connected(&one) && is_connected(&two));
    for page in 0..PAGES {
        version(two.http(), page);
    }
    // What is on disk outlives it.
    assert_eventually!(two.metric("forebay_cache_admissions_total", &["tier=\"disk\""]) >= PAGES as f64);
    let directory = two.kill();
    for page in 0..PAGES / 2 {
        site.raise(page);
        purge(&one, &format!(r#"{{"url":"http://site.test/p{page}"}}"#));
    }
    let file = directory.path().join("forebay.toml");
    let two = Proxy::start(directory, &["run", "--config", file.to_str().unwrap()]);
    // At once, whether or not it has caught up.
    for page in 0..PAGES / 2 {
        assert_eq!(version(two.http(), page), 1, "{page}");
    }
    assert_eventually!(is_connected(&two));
    let before = site.origin.total();
    for page in PAGES / 2..PAGES {
        assert_eq!(version(two.http(), page), 0);
    }
    assert_eq!(site.origin.total(), before, "what was not purged is still there");
    assert_eq!(two.metric("forebay_cluster_purges_total", &["way=\"replayed\""]), PAGES as f64 / 2.0);
}

#[test]
fn timed_node_that_was_cut_off_catches_up_before_it_uses_what_it_has() {
    let (site, redis) = (Site::start(), Redis::start());
    let relay = Relay::to(redis.address());
    let one = site.node("a", redis.address(), "timeout = \"500ms\"").start();
    let two = site.node("b", relay.address(), "").start();
    assert_eventually!(is_connected(&one) && is_connected(&two));
    assert_eventually!(status_of(&purge(&one, r#"{"url":"http://site.test/x"}"#), "b") == "ok");
    for page in 0..PAGES {
        version(two.http(), page);
    }
    relay.cut();
    assert_eventually!(two.metric("forebay_cluster_connected", &[]) == 0.0);
    let mut page = 0;
    // Nobody waits for it any more after a while, and nobody hides that.
    let purged_without_it = || {
        let raised = site.raise(page % PAGES);
        let answer = purge(&one, &format!(r#"{{"url":"http://site.test/p{}"}}"#, page % PAGES));
        assert_eq!(version(one.http(), page % PAGES), raised);
        page += 1;
        assert_ne!(status_of(&answer, "b"), "ok", "{answer}");
        status_of(&answer, "b") == "away"
    };
    assert!(eventually(purged_without_it));
    relay.heal();
    assert_eventually!(is_connected(&two));
    for page in 0..PAGES {
        assert_eq!(version(two.http(), page), site.versions[page].load(Ordering::SeqCst), "{page}");
    }
}

#[test]
fn lost_redis_leaves_purges_of_this_node_and_they_are_published_later() {
    let (site, mut redis) = (Site::start(), Redis::start());
    let nodes = cluster(&site, &redis, &["a", "b"]);
    for (page, node) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        version(nodes[node].http(), page);
    }
    redis.kill();
    assert_eventually!(nodes[0].metric("forebay_cluster_connected", &[]) == 0.0);
    site.raise(1);
    let answer = purge(&nodes[0], r#"{"url":"http://site.test/p1"}"#);
    assert_eq!((status_of(&answer, "a"), status_of(&answer, "*")), ("ok".to_owned(), "lost".to_owned()));
    assert_eq!(nodes[0].metric("forebay_cluster_unpublished", &[]), 1.0);
    assert_eq!((version(nodes[0].http(), 1), version(nodes[1].http(), 1)), (1, 0));
    redis.restart();
    assert_eventually!(version(nodes[1].http(), 1) == 1);
    assert_eventually!(nodes[0].metric("forebay_cluster_unpublished", &[]) == 0.0);
}

#[test]
fn redis_with_a_password_is_spoken_to() {
    let (site, redis) = (Site::start(), Redis::with(&["--requirepass", "secret"]));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "secret\n").unwrap();
    let one = site.node("a", redis.address(), &format!("password_file = {file:?}")).start();
    assert_eventually!(is_connected(&one));
    std::fs::write(&file, "wrong\n").unwrap();
    let two = site.node("b", redis.address(), &format!("password_file = {file:?}")).start();
    assert_eventually!(two.stderr().iter().any(|line| line.contains("Redis is lost")));
    // It serves all the same.
    assert_eq!(version(two.http(), 1), 0);
}

#[test]
fn redis_is_spoken_to_in_tls_if_the_authority_is_the_one_that_is_trusted() {
    let (site, redis) = (Site::start(), Redis::tls());
    let trusting = format!("ca = {:?}", redis.authority());
    let one = site.secure_node("a", redis.address()).extra(&trusting).start();
    assert_eventually!(is_connected(&one));
    // Not trusted by the system.
    let two = site.secure_node("b", redis.address()).start();
    assert_eventually!(two.stderr().iter().any(|line| line.contains("Redis is lost")));
    assert_eq!(two.metric("forebay_cluster_connected", &[]), 0.0);
}

#[test]
fn redis_that_has_forgotten_what_was_purged_makes_a_node_purge_everything() {
    let (site, redis) = (Site::start(), Redis::start());
    let one = site.node("a", redis.address(), "").disk("").start();
    assert_eventually!(is_connected(&one));
    purge(&one, r#"{"url":"http://site.test/x"}"#);
    version(one.http(), 1);
    assert_eventually!(one.metric("forebay_cache_admissions_total", &["tier=\"disk\""]) >= 1.0);
    let directory = one.kill();
    drop(redis);
    // Another one, at another place, without what the first one had.
    let other = Redis::start();
    let file = directory.path().join("forebay.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let at = text.find("redis://").unwrap();
    let end = at + text[at..].find('"').unwrap();
    std::fs::write(&file, format!("{}redis://{}{}", &text[..at], other.address(), &text[end..])).unwrap();
    let one = Proxy::start(directory, &["run", "--config", file.to_str().unwrap()]);
    assert_eventually!(is_connected(&one));
    let before = site.origin.total();
    version(one.http(), 1);
    assert_eq!(site.origin.total(), before + 1);
}
