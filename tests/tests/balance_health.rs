//! Active health checks: who is asked, how often, and what follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use forebay_tests::origin::closed_address;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

/// A server whose `/health` answers with the status that is set, and all else with its name.
fn checked(status: &Arc<AtomicU16>, name: &'static str) -> Origin {
    let status = Arc::clone(status);
    Origin::answering(move |request| match request.path() {
        "/health" => Reply::new(status.load(Ordering::SeqCst), "fine and well"),
        _ => Reply::ok(name).field("Cache-Control", "no-store"),
    })
}

fn healthy() -> Arc<AtomicU16> {
    Arc::new(AtomicU16::new(200))
}

fn up(proxy: &Proxy, origin: &Origin) -> f64 {
    proxy.metric("forebay_upstream_up", &[&format!("server=\"{}\"", origin.address())])
}

const CHECK: &str = "health = { path = \"/health\", interval = \"100ms\", jitter = \"10ms\", rise = 2, fall = 2 }";

#[test]
fn server_that_says_it_is_ill_gets_nothing_until_it_is_well_again() {
    let ill = healthy();
    let (first, second) = (checked(&ill, "first"), checked(&healthy(), "second"));
    let proxy = Proxy::config().origin(&first).origin(&second).upstream(CHECK).start();
    assert_eventually!(first.count("/health") > 0);
    ill.store(503, Ordering::SeqCst);
    assert_eventually!(up(&proxy, &first) == 0.0);
    for _ in 0..6 {
        assert_eq!(proxy.get("/x").text(), "second");
    }
    assert!(proxy.ask_admin("/").text().contains("down"));
    let told = proxy.ask_admin("/upstreams");
    assert!(told.text().contains("\"complaint\":\"status 503\""), "{}", told.text());
    ill.store(200, Ordering::SeqCst);
    assert_eventually!(up(&proxy, &first) == 1.0);
    let answers: Vec<String> = (0..4).map(|_| proxy.get("/x").text().to_owned()).collect();
    assert!(answers.contains(&"first".to_owned()), "{answers:?}");
    let request = first.requests().into_iter().find(|request| request.path() == "/health").unwrap();
    assert_eq!(request.field("host"), Some(first.address().to_string()));
    assert_eq!(request.field("user-agent").as_deref(), Some("Forebay health check"));
}

#[test]
fn all_down_is_stale_then_503() {
    let ill = healthy();
    let status = Arc::clone(&ill);
    let origin = Origin::answering(move |request| match request.path() {
        "/health" => Reply::new(status.load(Ordering::SeqCst), ""),
        _ => Reply::ok("page").field("Cache-Control", "max-age=0, stale-if-error=600"),
    });
    let proxy = Proxy::config().origin(&origin).upstream(CHECK).start();
    assert_eq!(proxy.get("/page").status, 200);
    ill.store(500, Ordering::SeqCst);
    assert_eventually!(up(&proxy, &origin) == 0.0);
    let stale = proxy.get("/page");
    assert_eq!((stale.status, stale.text(), stale.cache()), (200, "page", "STALE"), "{stale}");
    let other = proxy.get("/other");
    assert_eq!(other.status, 503, "{other}");
    assert!(other.cache_status().contains("detail=no-upstream-server"), "{other}");
}

#[test]
fn one_probe_a_server_whatever_the_number_of_pools() {
    let origin = checked(&healthy(), "x");
    let mut more = String::new();
    for name in ["b", "c", "d"] {
        more += &format!("[[upstream]]\nname = \"{name}\"\nservers = [\"{}\"]\n{CHECK}\n", origin.address());
        more += &format!("[[site]]\nhosts = [\"{name}.test\"]\nupstream = \"{name}\"\n");
    }
    let proxy = Proxy::config().origin(&origin).upstream(CHECK).extra(&more).start();
    assert_eventually!(origin.count("/health") >= 5);
    let checks = proxy.metric("forebay_health_checks_total", &["result=\"good\""]);
    let asked = origin.count("/health") as f64;
    assert!(checks <= asked + 1.0 && asked < checks + 3.0, "{checks} counted, {asked} asked");
    // Four probes would be in step with each other; one leaves an interval between its checks.
    let mut opened: Vec<_> = origin.connections().iter().map(|connection| connection.opened).collect();
    opened.sort();
    let shortest = opened.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
    assert!(shortest >= std::time::Duration::from_millis(80), "{shortest:?}");
}

#[test]
fn verdict_outlives_a_reload() {
    let ill = Arc::new(AtomicU16::new(503));
    let origin = checked(&ill, "x");
    let proxy = Proxy::config().origin(&origin).upstream(CHECK).start();
    assert_eventually!(up(&proxy, &origin) == 0.0);
    let before = proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]);
    proxy.signal(rustix::process::Signal::HUP);
    assert_eventually!(proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]) > before);
    assert_eq!(up(&proxy, &origin), 0.0);
    assert_eq!(proxy.get("/x").status, 503);
}

#[test]
fn checks_look_at_status_and_content_as_they_are_told() {
    let teapot = Arc::new(AtomicU16::new(418));
    for (words, expected) in [
        ("path = \"/health\", status = \"418\"", 1.0),
        ("path = \"/health\"", 0.0),
        ("path = \"/health\", status = \"200-299,418\", body = 'and w.ll$'", 1.0),
        ("path = \"/health\", status = \"418\", body = 'ell'", 1.0),
        ("path = \"/health\", status = \"418\", body = '^ill'", 0.0),
        ("path = \"/health\", status = \"418\", method = \"HEAD\", host = \"probe.test\"", 1.0),
        ("tcp = true", 1.0),
    ] {
        let origin = checked(&teapot, "x");
        let health = format!("health = {{ {words}, interval = \"100ms\", rise = 1, fall = 1 }}");
        let proxy = Proxy::config().origin(&origin).upstream(&health).start();
        assert_eventually!(proxy.metric("forebay_health_checks_total", &[]) >= 2.0);
        assert_eventually!(up(&proxy, &origin) == expected, "{words}");
    }
}

#[test]
fn server_that_is_not_there_is_found_by_tcp() {
    let (origin, gone) = (checked(&healthy(), "x"), closed_address());
    let health = "health = { tcp = true, interval = \"100ms\", rise = 1, fall = 1 }";
    let proxy = Proxy::config().server_at(gone, 1).origin(&origin).upstream(health).start();
    let server = format!("server=\"{gone}\"");
    assert_eventually!(proxy.metric("forebay_upstream_up", &[&server]) == 0.0);
    proxy.get("/x");
    assert_eq!(proxy.metric("forebay_upstream_connect_errors_total", &[&server]), 0.0);
}
