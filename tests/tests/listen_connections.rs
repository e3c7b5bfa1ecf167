//! Client connections: kept, pipelined, counted, over IPv6.

use std::time::Duration;

use forebay_tests::client_h1::{Client, head};
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

use crate::refusal::Pair;

#[test]
fn connection_is_kept_for_further_requests() {
    let pair = Pair::start();
    let mut client = pair.proxy.connect();
    for n in 0..20 {
        assert_eq!(client.get(&format!("/{}", n % 3)).status, 200);
    }
    assert_eq!(pair.origin.total(), 3);
}

#[test]
fn connection_close_is_obeyed_and_announced() {
    let pair = Pair::start();
    for _ in 0..2 {
        let mut client = pair.proxy.connect();
        let answer = client.request("GET", "/x", &[("Connection", "close")]);
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")), "{answer}");
        assert!(client.is_closed());
    }
}

#[test]
fn http_1_0_keep_alive_is_understood_or_closed() {
    let pair = Pair::start();
    let mut client = pair.proxy.connect();
    client.send("GET /x HTTP/1.0\r\nHost: site.test\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.read_response();
    assert_eq!(answer.text(), "GET /x");
    if answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("keep-alive")) {
        client.send("GET /y HTTP/1.0\r\nHost: site.test\r\n\r\n");
        assert_eq!(client.read_response().text(), "GET /y");
    }
    assert!(client.is_closed());
}

#[test]
fn pipelined_hit_miss_hit_are_answered_in_order() {
    let origin = Origin::answering(|request| {
        let delay = if request.path() == "/slow" { 200 } else { 0 };
        Reply::cacheable(request.target.clone()).after(Duration::from_millis(delay))
    });
    let proxy = Proxy::before(&origin);
    proxy.get("/hit");
    let mut client = proxy.connect();
    client.send([head("GET", "/hit", &[]), head("GET", "/slow", &[]), head("GET", "/hit", &[])].concat());
    for (target, cache) in [("/hit", "HIT"), ("/slow", "MISS"), ("/hit", "HIT")] {
        let answer = client.read_response();
        assert_eq!((answer.text(), answer.cache()), (target, cache));
    }
    assert_eq!(client.get("/slow").cache(), "HIT");
}

#[test]
fn a_hundred_pipelined_hits_are_a_hundred_answers() {
    let pair = Pair::start();
    pair.proxy.get("/x");
    let mut client = pair.proxy.connect();
    client.send(head("GET", "/x", &[]).repeat(100));
    for _ in 0..100 {
        assert_eq!(client.read_response().cache(), "HIT");
    }
    assert_eq!(pair.origin.count("/x"), 1);
}

#[test]
fn request_pipelined_after_content_is_the_next_request() {
    let pair = Pair::start();
    let mut client = pair.proxy.connect();
    client.send("POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 5\r\n\r\nhello");
    client.send(head("GET", "/x", &[]));
    assert_eq!(client.read_response().text(), "POST /p");
    assert_eq!(client.read_response().text(), "GET /x");
}

#[test]
fn request_that_comes_in_pieces_is_understood() {
    let pair = Pair::start();
    pair.proxy.get("/x");
    let mut client = pair.proxy.connect();
    for byte in head("GET", "/x", &[]).bytes() {
        client.send([byte]);
    }
    assert_eq!(client.read_response().cache(), "HIT");
}

#[test]
fn empty_line_before_a_request_is_skipped() {
    let pair = Pair::start();
    let (answer, _) = pair.proxy.send_raw(format!("\r\n{}", head("GET", "/x", &[])));
    assert_eq!(answer.unwrap().text(), "GET /x");
}

#[test]
fn client_that_has_sent_all_is_still_answered() {
    let origin = Origin::answering(|_| Reply::ok("late").after(Duration::from_millis(100)));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    client.send(head("GET", "/x", &[]));
    client.finish_sending();
    assert_eq!(client.read_response().text(), "late");
}

#[test]
fn ipv6_listener_serves() {
    let pair = Origin::answering(|request| Reply::ok(request.field("x-forwarded-for").unwrap()));
    let proxy = Proxy::config().origin(&pair).extra("[[listen]]\naddress = \"[::1]:0\"").start();
    let address = proxy.sockets("http").find(std::net::SocketAddr::is_ipv6).unwrap();
    assert_eq!(Client::connect(address).get("/x").text(), "::1");
}

#[test]
fn row_71_connections_above_the_cap_wait_and_recover() {
    let origin = Origin::answering(|_| Reply::cacheable("x"));
    let proxy = Proxy::config().origin(&origin).limits("connections = 10").start();
    let mut held: Vec<_> = (0..10).map(|_| proxy.connect()).collect();
    for client in &mut held {
        assert_eq!(client.get("/x").status, 200);
    }
    let mut above = proxy.connect();
    above.set_patience(Duration::from_millis(300));
    let _ = above.try_send(head("GET", "/x", &[]));
    let early = above.read_response_to("GET");
    assert!(early.is_err() || early.unwrap().status == 503, "served above the cap");
    for client in &mut held {
        assert_eq!(client.get("/x").status, 200, "those within the cap are not disturbed");
    }
    held.clear();
    assert_eventually!({
        let mut client = proxy.connect();
        client.set_patience(Duration::from_millis(300));
        client.try_send(head("GET", "/x", &[])).is_ok() && client.read_response_to("GET").is_ok_and(|a| a.status == 200)
    });
}

#[test]
fn descriptors_of_closed_connections_are_given_back() {
    let pair = Pair::start();
    let held: Vec<_> = (0..600).map(|_| pair.proxy.connect()).collect();
    assert_eq!(pair.proxy.get("/x").status, 200);
    let open = pair.proxy.descriptors();
    drop(held);
    assert_eventually!(pair.proxy.descriptors() + 500 < open);
    assert_eq!(pair.proxy.get("/x").status, 200);
}
