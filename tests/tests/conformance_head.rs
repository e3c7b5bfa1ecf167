//! HEAD and what it says of stored responses to GET (RFC 9111 section 4.3.5, RFC 9110 section 9.3.2).

use forebay_tests::{Answer, Origin, Proxy, Reply, Request};

/// GET is answered with a response that is stale already, and kept for what `stale-if-error` allows; HEAD with `head`.
fn proxy(head: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> (Origin, Proxy) {
    let origin = Origin::answering(move |request: &Request| {
        let reply = Reply::ok("hello").field("X-Stored", "1");
        match request.method.as_str() {
            "HEAD" => head(Reply::ok("hello")),
            _ => reply.field("Cache-Control", "max-age=60, stale-if-error=600").field("Age", "100"),
        }
    });
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    (origin, proxy)
}

fn head(proxy: &Proxy) -> Answer {
    proxy.connect().request("HEAD", "/x", &[])
}

#[test]
fn rfc9111_4_3_5_a_head_response_that_fits_freshens_the_stored_response() {
    let (origin, proxy) = proxy(|reply| reply.field("Cache-Control", "max-age=600").field("X-New", "2"));
    let answer = head(&proxy);
    assert_eq!(origin.requests().pop().unwrap().method, "HEAD");
    assert_eq!((answer.status, answer.field("x-stored"), answer.field("x-new")), (200, Some("1"), Some("2")));
    assert_eq!(answer.field("content-length"), Some("5"));
    let hit = proxy.get("/x");
    assert_eq!((hit.cache(), hit.text(), hit.field("x-new")), ("HIT", "hello", Some("2")));
    assert_eq!(origin.total(), 2);
}

#[test]
fn rfc9111_4_3_5_a_head_response_that_contradicts_the_stored_response_does_not_freshen_it() {
    let change: [fn(Reply) -> Reply; 3] = [
        |reply| reply.field("ETag", "\"2\""),
        |reply| reply.field("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        |_| Reply::ok("hello, longer"),
    ];
    for change in change {
        let (origin, proxy) = proxy(move |reply| change(reply).field("Cache-Control", "max-age=600"));
        assert_eq!(head(&proxy).status, 200);
        proxy.get("/x");
        assert_eq!(origin.requests().pop().unwrap().method, "GET");
    }
}

#[test]
fn rfc9111_4_3_5_a_head_response_that_is_no_200_says_nothing() {
    let (_origin, proxy) = proxy(|_| Reply::new(410, "").field("Cache-Control", "max-age=600"));
    assert_eq!(head(&proxy).status, 410);
    assert_eq!(proxy.get("/x").status, 200);
}

#[test]
fn rfc9110_9_3_2_no_length_is_made_up_for_a_head_response() {
    let origin = Origin::answering(|_| Reply::raw("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n\r\n"));
    let proxy = Proxy::config().origin(&origin).site("cache = \"off\"").start();
    let answer = head(&proxy);
    assert_eq!((answer.status, answer.field("content-length")), (200, None), "{answer}");
}
