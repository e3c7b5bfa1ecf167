use std::net::SocketAddr;

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;

struct State {
    reasons: Vec<String>,
}

#[async_trait]
impl AdminState for State {
    async fn purge(&self, call: &Call<'_>) -> Reply {
        let text = format!("{} {} {} {}", call.method, call.target, call.authority, call.content.len());
        Reply::refused(StatusCode::IM_A_TEAPOT, &text)
    }

    fn ready(&self) -> Vec<String> {
        self.reasons.clone()
    }

    fn metrics(&self) -> String {
        "# TYPE x counter\nx 1\n".to_owned()
    }

    fn status(&self) -> StatusReport {
        StatusReport { version: "9.9.9".to_owned(), ..StatusReport::default() }
    }

    fn names(&self) -> Vec<String> {
        vec!["admin.example.com".to_owned()]
    }
}

struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(reasons: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let state = State { reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect() };
        Self { address, stop, task: tokio::spawn(serve(listener, Arc::new(state), stopped)) }
    }

    /// Sends `request` as it is and gives back everything that comes until the end.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.unwrap();
        String::from_utf8(response).unwrap()
    }

    async fn get(&self, target: &str) -> String {
        self.exchange(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await
    }
}

fn status(response: &str) -> u16 {
    response.split(' ').nth(1).unwrap().parse().unwrap()
}

fn content(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn metrics_are_served_in_the_text_format() {
    let server = Server::start(&[]).await;
    let response = server.get("/metrics").await;
    assert_eq!(status(&response), 200);
    assert!(response.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{response}");
    assert!(response.contains("\r\nContent-Length: 21\r\n"), "{response}");
    assert!(response.contains("\r\nConnection: close\r\n"));
    assert_eq!(content(&response), "# TYPE x counter\nx 1\n");
}

#[tokio::test]
async fn ready_tells_why_not() {
    let server = Server::start(&[]).await;
    let response = server.get("/ready").await;
    assert_eq!((status(&response), content(&response)), (200, "ready\n"));
    let response = server.get("/ready?verbose").await;
    assert_eq!(content(&response), "{\"ready\":true,\"reasons\":[]}\n");

    let server = Server::start(&["no AP server of \"ap\" is up", "draining"]).await;
    let response = server.get("/ready").await;
    assert_eq!((status(&response), content(&response)), (503, "no AP server of \"ap\" is up\ndraining\n"));
    let response = server.get("/ready?a=b&verbose=1").await;
    assert_eq!(status(&response), 503);
    assert!(response.contains("\r\nContent-Type: application/json\r\n"));
    let json: serde_json::Value = serde_json::from_str(content(&response)).unwrap();
    assert_eq!(json, serde_json::json!({"ready": false, "reasons": ["no AP server of \"ap\" is up", "draining"]}));
    let response = server.get("/live").await;
    assert_eq!((status(&response), content(&response)), (200, "live\n"), "alive while not ready");
}

#[tokio::test]
async fn the_status_page_is_html_that_may_load_nothing() {
    let server = Server::start(&[]).await;
    let response = server.get("/").await;
    assert_eq!(status(&response), 200);
    assert!(response.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"));
    assert!(response.contains(
        "\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ));
    assert!(content(&response).contains("9.9.9"));
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_content() {
    let server = Server::start(&[]).await;
    let response = server.exchange(b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((status(&response), content(&response)), (200, ""));
    assert!(response.contains("\r\nContent-Length: 21\r\n"));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = Server::start(&[]).await;
    assert_eq!(status(&server.get("/metrics/").await), 404);
    assert_eq!(status(&server.get("/../metrics").await), 404);
    let response = server.exchange(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(status(&response), 405);
    assert!(response.contains("\r\nAllow: GET, HEAD\r\n"), "{response}");
}

#[tokio::test]
async fn rebound_names_are_misdirected() {
    let server = Server::start(&[]).await;
    for (host, expected) in [
        ("127.0.0.1:6081", 200),
        ("[::1]:6081", 200),
        ("admin.example.com", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("\u{e4}.example", 421),
        ("", 421),
    ] {
        let request = format!("GET /live HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(status(&server.exchange(request.as_bytes()).await), expected, "{host}");
    }
}

#[tokio::test]
async fn rfc9112_3_2_one_host_no_more_no_less() {
    let server = Server::start(&[]).await;
    assert_eq!(status(&server.exchange(b"GET /live HTTP/1.1\r\n\r\n").await), 400);
    let two = b"GET /live HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n";
    assert_eq!(status(&server.exchange(two).await), 400);
    assert_eq!(status(&server.exchange(b"GET /live HTTP/1.0\r\n\r\n").await), 200);
}

#[tokio::test]
async fn malformed_and_oversize_heads_get_an_exact_answer() {
    let server = Server::start(&[]).await;
    for (request, expected) in [
        (b"GET\r\n\r\n".to_vec(), 400),
        (b"GET /live HTTP/1.1\r\nHost : localhost\r\n\r\n".to_vec(), 400),
        (b"GET http://localhost/live HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 400),
        (b"GET /live HTTP/3.0\r\nHost: localhost\r\n\r\n".to_vec(), 505),
        ([b"GET /".as_slice(), &[b'a'; 40_000]].concat(), 431),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65)).into_bytes(), 431),
    ] {
        let response = server.exchange(&request).await;
        assert_eq!(status(&response), expected, "{:?}", String::from_utf8_lossy(&request));
    }
}

#[tokio::test]
async fn a_head_in_single_bytes_is_understood() {
    let server = Server::start(&[]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
    }
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert_eq!(status(&response), 200);
}

#[tokio::test]
async fn content_nobody_reads_does_not_reset_the_answer_away() {
    let server = Server::start(&[]).await;
    let request =
        format!("POST /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n{}", "x".repeat(60_000));
    assert_eq!(status(&server.exchange(request.as_bytes()).await), 405);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_given_up_after_five_seconds() {
    let (mut client, server) = tokio::io::duplex(1024);
    let task = tokio::spawn(async move { connection::answer(server, &State { reasons: Vec::new() }).await });
    let start = Instant::now();
    client.write_all(b"GET /live HTTP/1.1\r\n").await.unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    assert_eq!(status(&response), 408);
    assert_eq!(start.elapsed().as_secs(), 5);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_given_up() {
    let (mut client, server) = tokio::io::duplex(16);
    let task = tokio::spawn(async move { connection::answer(server, &State { reasons: Vec::new() }).await });
    let start = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    task.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn the_sixty_fifth_connection_waits_its_turn() {
    let server = Server::start(&[]).await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut late = TcpStream::connect(server.address).await.unwrap();
    late.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut response = String::new();
    let early = timeout(Duration::from_millis(100), late.read_to_string(&mut response)).await;
    assert!(early.is_err(), "all places are taken");
    drop(idle.pop());
    late.read_to_string(&mut response).await.unwrap();
    assert_eq!(status(&response), 200);
}

#[tokio::test]
async fn shutdown_finishes_what_was_begun_and_ends() {
    let server = Server::start(&[]).await;
    let mut begun = TcpStream::connect(server.address).await.unwrap();
    begun.write_all(b"GET /live HTTP/1.1\r\n").await.unwrap();
    // Connections are accepted in order: when this one was answered, the other is being read.
    assert_eq!(status(&server.get("/live").await), 200);
    server.stop.send(true).unwrap();
    begun.write_all(b"Host: localhost\r\n\r\n").await.unwrap();
    let mut response = String::new();
    begun.read_to_string(&mut response).await.unwrap();
    assert_eq!(status(&response), 200);
    drop(begun);
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
