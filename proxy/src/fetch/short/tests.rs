//! Exchanges with a server that says what it is told to, in pieces.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Patience, Short};
use crate::fetch::FetchError;
use crate::fetch::forward::{Event, Outbound};
use crate::fetch::session::Unopened;
use crate::http::RequestBody;

const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(5), read: Duration::from_secs(5), write: Duration::from_secs(5) };

fn request(method: Method) -> Outbound {
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("a"));
    Outbound { method, path_query: "/".to_owned(), fields, ..Outbound::default() }
}

/// A listener that answers one request with `said`, `size` bytes at a time, and closes.
async fn server(said: Vec<u8>, size: usize) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut heard).await.unwrap();
        }
        for piece in said.chunks(size) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    address
}

/// What is understood: `status` of interim heads, of the head, the content, and how it ended.
async fn heard(method: Method, said: &[u8], size: usize) -> (Vec<u16>, Vec<u8>, Result<(), FetchError>) {
    let address = server(said.to_vec(), size).await;
    let (outbound, body) = (request(method), RequestBody::Empty);
    let mut short = Short::open(address, &outbound, &body, PATIENCE).await.unwrap();
    let (mut heads, mut content) = (Vec::new(), Vec::new());
    loop {
        let ends = match short.next().await {
            Err(error) => return (heads, content, Err(error)),
            Ok((event, ends)) => {
                match event {
                    Event::Interim(status, _) | Event::Head(status, ..) => heads.push(status.as_u16()),
                    Event::Chunk(chunk) => content.extend_from_slice(&chunk),
                    Event::End => {}
                }
                ends
            }
        };
        if ends {
            return (heads, content, Ok(()));
        }
    }
}

#[tokio::test]
async fn rfc9112_6_3_content_is_what_its_framing_says_however_it_arrives() {
    let large = vec![b'x'; 200_000];
    let whole = [b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", &large[..]].concat();
    for size in [1_000, 7_777, 1_000_000] {
        assert_eq!(heard(Method::GET, &whole, size).await, (vec![200], large.clone(), Ok(())), "{size}");
    }
    for size in [1, 2, 3, 11, 1_000] {
        for (said, content) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..], &b"hello"[..]),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", b"hello"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
            (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
            (b"HTTP/1.1 200 OK\r\n\r\n", b""),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2 \r\nlo\r\n0\r\nA: b\r\n\r\n",
                b"hello",
            ),
            (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ] {
            let (heads, heard, ended) = heard(Method::GET, said, size).await;
            assert_eq!((heads.len(), &heard[..], ended), (1, content, Ok(())), "{size} {}", said.escape_ascii());
        }
    }
}

#[tokio::test]
async fn rfc9110_15_2_interim_responses_come_before_the_final_one() {
    let said = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for size in [1, 50, 1_000] {
        assert_eq!(heard(Method::GET, said, size).await, (vec![103, 200], b"ok".to_vec(), Ok(())), "{size}");
    }
}

#[tokio::test]
async fn rfc9110_9_3_2_the_response_to_head_has_no_content() {
    let said = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(heard(Method::HEAD, said, 1_000).await, (vec![200], Vec::new(), Ok(())));
}

#[tokio::test]
async fn rfc9112_8_what_breaks_off_is_not_whole() {
    for said in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ] {
        let (_, _, ended) = heard(Method::GET, said, 1_000).await;
        assert_eq!(ended, Err(FetchError::CLOSED), "{}", said.escape_ascii());
    }
    let unasked = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    let (heads, content, ended) = heard(Method::GET, unasked, 1_000).await;
    assert_eq!((heads, content, ended.is_err()), (vec![101], Vec::new(), true), "nobody asked for a tunnel");
}

#[tokio::test]
async fn a_head_without_end_is_given_up() {
    let endless = [&b"HTTP/1.1 200 OK\r\nA: "[..], &vec![b'a'; 400 * 1024]].concat();
    assert_eq!(heard(Method::GET, &endless, 16 * 1024).await.2, Err(FetchError::MALFORMED));
}

#[tokio::test]
async fn who_does_not_listen_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let opened = Short::open(address, &request(Method::GET), &RequestBody::Empty, PATIENCE).await;
    assert!(matches!(opened, Err(Unopened::Connect(error, _)) if error.reason == "upstream-refused"));
}

#[tokio::test]
async fn silence_is_borne_for_as_long_as_configured() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let patience = Patience { read: Duration::from_millis(50), ..PATIENCE };
    let address = listener.local_addr().unwrap();
    let mut short = Short::open(address, &request(Method::GET), &RequestBody::Empty, patience).await.unwrap();
    assert_eq!(short.next().await.err(), Some(FetchError::READ_TIMEOUT));
}

#[tokio::test]
async fn a_request_larger_than_the_socket_takes_at_once_arrives_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let long = "x".repeat(12 * 1024 * 1024);
    let expected = long.len();
    let outbound = Outbound { path_query: format!("/{long}"), ..request(Method::GET) };
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut heard).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        Bytes::from(heard).iter().filter(|byte| **byte == b'x').count()
    });
    let mut short = Short::open(address, &outbound, &RequestBody::Empty, PATIENCE).await.unwrap();
    assert!(matches!(short.next().await, Ok((Event::Head(..), true))));
    assert_eq!(server.await.unwrap(), expected);
}

#[tokio::test]
async fn timed_a_server_that_writes_in_small_pieces_is_not_made_to_wait() {
    const EXCHANGES: u32 = 40;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut heard).await.unwrap();
            }
            // Nagle's algorithm is on, and the end of the connection does not push what it holds back.
            for piece in ["HTTP/1.1 200 OK\r\n", "Content-Length: 4\r\n\r\n", "he", "re"] {
                stream.write_all(piece.as_bytes()).await.unwrap();
            }
            open.push(stream);
        }
    });
    let began = std::time::Instant::now();
    for _ in 0..EXCHANGES {
        let (outbound, body) = (request(Method::GET), RequestBody::Empty);
        let mut short = Short::open(address, &outbound, &body, PATIENCE).await.unwrap();
        while !short.next().await.unwrap().1 {}
    }
    // A delayed acknowledgement takes 40 ms: all of them 1.6 s.
    assert!(began.elapsed() < Duration::from_millis(20) * EXCHANGES, "{:?}", began.elapsed());
}
