//! The access log: one line for every request, in a format that others read.

use std::fs;

use forebay_tests::{Origin, Proxy, Reply};

fn log_of(format: &str, requests: impl Fn(&Proxy) -> usize) -> Vec<String> {
    let origin = Origin::answering(|_| Reply::cacheable("hello").field("Content-Type", "text/html"));
    let proxy = Proxy::config().origin(&origin).log(&format!("format = \"{format}\"")).start();
    let lines = requests(&proxy);
    let log = proxy.access_log_of(lines);
    assert_eq!(log.len(), lines, "{log:#?}");
    log
}

const AGENT: [(&str, &str); 2] = [("User-Agent", "test/1"), ("Referer", "http://site.test/before")];

fn miss_then_hit(proxy: &Proxy) -> usize {
    let mut client = proxy.connect();
    client.request("GET", "/x?a=b", &AGENT);
    client.request("GET", "/x?a=b", &AGENT);
    2
}

#[test]
fn combined_is_what_nginx_writes() {
    for line in log_of("combined", miss_then_hit) {
        let rest = line.strip_prefix("127.0.0.1 - - [").unwrap_or_else(|| panic!("{line}"));
        let (date, rest) = rest.split_once("] ").unwrap();
        assert_eq!((date.len(), date.as_bytes()[2], date.as_bytes()[11]), (26, b'/', b':'), "{date}");
        assert_eq!(rest, "\"GET /x?a=b HTTP/1.1\" 200 5 \"http://site.test/before\" \"test/1\"");
    }
}

#[test]
fn combined_with_cache_tells_what_the_cache_did() {
    let log = log_of("combined+cache", miss_then_hit);
    assert!(log[0].contains("\"test/1\" MISS ") && log[0].contains("up=127.0.0.1:"), "{}", log[0]);
    assert!(log[1].contains("\"test/1\" HIT ") && log[1].contains("up=-"), "{}", log[1]);
}

#[test]
fn squid_is_squids_native_format() {
    let log = log_of("squid", miss_then_hit);
    for (line, result) in log.iter().zip(["TCP_MISS/200", "TCP_HIT/200"]) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words.len(), 10, "{line}");
        assert!(words[0].parse::<f64>().unwrap() > 1e9 && words[1].parse::<u64>().is_ok(), "{line}");
        // Squid calls a hit in memory TCP_MEM_HIT, any hit TCP_HIT.
        assert_eq!((words[2], words[3].replace("_MEM", "").as_str(), words[5]), ("127.0.0.1", result, "GET"), "{line}");
        assert_eq!((words[6], words[9]), ("http://site.test/x?a=b", "text/html"), "{line}");
    }
}

#[test]
fn json_is_one_object_a_line() {
    let log = log_of("json", miss_then_hit);
    for (line, cache) in log.iter().zip(["MISS", "HIT"]) {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(entry["client"], "127.0.0.1");
        assert_eq!(
            (&entry["method"], &entry["target"], &entry["host"]),
            (&"GET".into(), &"/x?a=b".into(), &"site.test".into())
        );
        assert_eq!((&entry["status"], &entry["bytes"]), (&200.into(), &5.into()));
        assert_eq!((&entry["cache"], &entry["user_agent"]), (&cache.into(), &"test/1".into()));
        assert!(entry["duration_ms"].as_f64().is_some(), "{line}");
    }
}

#[test]
fn every_request_is_logged_once() {
    let log = log_of("json", |proxy| {
        let mut client = proxy.connect();
        client.send(forebay_tests::client_h1::head("GET", "/x", &[]).repeat(20));
        (0..20).for_each(|_| drop(client.read_response()));
        let mut h2 = proxy.connect_h2();
        (0..5).for_each(|_| drop(h2.get("/x")));
        client.request("POST", "/x", &[("Content-Length", "0")]);
        client.request("HEAD", "/x", &[]);
        let _ = proxy.send_raw("GET /bad HTTP/1.1\r\n\r\n");
        28
    });
    assert!(log.iter().any(|line| line.contains("\"status\":400")), "{log:#?}");
    assert_eq!(log.iter().filter(|line| line.contains("HTTP/2")).count(), 5, "{log:#?}");
}

#[test]
fn row_77_nothing_of_a_request_breaks_a_line() {
    let agent = "a\"b\\c\u{1b}[31m\u{7f}d\te\u{e9}";
    for format in ["combined", "combined+cache", "squid", "json"] {
        let log = log_of(format, |proxy| {
            let fields = format!("Host: site.test\r\nUser-Agent: {agent}\r\nReferer: \"]\" [\r\n");
            let _ = proxy.send_raw(format!("GET /x\"y?%0a%0d%1b HTTP/1.1\r\n{fields}\r\n"));
            let _ = proxy.send_raw("GET /after HTTP/1.1\r\nHost: site.test\r\n\r\n");
            2
        });
        for line in &log {
            assert!(!line.bytes().any(|byte| byte < 0x20 || byte == 0x7f), "{format}: {line:?}");
            assert!(format != "json" || serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        }
        assert!(format == "json" || !log[0].contains("a\"b"), "{format}: {}", log[0]);
    }
}

#[test]
fn log_goes_to_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let origin = Origin::answering(|_| Reply::cacheable("hello"));
    let proxy = Proxy::config().origin(&origin).log(&format!("path = {path:?}\nformat = \"combined\"")).start();
    proxy.get("/x");
    proxy.get("/x");
    forebay_tests::assert_eventually!(fs::read_to_string(&path).unwrap_or_default().lines().count() == 2);
    assert!(proxy.access_log().is_empty());
}

#[test]
fn log_can_be_off() {
    let origin = Origin::answering(|_| Reply::cacheable("hello"));
    let mut proxy = Proxy::config().origin(&origin).log("path = \"off\"").start();
    proxy.get("/x");
    proxy.terminate();
    proxy.wait();
    assert!(proxy.access_log().is_empty());
}

#[test]
fn log_is_complete_when_the_process_has_ended() {
    let origin = Origin::answering(|_| Reply::cacheable("hello"));
    let mut proxy = Proxy::before(&origin);
    let mut client = proxy.connect();
    (0..1000).for_each(|_| drop(client.get("/x")));
    drop(client);
    proxy.terminate();
    proxy.wait();
    assert_eq!(proxy.access_log_of(1000).len(), 1000);
}
