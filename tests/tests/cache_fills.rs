//! Fills: whoever asked, they write the store and nobody else does.

use forebay_tests::client_h1::head;
use forebay_tests::origin::Ending;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

const LARGE: usize = 1 << 20;

#[test]
fn client_that_leaves_before_the_answer_does_not_spoil_the_fill() {
    let origin = Origin::answering(|_| Reply::cacheable("hello"));
    let proxy = Proxy::before(&origin);
    origin.hold();
    let mut client = proxy.connect();
    client.send(head("GET", "/x", &[]));
    assert_eventually!(origin.total() == 1);
    client.reset();
    origin.release();
    assert_eventually!(proxy.get("/x").cache() == "HIT");
    assert_eq!(origin.total(), 1);
}

#[test]
fn client_that_leaves_in_the_middle_does_not_spoil_the_fill() {
    let origin = Origin::answering(|_| Reply::cacheable(vec![b'x'; 4 * LARGE]));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect().with_small_receive_buffer();
    client.send(head("GET", "/x", &[]));
    client.read_head().unwrap();
    client.reset();
    let answer = proxy.get("/x");
    assert_eq!(answer.body.len(), 4 * LARGE);
    // The last byte is out before the whole is stored; who comes between reads from the fill.
    assert_eventually!(proxy.get("/x").cache() == "HIT");
    assert_eq!(origin.total(), 1);
}

#[test]
fn slow_client_does_not_hold_back_those_who_joined_its_fill() {
    let origin = Origin::answering(|_| Reply::cacheable(vec![b'x'; 4 * LARGE]));
    let proxy = Proxy::before(&origin);
    let mut slow = proxy.connect().with_small_receive_buffer();
    slow.send(head("GET", "/x", &[]));
    slow.read_head().unwrap();
    for _ in 0..3 {
        assert_eq!(proxy.get("/x").body.len(), 4 * LARGE);
    }
    assert_eq!(origin.total(), 1);
}

#[test]
fn fill_in_flight_is_read_by_those_who_come_later() {
    let origin = Origin::scripted(|connection| {
        let Some(request) = connection.read_request() else { return };
        if request.path() == "/go-on" {
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\r\n").unwrap();
            return connection.close();
        }
        connection.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst").unwrap();
        assert_eventually!(connection.seen("/go-on"));
        connection.write(b"-last").unwrap();
        connection.close();
    });
    let proxy = Proxy::before(&origin);
    let mut clients = [proxy.connect(), proxy.connect()];
    for client in &mut clients {
        client.send(head("GET", "/x", &[]));
        let answer = client.read_head().unwrap();
        assert_eq!(client.read_content_bytes(&answer, 5), b"first");
    }
    proxy.get("/go-on");
    for client in &mut clients {
        assert_eq!(client.read_exactly(5), b"-last");
    }
    assert_eq!(origin.count("/x"), 1);
}

#[test]
fn row_41_truncated_response_is_never_stored() {
    for chunked in [false, true] {
        let origin = Origin::answering(move |_| {
            let reply = Reply::cacheable(vec![b'x'; LARGE]);
            (if chunked { reply.chunked() } else { reply }).truncated_at(LARGE / 2)
        });
        let proxy = Proxy::before(&origin);
        for n in 1..=3 {
            let (answer, _) = proxy.send_raw(head("GET", "/x", &[]));
            assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 502));
            assert_eq!(origin.total(), n, "chunked: {chunked}");
        }
    }
}

#[test]
fn row_41_truncated_response_does_not_replace_a_stored_one() {
    let origin = Origin::answering(|request| {
        let reply = Reply::ok("good").field("Cache-Control", "max-age=60, stale-if-error=600").field("Age", "100");
        if request.connection == 0 { reply } else { reply.truncated_at(2) }
    });
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.get("/x").text(), "good");
    let again = proxy.send_raw(head("GET", "/x", &[])).0;
    assert!(
        again.as_ref().is_err() || again.as_ref().is_ok_and(|a| a.status == 502 || a.text() == "good"),
        "{again:?}"
    );
}

#[test]
fn response_without_length_that_ends_with_the_connection_may_be_stored_whole() {
    let origin = Origin::answering(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nuntil the end").then(Ending::Close)
    });
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        assert_eq!(proxy.get("/x").text(), "until the end");
    }
}

#[test]
fn response_reset_before_its_end_without_length_is_not_stored() {
    let origin = Origin::answering(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nuntil the").then(Ending::Reset)
    });
    let proxy = Proxy::before(&origin);
    for n in 1..=2 {
        let _ = proxy.send_raw(head("GET", "/x", &[]));
        assert_eq!(origin.total(), n);
    }
}

#[test]
fn head_is_answered_from_a_stored_get() {
    let origin = Origin::answering(|_| Reply::cacheable("hello").field("ETag", "\"1\""));
    let proxy = Proxy::before(&origin);
    let get = proxy.get("/x");
    let mut client = proxy.connect();
    let answer = client.request("HEAD", "/x", &[]);
    assert_eq!((answer.status, answer.cache(), answer.body.len()), (200, "HIT", 0));
    assert_eq!((answer.field("content-length"), answer.field("etag")), (Some("5"), get.field("etag")));
    assert_eq!(client.get("/x").text(), "hello");
    assert_eq!(origin.total(), 1);
}

#[test]
fn head_first_is_never_stored_as_an_empty_get() {
    let origin = Origin::answering(|_| Reply::cacheable("hello"));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    assert_eq!(client.request("HEAD", "/x", &[]).field("content-length"), Some("5"));
    assert_eq!(client.get("/x").text(), "hello");
}

#[test]
fn ranges_are_answered_from_the_stored_response() {
    let origin = Origin::answering(|_| Reply::cacheable("0123456789").field("ETag", "\"1\""));
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    let part = |range: &str| proxy.get_with("/x", &[("Range", range)]);
    let answer = part("bytes=2-4");
    assert_eq!((answer.status, answer.text(), answer.cache()), (206, "234", "HIT"));
    assert_eq!(answer.field("content-range"), Some("bytes 2-4/10"));
    assert_eq!(part("bytes=-3").text(), "789");
    assert_eq!((part("bytes=10-").status, part("bytes=0-1,5-6").status), (416, 206));
    let guarded = proxy.get_with("/x", &[("Range", "bytes=2-4"), ("If-Range", "\"2\"")]);
    assert_eq!((guarded.status, guarded.text()), (200, "0123456789"));
    assert_eq!(origin.total(), 1);
}

#[test]
fn conditions_are_evaluated_against_the_stored_response() {
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    let origin =
        Origin::answering(move |_| Reply::cacheable("hello").field("ETag", "\"1\"").field("Last-Modified", modified));
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    for fields in [[("If-None-Match", "\"1\"")], [("If-None-Match", "W/\"1\"")], [("If-Modified-Since", modified)]] {
        let answer = proxy.get_with("/x", &fields);
        assert_eq!((answer.status, answer.cache(), answer.body.len()), (304, "HIT", 0), "{fields:?}");
        assert_eq!(answer.field("etag"), Some("\"1\""));
        assert!(answer.field("cache-control").is_some());
    }
    assert_eq!(proxy.get_with("/x", &[("If-None-Match", "\"2\"")]).status, 200);
    assert_eq!(origin.total(), 1);
}

#[test]
fn conditional_request_for_a_cold_key_fills_with_the_whole() {
    let origin = Origin::answering(|request| match request.field("if-none-match") {
        Some(_) => Reply::new(304, "").field("ETag", "\"1\""),
        None => Reply::cacheable("hello").field("ETag", "\"1\""),
    });
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.get_with("/x", &[("If-None-Match", "\"1\"")]).status, 304);
    let plain = proxy.get("/x");
    assert_eq!((plain.status, plain.text()), (200, "hello"));
}
