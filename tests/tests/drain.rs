//! SIGTERM: listening sockets close first, what is in flight is finished, the process ends with 0.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use forebay_tests::client_h1::head;
use forebay_tests::origin::Ending;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

#[test]
fn idle_process_ends_at_once() {
    let origin = Origin::answering(|_| Reply::cacheable("x"));
    let mut proxy = Proxy::before(&origin);
    let start = Instant::now();
    proxy.terminate();
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn listening_sockets_close_first_and_what_is_in_flight_is_finished() {
    for method in ["GET", "POST"] {
        let origin = Origin::answering(|_| Reply::cacheable("whole"));
        let mut proxy = Proxy::before(&origin);
        origin.hold();
        let mut client = proxy.connect();
        client.send(head(method, "/x", &[("Content-Length", "0")]));
        assert_eventually!(origin.total() == 1);
        proxy.terminate();
        let (http, https) = (proxy.http(), proxy.https());
        assert_eventually!(TcpStream::connect(http).is_err() && TcpStream::connect(https).is_err());
        assert!(proxy.is_running(), "{method}: it did not wait for the request in flight");
        origin.release();
        let answer = client.read_response();
        assert_eq!((answer.status, answer.text()), (200, "whole"));
        assert_eq!(answer.field("connection"), Some("close"), "{method}: {answer}");
        assert!(client.is_closed());
        assert_eq!(proxy.wait().code(), Some(0));
    }
}

#[test]
fn h2_streams_in_flight_are_finished() {
    let origin = Origin::answering(|_| Reply::cacheable("whole"));
    let mut proxy = Proxy::before(&origin);
    origin.hold();
    let mut client = proxy.connect_h2();
    let pending: Vec<_> = (0..10).map(|n| client.start("GET", &format!("/{n}"), &[], true)).collect();
    assert_eventually!(origin.total() == 10);
    proxy.terminate();
    let http = proxy.http();
    assert_eventually!(TcpStream::connect(http).is_err());
    origin.release();
    for stream in pending {
        assert_eq!(client.finish(stream).unwrap().text(), "whole");
    }
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn idle_connections_do_not_hold_it_back() {
    let origin = Origin::answering(|_| Reply::cacheable("x"));
    let mut proxy = Proxy::before(&origin);
    let mut clients = [proxy.connect(), proxy.connect_tls()];
    clients.iter_mut().for_each(|client| drop(client.get("/x")));
    let mut h2 = proxy.connect_h2();
    h2.get("/x");
    let _silent = proxy.connect();
    let start = Instant::now();
    proxy.terminate();
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(clients.iter_mut().all(forebay_tests::Client::is_closed));
}

#[test]
fn download_in_flight_is_not_cut() {
    let origin = Origin::answering(|_| Reply::cacheable(vec![b'x'; 4 << 20]));
    let mut proxy = Proxy::before(&origin);
    let mut client = proxy.connect().with_small_receive_buffer();
    client.send(head("GET", "/x", &[]));
    assert_eventually!(origin.total() == 1);
    proxy.terminate();
    let http = proxy.http();
    assert_eventually!(TcpStream::connect(http).is_err());
    assert_eq!(client.read_response().body.len(), 4 << 20);
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn readiness_ends_before_the_process_does() {
    let origin = Origin::answering(|_| Reply::cacheable("x"));
    let mut proxy = Proxy::before(&origin);
    origin.hold();
    let mut client = proxy.connect();
    client.send(head("GET", "/x", &[]));
    assert_eventually!(origin.total() == 1);
    proxy.terminate();
    assert_eventually!(proxy.ask_admin("/ready").status == 503);
    origin.release();
    assert_eq!(client.read_response().status, 200);
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn timed_drain_ends_at_its_deadline() {
    let origin = Origin::answering(|_| Reply::silence(Ending::Hang));
    let mut proxy = Proxy::config().origin(&origin).server("drain = \"1s\"").start();
    let mut client = proxy.connect();
    client.send(head("GET", "/x", &[]));
    assert_eventually!(origin.total() == 1);
    let start = Instant::now();
    proxy.terminate();
    proxy.wait();
    let elapsed = start.elapsed();
    assert!((Duration::from_millis(800)..Duration::from_secs(3)).contains(&elapsed), "{elapsed:?}");
}

#[test]
fn interrupt_ends_a_drain() {
    let origin = Origin::answering(|_| Reply::silence(Ending::Hang));
    let mut proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    client.send(head("GET", "/x", &[]));
    assert_eventually!(origin.total() == 1);
    proxy.terminate();
    let http = proxy.http();
    assert_eventually!(TcpStream::connect(http).is_err());
    let start = Instant::now();
    proxy.signal(rustix::process::Signal::INT);
    proxy.wait();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}
