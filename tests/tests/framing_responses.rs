//! Origins that answer nonsense: 502, that connection closed, nothing stored (row 20).

use forebay_tests::origin::Ending;
use forebay_tests::{Origin, Proxy, ReadError, Reply, assert_eventually};

const FRESH: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";

/// The origin answers these bytes (and stays); the client must see this status; nothing is stored, the connection goes.
fn is_refused(answer: &str, status: u16) {
    let bytes = answer.to_owned();
    let origin = Origin::answering(move |_| Reply::raw(bytes.clone()).then(Ending::Hang));
    let proxy = Proxy::config().origin(&origin).upstream("keepalive = true\nread_timeout = \"2s\"").start();
    for _ in 0..2 {
        let seen = proxy.get("/x");
        let answer = &answer[..answer.len().min(200)];
        assert_eq!(seen.status, status, "{answer:?}: {seen}");
        assert_ne!(seen.cache(), "HIT", "{answer:?}: {seen}");
        assert!(!seen.text().contains("evil"), "{answer:?}: {seen}");
    }
    // Not reused: each request came on its own connection, and each of those is closed.
    assert!(origin.connections().len() >= 2, "{answer:?}");
    assert_eventually!(origin.connections().iter().all(|connection| connection.closed.is_some()), "{answer:?}");
}

#[test]
fn row_20_cl_and_te_in_a_response_is_a_502() {
    is_refused(&format!("{FRESH}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"), 502);
}

#[test]
fn row_20_two_content_lengths_in_a_response_are_a_502() {
    is_refused(&format!("{FRESH}Content-Length: 4\r\nContent-Length: 2\r\n\r\nevil"), 502);
}

#[test]
fn row_20_content_length_that_is_no_number_is_a_502() {
    is_refused(&format!("{FRESH}Content-Length: +4\r\n\r\nevil"), 502);
    is_refused(&format!("{FRESH}Content-Length: 4, 5\r\n\r\nevil"), 502);
}

#[test]
fn row_20_bare_cr_in_a_response_is_a_502() {
    is_refused(&format!("{FRESH}X: a\rSet-Cookie: evil\r\nContent-Length: 0\r\n\r\n"), 502);
}

#[test]
fn row_20_nul_in_a_response_is_a_502() {
    is_refused(&format!("{FRESH}X: a\0b\r\nContent-Length: 0\r\n\r\n"), 502);
}

#[test]
fn row_20_no_http_at_all_is_a_502() {
    is_refused("SSH-2.0-OpenSSH_9.2p1 evil\r\n\r\n", 502);
}

#[test]
fn row_20_flood_of_interim_responses_is_a_502() {
    is_refused(&"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(20_000), 502);
}

#[test]
fn row_20_content_after_a_204_reaches_nobody() {
    let evil =
        "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevilHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let origin = Origin::answering(move |request| match request.path() {
        "/x" => Reply::raw(evil),
        _ => Reply::ok("good"),
    });
    let proxy = Proxy::config().origin(&origin).upstream("keepalive = true").start();
    let mut client = proxy.connect();
    assert!(matches!(client.get("/x").status, 204 | 502));
    assert_eq!(client.get("/y").text(), "good");
    assert_ne!(origin.only("/x").connection, origin.only("/y").connection);
}

#[test]
fn row_20_second_response_to_one_request_reaches_nobody() {
    let origin = Origin::answering(|request| match request.path() {
        "/x" => {
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        }
        _ => Reply::ok("good"),
    });
    let proxy = Proxy::config().origin(&origin).upstream("keepalive = true").start();
    assert_eq!(proxy.get("/x").text(), "1");
    assert_eq!(proxy.get("/y").text(), "good");
}

#[test]
fn row_20_bad_chunk_in_a_response_is_never_a_whole_answer() {
    let origin = Origin::answering(|_| {
        Reply::raw(format!("{FRESH}Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\nzz\r\nevil")).then(Ending::Close)
    });
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        let (answer, _) = proxy.send_raw("GET /x HTTP/1.1\r\nHost: site.test\r\n\r\n");
        match answer {
            Err(ReadError::Truncated { .. } | ReadError::Closed) => {}
            Ok(answer) => assert_eq!(answer.status, 502, "{answer}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(origin.count("/x"), 2, "nothing was stored");
}

#[test]
fn row_16_trailers_of_a_response_are_never_merged_nor_stored() {
    let origin = Origin::answering(|_| {
        let trailers = "Set-Cookie: evil=1\r\nCache-Control: max-age=9999\r\nContent-Length: 99\r\n";
        Reply::raw(format!("{FRESH}Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n{trailers}\r\n"))
    });
    let proxy = Proxy::before(&origin);
    for cache in ["MISS", "HIT"] {
        let answer = proxy.get("/x");
        assert_eq!((answer.cache(), answer.text()), (cache, "good"));
        assert_eq!(answer.field("set-cookie"), None);
        assert_eq!(answer.field("cache-control"), Some("max-age=60"));
        assert!(answer.trailers.iter().all(|(name, _)| name != "set-cookie"), "{:?}", answer.trailers);
    }
}
