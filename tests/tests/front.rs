//! The front answers as the long way would, byte for byte: each request is sent twice, once so that the front takes it
//! and once with a field (`TE`) that makes no difference but that the front leaves to the long way.

use forebay_tests::client_h1::head;
use forebay_tests::{Origin, Proxy, Reply};

fn site() -> Origin {
    Origin::answering(|request| match request.target.as_str() {
        "/private" => Reply::ok("private").field("Cache-Control", "private"),
        "/vary" => Reply::cacheable("vary").field("Vary", "User-Agent"),
        "/status" => Reply::cacheable("cached before").field("Cache-Status", "Inner; hit").field("Via", "1.1 inner"),
        "/image" => Reply::cacheable(vec![b'x'; 4000]).field("Content-Type", "image/png"),
        "/large" => Reply::cacheable(vec![b'x'; 100_000]).field("Content-Type", "text/css").field("ETag", "\"large\""),
        _ => Reply::cacheable("<p>page</p>".repeat(200)).field("Content-Type", "text/html").field("ETag", "\"page\""),
    })
}

const TARGETS: [&str; 14] = [
    "/",
    "/page",
    "/page?b=2&a=1",
    "/large",
    "/image",
    "/vary",
    "/status",
    "/private",
    "/a/.hidden",
    "/a%2fb",
    "/%7Euser",
    "/~user",
    "/a/../b",
    "//x",
];

const FIELDS: [&[(&str, &str)]; 12] = [
    &[],
    &[("Accept-Encoding", "gzip")],
    &[("Accept-Encoding", "gzip, deflate, br, zstd")],
    &[("Accept-Encoding", "br;q=0.5, gzip;q=0.1")],
    &[("Accept-Encoding", "identity;q=0")],
    &[("Cookie", "a=b"), ("User-Agent", "someone")],
    &[("Host", "SITE.test")],
    &[("Host", "site.test:80")],
    &[("Host", "other.test")],
    &[("Cache-Control", "no-cache")],
    &[("If-None-Match", "\"page\"")],
    &[("Range", "bytes=1-3")],
];

#[test]
fn front_and_long_way_answer_alike() {
    let origin = site();
    let proxy = Proxy::before(&origin);
    for method in ["GET", "HEAD"] {
        for target in TARGETS {
            for fields in FIELDS {
                let long: Vec<_> = fields.iter().copied().chain([("TE", "trailers")]).collect();
                // Twice: the first is a miss for some and makes what the front sends again.
                for round in 0..2 {
                    let exchange = |fields: &[(&str, &str)]| {
                        let mut client = proxy.connect();
                        client.send(head(method, target, fields));
                        client.read_response_to(method).map(|answer| answer.to_string())
                    };
                    let (short, long) = (exchange(fields), exchange(&long));
                    if round == 1 && !fields.contains(&("Cache-Control", "no-cache")) {
                        let seconds = |text: &str| text.replace("ttl=59", "ttl=60").replace("age: 1", "age: 0");
                        let (short, long) = (seconds(&short.unwrap()), seconds(&long.unwrap()));
                        assert_eq!(short, long, "{method} {target} {fields:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn front_answers_are_counted_and_logged_like_all_others() {
    let origin = site();
    let proxy = Proxy::before(&origin);
    for _ in 0..10 {
        assert_eq!(proxy.get("/page").status, 200);
    }
    let log = proxy.access_log_of(10);
    assert_eq!(log.iter().filter(|line| line.contains(" HIT ")).count(), 9, "{log:?}");
    assert!(log.iter().all(|line| line.contains("\"GET /page HTTP/1.1\" 200 2200")), "{log:?}");
    assert!(proxy.metric("forebay_http_requests_total", &["cache=\"hit\""]) >= 9.0);
}

#[test]
fn front_sees_a_file_that_appears_where_a_page_was_stored() {
    let origin = site();
    let root = tempfile::tempdir().unwrap();
    let proxy = Proxy::config().origin(&origin).site(&format!("root = {:?}", root.path())).start();
    for expected in ["MISS", "HIT", "HIT"] {
        assert_eq!(proxy.get("/page").cache(), expected);
    }
    std::fs::write(root.path().join("page"), "a file").unwrap();
    assert_eq!(proxy.get("/page").text(), "a file");
    std::fs::remove_file(root.path().join("page")).unwrap();
    assert_eq!(proxy.get("/page").cache(), "HIT");
}
