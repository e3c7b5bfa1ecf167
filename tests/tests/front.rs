//! The front answers as the long way would, byte for byte: each request is sent twice, once so that the front takes it
//! and once with a field (`TE`) that makes no difference but that the front leaves to the long way.

use forebay_tests::client_h1::head;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

fn site() -> Origin {
    Origin::answering(|request| match request.target.as_str() {
        "/private" => Reply::ok("private").field("Cache-Control", "private"),
        "/vary" => Reply::cacheable("vary").field("Vary", "User-Agent"),
        "/vary-coding" => Reply::cacheable("<p>page</p>".repeat(200))
            .field("Content-Type", "text/html")
            .field("ETag", "\"page\"")
            .field("Vary", "Accept-Encoding"),
        "/status" => Reply::cacheable("cached before").field("Cache-Status", "Inner; hit").field("Via", "1.1 inner"),
        "/image" => Reply::cacheable(vec![b'x'; 4000]).field("Content-Type", "image/png"),
        "/large" => Reply::cacheable(vec![b'x'; 100_000]).field("Content-Type", "text/css").field("ETag", "\"large\""),
        _ => Reply::cacheable("<p>page</p>".repeat(200)).field("Content-Type", "text/html").field("ETag", "\"page\""),
    })
}

const TARGETS: [&str; 15] = [
    "/",
    "/page",
    "/page?b=2&a=1",
    "/large",
    "/image",
    "/vary",
    "/vary-coding",
    "/status",
    "/private",
    "/a/.hidden",
    "/a%2fb",
    "/%7Euser",
    "/~user",
    "/a/../b",
    "//x",
];

const FIELDS: [&[(&str, &str)]; 24] = [
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
    &[("If-None-Match", "\"page\""), ("Accept-Encoding", "gzip")],
    &[("If-None-Match", "\"page-gzip\""), ("Accept-Encoding", "gzip")],
    &[("If-None-Match", "\"other\", W/\"large\", \"page\"")],
    &[("If-None-Match", "*")],
    &[("If-None-Match", "nonsense")],
    &[("If-None-Match", "\"other\""), ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")],
    &[("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")],
    &[("If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT")],
    &[("If-Match", "\"page\"")],
    &[("Range", "bytes=1-3")],
    &[("Connection", "Close")],
    &[("Connection", "close, x-a"), ("X-A", "b")],
    &[("Connection", "close"), ("If-None-Match", "\"page\""), ("Accept-Encoding", "gzip")],
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
                        let (short, long) = (without_seconds(&short.unwrap()), without_seconds(&long.unwrap()));
                        assert_eq!(short, long, "{method} {target} {fields:?}");
                    }
                }
            }
        }
    }
}

/// The answer without what one second more changes: its age, and the date of what was made for it.
fn without_seconds(answer: &str) -> String {
    let answer = answer.replace("ttl=59", "ttl=60").replace("age: 1", "age: 0");
    let is_stored = answer.contains("x-cache: HIT");
    answer.lines().filter(|line| is_stored || !line.starts_with("date: ")).collect::<Vec<_>>().join("\n")
}

/// The same in HTTP/2; there it is `trailer` that the front leaves to the long way.
#[test]
fn front_and_long_way_answer_alike_over_h2() {
    let origin = site();
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect_h2();
    for method in ["GET", "HEAD"] {
        for target in TARGETS {
            let is_of_h2 =
                |fields: &&&[(&str, &str)]| fields.iter().all(|(name, _)| !["Host", "Connection"].contains(name));
            for fields in FIELDS.iter().filter(is_of_h2) {
                let long: Vec<_> = fields.iter().copied().chain([("trailer", "x")]).collect();
                for round in 0..2 {
                    let short = client.request(method, target, fields, b"").to_string();
                    let long = client.request(method, target, &long, b"").to_string();
                    if round == 1 && !fields.contains(&("Cache-Control", "no-cache")) {
                        let (short, long) = (without_seconds(&short), without_seconds(&long));
                        assert_eq!(short, long, "{method} {target} {fields:?}");
                    }
                }
            }
        }
    }
}

/// Cookies may come in a line each, and Firefox says with each request that it takes trailers.
#[test]
fn requests_as_browsers_send_them_over_h2_are_hits() {
    let origin = site();
    let proxy = Proxy::config().origin(&origin).site("preset = \"wordpress\"").start();
    let mut client = proxy.connect_h2();
    let fields = [("cookie", "_ga=1"), ("cookie", "b=2"), ("te", "trailers"), ("priority", "u=0, i")];
    client.request("GET", "/page", &fields, b"");
    assert_eq!(client.request("GET", "/page", &fields, b"").cache(), "HIT");
    let logged_in = [("cookie", "_ga=1"), ("cookie", "wordpress_logged_in_x=1")];
    assert_ne!(client.request("GET", "/page", &logged_in, b"").cache(), "HIT");
    assert_eq!(origin.requests()[1].field("cookie").as_deref(), Some("_ga=1; wordpress_logged_in_x=1"));
}

#[test]
fn front_answers_the_last_request_of_a_connection_and_closes() {
    let origin = site();
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.get("/large").status, 200);
    assert_eq!(proxy.get("/page").status, 200);
    for target in ["/page", "/large"] {
        let mut client = proxy.connect();
        let last = head("GET", target, &[("Connection", "close")]);
        client.send([head("GET", target, &[]), last, head("GET", target, &[])].concat());
        assert_eq!(client.read_response().field("connection"), None);
        let answer = client.read_response();
        assert_eq!((answer.cache(), answer.field("connection")), ("HIT", Some("close")));
        assert_eq!(client.read_to_end(), b"", "a request behind the last is not answered");
    }
}

/// Bytes of each page in the test of the disk tier.
const PAGE: usize = 150_000;

/// Pages, and what else there is to get wrong. None is found again before as many others were that it is not promoted.
fn on_disk() -> Vec<String> {
    let kinds = ["page", "image", "status", "tagged"];
    let plain = kinds.iter().flat_map(|kind| (0..6).map(move |number| format!("/{kind}/{number}")));
    plain.chain(["/vary/1".to_owned()]).collect()
}

/// Memory is full of what is never asked for again, so that all else is answered from disk.
#[test]
fn front_and_long_way_answer_alike_from_disk() {
    let origin = Origin::answering(|request| {
        let text = |kind: &str| Reply::cacheable(format!("<p>{kind}</p>").repeat(PAGE / 10)).field("ETag", "W/\"1\"");
        match request.path().split('/').nth(1) {
            Some("image") => Reply::cacheable(vec![b'x'; PAGE]).field("Content-Type", "image/png"),
            Some("status") => text("text").field("Content-Type", "text/css").field("Cache-Status", "Inner; hit"),
            Some("tagged") => text("tags").field("Content-Type", "text/html").field("Surrogate-Key", "a b"),
            Some("vary") => text("vary").field("Vary", "User-Agent"),
            Some("filler") => Reply::cacheable(vec![b'f'; 880_000]),
            _ => text("page").field("Content-Type", "text/html").field("Vary", "Accept-Encoding"),
        }
    });
    let proxy = Proxy::config().origin(&origin).memory("size = \"4MiB\"\nmax_object = \"1MiB\"").disk("").start();
    let fillers: Vec<String> = (0..4).map(|number| format!("/filler/{number}")).collect();
    let targets = on_disk();
    for target in fillers.iter().chain(&targets) {
        for coding in ["zstd", "gzip", "br", "identity"] {
            assert_eq!(proxy.get_with(target, &[("Accept-Encoding", coding)]).status, 200);
        }
    }
    assert_eq!(proxy.get_with("/vary/1", &[("User-Agent", "someone")]).cache(), "MISS");
    // Fillers, pages, one more variant, and three codings of each page that is text.
    assert_eventually!(proxy.metric("forebay_cache_objects", &["tier=\"disk\""]) >= 4.0 + 25.0 + 1.0 + 3.0 * 18.0);
    let proxy = proxy.kill_and_restart();
    for filler in &fillers {
        assert_eq!(proxy.get(filler).cache(), "HIT");
    }
    assert_eq!(proxy.metric("forebay_cache_objects", &["tier=\"memory\""]), 4.0);
    let hits = |tier: &str| proxy.metric("forebay_cache_hits_total", &[&format!("tier=\"{tier}\"")]);
    let before = hits("disk");
    let mut asked = 0.0;
    for method in ["GET", "HEAD"] {
        // Another host has nothing on disk, and what has to be asked for comes to memory.
        let stays = |field: &(&str, &str)| !matches!(field, ("Cache-Control", _) | ("Host", "other.test"));
        for fields in FIELDS.iter().filter(|fields| fields.iter().all(stays)) {
            let ask = |fields: &[(&str, &str)]| {
                targets.iter().map(|target| answered(&proxy, method, target, fields)).collect::<Vec<_>>()
            };
            let long: Vec<_> = fields.iter().copied().chain([("TE", "trailers")]).collect();
            let (short, long) = (ask(fields), ask(&long));
            for ((short, long), target) in short.into_iter().zip(long).zip(&targets) {
                assert!(short == long, "{method} {target} {fields:?}: {} and {}", start(&short), start(&long));
                asked += if short.contains("x-cache: HIT") { 2.0 } else { 0.0 };
            }
        }
    }
    assert!(asked > 500.0, "{asked}");
    assert_eq!((hits("disk") - before, hits("memory")), (asked, 0.0));
    assert_eq!(proxy.metric("forebay_cache_misses_total", &["tier=\"memory\""]), hits("disk"));
}

/// The whole answer, without what changes with the time.
fn answered(proxy: &Proxy, method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    let mut client = proxy.connect();
    client.send(head(method, target, fields));
    let text = client.read_response_to(method).unwrap().to_string();
    let timeless = |line: &str| if line.starts_with("age: ") { String::new() } else { without_ttl(line) };
    text.lines().map(timeless).collect::<Vec<_>>().join("\n")
}

fn without_ttl(line: &str) -> String {
    match line.split_once("; ttl=") {
        Some((before, after)) => before.to_owned() + after.trim_start_matches(|byte: char| byte.is_ascii_digit()),
        None => line.to_owned(),
    }
}

fn start(answer: &str) -> String {
    answer.chars().take(1000).collect()
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
