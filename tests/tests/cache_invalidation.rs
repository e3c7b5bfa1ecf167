//! Unsafe methods invalidate (RFC 9111, section 4.4); strangers do not purge (rows 42 and 43).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use forebay_tests::client_h1::head;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

/// GETs are numbered and stored; other methods are answered with this.
fn origin(unsafe_reply: impl Fn() -> Reply + Send + Sync + 'static) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |request| match request.method.as_str() {
        "GET" => Reply::cacheable(count.fetch_add(1, Ordering::SeqCst).to_string()),
        _ => unsafe_reply(),
    })
}

fn send(proxy: &Proxy, method: &str, target: &str) -> u16 {
    proxy.connect().request(method, target, &[("Content-Length", "0")]).status
}

#[test]
fn unsafe_methods_invalidate_the_target() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let origin = origin(|| Reply::ok("done"));
        let proxy = Proxy::before(&origin);
        proxy.get("/x");
        proxy.get("/y");
        assert_eq!(proxy.get("/x").cache(), "HIT");
        assert_eq!(send(&proxy, method, "/x"), 200);
        assert_eq!(proxy.get("/x").text(), "2", "{method}");
        assert_eq!(proxy.get("/y").cache(), "HIT", "{method}");
    }
}

#[test]
fn unsafe_method_over_h2_invalidates_too() {
    let origin = origin(|| Reply::new(303, "").field("Location", "/x"));
    let proxy = Proxy::before(&origin);
    let mut client = proxy.connect_h2();
    client.get("/x");
    assert_eq!(client.request("POST", "/x", &[], b"a=b").status, 303);
    assert_eq!(client.get("/x").text(), "1");
}

#[test]
fn unsafe_method_that_fails_does_not_invalidate() {
    for status in [400, 403, 500, 503] {
        let origin = origin(move || Reply::new(status, "no"));
        let proxy = Proxy::before(&origin);
        proxy.get("/x");
        assert_eq!(send(&proxy, "POST", "/x"), status);
        assert_eq!(proxy.get("/x").cache(), "HIT", "{status}");
    }
}

#[test]
fn safe_methods_do_not_invalidate() {
    let origin = origin(|| Reply::ok(""));
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    for method in ["HEAD", "OPTIONS"] {
        send(&proxy, method, "/x");
        assert_eq!(proxy.get("/x").cache(), "HIT", "{method}");
    }
}

/// RFC 9111, section 3.5: `public` lets a response to credentials be stored, unless what it stands for was changed meanwhile.
#[test]
fn response_to_credentials_that_an_unsafe_method_overtook_is_not_stored() {
    for is_overtaken in [false, true] {
        let gate = Arc::new(Barrier::new(2));
        let opens = Arc::clone(&gate);
        let origin =
            Origin::answering(move |request| match (request.method.as_str(), request.field("Authorization")) {
                ("GET", Some(_)) => {
                    opens.wait();
                    Reply::ok("old").field("Cache-Control", "public, max-age=60")
                }
                ("GET", None) => Reply::cacheable("new"),
                _ => Reply::ok("done"),
            });
        let proxy = Proxy::before(&origin);
        let mut early = proxy.connect();
        early.send(head("GET", "/x", &[("Authorization", "Basic YTpi")]));
        assert_eventually!(origin.total() == 1);
        if is_overtaken {
            assert_eq!(send(&proxy, "POST", "/x"), 200);
        }
        gate.wait();
        assert_eq!(early.read_response().text(), "old");
        assert_eq!(proxy.get("/x").text(), if is_overtaken { "new" } else { "old" });
    }
}

#[test]
fn location_of_this_host_is_invalidated() {
    let origin = origin(|| Reply::new(201, "").field("Location", "/y").field("Content-Location", "http://site.test/z"));
    let proxy = Proxy::before(&origin);
    for target in ["/x", "/y", "/z"] {
        proxy.get(target);
    }
    send(&proxy, "POST", "/x");
    for (target, text) in [("/x", "3"), ("/y", "4"), ("/z", "5")] {
        assert_eq!(proxy.get(target).text(), text);
    }
}

#[test]
fn row_42_location_of_another_host_is_not_touched() {
    let origin = origin(|| Reply::new(201, "").field("Location", "http://other.test/y"));
    let proxy = Proxy::before(&origin);
    let other = [("Host", "other.test")];
    proxy.get_with("/y", &other);
    send(&proxy, "POST", "/x");
    assert_eq!(proxy.get_with("/y", &other).cache(), "HIT");
}

#[test]
fn row_43_purge_without_the_right_is_a_405_and_purges_nothing() {
    let origin = origin(|| Reply::ok("the origin was asked"));
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    for method in ["PURGE", "BAN", "PURGEALL", "URLPURGE", "BANALL", "PURGETAG"] {
        for fields in [&[][..], &[("X-Forwarded-For", "127.0.0.1")], &[("X-Purge-Method", "regex")]] {
            let answer = proxy.connect().request(method, "/x", fields);
            assert_eq!(answer.status, 405, "{method}: {answer}");
        }
    }
    assert_eq!(proxy.connect_h2().request("PURGE", "/x", &[], b"").status, 405);
    let (answer, _) = proxy.send_raw("PURGE http://site.test/x HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eq!(answer.unwrap().status, 405);
    assert_eq!(proxy.get("/x").cache(), "HIT");
    assert_eq!(origin.total(), 1);
}

#[test]
fn row_78_admin_is_not_on_the_public_listener() {
    let origin = Origin::answering(|_| Reply::new(404, "the origin's"));
    let proxy = Proxy::before(&origin);
    for target in ["/metrics", "/ready", "/status", "/purge"] {
        assert_eq!(proxy.get(target).text(), "the origin's", "{target}");
    }
}
