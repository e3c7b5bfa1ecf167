//! What an operator sees of servers, and wants of them.

use forebay_tests::forebay as run;
use forebay_tests::{Client, Origin, Proxy, Reply, assert_eventually};

fn uncacheable() -> Origin {
    Origin::answering(|_| Reply::ok("x").field("Cache-Control", "no-store"))
}

/// `forebay upstream …` of this instance: exit code, standard output, standard error.
fn upstream(proxy: &Proxy, arguments: &[&str]) -> (Option<i32>, String, String) {
    let admin = proxy.admin().to_string();
    let outcome = run(&[&["upstream"], arguments, &["--admin", &admin]].concat());
    (outcome.code, outcome.stdout, outcome.stderr)
}

fn state(proxy: &Proxy, origin: &Origin) -> String {
    let told: serde_json::Value = serde_json::from_str(proxy.ask_admin("/upstreams").text()).unwrap();
    let servers = told["upstreams"][0]["servers"].as_array().unwrap().clone();
    let address = origin.address().to_string();
    let server = servers.iter().find(|server| server["address"] == address.as_str()).unwrap();
    server["state"].as_str().unwrap().to_owned()
}

#[test]
fn drained_server_finishes_what_it_has_and_gets_nothing_new() {
    let (leaving, staying) = (uncacheable(), uncacheable());
    let proxy = Proxy::config().origin(&leaving).origin(&staying).start();
    leaving.hold();
    let mut waiting = proxy.connect();
    waiting.send("GET /before HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eventually!(leaving.total() == 1);
    let (code, _, stderr) = upstream(&proxy, &["drain", "ap", &leaving.address().to_string()]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(state(&proxy, &leaving), "draining");
    for n in 0..10 {
        assert_eq!(proxy.get(&format!("/{n}")).status, 200);
    }
    assert_eq!((leaving.total(), staying.total()), (1, 10));
    leaving.release();
    assert_eq!(waiting.read_response().status, 200);
    let (code, _, _) = upstream(&proxy, &["ready", &leaving.address().to_string()]);
    assert_eq!(code, Some(0));
    for n in 0..10 {
        proxy.get(&format!("/again/{n}"));
    }
    assert_eq!((leaving.total(), staying.total()), (6, 15));
}

#[test]
fn all_servers_disabled_is_a_503() {
    let origin = uncacheable();
    let proxy = Proxy::before(&origin);
    assert_eq!(upstream(&proxy, &["disable", &origin.address().to_string()]).0, Some(0));
    let answer = proxy.get("/x");
    assert_eq!(answer.status, 503, "{answer}");
    assert!(answer.field("cache-status").unwrap().contains("detail=no-upstream-server"), "{answer}");
    assert_eq!(origin.total(), 0);
}

#[test]
fn operators_word_outlives_a_reload() {
    let (disabled, other) = (uncacheable(), uncacheable());
    let proxy = Proxy::config().origin(&disabled).origin(&other).start();
    upstream(&proxy, &["disable", &disabled.address().to_string()]);
    let before = proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]);
    proxy.signal(rustix::process::Signal::HUP);
    assert_eventually!(proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]) > before);
    for n in 0..4 {
        assert_eq!(proxy.get(&format!("/{n}")).status, 200);
    }
    assert_eq!((disabled.total(), state(&proxy, &disabled).as_str()), (0, "disabled"));
}

#[test]
fn list_shows_pools_servers_and_states() {
    let origin = uncacheable();
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    let (code, stdout, _) = upstream(&proxy, &["list"]);
    assert_eq!(code, Some(0));
    let line = stdout.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line, ["ap", &origin.address().to_string(), "up", "1", "0", "1", "0", "config"], "{stdout}");
}

#[test]
fn unknown_pool_server_and_instance_are_told() {
    let origin = uncacheable();
    let proxy = Proxy::before(&origin);
    let address = origin.address().to_string();
    for name in [vec!["drain", "127.0.0.1:1"], vec!["drain", "other", &address]] {
        let (code, _, stderr) = upstream(&proxy, &name);
        assert_eq!((code, stderr.as_str()), (Some(1), "forebay: there is no such server\n"));
    }
    let outcome = run(&["upstream", "list", "--admin", "127.0.0.1:1"]);
    assert_eq!(outcome.code, Some(2));
}

#[test]
fn page_of_a_stranger_cannot_order_by_the_operators_browser() {
    let origin = uncacheable();
    let proxy = Proxy::before(&origin);
    let target = format!("/upstreams/{}/disable", origin.address());
    for field in [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        let answer = Client::connect(proxy.admin()).request("POST", &target, &[("Host", "127.0.0.1"), field]);
        assert_eq!(answer.status, 403, "{answer}");
    }
    let answer = Client::connect(proxy.admin()).request("GET", &target, &[("Host", "127.0.0.1")]);
    assert_eq!(answer.status, 405);
    assert_eq!(state(&proxy, &origin), "up");
}
