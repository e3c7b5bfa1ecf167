//! Clients that take their time (rows 67 and 68). Deadlines are set short; the defaults are in the configuration's docs.

use std::time::{Duration, Instant};

use forebay_tests::client_h1::{Client, head};
use forebay_tests::{H2Client, Origin, Proxy, ReadError, Reply, assert_eventually};

fn hello() -> Origin {
    Origin::answering(|_| Reply::cacheable("hello"))
}

/// Sends one byte every 50 ms until the proxy has had enough; returns how long that took.
fn drip(client: &mut Client, bytes: &str) -> Duration {
    let start = Instant::now();
    client.set_patience(Duration::from_millis(50));
    for byte in bytes.bytes().cycle() {
        match client.read_head() {
            Err(ReadError::Timeout) => {}
            Ok(answer) => {
                assert_eq!(answer.status, 408, "{answer}");
                break;
            }
            Err(_) => break,
        }
        assert!(start.elapsed() < Duration::from_secs(10), "still open");
        if client.try_send([byte]).is_err() {
            break;
        }
    }
    start.elapsed()
}

fn is_about(elapsed: Duration, seconds: f64) {
    let elapsed = elapsed.as_secs_f64();
    assert!(elapsed > seconds * 0.8 && elapsed < seconds + 1.5, "after {elapsed:.2} s instead of {seconds} s");
}

#[test]
fn timed_row_67_dripping_head_is_cut_at_the_deadline() {
    let origin = hello();
    let proxy = Proxy::config().origin(&origin).limits("head_timeout = \"1s\"").start();
    let mut client = proxy.connect();
    client.send("GET /x HTTP/1.1\r\nHost: site.test\r\n");
    is_about(drip(&mut client, "X-Drip: a\r\n"), 1.0);
    assert_eq!(origin.total(), 0);
}

#[test]
fn timed_row_67_dripping_head_of_a_later_request_is_cut_at_the_deadline() {
    let origin = hello();
    let proxy = Proxy::config().origin(&origin).limits("head_timeout = \"1s\"").start();
    let mut client = proxy.connect();
    client.get("/x");
    client.send("GET /x HTTP/1.1\r\nHost: site.test\r\n");
    is_about(drip(&mut client, "X-Drip: a\r\n"), 1.0);
}

#[test]
fn timed_row_67_connection_without_a_request_is_cut_at_the_deadline() {
    let proxy = Proxy::config().origin(&hello()).limits("head_timeout = \"1s\"").start();
    let (start, mut client) = (Instant::now(), proxy.connect());
    client.read_to_end();
    is_about(start.elapsed(), 1.0);
}

#[test]
fn timed_row_67_dripping_tls_handshake_is_cut_at_the_deadline() {
    let proxy = Proxy::config().origin(&hello()).limits("handshake_timeout = \"1s\"").start();
    let mut client = Client::connect(proxy.https());
    is_about(drip(&mut client, "\u{16}\u{3}\u{1}\u{1}\u{0}\u{1}"), 1.0);
}

#[test]
fn timed_idle_connection_is_closed() {
    let proxy = Proxy::config().origin(&hello()).limits("keepalive_timeout = \"1s\"").start();
    for mut client in [proxy.connect(), proxy.connect_tls()] {
        client.get("/x");
        let start = Instant::now();
        client.read_to_end();
        is_about(start.elapsed(), 1.0);
    }
}

#[test]
fn timed_row_70_content_that_never_comes_is_a_408() {
    let origin = hello();
    let proxy = Proxy::config().origin(&origin).limits("body_timeout = \"1s\"").start();
    let start = Instant::now();
    let mut client = proxy.connect();
    client.send("POST /x HTTP/1.1\r\nHost: site.test\r\nContent-Length: 10737418240\r\n\r\nsome");
    match client.read_response_to("POST") {
        Ok(answer) => assert!(matches!(answer.status, 408), "{answer}"),
        Err(error) => assert_eq!(error, ReadError::Closed),
    }
    is_about(start.elapsed(), 1.0);
    assert_eq!(origin.total(), 0, "an unfinished request was taken for a whole one");
}

#[test]
fn timed_row_68_reader_beneath_the_floor_is_cut_in_h1() {
    let origin = Origin::answering(|_| Reply::cacheable(vec![b'x'; 8 << 20]));
    let limits = "send_rate_floor = \"256KiB\"\nsend_grace = \"1s\"";
    let proxy = Proxy::config().origin(&origin).limits(limits).start();
    for cache in ["cold", "warm"] {
        let mut client = proxy.connect().with_small_receive_buffer();
        client.send(head("GET", "/x", &[]));
        let start = Instant::now();
        let read = client.read_slowly(20_000, || start.elapsed() < Duration::from_secs(20));
        assert!(start.elapsed() < Duration::from_secs(20), "{cache}: never cut");
        assert!(read < 8 << 20, "{cache}");
    }
}

#[test]
fn timed_row_68_reader_beneath_the_floor_is_cut_in_h2() {
    let origin = Origin::answering(|_| Reply::cacheable(vec![b'x'; 8 << 20]));
    let limits = "send_rate_floor = \"256KiB\"\nsend_grace = \"1s\"";
    let proxy = Proxy::config().origin(&origin).limits(limits).start();
    let mut client = H2Client::connect_with_window(proxy.https(), "site.test", 16 * 1024);
    let pending = client.start("GET", "/x", &[], true);
    let start = Instant::now();
    let read = client.read_slowly(pending, 10_000, || start.elapsed() < Duration::from_secs(6));
    assert!(read < 1 << 20, "{read} bytes");
    // The stream is over for the proxy: nothing of it is held for this client any more.
    assert_eventually!(proxy.metric("forebay_http_requests_total", &[]) >= 1.0);
}

#[test]
fn timed_reader_above_the_floor_is_served_to_the_end() {
    let origin = Origin::answering(|_| Reply::cacheable(vec![b'x'; 1 << 20]));
    let limits = "send_rate_floor = \"16KiB\"\nsend_grace = \"1s\"";
    let proxy = Proxy::config().origin(&origin).limits(limits).start();
    let mut client = proxy.connect().with_small_receive_buffer();
    client.send(head("GET", "/x", &[("Connection", "close")]));
    assert!(client.read_slowly(256 * 1024, || true) > 1 << 20);
}

#[test]
fn timed_slow_clients_do_not_disturb_the_others() {
    let origin = hello();
    let proxy = Proxy::before(&origin);
    let mut slow: Vec<_> = (0..500).map(|_| proxy.connect()).collect();
    slow.iter_mut().for_each(|client| client.send("GET /x HTTP/1.1\r\nHo"));
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(proxy.get("/x").status, 200);
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?} for 100 requests", start.elapsed());
}
