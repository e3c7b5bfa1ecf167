//! Squid and Forebay ask each other and fetch from each other: what one has, the AP server is not asked for again.

use forebay_tests::nodes::Nodes;
use forebay_tests::squid::SquidConfig;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

fn origin() -> Origin {
    Origin::answering(|request| reply(format!("content of {}", request.target)))
}

/// What Squid stores: with a `Date`, and fresh for more than a minute (`minimum_expiry_time`).
fn reply(content: String) -> Reply {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    Reply::ok(content).field("Cache-Control", "max-age=3600").field("Date", date)
}

fn logs(proxy: &Proxy, words: &[&str]) -> bool {
    proxy.access_log().iter().any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn page_that_squid_has_is_fetched_from_squid() {
    let (nodes, origin) = (Nodes::new(), origin());
    let squid = SquidConfig::node(&nodes, 2, &origin).sibling(&nodes, 1).start();
    let proxy = nodes.forebay(1, &[2], &origin).start();
    assert_eq!(squid.get("/x").text(), "content of /x");
    let answer = proxy.get("/x");
    assert_eq!((answer.status, answer.text()), (200, "content of /x"));
    assert_eq!(origin.count("/x"), 1);
    let ip = nodes.ip(2).to_string();
    assert_eventually!(logs(&proxy, &["TCP_MISS/200", &format!("SIBLING_HIT/{ip}")]), "{:?}", proxy.access_log());
    assert!(squid.logs(&["UDP_HIT", "http://site.test/x"]), "{:?}", squid.access_log());
    assert!(squid.logs(&["_HIT/200", "http://site.test/x"]), "{:?}", squid.access_log());
    // It is stored here now.
    assert_eq!(proxy.get("/x").cache(), "HIT");
}

#[test]
fn page_that_forebay_has_is_fetched_by_squid() {
    let (nodes, origin) = (Nodes::new(), origin());
    let proxy = nodes.forebay(1, &[2], &origin).start();
    let squid = SquidConfig::node(&nodes, 2, &origin).sibling(&nodes, 1).start();
    assert_eq!(proxy.get("/y").text(), "content of /y");
    let answer = squid.get("/y");
    assert_eq!((answer.status, answer.text()), (200, "content of /y"));
    assert_eq!(origin.count("/y"), 1);
    assert!(squid.logs(&["TCP_MISS/200", "SIBLING_HIT/"]), "{:?}", squid.access_log());
    assert_eventually!(logs(&proxy, &["TCP_HIT/200", "http://site.test/y", "HIER_NONE"]), "{:?}", proxy.access_log());
    let peer = format!("peer=\"{}\"", nodes.http(2));
    assert_eventually!(proxy.metric("forebay_icp_answers_total", &[&peer, "result=\"hit\""]) == 1.0);
}

#[test]
fn what_neither_has_comes_from_the_ap_server_once_each() {
    let (nodes, origin) = (Nodes::new(), origin());
    let squid = SquidConfig::node(&nodes, 2, &origin).sibling(&nodes, 1).start();
    let proxy = nodes.forebay(1, &[2], &origin).start();
    assert_eq!(proxy.get("/p").text(), "content of /p");
    assert_eq!(squid.get("/q").text(), "content of /q");
    assert_eq!((origin.count("/p"), origin.count("/q")), (1, 1));
    assert_eventually!(logs(&proxy, &["TCP_MISS/200", "/p", "HIER_DIRECT/"]), "{:?}", proxy.access_log());
    assert!(squid.logs(&["UDP_MISS", "http://site.test/p"]), "{:?}", squid.access_log());
}

#[test]
fn what_must_not_be_shared_is_no_hit_for_squid() {
    let nodes = Nodes::new();
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/varies" => Reply::cacheable(request.field("x-kind").unwrap_or_default()).field("Vary", "X-Kind"),
        "/stale" => Reply::ok("stale").field("Cache-Control", "max-age=60").field("Age", "61").field("ETag", "\"a\""),
        _ => Reply::cacheable("x"),
    });
    let proxy = nodes.forebay(1, &[2], &origin).site("bypass_paths = [\"/bypassed\"]").start();
    let squid = SquidConfig::node(&nodes, 2, &origin).sibling(&nodes, 1).start();
    for target in ["/varies", "/stale", "/bypassed", "/invalidated"] {
        proxy.get(target);
        if target == "/invalidated" {
            proxy.connect().request("DELETE", target, &[]);
        }
        squid.get(target);
        assert!(squid.logs(&["TCP_MISS", target, "FIRSTUP_PARENT"]), "{target}: {:?}", squid.access_log());
    }
    assert_eq!(proxy.metric("forebay_icp_answers_total", &["result=\"hit\""]), 0.0);
    assert_eq!(proxy.metric("forebay_icp_answers_total", &["result=\"miss\""]), 4.0);
}

#[test]
fn squid_as_parent_fetches_what_nobody_has() {
    let (nodes, origin) = (Nodes::new(), origin());
    let squid = SquidConfig::node(&nodes, 2, &origin).start();
    let parent = format!("[[icp.parent]]\nicp = \"{}\"\nhttp = \"{}\"", nodes.icp(2), nodes.http(2));
    let proxy = nodes.forebay_with(1, &[], &parent, &origin).start();
    assert_eq!(proxy.get("/x").text(), "content of /x");
    assert_eventually!(logs(&proxy, &["ROUNDROBIN_PARENT/"]), "{:?}", proxy.access_log());
    assert!(squid.logs(&["TCP_MISS/200", "http://site.test/x"]), "{:?}", squid.access_log());
    assert_eq!(squid.get("/z").status, 200);
    assert_eq!(proxy.get("/z").text(), "content of /z");
    assert_eventually!(logs(&proxy, &["/z", "PARENT_HIT/"]), "{:?}", proxy.access_log());
    assert_eq!((origin.count("/x"), origin.count("/z")), (1, 1));
}
