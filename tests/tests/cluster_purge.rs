//! One purge for all nodes, with a real Redis: what was purged is not used anywhere once that was acknowledged, nor by a
//! node that comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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

/// Reads the pages of a node over and over, until `stop`.
fn keep_reading(address: SocketAddr, stop: &AtomicBool, reads: &AtomicUsize) {
    let mut client = Client::connect(address);
    let mut page = 0;
    while !stop.load(Ordering::Relaxed) {
        client.get(&format!("/p{}", page % PAGES));
        reads.fetch_add(1, Ordering::Relaxed);
        page += 7;
    }
}

/// Purges in the run below, and at which of them what happens.
const PURGES: usize = 1000;
const KILLED: usize = 250;
const RESTARTED: usize = 400;
const CUT_OFF: usize = 600;

#[test]
fn timed_thousand_purges_with_a_node_killed_and_one_cut_off_leave_nothing_stale() {
    let (site, redis) = (Site::start(), Redis::start());
    let relay = Relay::to(redis.address());
    // With the tier that nodes share, which must not bring anything back.
    let words = "timeout = \"2s\"\n[cache.shared]\ndeadline = \"1s\"";
    let a = site.node("a", redis.address(), words).start();
    let mut b = Some(site.node("b", redis.address(), words).disk("").start());
    let mut killed = None;
    let c = site.node("c", relay.address(), words).start();
    let all_known = || {
        let answer = purge(&a, r#"{"url":"http://site.test/nothing"}"#);
        ["a", "b", "c"].iter().all(|name| status_of(&answer, name) == "ok")
    };
    assert_eventually!(is_connected(&a) && is_connected(&c) && all_known());
    let (stop, stop_b, reads) = (AtomicBool::new(false), AtomicBool::new(false), AtomicUsize::new(0));
    let started = Instant::now();
    // Those that are there and connected, and when the third was cut off.
    let (mut b_is_there, mut c_is_there, mut cut) = (true, true, None);
    let (mut stale, mut unacknowledged, mut longest) = (Vec::new(), Vec::new(), Duration::ZERO);
    std::thread::scope(|scope| {
        // Also if an assertion fails.
        let _stop = (StopAtEnd(&stop), StopAtEnd(&stop_b));
        let (stop, stop_b, reads) = (&stop, &stop_b, &reads);
        let b_address = b.as_ref().unwrap().http();
        let reader_of_b = scope.spawn(move || keep_reading(b_address, stop_b, reads));
        let mut reader_of_b = Some(reader_of_b);
        for address in [a.http(), c.http()] {
            scope.spawn(move || keep_reading(address, stop, reads));
        }
        let mut n = 0;
        while n < PURGES || cut.is_some() || !b_is_there || !c_is_there {
            match n {
                KILLED => {
                    stop_b.store(true, Ordering::Relaxed);
                    if let Some(reader) = reader_of_b.take() {
                        reader.join().unwrap();
                    }
                    killed = b.take().map(Proxy::kill);
                    b_is_there = false;
                }
                RESTARTED => {
                    let directory: tempfile::TempDir = killed.take().unwrap();
                    let file = directory.path().join("forebay.toml");
                    b = Some(Proxy::start(directory, &["run", "--config", file.to_str().unwrap()]));
                }
                CUT_OFF => {
                    relay.cut();
                    (c_is_there, cut) = (false, Some(Instant::now()));
                }
                _ => {}
            }
            if cut.is_some_and(|since| since.elapsed() > Duration::from_secs(5)) {
                relay.heal();
                cut = None;
            }
            b_is_there = b_is_there || b.as_ref().is_some_and(is_connected);
            c_is_there = c_is_there || (cut.is_none() && is_connected(&c));
            let page = n % PAGES;
            let raised = site.raise(page);
            let document = match n % 3 {
                0 => format!(r#"{{"url":"http://site.test/p{page}"}}"#),
                1 => format!(r#"{{"tags":["page-{page}"]}}"#),
                _ => format!(r#"{{"prefix":"http://site.test/p{page}"}}"#),
            };
            let by = [Some(&a), b.as_ref().filter(|_| b_is_there), Some(&c).filter(|_| c_is_there)];
            let asked = Instant::now();
            let answer = purge(by[n / 3 % 3].unwrap_or(&a), &document);
            let nodes = [("a", Some(&a), true), ("b", b.as_ref(), b_is_there), ("c", Some(&c), c_is_there)];
            for (name, node, is_there) in nodes {
                let status = status_of(&answer, name);
                if is_there && status != "ok" {
                    unacknowledged.push((n, name, status.clone()));
                }
                if let Some(node) = node.filter(|_| status == "ok") {
                    let found = version(node.http(), page);
                    if found < raised {
                        stale.push((n, name, found, raised));
                    }
                }
            }
            if b_is_there && c_is_there {
                longest = longest.max(asked.elapsed());
            }
            n += 1;
        }
        eprintln!(
            "{n} purges in {:?}, the longest {longest:?}, {} reads",
            started.elapsed(),
            reads.load(Ordering::Relaxed)
        );
        assert_eq!(stale, [], "stale after acknowledgement");
        for node in [&a, b.as_ref().unwrap(), &c] {
            for page in 0..PAGES {
                assert_eq!(version(node.http(), page), site.versions[page].load(Ordering::SeqCst), "after replay");
            }
        }
    });
    assert!(reads.load(Ordering::Relaxed) > PURGES);
    // They hold all the same: whoever asked is told that they are not acknowledged yet.
    assert!(unacknowledged.len() <= 10, "{unacknowledged:?}");
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
fn purges_made_while_redis_was_away_are_published_after_a_restart_too() {
    let (site, mut redis) = (Site::start(), Redis::start());
    let mut nodes = cluster(&site, &redis, &["a", "b"]);
    for page in 0..3 {
        version(nodes[1].http(), page);
    }
    redis.kill();
    assert_eventually!(nodes[0].metric("forebay_cluster_connected", &[]) == 0.0);
    for page in 0..3 {
        site.raise(page);
        let answer = purge(&nodes[0], &format!(r#"{{"url":"http://site.test/p{page}"}}"#));
        assert_eq!(status_of(&answer, "*"), "lost");
    }
    let directory = nodes.remove(0).kill();
    let file = directory.path().join("forebay.toml");
    let one = Proxy::start(directory, &["run", "--config", file.to_str().unwrap()]);
    assert_eq!(one.metric("forebay_cluster_unpublished", &[]), 3.0);
    redis.restart();
    for page in 0..3 {
        assert_eventually!(version(nodes[0].http(), page) == 1);
    }
    assert_eventually!(one.metric("forebay_cluster_unpublished", &[]) == 0.0);
    // Once.
    let one = one.kill_and_restart();
    assert_eq!(one.metric("forebay_cluster_unpublished", &[]), 0.0);
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
