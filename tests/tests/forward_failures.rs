//! AP servers that are down, slow, or end in the middle: an honest 502 or 504, never a cut success, nothing stored.

use std::time::{Duration, Instant};

use forebay_tests::client_h1::head;
use forebay_tests::origin::{Ending, closed_address};
use forebay_tests::{Origin, Proxy, ReadError, Reply, assert_eventually};

#[test]
fn server_that_is_down_is_a_502() {
    let proxy = Proxy::config().server_at(closed_address(), 1).server_at(closed_address(), 1).start();
    let mut client = proxy.connect();
    let answer = client.get("/x");
    assert_eq!((answer.status, answer.field("set-cookie")), (502, None), "{answer}");
    assert_eq!(client.get("/x").status, 502, "the connection is fine");
    assert_eq!(proxy.connect_h2().get("/x").status, 502);
}

#[test]
fn timed_server_that_does_not_answer_is_a_504() {
    let origin = Origin::answering(|_| Reply::silence(Ending::Hang));
    let proxy = Proxy::config().origin(&origin).upstream("read_timeout = \"500ms\"").start();
    for method in ["GET", "POST"] {
        let start = Instant::now();
        let answer = proxy.connect().request(method, "/x", &[("Content-Length", "0")]);
        assert_eq!(answer.status, 504, "{answer}");
        assert!(start.elapsed() < Duration::from_secs(3), "{method}: {:?}", start.elapsed());
    }
}

#[test]
fn server_that_resets_or_closes_before_it_answers_is_a_502() {
    for ending in [Ending::Reset, Ending::Close] {
        let origin = Origin::answering(move |_| Reply::silence(ending));
        let proxy = Proxy::before(&origin);
        assert_eq!(proxy.get("/x").status, 502, "{ending:?}");
        assert_eq!(proxy.connect().request("POST", "/x", &[("Content-Length", "0")]).status, 502, "{ending:?}");
    }
}

#[test]
fn server_that_ends_within_the_head_is_a_502() {
    let origin = Origin::answering(|_| Reply::raw("HTTP/1.1 200 OK\r\nContent-Le").then(Ending::Close));
    assert_eq!(Proxy::before(&origin).get("/x").status, 502);
}

/// A response that is cut is not whole for the client, over h1 and h2, and the next client's is made anew.
fn cut_is_never_a_success(reply: impl Fn() -> Reply + Send + Sync + 'static) {
    let origin = Origin::answering(move |_| reply());
    let proxy = Proxy::config().origin(&origin).upstream("read_timeout = \"500ms\"").start();
    for n in 1..=2 {
        let mut client = proxy.connect();
        client.send(head("GET", "/x", &[("Accept-Encoding", "gzip")]));
        match client.read_response_to("GET") {
            Err(ReadError::Truncated { .. } | ReadError::Closed) => {}
            Ok(answer) => assert!(matches!(answer.status, 502 | 504), "a cut success: {answer}"),
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(origin.count("/x"), n, "it was stored");
    }
    let mut client = proxy.connect_h2();
    let pending = client.start("GET", "/x", &[], true);
    match client.finish(pending) {
        Err(ReadError::Reset(_) | ReadError::Closed) => {}
        Ok(answer) => assert!(matches!(answer.status, 502 | 504), "a cut success in h2: {answer}"),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn row_41_cut_content_is_never_a_success() {
    cut_is_never_a_success(|| Reply::cacheable(vec![b'x'; 100_000]).truncated_at(50_000));
}

#[test]
fn row_41_cut_chunked_content_is_never_a_success() {
    cut_is_never_a_success(|| Reply::cacheable(vec![b'x'; 100_000]).chunked().truncated_at(50_000));
}

#[test]
fn row_41_cut_compressible_content_is_never_a_success() {
    let reply = || Reply::cacheable(vec![b'x'; 100_000]).field("Content-Type", "text/html");
    cut_is_never_a_success(move || reply().chunked().truncated_at(50_000));
}

#[test]
fn row_41_content_reset_in_the_middle_is_never_a_success() {
    cut_is_never_a_success(|| Reply::cacheable(vec![b'x'; 100_000]).truncated_at(50_000).then(Ending::Reset));
}

#[test]
fn row_41_uncacheable_cut_content_is_never_a_success() {
    let reply = || Reply::ok(vec![b'x'; 100_000]).field("Cache-Control", "no-store");
    cut_is_never_a_success(move || reply().truncated_at(50_000));
}

#[test]
fn timed_content_that_stalls_is_never_a_success() {
    cut_is_never_a_success(|| Reply::cacheable(vec![b'x'; 1000]).truncated_at(500).then(Ending::Hang));
}

#[test]
fn errors_are_not_stored_and_say_what_happened() {
    let origin = Origin::answering(|_| Reply::silence(Ending::Reset));
    let proxy = Proxy::before(&origin);
    for n in 1..=2 {
        let answer = proxy.get("/x");
        assert_eq!(origin.total(), n);
        assert!(answer.cache_status().contains("fwd="), "{answer}");
        assert!(!answer.cache_status().contains("stored"), "{answer}");
    }
}

#[test]
fn row_48_error_pages_tell_nothing_of_the_request() {
    let proxy = Proxy::config().server_at(closed_address(), 1).start();
    let fields = [("Authorization", "Basic c2VjcmV0"), ("Cookie", "session=c2VjcmV0")];
    let answer = proxy.get_with("/x?token=c2VjcmV0<script>", &fields);
    assert_eq!(answer.status, 502);
    let seen = format!("{}{}", answer.head, answer.text());
    assert!(!seen.contains("c2VjcmV0") && !seen.contains("<script>"), "{seen}");
    assert!(!seen.contains("127.0.0.1:"), "the address of the AP server: {seen}");
    let log = proxy.access_log_of(1).join("\n") + &proxy.stderr().join("\n");
    assert!(!log.contains("Basic") && !log.contains("session="), "{log}");
}

#[test]
fn client_that_leaves_ends_a_passed_request() {
    let origin = Origin::answering(|_| Reply::silence(Ending::Hang));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    client.send(head("POST", "/x", &[("Content-Length", "0")]));
    assert_eventually!(origin.total() == 1);
    client.reset();
    assert_eventually!(origin.connections()[0].closed.is_some());
}
