//! Requests that are complete and still not acceptable: their Host, their target, their size.

use forebay_tests::{Origin, Proxy, Reply};

use crate::refusal::Pair;

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\n{lines}\r\n")
}

#[test]
fn request_without_host_is_refused() {
    let pair = Pair::start();
    pair.refuses_unseen(get("/x", ""), &[400]);
    pair.refuses_unseen(get("/x", "Host:\r\n"), &[400]);
}

#[test]
fn request_with_two_hosts_is_refused() {
    let pair = Pair::start();
    pair.refuses_unseen(get("/x", "Host: site.test\r\nHost: site.test\r\n"), &[400]);
    pair.refuses_unseen(get("/x", "Host: site.test\r\nHost: other.test\r\n"), &[400]);
}

#[test]
fn host_outside_the_grammar_is_refused() {
    let pair = Pair::start();
    for host in
        ["a, b", "site.test/evil", "user@site.test", "site.test:80:80", "site.test:port", "si te.test", "[::1", "a\\b"]
    {
        pair.refuses_unseen(get("/x", &format!("Host: {host}\r\n")), &[400]);
    }
}

#[test]
fn target_that_is_no_path_is_refused() {
    let pair = Pair::start();
    for target in ["@127.0.0.1:1/x", "x", "*", "?x", "site.test:80", "/x#y", "//x\\..\\y\u{7f}"] {
        pair.refuses_unseen(get(target, "Host: site.test\r\n"), &[400]);
    }
}

#[test]
fn absolute_form_of_this_site_is_served() {
    let pair = Pair::start();
    let (answer, _) = pair.proxy.send_raw(get("http://site.test/x", "Host: site.test\r\n"));
    assert_eq!(answer.unwrap().text(), "GET /x");
}

#[test]
fn absolute_form_of_another_host_is_refused() {
    let origin = Origin::answering(|_| Reply::cacheable("x"));
    let proxy = Proxy::config().origin(&origin).site("hosts = [\"site.test\"]").start();
    for target in ["http://169.254.169.254/latest", "http://other.test/x", "ftp://site.test/x", "http:///x"] {
        for host in ["site.test", "other.test"] {
            let (answer, mut client) = proxy.send_raw(get(target, &format!("Host: {host}\r\n")));
            let answer = answer.unwrap();
            assert!(matches!(answer.status, 400 | 421), "{target} {host}: {answer}");
            assert!(client.is_closed(), "{target} {host}");
        }
    }
    assert!(origin.received().is_empty());
}

#[test]
fn unknown_host_is_a_421() {
    let origin = Origin::answering(|_| Reply::cacheable("x"));
    let proxy = Proxy::config().origin(&origin).site("hosts = [\"site.test\"]").start();
    assert_eq!(proxy.get_with("/", &[("Host", "other.test")]).status, 421);
    assert_eq!(proxy.get_with("/", &[("Host", "SITE.test.:8080")]).status, 200);
}

#[test]
fn row_69_too_many_fields_are_a_431() {
    let pair = Pair::start();
    let many: String = (0..300).map(|n| format!("X-{n}: y\r\n")).collect();
    pair.refuses_unseen(get("/x", &format!("Host: site.test\r\n{many}")), &[431]);
}

#[test]
fn row_69_too_large_fields_are_a_431() {
    let pair = Pair::start();
    for size in [64, 128] {
        let field = format!("X: {}\r\n", "y".repeat(size * 1024));
        pair.refuses_unseen(get("/x", &format!("Host: site.test\r\n{field}")), &[431]);
    }
}

#[test]
fn row_69_too_long_target_is_a_414() {
    let pair = Pair::start();
    for size in [9, 64] {
        pair.refuses_unseen(get(&format!("/{}", "y".repeat(size * 1024)), "Host: site.test\r\n"), &[414]);
    }
}

#[test]
fn limits_can_be_set() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let limits = "fields = 10\nhead_size = \"2KiB\"\ntarget_size = \"256B\"\nbody_size = \"1KiB\"";
    let proxy = Proxy::config().origin(&origin).limits(limits).start();
    let many: String = (0..10).map(|n| format!("X-{n}: y\r\n")).collect();
    let status = |bytes: String| proxy.send_raw(bytes).0.unwrap().status;
    assert_eq!(status(get("/x", &format!("Host: site.test\r\n{many}"))), 431);
    assert_eq!(status(get("/x", &format!("Host: site.test\r\nX: {}\r\n", "y".repeat(2048)))), 431);
    assert_eq!(status(get(&format!("/{}", "y".repeat(300)), "Host: site.test\r\n")), 414);
    assert_eq!(status(get("/x", "Host: site.test\r\nContent-Length: 2000\r\n")), 413);
    assert_eq!(origin.total(), 0);
    assert_eq!(proxy.get("/x").status, 200);
}

#[test]
fn versions_other_than_1_0_and_1_1_are_refused() {
    let pair = Pair::start();
    for line in
        ["GET /x HTTP/2.0", "GET /x HTTP/1.2", "GET /x HTTP/0.9", "GET /x", "GET /x http/1.1", "GET /x HTTP/1.1 "]
    {
        pair.refuses_unseen(format!("{line}\r\nHost: site.test\r\n\r\n"), &[400, 505]);
    }
}

#[test]
fn http_1_0_is_served_and_closed() {
    let pair = Pair::start();
    let (answer, mut client) = pair.proxy.send_raw("GET /x HTTP/1.0\r\nHost: site.test\r\n\r\n");
    assert_eq!(answer.unwrap().text(), "GET /x");
    assert!(client.is_closed());
}
