//! Content that flows: uploads, downloads, WebSocket.

use std::time::Duration;

use forebay_tests::client_h1::head;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

#[test]
fn upload_reaches_the_origin_while_it_is_sent() {
    let origin = Origin::answering(|request| Reply::ok(request.body.len().to_string()));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    client.send("POST /x HTTP/1.1\r\nHost: site.test\r\nContent-Length: 20\r\n\r\nfirst-half");
    assert_eventually!(String::from_utf8_lossy(&origin.received()).contains("first-half"));
    assert_eq!(origin.total(), 0, "the request is not over");
    client.send("other-half");
    assert_eq!(client.read_response().text(), "20");
}

#[test]
fn chunked_upload_reaches_the_origin_while_it_is_sent() {
    let origin = Origin::answering(|request| Reply::ok(request.body.clone()));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    client.send("POST /x HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    assert_eventually!(String::from_utf8_lossy(&origin.received()).contains("first"));
    client.send("5;ext=1\r\n-last\r\n0\r\n\r\n");
    assert_eq!(client.read_response().text(), "first-last");
}

#[test]
fn large_uploads_arrive_whole() {
    let sum = |body: &[u8]| body.iter().map(|byte| u64::from(*byte)).sum::<u64>().to_string();
    let origin = Origin::answering(move |request| Reply::ok(sum(&request.body)));
    let proxy = Proxy::before(&origin);
    let content: Vec<u8> = (0..8 << 20).map(|n: u32| u8::try_from(n % 251).unwrap()).collect();
    let mut client = proxy.connect_tls();
    client.send(head("PUT", "/x", &[("Content-Length", &content.len().to_string())]));
    client.send(&content);
    assert_eq!(client.read_response().text(), sum(&content));
    let content: &'static [u8] = Box::leak(content.into_boxed_slice());
    assert_eq!(proxy.connect_h2().request("PUT", "/y", &[], content).text(), sum(content));
}

#[test]
fn upload_cut_by_the_client_is_never_a_whole_request() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let proxy = Proxy::before(&origin);
    for framing in ["Content-Length: 100\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let mut client = proxy.connect();
        client.send(format!("POST /x HTTP/1.1\r\nHost: site.test\r\n{framing}some"));
    }
    assert_eq!(proxy.get("/after").status, 200);
    assert_eventually!(origin.connections().iter().all(|connection| connection.closed.is_some()));
    assert_eq!(origin.count("/x"), 0);
}

#[test]
fn h2_upload_that_is_given_up_is_never_a_whole_request() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect_h2();
    for n in 0..20 {
        let target = format!("/given-up/{n}");
        client.start("POST", &target, &[], false).cancel();
        let mut pending = client.start("POST", &target, &[("content-length", "100")], false);
        pending.send_part(b"some");
        pending.cancel();
    }
    assert_eq!(client.get("/after").status, 200);
    assert_eventually!(origin.connections().iter().all(|connection| connection.closed.is_some()));
    assert_eq!(origin.total(), 1, "{:?}", origin.requests());
}

#[test]
fn client_that_expects_100_gets_it_before_it_sends() {
    let origin = Origin::answering(|request| Reply::ok(request.body.clone()));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    client.send(head("POST", "/x", &[("Expect", "100-continue"), ("Content-Length", "5")]));
    assert_eq!(client.read_head().unwrap().status, 100);
    client.send("hello");
    assert_eq!(client.read_response().text(), "hello");
}

#[test]
fn response_reaches_the_client_while_it_is_made() {
    for cache_control in ["max-age=60", "no-store"] {
        let origin = Origin::scripted(move |connection| {
            let Some(request) = connection.read_request() else { return };
            let head = format!("HTTP/1.1 200 OK\r\nCache-Control: {cache_control}\r\nContent-Length: 10\r\n\r\nfirst");
            connection.write(head.as_bytes()).unwrap();
            // The other half comes once the client has said, by another request, that it has the first.
            if request.path() == "/x" {
                assert_eventually!(connection.seen("/go-on"));
            }
            connection.write(b"-last").unwrap();
            connection.close();
        });
        let proxy = Proxy::before(&origin);
        let mut client = proxy.connect();
        client.send(head("GET", "/x", &[("Accept-Encoding", "identity")]));
        let answer = client.read_head().unwrap();
        let mut content = client.read_content_bytes(&answer, 5);
        assert_eq!(content, b"first", "{cache_control}");
        proxy.get("/go-on");
        content.extend(client.read_content_bytes(&answer, 5));
        assert_eq!(content, b"first-last", "{cache_control}");
    }
}

#[test]
fn response_without_length_is_delimited_for_the_client() {
    let origin = Origin::answering(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n\r\nuntil the end")
            .then(forebay_tests::origin::Ending::Close)
    });
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    for _ in 0..2 {
        let answer = client.get("/x");
        assert_eq!(answer.text(), "until the end");
        assert!(answer.field("transfer-encoding").is_some() || answer.field("content-length").is_some(), "{answer}");
    }
    assert_eq!(proxy.connect_h2().get("/x").text(), "until the end");
}

#[test]
fn websocket_passes_bytes_both_ways() {
    let origin = Origin::scripted(|connection| {
        let Some(request) = connection.read_head() else { return };
        connection.remember(request);
        connection
            .write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
            .unwrap();
        while let Some(bytes) = connection.read_exactly(5) {
            connection.write(&bytes).unwrap();
        }
    });
    let proxy = Proxy::before(&origin);
    for mut client in [proxy.connect(), proxy.connect_tls()] {
        let key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        client.send(head("GET", "/ws", &[("Connection", "Upgrade"), ("Upgrade", "websocket"), key]));
        let answer = client.read_head().unwrap();
        assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")), "{answer}");
        assert_eq!(client.read_exactly(2), b"hi");
        for _ in 0..3 {
            client.send(b"\x81\x03abc");
            assert_eq!(client.read_exactly(5), b"\x81\x03abc");
        }
    }
    for request in origin.requests() {
        assert_eq!(request.field("upgrade").as_deref(), Some("websocket"));
        assert_eq!(request.field("connection").map(|c| c.to_lowercase()).as_deref(), Some("upgrade"));
    }
}

#[test]
fn websocket_ends_on_both_sides_when_one_leaves() {
    let origin = Origin::scripted(|connection| {
        if connection.read_head().is_some() {
            connection
                .write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                .unwrap();
            connection.wait_for_end();
        }
    });
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    client.send(head("GET", "/ws", &[("Connection", "Upgrade"), ("Upgrade", "websocket")]));
    assert_eq!(client.read_head().unwrap().status, 101);
    drop(client);
    assert_eventually!(origin.connections()[0].closed.is_some());
}

#[test]
fn idle_websocket_outlives_the_timeouts_of_requests() {
    let origin = Origin::scripted(|connection| {
        if connection.read_head().is_some() {
            connection
                .write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                .unwrap();
            while let Some(bytes) = connection.read_exactly(1) {
                connection.write(&bytes).unwrap();
            }
        }
    });
    let limits = "keepalive_timeout = \"500ms\"\nhead_timeout = \"500ms\"\nbody_timeout = \"500ms\"";
    let proxy = Proxy::config().origin(&origin).limits(limits).start();
    let mut client = proxy.connect();
    client.send(head("GET", "/ws", &[("Connection", "Upgrade"), ("Upgrade", "websocket")]));
    assert_eq!(client.read_head().unwrap().status, 101);
    client.set_patience(Duration::from_millis(1500));
    assert!(!client.is_closed());
    client.send("x");
    assert_eq!(client.read_exactly(1), b"x");
}
