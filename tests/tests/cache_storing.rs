//! What is stored, what is not, and what every answer says of it (RFC 9111, section 3; RFC 9211).

use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_tests::{Answer, Origin, Proxy, ProxyConfig, Reply};

/// The same reply each time, with a counter for content.
fn counting(reply: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |_| reply(Reply::ok(count.fetch_add(1, Ordering::SeqCst).to_string())))
}

/// Whether the second of two equal requests is answered from the store.
fn is_stored(field: (&str, &str), request: &[(&str, &str)], config: ProxyConfig) -> bool {
    let (name, value) = (field.0.to_owned(), field.1.to_owned());
    let origin = counting(move |reply| reply.field(&name, value.clone()));
    let proxy = config.origin(&origin).start();
    let answers: Vec<Answer> = (0..2).map(|_| proxy.get_with("/x", request)).collect();
    assert_eq!(answers[0].text(), "0");
    let hit = answers[1].cache() == "HIT";
    assert_eq!(answers[1].text(), if hit { "0" } else { "1" }, "X-Cache does not tell the truth");
    hit
}

#[test]
fn miss_is_followed_by_a_hit_that_says_so() {
    let origin = Origin::answering(|_| Reply::cacheable("hello").field("ETag", "\"1\"").field("Age", "7"));
    let proxy = Proxy::before(&origin);
    let (miss, hit) = (proxy.get("/x"), proxy.get("/x"));
    assert_eq!((miss.cache(), hit.cache()), ("MISS", "HIT"));
    assert!(miss.cache_status().contains("fwd=uri-miss") && miss.cache_status().contains("stored"), "{miss}");
    assert!(hit.cache_status().contains("; hit") && hit.cache_status().contains("ttl="), "{hit}");
    assert!(hit.age().is_some_and(|age| (7..20).contains(&age)), "{hit}");
    assert_eq!(
        (hit.text(), hit.field("etag"), hit.field("cache-control")),
        ("hello", Some("\"1\""), Some("max-age=60"))
    );
    assert_eq!(hit.field("content-length"), Some("5"));
    assert!(hit.field("via").is_some() && hit.field("date").is_some());
    assert_eq!(origin.total(), 1);
}

#[test]
fn http_1_1_tls_and_h2_clients_share_what_is_stored_for_https() {
    let origin = Origin::answering(|_| Reply::cacheable("hello"));
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.connect_h2().get("/x").cache(), "MISS");
    assert_eq!(proxy.connect_tls().get("/x").cache(), "HIT");
    assert_eq!(proxy.connect_h2().get("/x").cache(), "HIT");
}

#[test]
fn directives_of_the_response_are_obeyed() {
    for (value, stored) in [
        ("max-age=60", true),
        ("MAX-AGE=60", true),
        ("s-maxage=60, max-age=0", true),
        ("public, max-age=60", true),
        ("max-age=60, private", false),
        ("max-age=60, no-store", false),
        ("no-cache", false),
        ("max-age=0", false),
        ("s-maxage=0, max-age=60", false),
    ] {
        assert_eq!(is_stored(("Cache-Control", value), &[], Proxy::config()), stored, "{value}");
    }
}

#[test]
fn response_without_any_lifetime_is_not_reused() {
    assert!(!is_stored(("X", "y"), &[], Proxy::config()));
}

#[test]
fn row_34_set_cookie_is_not_stored() {
    let origin = counting(|reply| reply.field("Cache-Control", "max-age=60").field("Set-Cookie", "session=1"));
    let proxy = Proxy::before(&origin);
    for n in 0..3 {
        let answer = proxy.get("/x");
        assert_eq!((answer.text(), answer.field("set-cookie")), (n.to_string().as_str(), Some("session=1")));
        assert_ne!(answer.cache(), "HIT");
    }
}

#[test]
fn set_cookie_strip_stores_without_the_field() {
    let origin = counting(|reply| reply.field("Cache-Control", "max-age=60").field("Set-Cookie", "session=1"));
    let proxy = Proxy::config().origin(&origin).site("set_cookie = \"strip\"").start();
    assert_eq!(proxy.get("/x").field("set-cookie"), Some("session=1"));
    let hit = proxy.get("/x");
    assert_eq!((hit.cache(), hit.text(), hit.field("set-cookie")), ("HIT", "0", None));
}

#[test]
fn row_35_response_to_authorization_is_not_shared() {
    let authorized = [("Authorization", "Basic Zm9v")];
    assert!(!is_stored(("Cache-Control", "max-age=60"), &authorized, Proxy::config()));
    let origin = counting(|reply| reply.field("Cache-Control", "max-age=60"));
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.get_with("/x", &authorized).text(), "0");
    assert_eq!(proxy.get("/x").text(), "1");
}

#[test]
fn row_32_errors_without_a_lifetime_are_not_stored() {
    for status in [400, 403, 404, 405, 410, 431, 500, 502, 503] {
        let origin = Origin::answering(move |_| Reply::new(status, "error"));
        let proxy = Proxy::before(&origin);
        for _ in 0..2 {
            assert_ne!(proxy.get("/x").cache(), "HIT", "{status}");
        }
    }
}

#[test]
fn status_codes_with_a_lifetime_are_stored() {
    for status in [200, 203, 301, 404, 410] {
        let origin = Origin::answering(move |_| Reply::new(status, "x").field("Cache-Control", "max-age=60"));
        let proxy = Proxy::before(&origin);
        proxy.get("/x");
        let answer = proxy.get("/x");
        assert_eq!((answer.status, answer.cache()), (status, "HIT"));
    }
}

#[test]
fn lifetimes_by_status_apply_where_the_response_says_nothing() {
    let config = || Proxy::config().site("lifetimes = { \"200\" = \"1h\" }");
    assert!(is_stored(("X", "y"), &[], config()));
    assert!(!is_stored(("Cache-Control", "no-store"), &[], config()));
    assert!(!is_stored(("Set-Cookie", "a=b"), &[], config()));
    let origin = Origin::answering(|_| Reply::new(404, "x"));
    let proxy = config().origin(&origin).start();
    proxy.get("/x");
    assert_ne!(proxy.get("/x").cache(), "HIT");
}

#[test]
fn cache_off_stores_nothing() {
    assert!(!is_stored(("Cache-Control", "max-age=60"), &[], Proxy::config().site("cache = \"off\"")));
}

#[test]
fn request_that_says_no_store_is_not_stored() {
    assert!(!is_stored(("Cache-Control", "max-age=60"), &[("Cache-Control", "no-store")], Proxy::config()));
}

#[test]
fn row_40_partial_content_of_the_origin_is_never_taken_for_the_whole() {
    let origin = Origin::answering(|request| match request.field("range") {
        Some(_) => Reply::new(206, "01234").field("Content-Range", "bytes 0-4/10").field("Cache-Control", "max-age=60"),
        None => Reply::cacheable("0123456789"),
    });
    let proxy = Proxy::before(&origin);
    let part = proxy.get_with("/x", &[("Range", "bytes=0-4")]);
    assert_eq!((part.status, part.text()), (206, "01234"));
    assert_eq!(proxy.get("/x").text(), "0123456789");
    assert_eq!(proxy.get_with("/x", &[("Range", "bytes=5-")]).text(), "56789");
}

#[test]
fn response_above_the_largest_size_is_passed_on_and_not_stored() {
    let origin = Origin::answering(|request| match request.path() {
        "/large" => Reply::cacheable(vec![b'x'; 2 << 20]),
        "/large-chunked" => Reply::cacheable(vec![b'x'; 2 << 20]).chunked(),
        _ => Reply::cacheable("small"),
    });
    let proxy = Proxy::config().origin(&origin).memory("max_object = \"1MiB\"").start();
    for target in ["/large", "/large-chunked"] {
        for n in 1..=2 {
            assert_eq!(proxy.get(target).body.len(), 2 << 20);
            assert_eq!(origin.count(target), n);
        }
    }
    proxy.get("/small");
    assert_eq!(proxy.get("/small").cache(), "HIT");
}

#[test]
fn memory_is_bounded_in_real_bytes() {
    let origin = Origin::answering(|_| Reply::cacheable(vec![b'x'; 1 << 20]));
    let proxy = Proxy::config().origin(&origin).memory("size = \"16MiB\"").start();
    let mut client = proxy.connect();
    for n in 0..64 {
        client.get(&format!("/{n}"));
    }
    let bytes = proxy.metric("forebay_cache_bytes", &["tier=\"memory\""]);
    assert!(bytes > 1e6 && bytes <= f64::from(16 << 20), "{bytes}");
    assert!(proxy.metric("forebay_cache_evictions_total", &["tier=\"memory\""]) >= 48.0);
}
