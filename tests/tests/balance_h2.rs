//! HTTP/2 to servers: a real nginx, and what is behind it.

use std::collections::BTreeSet;
use std::path::Path;

use forebay_tests::nginx::Nginx;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually, certs};

const SAY: &str = "location / { add_header Cache-Control no-store; \
     return 200 \"$server_protocol $connection $http_upgrade $http_connection\"; }";

fn nginx(directory: &Path, how: &str, more: &str) -> Nginx {
    let site = certs::site(directory, &["ap.internal", "127.0.0.1"]);
    let (certificate, key) = (site.certificate.display(), site.key.display());
    Nginx::serving(directory, how, &[&format!("ssl_certificate {certificate}; ssl_certificate_key {key}; {more}")])
}

fn before(nginx: &Nginx, directory: &Path, words: &str) -> Proxy {
    let ca = certs::authority(directory);
    let words = format!("protocol = \"h2\"\ntls = {{ ca = {ca:?}, server_name = \"ap.internal\" }}\n{words}");
    Proxy::config().server_at(nginx.address(0), 1).upstream(&words).start()
}

fn words(text: &str) -> (String, String) {
    let mut words = text.split(' ');
    (words.next().unwrap().to_owned(), words.next().unwrap().to_owned())
}

#[test]
fn requests_share_a_connection_of_http_2() {
    let directory = tempfile::tempdir().unwrap();
    let nginx = nginx(directory.path(), "ssl http2", SAY);
    let proxy = before(&nginx, directory.path(), "");
    let told: BTreeSet<(String, String)> = (0..10).map(|n| words(proxy.get(&format!("/{n}")).text())).collect();
    let [(protocol, _)] = &told.into_iter().collect::<Vec<_>>()[..] else { panic!("one connection") };
    assert_eq!(protocol, "HTTP/2.0");
}

#[test]
fn server_without_http_2_is_spoken_to_by_http_1_1() {
    let directory = tempfile::tempdir().unwrap();
    let nginx = nginx(directory.path(), "ssl", SAY);
    let proxy = before(&nginx, directory.path(), "");
    for n in 0..3 {
        assert_eq!(proxy.get(&format!("/{n}")).text().split(' ').next(), Some("HTTP/1.1"));
    }
}

#[test]
fn content_arrives_whole_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|request| {
        let length = request.body.len();
        Reply::ok(vec![b'x'; length]).field("Cache-Control", "no-store").field("X-Length", length.to_string())
    });
    let pass = format!("client_max_body_size 0; location / {{ proxy_pass http://{}; }}", origin.address());
    let nginx = nginx(directory.path(), "ssl http2", &pass);
    let proxy = before(&nginx, directory.path(), "");
    for length in [0, 1, 65_535, 65_536, 5_000_000] {
        let mut client = proxy.connect();
        let head = format!("POST /{length} HTTP/1.1\r\nHost: site.test\r\nContent-Length: {length}\r\n\r\n");
        client.send([head.as_bytes(), &vec![b'y'; length]].concat());
        let answer = client.read_response();
        assert_eq!((answer.status, answer.body.len()), (200, length), "{length}");
        // Of unknown length.
        let chunks = format!("{length:x}\r\n");
        client.send("POST /chunked HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        if length > 0 {
            client.send([chunks.as_bytes(), &vec![b'y'; length], b"\r\n"].concat());
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.read_response().field("x-length"), Some(&*length.to_string()));
    }
    let mut client = proxy.connect();
    assert_eq!(client.request("HEAD", "/head", &[]).status, 200);
    assert_eq!(client.get("/after").status, 200);
}

#[test]
fn connections_that_the_server_closes_cost_no_client_an_error() {
    let directory = tempfile::tempdir().unwrap();
    // GOAWAY after every third request, and after a moment without any.
    let nginx = nginx(directory.path(), "ssl http2", &format!("keepalive_requests 3; keepalive_timeout 1; {SAY}"));
    let proxy = before(&nginx, directory.path(), "");
    std::thread::scope(|scope| {
        for client in 0..8 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut connection = proxy.connect();
                for n in 0..40 {
                    let answer = connection.get(&format!("/{client}/{n}"));
                    assert_eq!(answer.status, 200, "{answer}");
                }
            });
        }
    });
}

#[test]
fn cached_pages_are_filled_by_http_2() {
    let directory = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|request| Reply::cacheable(request.path().to_owned()).chunked());
    let nginx =
        nginx(directory.path(), "ssl http2", &format!("location / {{ proxy_pass http://{}; }}", origin.address()));
    let proxy = before(&nginx, directory.path(), "");
    for target in ["/a", "/b"] {
        assert_eq!(proxy.get(target).text(), target);
        assert_eventually!(proxy.get(target).cache() == "HIT");
    }
    assert_eq!((origin.count("/a"), origin.count("/b")), (1, 1));
}

#[test]
fn response_that_breaks_off_is_not_stored_nor_taken_for_whole() {
    let directory = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|_| Reply::cacheable(vec![b'x'; 400_000]).truncated_at(200_000));
    let pass = format!("location / {{ proxy_buffering off; proxy_pass http://{}; }}", origin.address());
    let nginx = nginx(directory.path(), "ssl http2", &pass);
    let proxy = before(&nginx, directory.path(), "");
    for _ in 0..2 {
        let (answer, _) = proxy.send_raw("GET /x HTTP/1.1\r\nHost: site.test\r\n\r\n");
        assert!(answer.is_err(), "{answer:?}");
    }
    assert_eq!(origin.count("/x"), 2);
}

#[test]
fn upgrades_and_health_checks_speak_http_1_1() {
    let directory = tempfile::tempdir().unwrap();
    let nginx = nginx(directory.path(), "ssl http2", SAY);
    let proxy =
        before(&nginx, directory.path(), "health = { path = \"/\", interval = \"100ms\", body = \"HTTP/1.1\" }");
    assert_eventually!(proxy.metric("forebay_health_checks_total", &["good"]) >= 2.0);
    assert_eq!(proxy.metric("forebay_upstream_up", &[]), 1.0);
    let mut client = proxy.connect();
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Host", "site.test")];
    let answer = client.request("GET", "/socket", &fields);
    assert!(answer.text().starts_with("HTTP/1.1") && answer.text().contains("websocket"), "{answer}");
}
