//! The harness itself: a test that trusts its instruments has tried them.

use std::time::Duration;

use forebay_tests::origin::Ending;
use forebay_tests::{Client, Origin, ReadError, Reply, WordPress, assert_eventually};

#[test]
fn client_and_origin_speak_to_each_other() {
    let origin = Origin::answering(|request| Reply::ok(format!("{} {}", request.method, request.target)).chunked());
    let mut client = Client::connect(origin.address());
    assert_eq!(client.get("/a").text(), "GET /a");
    assert_eq!(client.request("HEAD", "/b", &[]).body, b"");
    assert_eq!(client.get("/c").text(), "GET /c");
    assert_eq!(origin.connections().len(), 1);
    assert_eq!(origin.connections()[0].requests, 3);
}

#[test]
fn client_tells_a_cut_response_from_a_whole_one() {
    let origin = Origin::answering(|request| match request.path() {
        "/cut" => Reply::ok(vec![b'x'; 100]).truncated_at(40),
        "/cut-chunked" => Reply::ok(vec![b'x'; 100]).chunked().truncated_at(40),
        "/reset" => Reply::silence(Ending::Reset),
        _ => Reply::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall").then(Ending::Close),
    });
    let fetch = |target: &str| {
        let mut client = Client::connect(origin.address());
        client.send(forebay_tests::client_h1::head("GET", target, &[]));
        client.read_response_to("GET")
    };
    assert_eq!(fetch("/cut").unwrap_err(), ReadError::Truncated { status: Some(200), body: vec![b'x'; 40] });
    assert_eq!(fetch("/cut-chunked").unwrap_err(), ReadError::Truncated { status: Some(200), body: vec![b'x'; 40] });
    assert_eq!(fetch("/reset").unwrap_err(), ReadError::Closed);
    assert_eq!(fetch("/").unwrap().text(), "all");
}

#[test]
fn origin_sees_when_its_peer_leaves() {
    let origin = Origin::answering(|_| Reply::ok("x").after(Duration::from_millis(20)));
    let mut client = Client::connect(origin.address());
    client.get("/");
    assert!(origin.connections()[0].closed.is_none());
    drop(client);
    assert_eventually!(origin.connections()[0].closed.is_some());
}

#[test]
fn wordpress_farm_runs_without_a_proxy() {
    let farm = WordPress::start();
    let mut browser = farm.browser(1);
    let front = browser.get("/");
    assert_eq!((front.status, front.field("x-ap")), (200, Some("2")), "{front}");
    assert!(front.text().contains("The Mill"));
    browser.log_in();
    let post = browser.publish("Wheel", "turns");
    assert!(farm.browser(0).get(&post).text().contains("turns"), "{post}");
    assert_eventually!(farm.count(&post) == 1);
    assert_eq!(farm.ap[0].log_of(&post)[0].visitor, "127.0.0.1");
}
