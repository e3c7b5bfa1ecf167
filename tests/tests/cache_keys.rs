//! Requests that must not share an answer, and requests that should (rows 25 to 31).

use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_tests::{Origin, Proxy, Reply};

fn numbered() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |_| Reply::cacheable(count.fetch_add(1, Ordering::SeqCst).to_string()))
}

#[test]
fn row_25_hosts_do_not_share() {
    let origin = Origin::answering(|request| Reply::cacheable(request.field("host").unwrap()));
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        for host in ["a.test", "b.test", "a.test:1234"] {
            assert_eq!(proxy.get_with("/x", &[("Host", host)]).text(), host);
        }
    }
}

#[test]
fn row_26_host_path_and_query_are_never_run_together() {
    let origin =
        Origin::answering(|request| Reply::cacheable(format!("{} {}", request.field("host").unwrap(), request.target)));
    let proxy = Proxy::before(&origin);
    let cases = [
        ("a.test", "/b/c"),
        ("a.test", "/b?/c"),
        ("a.test", "/b/c?"),
        ("a.test.b", "/c"),
        ("a.test", "/b%3F/c"),
        ("a.test", "/b?c"),
        ("a.test", "/b%2Fc"),
    ];
    for _ in 0..2 {
        for (host, target) in cases {
            let answer = proxy.get_with(target, &[("Host", host)]);
            if answer.status == 200 {
                let seen = answer.text().to_owned();
                assert!(seen.starts_with(host), "{host}{target} was answered with {seen}");
                assert_eq!(
                    seen.contains('?'),
                    target.contains('?') && !target.ends_with('?') || seen.ends_with('?'),
                    "{target}: {seen}"
                );
            }
        }
    }
    assert_eq!(proxy.get_with("/b?c", &[("Host", "a.test")]).text(), "a.test /b?c");
    assert_eq!(proxy.get_with("/b/c", &[("Host", "a.test")]).text(), "a.test /b/c");
}

#[test]
fn row_27_fields_that_are_not_in_the_key_do_not_reach_the_origin() {
    let names = [
        "X-Forwarded-Host",
        "X-Forwarded-Scheme",
        "X-Forwarded-Prefix",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "Forwarded",
        "X-Host",
        "X-Forwarded-Server",
    ];
    let origin = Origin::answering(|request| Reply::cacheable(request.head.clone()));
    let proxy = Proxy::before(&origin);
    for name in names {
        let target = format!("/{name}");
        proxy.get_with(&target, &[(name, "evil.test")]);
        let victim = proxy.get(&target);
        assert!(!victim.text().contains("evil.test"), "{name}: {}", victim.text());
    }
}

#[test]
fn row_28_schemes_do_not_share() {
    let origin = Origin::answering(|request| Reply::cacheable(request.field("x-forwarded-proto").unwrap()));
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        assert_eq!(proxy.get("/x").text(), "http");
        assert_eq!(proxy.connect_tls().get("/x").text(), "https");
    }
}

#[test]
fn row_29_content_of_a_get_does_not_reach_the_store() {
    let origin = Origin::answering(|request| Reply::cacheable(format!("<{}>", String::from_utf8_lossy(&request.body))));
    let proxy = Proxy::before(&origin);
    let (answer, _) = proxy.send_raw("GET /x HTTP/1.1\r\nHost: site.test\r\nContent-Length: 4\r\n\r\nevil");
    assert!(answer.is_ok());
    assert_eq!(proxy.get("/x").text(), "<>");
}

#[test]
fn row_30_spellings_of_one_host_share() {
    let origin = numbered();
    let proxy = Proxy::before(&origin);
    for host in ["site.test", "SITE.TEST", "site.test.", "Site.Test:80"] {
        proxy.get_with("/x", &[("Host", host)]);
    }
    // The port of the scheme and a trailing dot may be told apart, letter case may not.
    assert_eq!(proxy.get_with("/x", &[("Host", "sItE.tEsT")]).cache(), "HIT");
    assert!(origin.total() <= 3);
}

#[test]
fn row_30_origin_sees_the_bytes_that_the_key_stands_for() {
    let origin = Origin::answering(|request| Reply::cacheable(request.target.clone()));
    let proxy = Proxy::before(&origin);
    for target in ["/a/%7Euser", "/a/~user", "/a/b%2Fc", "/a/b/c", "/A/b/c", "/a//b", "/a/b/", "/a/b"] {
        let (first, second) = (proxy.get(target), proxy.get(target));
        assert_eq!(first.body, second.body, "{target}");
        let seen = first.text().replace("%7E", "~");
        assert!(first.status == 400 || seen == target.replace("%7E", "~"), "{target} was answered as {seen}");
    }
}

#[test]
fn queries_do_not_share() {
    let origin = Origin::answering(|request| Reply::cacheable(request.target.clone()));
    let proxy = Proxy::before(&origin);
    for target in ["/x?a=1", "/x?a=2", "/x?b=1", "/x?a=1&b=2", "/x?b=2&a=1", "/x?a=1;b=2", "/x?A=1", "/x?a=%31"] {
        proxy.get(target);
        assert_eq!(proxy.get(target).text(), target);
    }
}

#[test]
fn parameters_that_are_ignored_share_and_order_may() {
    let origin = numbered();
    let proxy =
        Proxy::config().origin(&origin).site("ignore_params = [\"utm_*\", \"fbclid\"]\nsort_query = true").start();
    for target in ["/x?a=1&b=2", "/x?b=2&a=1", "/x?utm_source=y&a=1&b=2", "/x?a=1&fbclid=z&b=2&utm_medium=q"] {
        assert_eq!(proxy.get(target).text(), "0", "{target}");
    }
    assert_eq!(proxy.get("/x?a=1&b=3").text(), "1");
    assert_eq!(proxy.get("/x?fbclid=1").text(), "2");
    assert_eq!(proxy.get("/x").text(), "2");
}

#[test]
fn row_31_fragment_in_a_target_is_refused() {
    let origin = numbered();
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.get("/x#/../admin").status, 400);
    assert_eq!(origin.total(), 0);
}
