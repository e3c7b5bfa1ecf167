//! Compression on the way out: by preference, once, and only where it helps (RFC 9110, section 12.5.3).

use forebay_tests::{Answer, Origin, Proxy, Reply};

const PAGE: &str = "<p>Water turns the wheel, the wheel turns the stone.</p>\n";

fn page() -> Reply {
    Reply::cacheable(PAGE.repeat(200)).field("Content-Type", "text/html; charset=utf-8").field("ETag", "\"1\"")
}

fn site() -> (Origin, Proxy) {
    let origin = Origin::answering(|_| page());
    let proxy = Proxy::before(&origin);
    (origin, proxy)
}

fn get(proxy: &Proxy, accept: &str) -> Answer {
    proxy.get_with("/x", &[("Accept-Encoding", accept)])
}

#[test]
fn each_coding_is_made_and_is_whole() {
    let (_origin, proxy) = site();
    for coding in ["gzip", "br", "zstd"] {
        for _ in 0..2 {
            let answer = get(&proxy, coding);
            assert_eq!(answer.field("content-encoding"), Some(coding), "{answer}");
            assert!(answer.body.len() < 2000, "{coding}: {} bytes", answer.body.len());
            assert_eq!(answer.decoded(), PAGE.repeat(200).as_bytes());
            assert!(answer.field("vary").unwrap().to_lowercase().contains("accept-encoding"));
        }
    }
}

#[test]
fn preference_of_the_client_is_obeyed() {
    let (_origin, proxy) = site();
    for (accept, coding) in [
        ("gzip, br, zstd", Some("zstd")),
        ("gzip, br", Some("br")),
        ("gzip;q=1.0, br;q=0.5, zstd;q=0.1", Some("gzip")),
        ("zstd;q=0, *", Some("br")),
        ("*", Some("zstd")),
        ("*;q=0.5, gzip", Some("gzip")),
        ("GZIP", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity", None),
        ("deflate", None),
        ("", None),
        ("gzip;q=x", None),
    ] {
        let answer = get(&proxy, accept);
        assert_eq!(answer.status, 200, "{accept}");
        let seen = answer.field("content-encoding");
        // x-gzip is gzip, but need not be understood; a malformed q may be read either way.
        if matches!(accept, "x-gzip" | "gzip;q=x") && seen.is_none_or(|seen| seen == "gzip") {
            continue;
        }
        assert_eq!(seen, coding, "{accept}: {answer}");
        assert_eq!(answer.decoded(), PAGE.repeat(200).as_bytes(), "{accept}");
    }
}

#[test]
fn identity_that_is_excluded_gets_a_coding() {
    let (_origin, proxy) = site();
    let answer = get(&proxy, "gzip, identity;q=0");
    assert_eq!(answer.field("content-encoding"), Some("gzip"));
    let answer = get(&proxy, "*;q=0");
    assert!(matches!(answer.status, 200 | 406), "{answer}");
}

#[test]
fn client_that_says_nothing_gets_it_plain() {
    let (_origin, proxy) = site();
    for _ in 0..2 {
        let answer = proxy.get("/x");
        assert_eq!((answer.field("content-encoding"), answer.body.len()), (None, PAGE.len() * 200));
        assert!(answer.field("vary").is_some_and(|vary| vary.to_lowercase().contains("accept-encoding")), "{answer}");
    }
}

#[test]
fn codings_are_stored_and_not_made_again() {
    let (origin, proxy) = site();
    for _ in 0..3 {
        for accept in ["gzip", "br", "zstd", "identity"] {
            get(&proxy, accept);
        }
    }
    assert_eq!(origin.total(), 1, "one response, whatever the coding");
    for accept in ["gzip", "br", "zstd"] {
        let hit = get(&proxy, accept);
        assert_eq!(hit.cache(), "HIT", "{accept}");
        assert_eq!(
            hit.field("content-length"),
            Some(hit.body.len().to_string().as_str()),
            "{accept}: stored, so known"
        );
    }
}

#[test]
fn codings_have_etags_of_their_own_that_are_understood() {
    let (_origin, proxy) = site();
    proxy.get("/x");
    let mut seen = vec!["\"1\"".to_owned()];
    for accept in ["gzip", "br", "zstd"] {
        get(&proxy, accept);
        let etag = get(&proxy, accept).field("etag").unwrap().to_owned();
        assert!(!seen.contains(&etag), "{accept}: {etag} again");
        let again = proxy.get_with("/x", &[("Accept-Encoding", accept), ("If-None-Match", &etag)]);
        assert_eq!((again.status, again.field("etag")), (304, Some(etag.as_str())), "{accept}");
        seen.push(etag);
    }
}

#[test]
fn what_would_not_help_is_not_compressed() {
    let origin = Origin::answering(|request| match request.path() {
        "/small" => Reply::cacheable("small").field("Content-Type", "text/html"),
        "/image" => page().field("X", "y").field("Content-Type", "image/jpeg"),
        "/coded" => {
            Reply::cacheable(PAGE.repeat(200)).field("Content-Type", "text/html").field("Content-Encoding", "x-own")
        }
        "/no-transform" => Reply::ok(PAGE.repeat(200))
            .field("Content-Type", "text/html")
            .field("Cache-Control", "max-age=60, no-transform"),
        "/image-only" => Reply::cacheable(PAGE.repeat(200)).field("Content-Type", "image/png"),
        "/partial" => Reply::new(206, "abc").field("Content-Range", "bytes 0-2/9").field("Content-Type", "text/html"),
        _ => Reply::cacheable(PAGE.repeat(200)).field("Content-Type", "application/octet-stream"),
    });
    let proxy = Proxy::before(&origin);
    for target in ["/small", "/image-only", "/coded", "/no-transform", "/octets"] {
        for _ in 0..2 {
            let answer = proxy.get_with(target, &[("Accept-Encoding", "gzip, br, zstd")]);
            let expected = (target == "/coded").then_some("x-own");
            assert_eq!(answer.field("content-encoding"), expected, "{target}: {answer}");
        }
    }
}

#[test]
fn types_of_text_are_compressed() {
    for kind in
        ["text/css", "application/javascript", "application/json", "image/svg+xml", "application/xml", "text/plain"]
    {
        let origin = Origin::answering(move |_| Reply::cacheable(PAGE.repeat(200)).field("Content-Type", kind));
        let proxy = Proxy::before(&origin);
        get(&proxy, "gzip");
        assert_eq!(get(&proxy, "gzip").field("content-encoding"), Some("gzip"), "{kind}");
    }
}

#[test]
fn uncacheable_pages_are_compressed_too() {
    let origin = Origin::answering(|_| {
        Reply::ok(PAGE.repeat(200)).field("Content-Type", "text/html").field("Cache-Control", "no-store").chunked()
    });
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        let answer = get(&proxy, "gzip");
        assert_eq!(answer.field("content-encoding"), Some("gzip"), "{answer}");
        assert_eq!(answer.decoded(), PAGE.repeat(200).as_bytes());
    }
    assert_eq!(
        proxy.connect_h2().request("GET", "/x", &[("accept-encoding", "br")], b"").decoded(),
        PAGE.repeat(200).as_bytes()
    );
}

#[test]
fn files_without_precompressed_siblings_are_compressed() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("a.css"), PAGE.repeat(200)).unwrap();
    let proxy = Proxy::config().root(root.path()).start();
    for _ in 0..2 {
        let answer = proxy.get_with("/a.css", &[("Accept-Encoding", "gzip")]);
        assert_eq!(answer.decoded(), PAGE.repeat(200).as_bytes());
        assert_eq!(answer.field("content-encoding"), Some("gzip"), "{answer}");
        assert!(answer.field("vary").is_some(), "{answer}");
    }
}

#[test]
fn compression_can_be_turned_off_and_limited() {
    let origin = Origin::answering(|_| page());
    let proxy = Proxy::config().origin(&origin).site("compress = []").start();
    assert_eq!(get(&proxy, "gzip, br, zstd").field("content-encoding"), None);
    let proxy = Proxy::config().origin(&origin).site("compress = [\"gzip\"]").start();
    assert_eq!(get(&proxy, "gzip;q=0.1, br, zstd").field("content-encoding"), Some("gzip"));
}

#[test]
fn ranges_of_a_compressed_response_are_ranges_of_its_bytes() {
    let (_origin, proxy) = site();
    get(&proxy, "gzip");
    let whole = get(&proxy, "gzip");
    let part = proxy.get_with("/x", &[("Accept-Encoding", "gzip"), ("Range", "bytes=0-9")]);
    match part.field("content-encoding") {
        Some("gzip") => assert_eq!((part.status, &part.body[..]), (206, &whole.body[..10])),
        _ => assert_eq!((part.status, part.text()), (206, &PAGE[..10])),
    }
}
