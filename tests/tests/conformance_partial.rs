//! Partial content: parts are stored, answer ranges within them, and are made whole (RFC 9111 sections 3.3 and 3.4).

use forebay_tests::origin::Ending;
use forebay_tests::{Answer, Origin, Proxy, Reply, Request};

const WHOLE: &str = "0123456789";

fn bounds(range: &str) -> (usize, usize) {
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    if first.is_empty() {
        return (WHOLE.len() - last.parse::<usize>().unwrap(), WHOLE.len() - 1);
    }
    (first.parse().unwrap(), last.parse().unwrap_or(WHOLE.len() - 1))
}

/// A server that knows ranges, as far as `If-Range` allows them; its entity tag is `tag`.
fn ranged(request: &Request, tag: &str) -> Reply {
    let allowed = request.field("if-range").is_none_or(|asked| asked == tag);
    let reply = match request.field("range").filter(|_| allowed) {
        Some(range) => {
            let (first, last) = bounds(&range);
            let reply = Reply::new(206, &WHOLE[first..=last]);
            reply.field("Content-Range", format!("bytes {first}-{last}/{}", WHOLE.len()))
        }
        None => Reply::ok(WHOLE),
    };
    reply.field("Cache-Control", "max-age=60").field("ETag", tag)
}

fn server() -> (Origin, Proxy) {
    let origin = Origin::answering(|request| ranged(request, "\"1\""));
    let proxy = Proxy::before(&origin);
    (origin, proxy)
}

fn part(proxy: &Proxy, range: &str) -> Answer {
    proxy.get_with("/x", &[("Range", range)])
}

/// Content arrives at the client before it is stored: ask until it is.
fn stored_part(proxy: &Proxy, range: &str) -> Answer {
    let mut answer = part(proxy, range);
    forebay_tests::assert_eventually!({
        answer = part(proxy, range);
        answer.cache() == "HIT"
    });
    answer
}

#[test]
fn rfc9111_3_3_a_range_is_asked_for_as_it_is_and_the_part_answers_ranges_within_it() {
    let (origin, proxy) = server();
    let first = part(&proxy, "bytes=2-6");
    assert_eq!((first.status, first.text(), first.field("content-range")), (206, "23456", Some("bytes 2-6/10")));
    assert_eq!(origin.requests()[0].field("range").as_deref(), Some("bytes=2-6"));
    for (range, text, within) in [("bytes=2-6", "23456", "bytes 2-6/10"), ("bytes=3-4", "34", "bytes 3-4/10")] {
        let answer = stored_part(&proxy, range);
        assert_eq!((answer.status, answer.text(), answer.field("content-range")), (206, text, Some(within)));
        assert!(answer.age().is_some() && answer.field("etag") == Some("\"1\""), "{answer}");
    }
}

#[test]
fn rfc9111_3_3_a_range_beyond_the_stored_part_is_asked_for() {
    let (origin, proxy) = server();
    stored_part(&proxy, "bytes=2-6");
    let before = origin.total();
    assert_eq!(part(&proxy, "bytes=5-8").text(), "5678");
    assert_eq!(origin.total(), before + 1);
    assert_eq!(stored_part(&proxy, "bytes=2-8").text(), "2345678", "and both are one part then");
}

#[test]
fn rfc9111_3_4_the_missing_part_completes_the_whole() {
    for (held, missing) in [("bytes=0-4", "bytes=5-"), ("bytes=-4", "bytes=0-5")] {
        let (origin, proxy) = server();
        stored_part(&proxy, held);
        let whole = proxy.get("/x");
        assert_eq!((whole.status, whole.text(), whole.field("content-range")), (200, WHOLE, None), "{whole}");
        assert_eq!(whole.field("content-length"), Some("10"));
        assert!(whole.cache_status().contains("fwd=partial") && whole.cache_status().contains("stored"), "{whole}");
        let asked = origin.requests().pop().unwrap();
        assert_eq!(asked.field("range").as_deref(), Some(missing));
        assert_eq!(asked.field("if-range").as_deref(), Some("\"1\""));
        forebay_tests::assert_eventually!(proxy.get("/x").cache() == "HIT");
        assert_eq!(proxy.get("/x").text(), WHOLE);
    }
}

#[test]
fn rfc9110_15_3_7_3_parts_of_another_representation_are_never_combined() {
    let origin = Origin::answering(|request| match request.field("range").as_deref() {
        Some("bytes=0-4") => ranged(request, "\"1\""),
        _ => ranged(request, "\"2\""),
    });
    let proxy = Proxy::before(&origin);
    stored_part(&proxy, "bytes=0-4");
    let whole = proxy.get("/x");
    assert_eq!((whole.text(), whole.field("etag")), (WHOLE, Some("\"2\"")));
}

#[test]
fn rfc9110_15_3_7_3_parts_without_a_strong_validator_are_never_combined() {
    for tag in [None, Some("W/\"1\"")] {
        let origin = Origin::answering(move |request| {
            let reply = match request.field("range") {
                Some(range) => {
                    let (first, last) = bounds(&range);
                    let reply = Reply::new(206, "x".repeat(last + 1 - first));
                    reply.field("Content-Range", format!("bytes {first}-{last}/10"))
                }
                None => Reply::ok(WHOLE),
            };
            let reply = reply.field("Cache-Control", "max-age=60");
            tag.into_iter().fold(reply, |reply, tag| reply.field("ETag", tag))
        });
        let proxy = Proxy::before(&origin);
        stored_part(&proxy, "bytes=0-4");
        assert_eq!(proxy.get("/x").text(), WHOLE, "{tag:?}");
    }
}

#[test]
fn rfc9111_3_3_the_beginning_of_a_broken_response_is_completed_by_range() {
    let origin = Origin::answering(|request| match request.field("range") {
        Some(_) => ranged(request, "\"1\""),
        None => ranged(request, "\"1\"").truncated_at(4).then(Ending::Reset),
    });
    let proxy = Proxy::before(&origin);
    let _ = proxy.send_raw("GET /x HTTP/1.1\r\nHost: site.test\r\n\r\n");
    // What had arrived when the connection broke may be less than what was sent.
    forebay_tests::assert_eventually!({
        let (answer, _) = proxy.send_raw("GET /x HTTP/1.1\r\nHost: site.test\r\n\r\n");
        answer.is_ok_and(|answer| answer.text() == WHOLE)
    });
}

#[test]
fn unsafe_methods_invalidate_parts_too() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "GET" => ranged(request, "\"1\""),
        _ => Reply::ok("done"),
    });
    let proxy = Proxy::before(&origin);
    stored_part(&proxy, "bytes=2-6");
    proxy.connect().request("POST", "/x", &[("Content-Length", "0")]);
    assert_ne!(part(&proxy, "bytes=2-6").cache(), "HIT");
}

#[test]
fn parts_that_may_not_be_stored_are_not() {
    for control in ["no-store", "private", "max-age=60, no-store"] {
        let origin = Origin::answering(move |_| {
            Reply::new(206, "234").field("Content-Range", "bytes 2-4/10").field("Cache-Control", control)
        });
        let proxy = Proxy::before(&origin);
        for n in 1..=3 {
            assert_eq!((part(&proxy, "bytes=2-4").status, origin.total()), (206, n), "{control}");
        }
    }
}

#[test]
fn rfc9110_14_4_parts_with_an_invalid_content_range_are_not_stored() {
    for range in ["bytes 4-2/10", "bytes 2-4/3", "bytes 2-4/*", "items 2-4/10"] {
        let origin = Origin::answering(move |_| {
            Reply::new(206, "234").field("Content-Range", range).field("Cache-Control", "max-age=60")
        });
        let proxy = Proxy::before(&origin);
        for n in 1..=3 {
            part(&proxy, "bytes=2-4");
            assert_eq!(origin.total(), n, "{range}");
        }
    }
}
