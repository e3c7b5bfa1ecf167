//! The shared tier, with a real Redis: what one node has stored the others find, unless it was purged; and whatever Redis
//! does, a request waits for it no longer than the deadline.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forebay_tests::redis::Redis;
use forebay_tests::{Answer, Client, Origin, Proxy, ProxyConfig, Reply, assert_eventually};
use rustix::process::Signal;
use serde_json::Value;

/// An origin whose pages have a version that tests raise.
struct Site {
    origin: Origin,
    version: Arc<AtomicU64>,
}

impl Site {
    fn start() -> Self {
        let version = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&version);
        let origin = Origin::answering(move |request| {
            let version = told.load(Ordering::SeqCst);
            let language = request.field("accept-language").unwrap_or_else(|| "none".to_owned());
            let path = request.target.clone();
            let reply = Reply::ok(format!("{path} {version} {language}"));
            let reply = reply.field("Surrogate-Key", "page-1");
            match path.split('?').next().unwrap_or_default() {
                "/vary" => reply.field("Cache-Control", "max-age=600").field("Vary", "Accept-Language"),
                "/private" => reply.field("Cache-Control", "private, max-age=600"),
                "/no-store" => reply.field("Cache-Control", "no-store"),
                "/cookie" => reply.field("Cache-Control", "max-age=600").field("Set-Cookie", "a=b"),
                "/large" => Reply::ok("x".repeat(100_000)).field("Cache-Control", "max-age=600"),
                _ => reply.field("Cache-Control", "max-age=600"),
            }
        });
        Self { origin, version }
    }

    fn raise(&self) -> u64 {
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn config(&self, node: &str, redis: &Redis, shared: &str) -> ProxyConfig {
        let deadline = if shared.contains("deadline") { "" } else { "deadline = \"5s\"\n" };
        let cluster =
            format!("[cluster]\nredis = \"redis://{}\"\nnode = \"{node}\"\ntimeout = \"3s\"", redis.address());
        let tier = format!("[cache.shared]\n{deadline}{shared}");
        ProxyConfig::new().origin(&self.origin).log("path = \"off\"").extra(&cluster).extra(&tier)
    }

    fn node(&self, node: &str, redis: &Redis, shared: &str) -> Proxy {
        let proxy = self.config(node, redis, shared).start();
        assert_eventually!(is_ready(&proxy));
        proxy
    }
}

fn is_ready(proxy: &Proxy) -> bool {
    proxy.metric("forebay_shared_up", &[]) == 1.0
        && proxy.metric("forebay_cluster_connected", &[]) == 1.0
        && proxy.metric("forebay_cluster_behind", &[]) == 0.0
}

fn lookups(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric("forebay_shared_lookups_total", &[&format!("result=\"{result}\"")])
}

fn writes(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric("forebay_shared_writes_total", &[&format!("result=\"{result}\"")])
}

/// Asks `proxy`, which fetches and writes; waits until it is written.
fn fill(proxy: &Proxy, target: &str, fields: &[(&str, &str)]) -> Answer {
    let before = writes(proxy, "stored");
    let answer = proxy.get_with(target, fields);
    assert_eventually!(writes(proxy, "stored") > before);
    answer
}

/// Purges through the admin listener of `proxy`; the answer.
fn purge(proxy: &Proxy, document: &str) -> Value {
    let mut client = Client::connect(proxy.admin());
    client.send(format!(
        "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{document}",
        document.len()
    ));
    serde_json::from_str(client.read_response().text()).unwrap()
}

/// All nodes have acknowledged.
fn is_acknowledged(answer: &Value, nodes: usize) -> bool {
    let reports = answer["nodes"].as_array().unwrap();
    reports.len() == nodes && reports.iter().all(|report| report["status"] == "ok")
}

fn post(proxy: &Proxy, target: &str) {
    let mut client = proxy.connect();
    client.send(format!("POST {target} HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(client.read_response().status, 200);
}

#[test]
fn what_one_node_stored_is_found_by_another_with_one_request_at_the_ap_server() {
    let (site, redis) = (Site::start(), Redis::start());
    let (a, b) = (site.node("a", &redis, ""), site.node("b", &redis, ""));
    let first = fill(&a, "/x?q=1", &[]);
    let second = b.get("/x?q=1");
    assert_eq!((second.status, second.text()), (200, first.text()));
    assert!(second.cache_status().contains("hit"), "{}", second.cache_status());
    assert_eq!(site.origin.total(), 1);
    assert_eq!(lookups(&b, "hit"), 1.0);
    // It is stored here now.
    assert_eq!(b.get("/x?q=1").text(), first.text());
    assert_eq!((lookups(&b, "hit"), site.origin.total()), (1.0, 1));
    // Another key is another response.
    assert_eq!(b.get("/x?q=2").text(), "/x?q=2 0 none");
}

#[test]
fn variants_are_told_apart() {
    let (site, redis) = (Site::start(), Redis::start());
    let (a, b) = (site.node("a", &redis, ""), site.node("b", &redis, ""));
    for language in ["de", "en"] {
        fill(&a, "/vary", &[("Accept-Language", language)]);
    }
    for language in ["en", "de"] {
        let answer = b.get_with("/vary", &[("Accept-Language", language)]);
        assert_eq!(answer.text(), format!("/vary 0 {language}"));
    }
    assert_eq!(site.origin.total(), 2);
    assert_eq!(b.get_with("/vary", &[("Accept-Language", "fr")]).text(), "/vary 0 fr");
    assert_eq!(site.origin.total(), 3);
}

#[test]
fn age_is_that_of_the_response_and_not_of_its_way() {
    let (site, redis) = (Site::start(), Redis::start());
    let (a, b) = (site.node("a", &redis, ""), site.node("b", &redis, ""));
    fill(&a, "/x", &[]);
    let age = |proxy: &Proxy| proxy.get("/x").field("age").and_then(|age| age.parse::<u64>().ok());
    assert_eventually!(age(&a) >= Some(2));
    assert!(age(&b) >= Some(2));
    assert_eq!(site.origin.total(), 1);
}

#[test]
fn what_was_purged_is_not_found_wherever_it_was_purged() {
    let (site, redis) = (Site::start(), Redis::start());
    let nodes = [site.node("a", &redis, ""), site.node("b", &redis, ""), site.node("c", &redis, "")];
    assert_eventually!(is_acknowledged(&purge(&nodes[0], r#"{"url":"http://site.test/nothing"}"#), 3));
    let documents = [
        r#"{"url":"http://site.test/x"}"#,
        r#"{"tags":["page-1"]}"#,
        r#"{"prefix":"http://site.test/"}"#,
        r#"{"url":"http://site.test/x","soft":true}"#,
        r#"{"tags":["page-1"],"soft":true}"#,
        r#"{"everything":true}"#,
    ];
    let mut stale = Vec::new();
    for (n, document) in documents.iter().cycle().take(60).enumerate() {
        // One node fills, another purges, and all read.
        let (filling, purging) = (&nodes[n % 3], &nodes[n / 3 % 3]);
        filling.get("/x");
        let raised = site.raise();
        assert!(is_acknowledged(&purge(purging, document), 3));
        for node in &nodes {
            let text = node.get("/x").text().to_owned();
            if text != format!("/x {raised} none") {
                stale.push((n, text));
            }
        }
    }
    assert_eq!(stale, []);
    let found: f64 = nodes.iter().map(|node| lookups(node, "hit")).sum();
    assert!(found > 10.0, "it was used all the same: {found}");
}

#[test]
fn restarted_node_finds_what_was_not_purged_meanwhile() {
    let (site, redis) = (Site::start(), Redis::start());
    let (a, b) = (site.node("a", &redis, ""), site.node("b", &redis, ""));
    fill(&a, "/kept", &[]);
    fill(&a, "/purged", &[]);
    let directory = b.kill();
    site.raise();
    purge(&a, r#"{"url":"http://site.test/purged"}"#);
    let file = directory.path().join("forebay.toml");
    let b = Proxy::start(directory, &["run", "--config", file.to_str().unwrap()]);
    assert_eventually!(is_ready(&b));
    assert_eq!(b.get("/kept").text(), "/kept 0 none");
    assert_eq!(b.get("/purged").text(), "/purged 1 none");
    assert_eq!(lookups(&b, "purged"), 1.0);
    // So does one that is new.
    let c = site.node("c", &redis, "");
    assert_eq!(c.get("/kept").text(), "/kept 0 none");
}

#[test]
fn unsafe_request_makes_invalid_what_the_tier_has_for_the_node_it_went_through() {
    let (site, redis) = (Site::start(), Redis::start());
    let (a, b) = (site.node("a", &redis, ""), site.node("b", &redis, ""));
    fill(&a, "/x", &[]);
    let raised = site.raise();
    post(&b, "/x");
    assert_eq!(b.get("/x").text(), format!("/x {raised} none"));
}

#[test]
fn what_is_not_for_everybody_never_gets_there() {
    let (site, redis) = (Site::start(), Redis::start());
    let (a, b) = (site.node("a", &redis, ""), site.node("b", &redis, ""));
    for target in ["/private", "/no-store", "/cookie"] {
        a.get(target);
    }
    a.get_with("/secret", &[("Authorization", "Basic YTpi")]);
    // Later than those.
    fill(&a, "/x", &[]);
    assert_eq!(writes(&a, "stored"), 1.0);
    let before = site.origin.total();
    for target in ["/private", "/no-store", "/cookie", "/secret"] {
        b.get(target);
    }
    assert_eq!(site.origin.total(), before + 4);
}

#[test]
fn what_is_too_large_is_not_written() {
    let (site, redis) = (Site::start(), Redis::start());
    let a = site.node("a", &redis, "max_object = \"64KiB\"");
    a.get("/large");
    assert_eventually!(writes(&a, "too-large") == 1.0);
    assert!(redis.keys("forebay:stored*").is_empty());
}

#[test]
fn what_is_not_a_record_is_a_miss_and_counted() {
    let (site, redis) = (Site::start(), Redis::start());
    let (a, b) = (site.node("a", &redis, ""), site.node("b", &redis, ""));
    fill(&a, "/x", &[]);
    let keys = redis.keys("forebay:stored*");
    assert_eq!(keys.len(), 1);
    redis.command(&["SETRANGE", &keys[0], "200", "?"]);
    assert_eq!(b.get("/x").text(), "/x 0 none");
    assert_eq!((lookups(&b, "corrupt"), lookups(&b, "hit"), site.origin.total()), (1.0, 0.0, 2));
    // What another one puts there, too.
    redis.command(&["SET", &keys[0], "nonsense"]);
    let c = site.node("c", &redis, "");
    assert_eq!(c.get("/x").text(), "/x 0 none");
    assert_eq!(lookups(&c, "corrupt"), 1.0);
}

#[test]
fn record_of_nodes_with_another_secret_is_not_taken() {
    let (site, redis) = (Site::start(), Redis::start());
    let directory = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text.repeat(32)).unwrap();
        path
    };
    let start = |node: &str, path: &Path| {
        let cluster = format!(
            "[cluster]\nredis = \"redis://{}\"\nnode = \"{node}\"\nsecret_file = {path:?}\n[cache.shared]\ndeadline = \"5s\"",
            redis.address()
        );
        let proxy = ProxyConfig::new().origin(&site.origin).log("path = \"off\"").extra(&cluster).start();
        assert_eventually!(is_ready(&proxy));
        proxy
    };
    let (one, other) = (secret("one", "a"), secret("other", "b"));
    let (a, b, c) = (start("a", &one), start("b", &one), start("c", &other));
    fill(&a, "/x", &[]);
    b.get("/x");
    c.get("/x");
    assert_eq!((lookups(&b, "hit"), lookups(&c, "corrupt")), (1.0, 1.0));
}

#[test]
fn timed_slow_redis_costs_the_deadline_and_then_nothing() {
    let (site, redis, tier) = (Site::start(), Redis::start(), Redis::start());
    let shared = format!("redis = \"redis://{}\"\ndeadline = \"200ms\"", tier.address());
    let a = site.node("a", &redis, &shared);
    fill(&a, "/warm", &[]);
    tier.signal(Signal::STOP);
    let mut waits = Vec::new();
    for n in 0..10 {
        let started = Instant::now();
        assert_eq!(a.get(&format!("/slow{n}")).text(), format!("/slow{n} 0 none"));
        waits.push(started.elapsed());
    }
    let waited = |at_least: u64| waits.iter().filter(|wait| **wait >= Duration::from_millis(at_least)).count();
    eprintln!("{waits:?}");
    assert!(waited(190) <= 3, "nobody waits any more after three: {waits:?}");
    assert!(waits.iter().all(|wait| *wait < Duration::from_millis(700)), "no longer than the deadline: {waits:?}");
    assert_eq!(a.metric("forebay_shared_up", &[]), 0.0);
    assert!(lookups(&a, "timeout") <= 3.0 && lookups(&a, "skipped") >= 1.0);
    tier.signal(Signal::CONT);
    assert_eventually!(a.metric("forebay_shared_up", &[]) == 1.0);
    let before = lookups(&a, "miss");
    a.get("/again");
    assert_eq!(lookups(&a, "miss"), before + 1.0);
}

#[test]
fn lost_redis_is_not_waited_for_and_comes_back() {
    let (site, redis, mut tier) = (Site::start(), Redis::start(), Redis::start());
    let shared = format!("redis = \"redis://{}\"", tier.address());
    let (a, b) = (site.node("a", &redis, &shared), site.node("b", &redis, &shared));
    tier.kill();
    assert_eventually!(b.metric("forebay_shared_up", &[]) == 0.0 && a.metric("forebay_shared_up", &[]) == 0.0);
    assert_eq!(a.get("/x").text(), "/x 0 none");
    assert_eventually!(writes(&a, "dropped") >= 1.0);
    tier.restart();
    assert_eventually!(is_ready(&a) && is_ready(&b));
    fill(&a, "/y", &[]);
    b.get("/y");
    assert_eq!(lookups(&b, "hit"), 1.0);
}

#[test]
fn nothing_is_taken_that_was_stored_before_the_purges_were_forgotten() {
    let (site, mut redis, tier) = (Site::start(), Redis::start(), Redis::start());
    let shared = format!("redis = \"redis://{}\"", tier.address());
    let (a, b) = (site.node("a", &redis, &shared), site.node("b", &redis, &shared));
    purge(&a, r#"{"url":"http://site.test/other"}"#);
    fill(&a, "/x", &[]);
    site.raise();
    // Both have acknowledged this, and it is lost.
    assert!(is_acknowledged(&purge(&a, r#"{"url":"http://site.test/x"}"#), 2));
    redis.kill();
    redis.forget();
    assert_eventually!(a.metric("forebay_cluster_connected", &[]) == 0.0);
    assert_eventually!(b.metric("forebay_cluster_connected", &[]) == 0.0);
    // While purges cannot be heard of, nothing is taken.
    assert_eq!(b.get("/x").text(), "/x 1 none");
    redis.restart();
    assert_eventually!(is_ready(&a) && is_ready(&b));
    let c = site.node("c", &redis, &shared);
    assert_eq!(c.get("/x").text(), "/x 1 none");
    assert_eq!(lookups(&c, "hit"), 0.0);
}

#[test]
fn tls_and_a_password_are_spoken() {
    let (site, redis) = (Site::start(), Redis::start());
    let tier = Redis::tls_with(&["--requirepass", "secret"]);
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let shared =
        format!("redis = \"rediss://{}\"\nca = {:?}\npassword_file = {password:?}", tier.address(), tier.authority());
    let (a, b) = (site.node("a", &redis, &shared), site.node("b", &redis, &shared));
    fill(&a, "/x", &[]);
    b.get("/x");
    assert_eq!((lookups(&b, "hit"), site.origin.total()), (1.0, 1));
}

#[test]
fn redis_cluster_spreads_what_is_stored_over_its_nodes() {
    let (site, redis, tier) = (Site::start(), Redis::start(), Redis::cluster(3));
    let shared = format!("redis = \"redis://{}\"\nredis_cluster = true", tier[0].address());
    let (a, b) = (site.node("a", &redis, &shared), site.node("b", &redis, &shared));
    for n in 0..20 {
        fill(&a, &format!("/vary?{n}"), &[("Accept-Language", "de")]);
    }
    for n in 0..20 {
        let answer = b.get_with(&format!("/vary?{n}"), &[("Accept-Language", "de")]);
        assert_eq!(answer.text(), format!("/vary?{n} 0 de"));
    }
    assert_eq!((lookups(&b, "hit"), site.origin.total()), (20.0, 20));
    for node in &tier {
        assert!(!node.keys("forebay:stored*").is_empty());
    }
}
