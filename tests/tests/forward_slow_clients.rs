//! A slow client never holds an AP worker: the AP server's connection is closed within half a second of the AP server
//! having produced its last byte, however slowly the client reads.

use std::time::{Duration, Instant};

use forebay_tests::client_h1::head;
use forebay_tests::{H2Client, Origin, Proxy, Reply, assert_eventually};

const PAGE: usize = 4 << 20;
/// Bytes a second.
const PACE: usize = 50 * 1024;

fn page(cache_control: &'static str) -> Origin {
    Origin::answering(move |_| Reply::ok(vec![b'x'; PAGE]).chunked().field("Cache-Control", cache_control))
}

/// The AP server's connection was closed in time, while the client still had most of the page before it.
fn is_free(origin: &Origin) -> bool {
    origin.connections().first().is_some_and(|connection| connection.closed.is_some())
}

fn worker_was_free_in_time(origin: &Origin) {
    let connection = &origin.connections()[0];
    let (start, last) = (connection.answering.unwrap(), connection.answered.unwrap());
    let closed = connection.closed.unwrap();
    assert!(last - start < Duration::from_secs(1), "the AP server was held back for {:?}", last - start);
    assert!(closed - last < Duration::from_millis(500), "closed {:?} after the last byte", closed - last);
}

fn h1(cache_control: &'static str, tls: bool) {
    let origin = page(cache_control);
    let proxy = Proxy::before(&origin);
    let mut client = if tls { proxy.connect_tls() } else { proxy.connect() }.with_small_receive_buffer();
    client.send(head("GET", "/page", &[]));
    let deadline = Instant::now() + Duration::from_secs(5);
    let read = client.read_slowly(PACE, || !is_free(&origin) && Instant::now() < deadline);
    assert!(read < PAGE / 2, "the client was not slow: {read}");
    worker_was_free_in_time(&origin);
}

fn h2(cache_control: &'static str) {
    let origin = page(cache_control);
    let proxy = Proxy::before(&origin);
    let mut client = H2Client::connect_with_window(proxy.https(), "site.test", 32 * 1024);
    let pending = client.start("GET", "/page", &[], true);
    let deadline = Instant::now() + Duration::from_secs(5);
    let read = client.read_slowly(pending, PACE, || !is_free(&origin) && Instant::now() < deadline);
    assert!(read < PAGE / 2, "the client was not slow: {read}");
    worker_was_free_in_time(&origin);
}

#[test]
fn timed_slow_h1_client_does_not_hold_the_worker_of_a_cacheable_page() {
    h1("max-age=60", false);
}

#[test]
fn timed_slow_h1_client_does_not_hold_the_worker_of_an_uncacheable_page() {
    h1("no-store", false);
}

#[test]
fn timed_slow_tls_client_does_not_hold_the_worker_of_an_uncacheable_page() {
    h1("private", true);
}

#[test]
fn timed_slow_h2_client_does_not_hold_the_worker_of_a_cacheable_page() {
    h2("max-age=60");
}

#[test]
fn timed_slow_h2_client_does_not_hold_the_worker_of_an_uncacheable_page() {
    h2("no-store");
}

#[test]
fn timed_slow_client_of_a_pass_does_not_hold_the_worker() {
    let origin = page("no-store");
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect().with_small_receive_buffer();
    client.send(head("POST", "/page", &[("Content-Length", "0")]));
    let deadline = Instant::now() + Duration::from_secs(5);
    client.read_slowly(PACE, || !is_free(&origin) && Instant::now() < deadline);
    worker_was_free_in_time(&origin);
}

#[test]
fn slow_client_gets_every_byte_in_the_end() {
    for cache_control in ["max-age=60", "no-store"] {
        let origin = page(cache_control);
        let proxy = Proxy::before(&origin);
        let mut client = proxy.connect().with_small_receive_buffer();
        client.send(head("GET", "/page", &[("Accept-Encoding", "identity")]));
        // Slow until the AP server is free, then as fast as it goes.
        assert_eventually!(is_free(&origin));
        client.enlarge_receive_buffer();
        let answer = client.read_response();
        assert_eq!(answer.body.len(), PAGE, "{cache_control}");
        assert!(answer.body.iter().all(|byte| *byte == b'x'));
    }
}

#[test]
fn many_slow_clients_are_held_within_a_budget_of_memory() {
    let origin = page("no-store");
    let proxy = Proxy::before(&origin);
    let mut clients: Vec<_> = (0..50).map(|_| proxy.connect().with_small_receive_buffer()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(head("GET", &format!("/{n}"), &[]));
    }
    assert_eventually!(origin.connections().len() == 50 && origin.connections().iter().all(|c| c.closed.is_some()));
    let mib = proxy.resident_kib() / 1024;
    assert!(mib < 160, "{mib} MiB for 50 clients of 4 MiB each: nothing was spooled to disk");
    assert_eq!(clients[7].read_response().body.len(), PAGE);
}
