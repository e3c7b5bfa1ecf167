//! Who may get what was stored for whom: Authorization (RFC 9111 section 3.5), POST (RFC 9110 section 9.3.3), cache groups
//! (RFC 9875).

use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_tests::{Origin, Proxy, Reply, Request, assert_eventually};

const AUTHORIZED: [(&str, &str); 1] = [("Authorization", "Basic Zm9v")];

/// Answers are numbered, and get their fields from `more`.
fn counting(more: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst).to_string();
        more(request, Reply::ok(number))
    })
}

fn controlled(control: &'static str) -> Origin {
    counting(move |_, reply| reply.field("Cache-Control", control))
}

#[test]
fn rfc9111_3_5_response_to_authorization_is_shared_when_it_says_so() {
    for control in ["max-age=60, public", "max-age=60, must-revalidate", "s-maxage=60"] {
        let origin = controlled(control);
        let proxy = Proxy::before(&origin);
        assert_eq!(proxy.get_with("/x", &AUTHORIZED).text(), "0");
        assert_eq!(origin.only("/x").field("authorization").as_deref(), Some("Basic Zm9v"));
        let answer = proxy.get("/x");
        assert_eq!((answer.cache(), answer.text()), ("HIT", "0"), "{control}");
    }
}

#[test]
fn rfc9111_3_5_requests_with_authorization_get_what_is_meant_for_them_too() {
    for (control, text) in [("max-age=60, public", "0"), ("max-age=60", "1")] {
        let origin = controlled(control);
        let proxy = Proxy::before(&origin);
        proxy.get("/x");
        assert_eq!(proxy.get_with("/x", &AUTHORIZED).text(), text, "{control}");
        assert_eq!(proxy.get("/x").text(), "0", "{control}: what was stored stays");
    }
}

#[test]
fn response_to_authorization_that_is_not_shared_leaves_others_alone() {
    let origin = counting(|request, reply| match request.field("authorization") {
        Some(_) => reply.field("Cache-Control", "private"),
        None => reply.field("Cache-Control", "max-age=60"),
    });
    let proxy = Proxy::before(&origin);
    proxy.get_with("/x", &AUTHORIZED);
    let answer = proxy.get("/x");
    assert!(answer.cache_status().contains("stored") && !answer.cache_status().contains("hit-for-miss"), "{answer}");
    assert_eq!(proxy.get("/x").cache(), "HIT");
}

#[test]
fn conditions_of_a_request_with_authorization_reach_the_origin() {
    let origin = Origin::answering(|request| match request.field("if-none-match").as_deref() {
        Some("\"1\"") => Reply::new(304, "").field("ETag", "\"1\""),
        _ => Reply::ok("hello").field("ETag", "\"1\""),
    });
    let proxy = Proxy::before(&origin);
    let fields = [AUTHORIZED[0], ("If-None-Match", "\"1\"")];
    assert_eq!(proxy.get_with("/x", &fields).status, 304);
}

fn post(proxy: &Proxy, fields: &[(&str, &str)]) -> String {
    let mut all = vec![("Content-Length", "0")];
    all.extend_from_slice(fields);
    proxy.connect().request("POST", "/x", &all).text().to_owned()
}

#[test]
fn rfc9110_9_3_3_post_response_with_freshness_and_content_location_answers_a_get() {
    let origin = counting(|_, reply| reply.field("Cache-Control", "max-age=60").field("Content-Location", "/x"));
    let proxy = Proxy::before(&origin);
    assert_eq!(post(&proxy, &[]), "0");
    let answer = proxy.get("/x");
    assert_eq!((answer.cache(), answer.text()), ("HIT", "0"), "{answer}");
    assert_eq!(post(&proxy, &[]), "1", "a POST is never answered from the cache");
    assert_eq!(proxy.get("/x").text(), "1", "and replaces what was stored");
}

#[test]
fn rfc9110_9_3_3_other_post_responses_answer_no_get() {
    let cases: [&[(&str, &str)]; 5] = [
        &[("Cache-Control", "max-age=60")],
        &[("Cache-Control", "max-age=60"), ("Content-Location", "/y")],
        &[("Content-Location", "/x"), ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
        &[("Cache-Control", "max-age=60"), ("Content-Location", "/x"), ("Set-Cookie", "a=b")],
        &[("Cache-Control", "no-store, max-age=60"), ("Content-Location", "/x")],
    ];
    for fields in cases {
        let origin =
            counting(move |_, reply| fields.iter().fold(reply, |reply, (name, value)| reply.field(name, *value)));
        let proxy = Proxy::before(&origin);
        post(&proxy, &[]);
        assert_ne!(proxy.get("/x").cache(), "HIT", "{fields:?}");
    }
    let origin = counting(|_, reply| reply.field("Cache-Control", "max-age=60").field("Content-Location", "/x"));
    let proxy = Proxy::before(&origin);
    post(&proxy, &[("Cookie", "session=1")]);
    assert_ne!(proxy.get("/x").cache(), "HIT", "an answer to somebody's cookie");
}

#[test]
fn post_conditions_are_not_evaluated_by_the_cache() {
    let origin = counting(|_, reply| {
        reply.field("Cache-Control", "max-age=60").field("Content-Location", "/x").field("ETag", "\"1\"")
    });
    let proxy = Proxy::before(&origin);
    assert_eq!(post(&proxy, &[("If-None-Match", "\"1\"")]), "0");
}

/// GETs of `/a`, `/b` and `/c` are stored, the first two in a group; other methods are answered with this.
fn grouped(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Origin, Proxy) {
    let origin = Origin::answering(move |request| match (request.method.as_str(), request.path()) {
        ("GET", "/c") => Reply::cacheable("c"),
        ("GET", _) => Reply::cacheable("ab").field("Cache-Groups", "\"posts\", \"all\""),
        _ => reply(),
    });
    let proxy = Proxy::before(&origin);
    for target in ["/a", "/b", "/c"] {
        proxy.get(target);
        assert_eq!(proxy.get(target).cache(), "HIT");
    }
    (origin, proxy)
}

#[test]
fn rfc9875_3_cache_group_invalidation_invalidates_the_group_and_nothing_else() {
    let (_origin, proxy) = grouped(|| Reply::ok("done").field("Cache-Group-Invalidation", "\"posts\""));
    assert_eq!(proxy.connect().request("POST", "/admin", &[("Content-Length", "0")]).status, 200);
    assert_eq!(proxy.get("/c").cache(), "HIT");
    for target in ["/a", "/b"] {
        assert_ne!(proxy.get(target).cache(), "HIT");
        // What was asked for in the very millisecond of the invalidation is fetched once more.
        assert_eventually!(proxy.get(target).cache() == "HIT");
    }
}

#[test]
fn rfc9875_3_cache_group_invalidation_of_a_safe_method_is_ignored() {
    let (_origin, proxy) = grouped(|| Reply::ok("done").field("Cache-Group-Invalidation", "\"posts\""));
    proxy.connect().request("OPTIONS", "/a", &[]);
    assert_eq!(proxy.get("/a").cache(), "HIT");
}

#[test]
fn rfc9875_2_2_1_groups_of_an_invalidated_response_go_with_it() {
    let (_origin, proxy) = grouped(|| Reply::ok("done"));
    proxy.connect().request("DELETE", "/a", &[("Content-Length", "0")]);
    assert_ne!(proxy.get("/b").cache(), "HIT");
    assert_eq!(proxy.get("/c").cache(), "HIT");
}

#[test]
fn rfc9111_5_2_2_4_and_7_fields_that_are_not_stored_reach_the_client_that_asked() {
    for control in ["max-age=60, no-cache=\"x-a\"", "max-age=60, private=\"x-a\""] {
        let origin = counting(move |_, reply| {
            reply
                .field("Cache-Control", control)
                .field("X-A", "1")
                .field("X-B", "2")
                .field("Connection", "x-c")
                .field("X-C", "3")
        });
        let proxy = Proxy::before(&origin);
        let first = proxy.get("/x");
        assert_eq!((first.field("x-a"), first.field("x-b"), first.field("x-c")), (Some("1"), Some("2"), None));
        let hit = proxy.get("/x");
        assert_eq!((hit.cache(), hit.field("x-a"), hit.field("x-b")), ("HIT", None, Some("2")));
    }
}
