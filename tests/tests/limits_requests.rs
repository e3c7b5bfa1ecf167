//! Limits: requests in a time and at the same time, suspects as mod_dosdetector knows them, connections of a client.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use forebay_tests::client_h1::{Client, head};
use forebay_tests::{Answer, Origin, Proxy, ProxyConfig, Reply, assert_eventually};

/// A proxy whose site has these lines, before an origin whose answers may be stored.
fn pair(site: &str) -> (Origin, Proxy) {
    let origin = Origin::answering(|request| match request.field("suspectdos") {
        Some(mark) => Reply::cacheable(format!("suspect {mark}")),
        None => Reply::cacheable("served"),
    });
    let proxy = ProxyConfig::new().origin(&origin).site(site).start();
    (origin, proxy)
}

/// A connection from 127.0.0.`host`.
fn from(proxy: &Proxy, host: u8) -> Client {
    Client::connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), proxy.http())
}

fn statuses(client: &mut Client, target: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| client.get(target).status).collect()
}

fn detail(answer: &Answer) -> &str {
    answer.cache_status().split("detail=").nth(1).unwrap_or_default()
}

#[test]
fn above_the_rate_there_is_429_with_retry_after_and_the_connection_goes_on() {
    let (origin, proxy) = pair("limit = [{ rate = \"2/m\", burst = 2 }]");
    let mut client = proxy.connect();
    assert_eq!(statuses(&mut client, "/x", 2), [200, 200]);
    let refused = client.get("/x");
    assert_eq!((refused.status, detail(&refused)), (429, "rate-limit"), "{refused}");
    let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    assert!(refused.field("cache-control").unwrap().contains("no-store"));
    assert_eq!(client.get("/x").status, 429);
    assert_eq!(from(&proxy, 2).get("/x").status, 200);
    assert_eq!(origin.total(), 1);
    assert_eventually!(proxy.metric("forebay_limited_requests_total", &["reason=\"rate-limit\""]) == 2.0);
}

#[test]
fn hits_are_limited_as_all_else_is_and_other_paths_are_not() {
    let (_origin, proxy) = pair("limit = [{ path = \"/api/\", rate = \"5/h\" }]");
    let mut client = proxy.connect();
    assert_eq!(statuses(&mut client, "/api/x", 6), [200, 200, 200, 200, 200, 429]);
    // However it is spelled.
    for spelling in ["//api/x", "/api//x", "/%61pi/x", "///api///x"] {
        assert_eq!(client.get(spelling).status, 429, "{spelling}");
    }
    assert_eq!(statuses(&mut client, "/x", 20), [200; 20]);
}

#[test]
fn http_2_is_limited_as_http_1_is() {
    let (_origin, proxy) = pair("limit = [{ rate = \"3/h\" }]");
    let mut client = proxy.connect_h2();
    let statuses: Vec<u16> = (0..4).map(|_| client.get("/x").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(proxy.get("/x").status, 429);
}

#[test]
fn a_limit_holds_through_a_reload_that_leaves_it_as_it_is() {
    let (_origin, proxy) = pair("limit = [{ rate = \"2/h\" }]");
    assert_eq!(statuses(&mut proxy.connect(), "/x", 3), [200, 200, 429]);
    let before = proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]);
    proxy.signal(rustix::process::Signal::HUP);
    assert_eventually!(proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]) > before);
    assert_eq!(proxy.get("/x").status, 429);
}

#[test]
fn behind_a_trusted_proxy_each_visitor_is_counted_alone() {
    let origin = Origin::answering(|_| Reply::ok("served"));
    let proxy = ProxyConfig::new()
        .origin(&origin)
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .site("limit = [{ rate = \"1/h\" }]")
        .start();
    let visit = |visitor: &str| proxy.get_with("/x", &[("X-Forwarded-For", visitor)]).status;
    assert_eq!((visit("192.0.2.1"), visit("192.0.2.1"), visit("192.0.2.2")), (200, 429, 200));
    assert_eq!((visit("2001:db8::1"), visit("2001:db8::2"), visit("2001:db8:0:1::1")), (200, 429, 200));
}

#[test]
fn keys_are_fields_or_cookies_too() {
    let (_origin, proxy) = pair("limit = [{ key = \"header:X-Api-Key\", rate = \"1/h\" }]");
    let with = |key: &str| proxy.get_with("/x", &[("X-Api-Key", key)]).status;
    assert_eq!((with("a"), with("a"), with("b")), (200, 429, 200));
}

#[test]
fn timed_a_delayed_request_waits_for_its_turn() {
    let (_origin, proxy) = pair("limit = [{ rate = \"2/s\", burst = 1, action = \"delay\", delay = \"700ms\" }]");
    let start = Instant::now();
    let mut clients: Vec<Client> = (0..4).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(head("GET", "/x", &[])));
    let mut statuses: Vec<u16> = clients.iter_mut().map(|client| client.read_response().status).collect();
    statuses.sort_unstable();
    // At once, after half a second; the others would have waited for too long.
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert!(start.elapsed() >= Duration::from_millis(490), "{:?}", start.elapsed());
    assert!(proxy.metric("forebay_limited_requests_total", &["reason=\"rate-delay\""]) >= 1.0);
}

#[test]
fn more_at_the_same_time_than_allowed_are_refused_until_one_is_done() {
    let (origin, proxy) = pair("limit = [{ concurrent = 2 }]\ncache = \"off\"");
    origin.hold();
    let mut waiting: Vec<Client> = (0..2).map(|_| proxy.connect()).collect();
    waiting.iter_mut().for_each(|client| client.send(head("GET", "/slow", &[])));
    assert_eventually!(proxy.metric("forebay_fills_in_flight", &[]) == 2.0);
    let refused = proxy.get("/x");
    assert_eq!((refused.status, detail(&refused)), (429, "concurrency-limit"));
    let mut other = from(&proxy, 3);
    other.send(head("GET", "/x", &[]));
    origin.release();
    assert_eq!(other.read_response().status, 200);
    waiting.iter_mut().for_each(|client| assert_eq!(client.read_response().status, 200));
    assert_eventually!(proxy.get("/x").status == 200);
}

#[test]
fn a_client_has_so_many_connections_and_no_more() {
    let origin = Origin::answering(|_| Reply::ok("served"));
    let proxy = ProxyConfig::new().origin(&origin).limits("connections_per_client = 3").start();
    let mut kept: Vec<Client> = (0..3).map(|_| from(&proxy, 5)).collect();
    kept.iter_mut().for_each(|client| assert_eq!(client.get("/x").status, 200));
    let mut turned_away = from(&proxy, 5);
    let _ = turned_away.try_send(head("GET", "/x", &[]));
    assert!(turned_away.read_response_to("GET").is_err());
    assert_eq!(from(&proxy, 6).get("/x").status, 200);
    assert!(proxy.metric("forebay_connections_limited_total", &[]) >= 1.0);
    drop(kept);
    assert_eventually!({
        let mut again = from(&proxy, 5);
        again.try_send(head("GET", "/x", &[])).is_ok() && again.read_response_to("GET").is_ok()
    });
}

#[test]
fn suspects_are_refused_for_the_time_of_the_ban_whatever_they_ask_for() {
    let suspect = "suspect = { threshold = 5, period = \"1h\", ban = \"1h\", ignore = [\"/img/\"] }";
    let (_origin, proxy) = pair(suspect);
    let mut client = proxy.connect();
    assert_eq!(statuses(&mut client, "/img/x", 20), [200; 20]);
    assert_eq!(statuses(&mut client, "/x", 6), [200, 200, 200, 200, 200, 429]);
    let refused = client.get("/img/x");
    assert_eq!((refused.status, detail(&refused)), (429, "suspect"));
    assert!(refused.field("retry-after").unwrap().parse::<u64>().unwrap() > 3000);
    assert_eq!(from(&proxy, 2).get("/x").status, 200);
}

#[test]
fn marked_suspects_are_served_and_the_ap_server_is_told() {
    let (origin, proxy) = pair("suspect = { threshold = 3, period = \"1h\", action = \"mark\" }");
    let mut client = proxy.connect();
    // Nobody marks himself.
    assert_eq!(client.request("GET", "/a", &[("SuspectDoS", "1"), ("suspect_dos", "1")]).text(), "served");
    assert_eq!(client.get("/b").text(), "served");
    assert_eq!(client.get("/b").cache(), "HIT");
    // What is stored costs nobody anything.
    assert_eq!((client.get("/b").cache(), origin.count("/b")), ("HIT", 1));
    let marked = client.get("/c");
    assert_eq!((marked.text(), marked.cache(), detail(&marked)), ("suspect 1", "PASS", "suspect"));
    // What it was answered is for no one else.
    assert_eq!(from(&proxy, 2).get("/c").text(), "served");
}

#[test]
fn timed_a_tarpit_holds_suspects_and_then_refuses_them() {
    let suspect = "suspect = { threshold = 2, period = \"1h\", action = \"tarpit\", tarpit = \"600ms\" }";
    let (_origin, proxy) = pair(suspect);
    let mut client = proxy.connect();
    assert_eq!(statuses(&mut client, "/x", 2), [200, 200]);
    let start = Instant::now();
    let refused = client.get("/x");
    assert_eq!((refused.status, detail(&refused)), (429, "suspect-tarpit"));
    assert!(start.elapsed() >= Duration::from_millis(590), "{:?}", start.elapsed());
}

#[test]
fn preset_holds_back_guesses_of_passwords() {
    let (_origin, proxy) = pair("preset = \"wordpress\"");
    let post = |target: &str| {
        let mut client = proxy.connect();
        client.send(format!("POST {target} HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n"));
        client.read_response().status
    };
    let guesses: Vec<u16> = (0..11).map(|_| post("/wp-login.php")).collect();
    assert_eq!(guesses, [[200; 10].as_slice(), &[429]].concat());
    assert_eq!((post("//wp-login.php"), post("/sub/wp-login.php/x"), post("/xmlrpc.php")), (429, 429, 200));
    // To see the form is no guess.
    assert_eq!(proxy.get("/wp-login.php").status, 200);
}

#[test]
fn preset_is_overruled_by_the_words_of_the_site() {
    let (_origin, proxy) = pair("preset = \"wordpress\"\nlimit = []");
    let mut client = proxy.connect();
    let post = "POST /wp-login.php HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n";
    for _ in 0..30 {
        client.send(post);
        assert_eq!(client.read_response().status, 200);
    }
}
