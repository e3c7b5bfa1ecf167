//! HTTP/2 requests that would be another request in HTTP/1.1 (row 22; RFC 9113, section 8).

use forebay_tests::RawH2;
use forebay_tests::client_h1::HOST;
use forebay_tests::client_h2_raw::Fate;

use crate::refusal::Pair;

/// The stream is reset, or answered with 400; the origin never sees a byte.
fn is_refused(pair: &Pair, fields: &[(&str, &str)], content: &[u8]) {
    let mut client = RawH2::connect(pair.proxy.https(), HOST);
    client.request(1, fields, content);
    let fate = client.fate(1);
    assert!(matches!(fate, Fate::Reset(_) | Fate::GoAway(_) | Fate::Status(400)), "{fields:?}: {fate:?}");
    assert_eq!(pair.origin.total(), 0, "{fields:?}: forwarded {:?}", pair.origin.requests());
}

fn with<'a>(extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", "/x")];
    fields.extend_from_slice(extra);
    fields
}

/// The usual request with one pseudo-field another.
fn but<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    with(&[]).into_iter().map(|(n, v)| if n == name { (n, value) } else { (n, v) }).collect()
}

#[test]
fn row_22_raw_client_is_understood() {
    let pair = Pair::start();
    let mut client = RawH2::connect(pair.proxy.https(), HOST);
    client.request(1, &with(&[("content-length", "5")]), b"hello");
    assert_eq!(client.fate(1), Fate::Status(200));
    assert_eq!(pair.origin.only("/x").body, b"hello");
}

#[test]
fn row_22_content_length_other_than_the_data_is_refused() {
    let pair = Pair::start();
    is_refused(&pair, &with(&[("content-length", "0")]), b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
    is_refused(&pair, &with(&[("content-length", "50")]), b"short");
    is_refused(&pair, &with(&[("content-length", "5"), ("content-length", "6")]), b"hello");
}

#[test]
fn row_22_connection_specific_fields_are_refused() {
    let pair = Pair::start();
    for field in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("upgrade", "websocket"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
    ] {
        is_refused(&pair, &with(&[field]), b"0\r\n\r\n");
    }
}

#[test]
fn row_22_line_ends_and_nul_in_values_and_names_are_refused() {
    let pair = Pair::start();
    for field in [("x", "a\r\nevil: b"), ("x", "a\nb"), ("x", "a\rb"), ("x", "a\0b"), ("x\r\ny", "z"), ("x: y", "z")] {
        is_refused(&pair, &with(&[field]), b"");
    }
}

#[test]
fn row_22_paths_that_would_end_the_request_line_are_refused() {
    let pair = Pair::start();
    for path in ["/x HTTP/1.1\r\nHost: evil", "/x y", "/x\r\n", "x", "", "/\0", "@127.0.0.1:1/x"] {
        is_refused(&pair, &but(":path", path), b"");
    }
}

#[test]
fn row_22_fragment_is_refused_or_gone_from_key_and_request_alike() {
    let pair = Pair::start();
    let mut client = RawH2::connect(pair.proxy.https(), HOST);
    client.request(1, &but(":path", "/x#/../admin"), b"");
    client.fate(1);
    assert!(pair.origin.requests().iter().all(|request| request.target == "/x"), "{:?}", pair.origin.requests());
}

#[test]
fn row_22_methods_schemes_and_authorities_outside_the_grammar_are_refused() {
    let pair = Pair::start();
    is_refused(&pair, &but(":method", "GET /evil HTTP/1.1\r\n"), b"");
    is_refused(&pair, &but(":method", "GET "), b"");
    is_refused(&pair, &but(":scheme", "https://evil/?"), b"");
    is_refused(&pair, &but(":authority", "site.test/evil"), b"");
    is_refused(&pair, &but(":authority", "a, b"), b"");
    is_refused(&pair, &but(":authority", "user@site.test"), b"");
    is_refused(&pair, &but(":authority", "site.test\r\nx: y"), b"");
}

#[test]
fn row_22_pseudo_fields_out_of_place_are_refused() {
    let pair = Pair::start();
    is_refused(&pair, &with(&[("x", "y"), (":path", "/evil")]), b"");
    is_refused(&pair, &with(&[(":path", "/twice")]), b"");
    is_refused(&pair, &with(&[(":evil", "x")]), b"");
    is_refused(&pair, &with(&[(":status", "200")]), b"");
    is_refused(&pair, &with(&[])[1..], b"");
}

#[test]
fn row_22_upper_case_names_are_refused() {
    let pair = Pair::start();
    is_refused(&pair, &with(&[("X-Upper", "y")]), b"");
}

#[test]
fn row_22_host_that_contradicts_the_authority_is_refused() {
    let pair = Pair::start();
    is_refused(&pair, &with(&[("host", "other.test")]), b"");
}

#[test]
fn refused_stream_leaves_the_other_streams_alone() {
    let pair = Pair::start();
    let mut client = RawH2::connect(pair.proxy.https(), HOST);
    client.request(1, &with(&[("connection", "close")]), b"");
    client.request(3, &with(&[]), b"");
    assert_eq!(client.fate(3), Fate::Status(200));
    assert_eq!(pair.origin.total(), 1);
}

/// The fragment is no part of a request target; the h2 crate drops it, so nothing behind us can read it another way.
#[test]
fn row_31_fragment_of_an_h2_path_never_reaches_the_origin() {
    let pair = Pair::start();
    let mut client = RawH2::connect(pair.proxy.https(), HOST);
    client.request(1, &but(":path", "/x#/../admin"), b"");
    let _ = client.fate(1);
    assert!(pair.origin.requests().iter().all(|request| request.target == "/x"), "{:?}", pair.origin.requests());
}
