//! The operator's listener: metrics that count exactly, and readiness.

use std::collections::BTreeSet;

use forebay_tests::client_h1::head;
use forebay_tests::{Client, Origin, Proxy, Reply, assert_eventually};

fn site() -> (Origin, Proxy) {
    let origin = Origin::answering(|request| match request.path() {
        "/error" => Reply::new(500, "error"),
        "/private" => Reply::ok("x").field("Cache-Control", "private"),
        _ => Reply::cacheable("hello"),
    });
    let proxy = Proxy::before(&origin);
    (origin, proxy)
}

/// Names of the series in Prometheus text: metric and labels, without the value.
fn series(metrics: &str) -> BTreeSet<String> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn metrics_are_prometheus_text() {
    let (_origin, proxy) = site();
    proxy.get("/x");
    let answer = proxy.ask_admin("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.field("content-type").unwrap().starts_with("text/plain; version=0.0.4"), "{answer}");
    let mut described = BTreeSet::new();
    for line in answer.text().lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            described.insert(rest.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = name.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(described.contains(name) || described.contains(base), "{line} has no TYPE");
        }
    }
}

#[test]
fn names_are_those_that_dashboards_ask_for() {
    let (_origin, proxy) = site();
    proxy.get("/x");
    proxy.connect_tls().get("/x");
    assert_eventually!(proxy.metric("forebay_http_requests_total", &[]) >= 2.0);
    let metrics = proxy.metrics();
    for name in [
        "forebay_http_requests_total",
        "forebay_http_request_duration_seconds_bucket",
        "forebay_cache_objects",
        "forebay_cache_bytes",
        "forebay_cache_hits_total",
        "forebay_cache_misses_total",
        "forebay_cache_evictions_total",
        "forebay_cache_admissions_total",
        "forebay_cache_rejections_total",
        "forebay_cache_stale_served_total",
        "forebay_coalesced_requests_total",
        "forebay_upstream_requests_total",
        "forebay_tls_handshakes_total",
        "forebay_build_info",
        "forebay_connections",
    ] {
        assert!(metrics.contains(&format!("\n{name}")), "{name} is missing");
    }
}

#[test]
fn requests_are_counted_exactly() {
    let (_origin, proxy) = site();
    let mut client = proxy.connect();
    for _ in 0..100 {
        client.get("/x");
    }
    client.send(head("GET", "/x", &[]).repeat(50));
    (0..50).for_each(|_| drop(client.read_response()));
    let mut h2 = proxy.connect_h2();
    (0..10).for_each(|_| drop(h2.get("/y")));
    (0..5).for_each(|_| drop(client.get("/error")));
    (0..7).for_each(|_| drop(client.request("POST", "/x", &[("Content-Length", "0")])));
    let total = |labels: &[&str]| proxy.metric("forebay_http_requests_total", labels);
    assert_eventually!(total(&[]) >= 172.0);
    assert_eq!(total(&[]), 172.0);
    assert_eq!(total(&["code=\"500\""]), 5.0);
    assert_eq!(total(&["method=\"POST\""]), 7.0);
    assert_eq!(total(&["cache=\"hit\""]), 149.0 + 9.0);
    assert_eq!(proxy.metric("forebay_http_request_duration_seconds_count", &[]), 172.0);
    assert_eq!(proxy.metric("forebay_cache_hits_total", &["tier=\"memory\""]), 149.0 + 9.0);
}

#[test]
fn refused_requests_are_counted_too() {
    let (_origin, proxy) = site();
    let _ = proxy.send_raw("GET /x HTTP/1.1\r\n\r\n");
    let _ = proxy.send_raw("GET x HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eventually!(proxy.metric("forebay_http_requests_total", &["code=\"400\""]) == 2.0);
}

#[test]
fn row_78_no_label_grows_by_what_a_client_sends() {
    let (_origin, proxy) = site();
    let visit = |n: usize| {
        let host = format!("host-{n}.test");
        let target = format!("/{n}?q={n}");
        proxy.get_with(&target, &[("Host", &host), ("User-Agent", &host)]);
        // Unknown methods may be refused, and are counted under one name.
        let _ = proxy.send_raw(format!("BREW{n} /{n} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
    };
    (0..10).for_each(visit);
    assert_eventually!(proxy.metric("forebay_http_requests_total", &[]) >= 20.0);
    let before = series(&proxy.metrics());
    (10..300).for_each(visit);
    assert_eventually!(proxy.metric("forebay_http_requests_total", &[]) >= 600.0);
    let after = series(&proxy.metrics());
    let grown: Vec<_> = after.difference(&before).collect();
    assert!(grown.is_empty(), "{grown:?}");
    assert!(after.iter().all(|name| !name.contains("host-") && !name.contains("BREW")));
}

#[test]
fn connections_and_handshakes_are_counted() {
    let (_origin, proxy) = site();
    let mut kept: Vec<_> = (0..3).map(|_| proxy.connect_tls()).collect();
    kept.iter_mut().for_each(|client| drop(client.get("/x")));
    assert_eq!(proxy.metric("forebay_tls_handshakes_total", &[]), 3.0);
    assert!(proxy.metric("forebay_connections", &[]) >= 3.0);
    kept.clear();
    assert_eventually!(proxy.metric("forebay_connections", &[]) < 3.0);
}

#[test]
fn upstream_and_its_failures_are_counted() {
    let origin = Origin::answering(|_| Reply::ok("x").field("Cache-Control", "no-store"));
    let closed = forebay_tests::origin::closed_address();
    let proxy = Proxy::config().origin(&origin).server_at(closed, 1).start();
    (0..4).for_each(|n| drop(proxy.get(&format!("/{n}"))));
    assert_eventually!(proxy.metric("forebay_upstream_requests_total", &["upstream=\"ap\""]) >= 4.0);
    assert!(proxy.metric("forebay_upstream_connect_errors_total", &["upstream=\"ap\""]) >= 1.0);
}

#[test]
fn cache_is_measured() {
    let (_origin, proxy) = site();
    (0..10).for_each(|n| drop(proxy.get(&format!("/{n}"))));
    assert_eventually!(proxy.metric("forebay_cache_objects", &["tier=\"memory\""]) == 10.0);
    let bytes = proxy.metric("forebay_cache_bytes", &["tier=\"memory\""]);
    assert!(bytes > 50.0 && bytes < 100_000.0, "{bytes}");
    assert_eq!(proxy.metric("forebay_cache_misses_total", &["tier=\"memory\""]), 10.0);
}

#[test]
fn readiness_is_told() {
    let (_origin, proxy) = site();
    assert_eq!(proxy.ask_admin("/ready").status, 200);
    assert_eq!(proxy.ask_admin("/nonsense").status, 404);
}

#[test]
fn admin_is_not_for_browsers_of_other_sites() {
    let (_origin, proxy) = site();
    let answer = Client::connect(proxy.admin()).request("GET", "/metrics", &[("Host", "evil.test")]);
    assert_eq!(answer.status, 421);
}
