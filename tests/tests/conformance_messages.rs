//! HTTP beyond caching that caches get wrong: interim responses, unknown statuses and methods, targeted fields.

use forebay_tests::origin::Ending;
use forebay_tests::{Origin, Proxy, Reply};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hint: 1\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn rfc9110_15_2_interim_responses_are_forwarded_and_never_stored() {
    for interim in [HINTS, "HTTP/1.1 102 Processing\r\n\r\n"] {
        let origin = Origin::answering(move |_| Reply::raw(format!("{interim}{FINAL}")).then(Ending::Close));
        let proxy = Proxy::before(&origin);
        let mut client = proxy.connect();
        client.send("GET /x HTTP/1.1\r\nHost: site.test\r\n\r\n");
        let first = client.read_head().unwrap();
        assert_eq!(first.status / 100, 1, "{first}");
        if interim == HINTS {
            assert_eq!((first.status, first.field("link")), (103, Some("</a.css>; rel=preload")));
        }
        let answer = client.read_response();
        assert_eq!((answer.status, answer.text(), answer.field("x-hint")), (200, "hello", None));
        client.send("GET /x HTTP/1.1\r\nHost: site.test\r\n\r\n");
        let hit = client.read_response();
        assert_eq!((hit.status, hit.cache(), hit.field("x-hint"), hit.field("link")), (200, "HIT", None, None));
    }
}

#[test]
fn rfc9110_15_2_interim_responses_are_forwarded_over_h2_too() {
    let hints = HINTS.replace("X-Hint", "Connection: x-hop\r\nX-Hop: 1\r\nX-Hint");
    let origin = Origin::answering(move |_| Reply::raw(format!("{hints}{FINAL}")).then(Ending::Close));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect_h2();
    let answer = client.get("/x");
    assert_eq!((answer.status, answer.interim.as_slice(), answer.text()), (200, [103].as_slice(), "hello"));
    let hit = client.get("/x");
    assert_eq!((hit.cache(), hit.interim.len()), ("HIT", 0));
}

#[test]
fn rfc9110_15_2_an_http_1_0_client_gets_no_interim_response() {
    let origin = Origin::answering(move |_| Reply::raw(format!("{HINTS}{FINAL}")).then(Ending::Close));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    client.send("GET /x HTTP/1.0\r\nHost: site.test\r\n\r\n");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.interim.len(), answer.text()), (200, 0, "hello"));
}

#[test]
fn unknown_statuses_pass_and_are_stored_with_a_lifetime_alone() {
    for status in [299, 499, 599, 999] {
        let origin = Origin::answering(move |request| {
            let reply = Reply::new(status, "x");
            if request.path() == "/fresh" { reply.field("Cache-Control", "max-age=60") } else { reply }
        });
        let proxy = Proxy::before(&origin);
        for target in ["/fresh", "/none"] {
            let answer = proxy.get(target);
            assert_eq!((answer.status, answer.text()), (status, "x"));
        }
        let answer = proxy.get("/fresh");
        assert_eq!((answer.status, answer.cache(), answer.text()), (status, "HIT", "x"));
        assert_ne!(proxy.get("/none").cache(), "HIT", "{status}");
    }
}

#[test]
fn rfc9111_4_4_unknown_methods_pass_and_invalidate() {
    for method in ["M-SEARCH", "BREW"] {
        let origin = Origin::answering(move |request| match request.method.as_str() {
            "GET" => Reply::cacheable("hello"),
            _ => Reply::ok("done"),
        });
        let proxy = Proxy::before(&origin);
        proxy.get("/x");
        let answer = proxy.connect().request(method, "/x", &[("Content-Length", "0")]);
        assert_eq!((answer.status, answer.text()), (200, "done"), "{method}");
        assert_ne!(proxy.get("/x").cache(), "HIT", "{method}");
    }
}

/// How the second of two requests is answered when the origin sends these fields.
fn second(fields: &'static [(&'static str, &'static str)]) -> String {
    let origin = Origin::answering(move |_| {
        fields.iter().fold(Reply::ok("x"), |reply, (name, value)| reply.field(name, *value))
    });
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    proxy.get("/x").cache().to_owned()
}

#[test]
fn rfc9213_2_2_cdn_cache_control_replaces_cache_control_and_expires() {
    const FUTURE: (&str, &str) = ("Expires", "Fri, 01 Jan 2038 01:01:01 GMT");
    for fields in [
        [("CDN-Cache-Control", "max-age=60"), ("Cache-Control", "no-store"), FUTURE].as_slice(),
        &[("CDN-Cache-Control", "foobar, max-age=60"), ("Expires", "0")],
        &[("CDN-Cache-Control", "max-age=99999999999"), ("Cache-Control", "max-age=0")],
        &[("Forebay-Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-store")],
        &[("CDN-Cache-Control", "max-age=60, &&&"), ("Cache-Control", "max-age=60")],
    ] {
        assert_eq!(second(fields), "HIT", "{fields:?}");
    }
    for fields in [
        [("CDN-Cache-Control", "no-store"), ("Cache-Control", "max-age=60"), FUTURE].as_slice(),
        &[("CDN-Cache-Control", "private"), ("Cache-Control", "max-age=60"), FUTURE],
        &[("CDN-Cache-Control", "no-cache"), ("Cache-Control", "max-age=60"), FUTURE],
        &[("CDN-Cache-Control", "max-age=0"), ("Cache-Control", "max-age=60"), FUTURE],
        &[("CDN-Cache-Control", "max-age=60"), ("Age", "120")],
        &[("CDN-Cache-Control", "max-age=60, &&&"), ("Cache-Control", "no-store")],
        &[("CDN-Cache-Control", "max-age=\"60\""), ("Cache-Control", "no-store")],
    ] {
        assert_ne!(second(fields), "HIT", "{fields:?}");
    }
}

#[test]
fn surrogate_control_is_obeyed_where_the_site_says_so() {
    let origin = Origin::answering(|_| {
        Reply::ok("x").field("Surrogate-Control", "max-age=60").field("Cache-Control", "no-store")
    });
    for (site, cache) in [("surrogate_control = true", "HIT"), ("", "MISS")] {
        let proxy = Proxy::config().origin(&origin).site(site).start();
        proxy.get("/x");
        let answer = proxy.get("/x");
        assert_eq!(answer.cache() == "HIT", cache == "HIT", "{site}: {answer}");
    }
}
