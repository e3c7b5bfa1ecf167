//! Connections that must not be believed any further.

use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

use crate::refusal::Pair;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";

#[test]
fn row_09_content_of_a_request_that_hits_is_never_executed() {
    let pair = Pair::start();
    assert_eq!(pair.proxy.get("/c").cache(), "MISS");
    let mut client = pair.proxy.connect();
    client.send(format!("GET /c HTTP/1.1\r\nHost: site.test\r\nContent-Length: {}\r\n\r\n", SMUGGLED.len()));
    client.send(SMUGGLED);
    assert_eq!(client.read_response().text(), "GET /c");
    // Drained, or closed: the next answer on this connection is to the next request.
    if client.try_send("GET /next HTTP/1.1\r\nHost: site.test\r\n\r\n").is_ok()
        && let Ok(answer) = client.read_response_to("GET")
    {
        assert_eq!(answer.text(), "GET /next");
    }
    assert_eq!(pair.proxy.get("/c").text(), "GET /c");
    assert_eq!(pair.origin.count("/smuggled"), 0);
}

#[test]
fn row_10_expect_with_the_content_at_once_leaves_the_connection_intact() {
    let pair = Pair::start();
    let mut client = pair.proxy.connect();
    client.send("POST /x HTTP/1.1\r\nHost: site.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    client.send("GET /y HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eq!(client.read_response().text(), "POST /x");
    assert_eq!(client.read_response().text(), "GET /y");
    assert_eq!(pair.origin.only("/x").body, b"hello");
}

#[test]
fn row_10_expect_that_is_not_known_is_refused_or_ignored() {
    let pair = Pair::start();
    let mut client = pair.proxy.connect();
    client.send("POST /x HTTP/1.1\r\nHost: site.test\r\nExpect: y 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    let answer = client.read_response();
    assert!(matches!(answer.status, 200 | 400 | 417), "{answer}");
    assert!(pair.origin.requests().iter().all(|request| request.body == b"hello"));
}

#[test]
fn row_10_final_answer_instead_of_100_does_not_corrupt_the_next_request() {
    let origin = Origin::scripted(|connection| {
        while let Some(request) = connection.read_head() {
            connection.remember(request.clone());
            let answered = if request.path() == "/x" {
                connection.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            } else {
                connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
            };
            if answered.is_err() {
                return;
            }
        }
    });
    let proxy = Proxy::config().origin(&origin).upstream("keepalive = true").start();
    let mut client = proxy.connect();
    client.send(format!(
        "POST /x HTTP/1.1\r\nHost: site.test\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        SMUGGLED.len()
    ));
    assert_eq!(client.read_response().status, 413);
    let _ = client.try_send(SMUGGLED);
    assert_eq!(proxy.get("/next").text(), "next");
    assert_eq!(origin.count("/smuggled"), 0);
}

#[test]
fn row_11_bytes_after_a_refused_upgrade_are_a_request_of_their_own() {
    let pair = Pair::start();
    let mut client = pair.proxy.connect();
    client.send(
        "GET /up HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    client.send(SMUGGLED);
    assert_eq!(client.read_response().text(), "GET /up");
    let after = client.read_response_to("GET");
    assert!(after.is_err() || after.unwrap().text() == "GET /smuggled");
    // Whatever of it was forwarded went as a request, on another connection.
    let up = pair.origin.only("/up").connection;
    assert_eq!(pair.origin.connections()[up].requests, 1);
    let raw = pair.origin.connections()[up].received.clone();
    assert!(!String::from_utf8_lossy(&raw).contains("smuggled"));
}

#[test]
fn row_12_connect_is_refused_with_its_data() {
    let pair = Pair::start();
    for target in ["site.test:443", "127.0.0.1:1", "/", "http://site.test/"] {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: site.test\r\n\r\n{SMUGGLED}");
        pair.refuses_unseen(request, &[400, 405, 501]);
    }
}

#[test]
fn row_21_upstream_connection_that_is_owed_content_is_not_used_again() {
    let origin = Origin::scripted(|connection| {
        while let Some(request) = connection.read_head() {
            connection.remember(request.clone());
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", request.target.len(), request.target);
            if connection.write(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let proxy = Proxy::config().origin(&origin).upstream("keepalive = true").start();
    let mut client = proxy.connect();
    client.send("POST /early HTTP/1.1\r\nHost: site.test\r\nContent-Length: 1000\r\n\r\n");
    assert_eventually!(origin.count("/early") == 1);
    client.send(SMUGGLED);
    assert_eq!(client.read_response_to("POST").unwrap().text(), "/early");
    assert_eq!(proxy.get("/next").text(), "/next");
    let early = origin.only("/early").connection;
    assert_ne!(early, origin.only("/next").connection);
    // Content that was on its way when the answer came is read by this origin as it pleases, but on that connection alone.
    assert!(origin.requests().iter().all(|request| request.target != "/smuggled" || request.connection == early));
}

#[test]
fn row_23_h2c_upgrade_is_not_forwarded() {
    let pair = Pair::start();
    let fields =
        [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")];
    assert_eq!(pair.proxy.get_with("/x", &fields).status, 200);
    let request = pair.origin.only("/x");
    assert_eq!((request.field("upgrade"), request.field("http2-settings")), (None, None));
}

#[test]
fn row_24_connection_is_closed_after_every_malformed_request() {
    let pair = Pair::start();
    for malformed in [
        "GET /x HTTP/1.1\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: site.test\r\nContent-Length: x\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: site.test\r\nBad Name: y\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\u{16}\u{3}\u{1}\u{2}\r\n\r\n",
    ] {
        pair.refuses(format!("{malformed}{SMUGGLED}"), &[400]);
    }
}

#[test]
fn answer_to_a_malformed_request_is_not_lost_in_a_reset() {
    let origin = Origin::answering(|_| Reply::ok(""));
    let proxy = Proxy::before(&origin);
    // Much more than is read before the refusal: closing at once would reset, and the client would see no 400.
    let (answer, _) =
        proxy.send_raw(format!("POST /x HTTP/1.1\r\nContent-Length: 300000\r\n\r\n{}", "x".repeat(300_000)));
    assert_eq!(answer.unwrap().status, 400);
}
