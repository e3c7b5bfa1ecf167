//! Stale responses: validated, served while they are validated, served instead of an error (RFC 5861; row 45).
//! A response that arrives with `Age: 100` and `max-age=60` is stale from the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use forebay_tests::origin::Ending;
use forebay_tests::{Origin, Proxy, Reply, Request, assert_eventually};

fn stale(body: impl Into<Vec<u8>>, extra: &str) -> Reply {
    Reply::ok(body).field("Cache-Control", format!("max-age=60{extra}")).field("Age", "100")
}

/// Answers once with `first`, then with `then`.
fn once(
    first: impl Fn() -> Reply + Send + Sync + 'static,
    then: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::answering(move |request| if asked.fetch_add(1, Ordering::SeqCst) == 0 { first() } else { then(request) })
}

#[test]
fn stale_response_is_validated_by_etag_and_freshened() {
    let origin = once(
        || stale("stored", "").field("ETag", "\"1\"").field("X-Kept", "1"),
        |request| {
            assert_eq!(request.field("if-none-match").as_deref(), Some("\"1\""));
            Reply::new(304, "").field("ETag", "\"1\"").field("Cache-Control", "max-age=60").field("X-New", "2")
        },
    );
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    let validated = proxy.get("/x");
    assert_eq!((validated.status, validated.text()), (200, "stored"));
    assert!(
        validated.cache_status().contains("fwd=stale") && validated.cache_status().contains("fwd-status=304"),
        "{validated}"
    );
    let hit = proxy.get("/x");
    assert_eq!((hit.cache(), hit.field("x-kept"), hit.field("x-new")), ("HIT", Some("1"), Some("2")));
    assert_eq!(origin.total(), 2);
}

#[test]
fn stale_response_is_validated_by_last_modified() {
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    let origin = once(
        move || stale("stored", "").field("Last-Modified", modified),
        move |request| {
            assert_eq!(request.field("if-modified-since").as_deref(), Some(modified));
            Reply::new(304, "").field("Cache-Control", "max-age=60")
        },
    );
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    assert_eq!(proxy.get("/x").text(), "stored");
    assert_eq!(proxy.get("/x").cache(), "HIT");
}

#[test]
fn stale_response_is_replaced_by_a_new_one() {
    let origin = once(|| stale("old", "").field("ETag", "\"1\""), |_| Reply::cacheable("new").field("ETag", "\"2\""));
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    assert_eq!(proxy.get("/x").text(), "new");
    let hit = proxy.get("/x");
    assert_eq!((hit.cache(), hit.text(), hit.field("etag")), ("HIT", "new", Some("\"2\"")));
}

#[test]
fn row_39_304_that_was_not_asked_for_is_never_stored() {
    let origin = Origin::answering(|_| Reply::new(304, "").field("ETag", "\"1\"").field("Cache-Control", "max-age=60"));
    let proxy = Proxy::before(&origin);
    for n in 1..=2 {
        assert_ne!(proxy.get("/x").cache(), "HIT");
        assert_eq!(origin.total(), n);
    }
}

#[test]
fn row_39_fields_of_the_content_are_not_overwritten_by_a_304() {
    let origin = once(
        || stale("stored", "").field("ETag", "\"1\""),
        |_| {
            let reply = Reply::new(304, "").field("ETag", "\"1\"").field("Cache-Control", "max-age=60");
            reply.field("Content-Encoding", "gzip").field("Content-Length", "99").field("Content-Range", "bytes 0-1/2")
        },
    );
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    for _ in 0..2 {
        let answer = proxy.get("/x");
        assert_eq!((answer.status, answer.text()), (200, "stored"), "{answer}");
        assert_eq!((answer.field("content-encoding"), answer.field("content-range")), (None, None));
    }
}

#[test]
fn stale_while_revalidate_answers_at_once_and_refreshes_behind() {
    let origin = once(|| stale("old", ", stale-while-revalidate=600"), |_| Reply::cacheable("new"));
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    origin.hold();
    for _ in 0..5 {
        let answer = proxy.get("/x");
        assert_eq!(answer.text(), "old", "{answer}");
        assert!(matches!(answer.cache(), "STALE" | "UPDATING"), "{answer}");
        assert!(answer.age().is_some_and(|age| age >= 100), "{answer}");
    }
    assert_eventually!(origin.total() == 2);
    origin.release();
    assert_eventually!(proxy.get("/x").text() == "new");
    assert_eq!(origin.total(), 2, "one refresh for all of them");
}

#[test]
fn stale_while_revalidate_ends() {
    let origin = once(|| stale("old", ", stale-while-revalidate=30"), |_| Reply::cacheable("new"));
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    assert_eq!(proxy.get("/x").text(), "new");
}

#[test]
fn stale_while_revalidate_can_be_set_for_a_site() {
    let origin = once(|| stale("old", ""), |_| Reply::cacheable("new"));
    let proxy = Proxy::config().origin(&origin).site("stale_while_revalidate = \"1h\"").start();
    proxy.get("/x");
    assert_eq!(proxy.get("/x").text(), "old");
    assert_eventually!(proxy.get("/x").text() == "new");
}

fn failing(extra: &'static str, failure: impl Fn() -> Reply + Send + Sync + 'static) -> Proxy {
    let origin = once(move || stale("good", extra).field("ETag", "\"1\""), move |_| failure());
    let proxy = Proxy::config().origin(&origin).upstream("read_timeout = \"500ms\"").start();
    proxy.get("/x");
    proxy
}

#[test]
fn stale_if_error_answers_instead_of_an_error() {
    let failures: [fn() -> Reply; 5] = [
        || Reply::new(500, "error"),
        || Reply::new(503, "error"),
        || Reply::silence(Ending::Reset),
        || Reply::silence(Ending::Hang),
        || Reply::raw("nonsense\r\n\r\n").then(Ending::Close),
    ];
    for failure in failures {
        let proxy = failing(", stale-if-error=600", failure);
        for _ in 0..2 {
            let answer = proxy.get("/x");
            assert_eq!((answer.status, answer.text()), (200, "good"), "{answer}");
        }
        assert_eventually!(proxy.metric("forebay_cache_stale_served_total", &["reason=\"error\""]) == 2.0);
    }
}

#[test]
fn stale_if_error_can_be_set_for_a_site() {
    let origin = once(|| stale("good", ""), |_| Reply::new(500, "error"));
    let proxy = Proxy::config().origin(&origin).site("stale_if_error = \"1h\"").start();
    proxy.get("/x");
    assert_eq!(proxy.get("/x").text(), "good");
}

#[test]
fn row_45_stale_is_not_served_beyond_what_is_allowed() {
    for extra in [
        ", stale-if-error=30",
        ", must-revalidate",
        ", s-maxage=60",
        ", no-cache",
        ", must-revalidate, stale-if-error=600",
        ", proxy-revalidate, stale-if-error=600",
    ] {
        let proxy = failing(extra, || Reply::silence(Ending::Reset));
        let answer = proxy.get("/x");
        assert!(matches!(answer.status, 502 | 504), "{extra}: {answer}");
    }
}

#[test]
fn rfc9111_4_2_4_stale_is_served_while_the_origin_cannot_be_reached() {
    for ending in [Ending::Reset, Ending::Close, Ending::Hang] {
        let proxy = failing("", move || Reply::silence(ending));
        let answer = proxy.get("/x");
        assert_eq!((answer.status, answer.text()), (200, "good"), "{answer}");
        assert_eq!(proxy.get_with("/x", &[("Cache-Control", "no-cache")]).status / 100, 5);
    }
    let proxy = failing("", || Reply::new(503, "error"));
    assert_eq!(proxy.get("/x").status, 503, "an origin that answers is not out of reach");
}

#[test]
fn client_errors_of_the_origin_are_passed_on() {
    let proxy = failing(", stale-if-error=600", || Reply::new(404, "gone"));
    assert_eq!(proxy.get("/x").status, 404);
}

#[test]
fn stale_is_left_when_the_origin_is_well_again() {
    let broken = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&broken);
    let origin = once(
        || stale("good", ", stale-if-error=600"),
        move |_| if state.load(Ordering::SeqCst) { Reply::silence(Ending::Reset) } else { Reply::cacheable("new") },
    );
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    assert_eq!(proxy.get("/x").text(), "good");
    broken.store(false, Ordering::SeqCst);
    assert_eventually!(proxy.get("/x").text() == "new");
}
