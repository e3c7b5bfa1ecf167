//! Which AP server is asked, and how its connection is used.

use std::time::{Duration, Instant};

use forebay_tests::origin::{Ending, closed_address};
use forebay_tests::{Origin, Proxy, Reply};

fn uncacheable() -> Origin {
    Origin::answering(|_| Reply::ok("x").field("Cache-Control", "no-store"))
}

#[test]
fn connections_to_ap_servers_are_closed_after_each_request() {
    let origin = Origin::answering(|request| match request.path() {
        "/cacheable" => Reply::cacheable("x"),
        _ => Reply::ok("x").field("Cache-Control", "no-store"),
    });
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    for target in ["/cacheable", "/a", "/b"] {
        client.get(target);
    }
    client.request("POST", "/c", &[("Content-Length", "0")]);
    assert_eq!(origin.connections().len(), 4);
    for request in origin.requests() {
        assert_eq!(request.field("connection").as_deref(), Some("close"), "{}", request.target);
    }
}

#[test]
fn connections_are_kept_when_the_upstream_says_so() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let proxy = Proxy::config().origin(&origin).upstream("keepalive = true").start();
    let mut client = proxy.connect();
    for n in 0..10 {
        client.get(&format!("/{n}"));
    }
    let connections = origin.connections().len();
    assert!(connections < 10, "{connections} connections for 10 requests");
    assert!(origin.requests().iter().all(|request| request.field("connection").is_none_or(|c| c != "close")));
}

#[test]
fn kept_connection_that_has_died_is_not_an_error() {
    let origin = Origin::answering(|_| Reply::ok("x").then(Ending::Close));
    let proxy = Proxy::config().origin(&origin).upstream("keepalive = true").start();
    let mut client = proxy.connect();
    for n in 0..20 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
    }
}

#[test]
fn weights_2_and_1_are_exact_over_300_requests() {
    let (two, one) = (uncacheable(), uncacheable());
    let proxy = Proxy::config().server_at(two.address(), 2).server_at(one.address(), 1).start();
    let mut client = proxy.connect();
    for n in 0..300 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
    }
    assert_eq!((two.total(), one.total()), (200, 100));
}

#[test]
fn weighted_round_robin_is_smooth() {
    let heavy = Origin::answering(|_| Reply::ok("heavy").field("Cache-Control", "no-store"));
    let light = Origin::answering(|_| Reply::ok("light").field("Cache-Control", "no-store"));
    let proxy = Proxy::config().server_at(heavy.address(), 2).server_at(light.address(), 1).start();
    let mut client = proxy.connect();
    let order: Vec<_> = (0..30).map(|n| client.get(&format!("/{n}")).text() == "light").collect();
    for turn in order.chunks(3) {
        assert_eq!(turn.iter().filter(|light| **light).count(), 1, "{order:?}");
    }
}

#[test]
fn server_of_weight_0_takes_nothing() {
    let (all, none) = (uncacheable(), uncacheable());
    let proxy = Proxy::config().server_at(all.address(), 1).server_at(none.address(), 0).start();
    for n in 0..20 {
        proxy.get(&format!("/{n}"));
    }
    assert_eq!((all.total(), none.total()), (20, 0));
}

#[test]
fn second_server_is_tried_when_the_first_refuses() {
    let origin = uncacheable();
    let proxy = Proxy::config().server_at(closed_address(), 1).origin(&origin).start();
    let mut client = proxy.connect();
    for n in 0..10 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
        client.send(format!("POST /p{n} HTTP/1.1\r\nHost: site.test\r\nContent-Length: 5\r\n\r\nhello"));
        assert_eq!(client.read_response().status, 200);
        assert_eq!(origin.only(&format!("/p{n}")).body, b"hello");
    }
    assert_eq!(origin.total(), 20);
}

#[test]
fn request_that_was_sent_is_not_sent_again() {
    let resetting = || Origin::answering(|_| Reply::silence(Ending::Reset));
    let (first, second) = (resetting(), resetting());
    let proxy = Proxy::config().origin(&first).origin(&second).start();
    let mut client = proxy.connect();
    client.send("POST /x HTTP/1.1\r\nHost: site.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.read_response().status, 502);
    assert_eq!(first.total() + second.total(), 1);
}

#[test]
fn timed_server_that_does_not_accept_is_given_up() {
    // 192.0.2.0/24 is nobody's (RFC 5737): packets are dropped, or refused at once.
    let origin = uncacheable();
    let proxy = Proxy::config()
        .server_at("192.0.2.1:80".parse().unwrap(), 1)
        .origin(&origin)
        .upstream("connect_timeout = \"300ms\"")
        .start();
    let start = Instant::now();
    for n in 0..4 {
        assert_eq!(proxy.get(&format!("/{n}")).status, 200);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn route_chooses_another_upstream_by_the_longest_prefix() {
    let (pages, api) = (Origin::answering(|_| Reply::ok("pages")), Origin::answering(|_| Reply::ok("api")));
    let proxy = Proxy::config()
        .origin(&pages)
        .extra(&format!(
            "[[site.route]]\npath = \"/api/\"\nupstream = \"api\"\ncache = \"off\"\n\
             [[site.route]]\npath = \"/api/pages/\"\nupstream = \"ap\"\n\
             [[upstream]]\nname = \"api\"\nservers = [{{ address = \"{}\" }}]",
            api.address()
        ))
        .start();
    for (target, expected) in [("/", "pages"), ("/api/x", "api"), ("/api", "pages"), ("/api/pages/x", "pages")] {
        assert_eq!(proxy.get(target).text(), expected, "{target}");
    }
    // Another spelling of the same path takes the same route.
    for target in ["/%61pi/x", "/x/../api/x", "/./api/x"] {
        let answer = proxy.get(target);
        assert!(answer.status == 400 || answer.text() == "api", "{target}: {answer}");
    }
}
