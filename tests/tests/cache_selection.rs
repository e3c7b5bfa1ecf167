//! Vary, and what a request may ask of the cache (RFC 9111, sections 4.1 and 5.2.1; row 37).

use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_tests::{Origin, Proxy, Reply};

fn varying(vary: &'static str) -> Origin {
    Origin::answering(move |request| {
        let lines = [request.field("x-a").unwrap_or_default(), request.field("cookie").unwrap_or_default()];
        Reply::cacheable(lines.join("/")).field("Vary", vary)
    })
}

#[test]
fn variants_are_selected_by_the_nominated_field() {
    let origin = varying("X-A");
    let proxy = Proxy::before(&origin);
    for _ in 0..3 {
        for value in ["1", "2", "3"] {
            assert_eq!(proxy.get_with("/x", &[("X-A", value)]).text(), format!("{value}/"));
        }
        assert_eq!(proxy.get("/x").text(), "/");
    }
    assert_eq!(origin.total(), 4);
    let miss = proxy.get_with("/x", &[("X-A", "4")]);
    assert!(miss.cache_status().contains("fwd=vary-miss"), "{miss}");
}

#[test]
fn several_nominated_fields_all_count() {
    let origin = varying("X-A, Cookie");
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        for (a, cookie) in [("1", "x=1"), ("1", "x=2"), ("2", "x=1")] {
            assert_eq!(proxy.get_with("/x", &[("X-A", a), ("Cookie", cookie)]).text(), format!("{a}/{cookie}"));
        }
    }
    assert_eq!(origin.total(), 3);
}

#[test]
fn vary_star_is_never_reused() {
    let origin = varying("*");
    let proxy = Proxy::before(&origin);
    for n in 1..=3 {
        assert_ne!(proxy.get("/x").cache(), "HIT");
        assert_eq!(origin.total(), n);
    }
}

#[test]
fn vary_that_changes_does_not_mix_variants() {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |request| {
        let vary = if count.fetch_add(1, Ordering::SeqCst) == 0 { "X-A" } else { "X-B" };
        let key = format!("{:?} {:?}", request.field("x-a"), request.field("x-b"));
        Reply::cacheable(key).field("Vary", vary)
    });
    let proxy = Proxy::before(&origin);
    proxy.get_with("/x", &[("X-A", "1"), ("X-B", "1")]);
    proxy.get_with("/x", &[("X-A", "2"), ("X-B", "2")]);
    let answer = proxy.get_with("/x", &[("X-A", "3"), ("X-B", "3")]);
    assert!(answer.text().contains('3'), "{answer}");
}

#[test]
fn row_38_explosion_of_variants_stays_within_memory_and_spares_the_others() {
    let origin = Origin::answering(|request| match request.path() {
        "/victim" => Reply::cacheable("victim"),
        _ => Reply::cacheable(vec![b'x'; 10_000]).field("Vary", "X-A"),
    });
    let proxy = Proxy::config().origin(&origin).memory("size = \"16MiB\"").start();
    proxy.get("/victim");
    let mut client = proxy.connect();
    for n in 0..3000 {
        client.request("GET", "/x", &[("X-A", &n.to_string())]);
        if n % 10 == 0 {
            client.get("/victim");
        }
    }
    assert_eq!(client.get("/victim").cache(), "HIT");
    assert!(proxy.metric("forebay_cache_bytes", &["tier=\"memory\""]) <= f64::from(16 << 20));
}

#[test]
fn rfc9111_5_2_1_7_only_if_cached_is_a_504_when_nothing_is_stored() {
    let origin = Origin::answering(|_| Reply::cacheable("x"));
    let proxy = Proxy::before(&origin);
    let only_if_cached = [("Cache-Control", "only-if-cached")];
    assert_eq!(proxy.get_with("/x", &only_if_cached).status, 504);
    assert_eq!(origin.total(), 0);
    proxy.get("/x");
    assert_eq!(proxy.get_with("/x", &only_if_cached).cache(), "HIT");
}

#[test]
fn request_directives_never_cost_more_than_a_validation() {
    let origin = Origin::answering(|request| match request.field("if-none-match") {
        Some(_) => Reply::new(304, "").field("ETag", "\"1\"").field("Cache-Control", "max-age=60"),
        None => Reply::cacheable("x").field("ETag", "\"1\""),
    });
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    for value in ["no-cache", "max-age=0", "min-fresh=1000", "max-age=10, no-transform"] {
        let answer = proxy.get_with("/x", &[("Cache-Control", value)]);
        assert_eq!((answer.status, answer.text()), (200, "x"), "{value}: {answer}");
    }
    let whole = origin.requests().iter().filter(|request| request.field("if-none-match").is_none()).count();
    assert_eq!(whole, 1, "fetched anew instead of validated");
}
