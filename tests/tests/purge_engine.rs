//! What a purge does to what is stored, on its way, and on disk.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_tests::client_h1::head;
use forebay_tests::{Answer, Client, Origin, Proxy, ProxyConfig, Reply, assert_eventually};

/// Everything the loopback may purge.
pub(crate) const ALLOWED: &str = "purge = { allow = [\"127.0.0.1\"] }";

/// Each response is another: `/x` is numbered, and tagged `x all`.
pub(crate) fn numbered() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |request| {
        let tag = request.path().trim_matches('/').to_owned();
        Reply::cacheable(count.fetch_add(1, Ordering::SeqCst).to_string())
            .field("X-Cache-Tags", format!("{tag},all"))
            .field("ETag", "\"never-changes\"")
    })
}

pub(crate) fn allowed(origin: &Origin) -> ProxyConfig {
    Proxy::config().origin(origin).site(ALLOWED)
}

/// A purge of the site `site.test`, on a connection of its own that the proxy closes.
pub(crate) fn purge(proxy: &Proxy, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
    let mut client = proxy.connect();
    let answer = client.request(method, target, fields);
    assert!(answer.status >= 400 || client.is_closed(), "{method} {target}: left open");
    answer
}

fn result(answer: &Answer) -> &str {
    answer.field("cache-purge-result").unwrap_or_default()
}

#[test]
fn a_purged_page_is_fetched_anew_and_others_stay() {
    let origin = numbered();
    let proxy = allowed(&origin).start();
    for path in ["/a", "/b", "/c"] {
        proxy.get(path);
        assert_eq!(proxy.get(path).cache(), "HIT");
    }
    let answer = purge(&proxy, "PURGE", "/a", &[]);
    assert_eq!((answer.status, result(&answer)), (200, "exact; count=1"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!((proxy.get("/a").cache(), proxy.get("/a").cache()), ("MISS", "HIT"));
    for path in ["/b", "/c"] {
        assert_eq!(
            (proxy.get(path).cache(), proxy.get(path).cache()),
            ("HIT", "HIT"),
            "checked, then by the short way"
        );
    }
    let answer = purge(&proxy, "PURGE", "/", &[("X-Purge-Method", "tags"), ("X-Cache-Tags-Pattern", "b|none")]);
    assert_eq!((answer.status, result(&answer)), (200, "tags; count=1"));
    assert_eq!((proxy.get("/a").cache(), proxy.get("/b").cache(), proxy.get("/c").cache()), ("HIT", "MISS", "HIT"));
    let answer = purge(&proxy, "PURGE", "/.*", &[("X-Purge-Method", "regex")]);
    assert_eq!((answer.status, result(&answer)), (200, "all; count=3"));
    assert_eq!((proxy.get("/a").cache(), proxy.get("/c").cache()), ("MISS", "MISS"));
    assert_eq!(proxy.metric("forebay_purges_total", &["kind=\"tag\"", "origin=\"site\""]), 1.0);
    assert_eq!(proxy.metric("forebay_purge_responses_total", &[]), 5.0);
}

#[test]
fn both_schemes_all_ports_head_and_every_variant_are_one_target() {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |_| {
        Reply::cacheable(count.fetch_add(1, Ordering::SeqCst).to_string()).field("Vary", "Accept-Language")
    });
    let proxy = allowed(&origin).start();
    let ask = || {
        let german = proxy.get_with("/x", &[("Accept-Language", "de")]);
        let tls = proxy.connect_tls().get("/x");
        let port = proxy.get_with("/x", &[("Host", "site.test:8123")]);
        [german, tls, port].map(|answer| answer.cache().to_owned())
    };
    assert_eq!(ask(), ["MISS"; 3]);
    assert_eq!(ask(), ["HIT"; 3]);
    purge(&proxy, "PURGE", "/x", &[]);
    assert_eq!(proxy.connect().request("HEAD", "/x", &[("Accept-Language", "de")]).cache(), "MISS");
    assert_eq!(ask()[1..], ["MISS"; 2]);
}

#[test]
fn a_purge_is_for_its_host_alone() {
    let origin = numbered();
    let proxy = allowed(&origin).start();
    let other = || proxy.get_with("/a", &[("Host", "other.test")]);
    for _ in 0..2 {
        proxy.get("/a");
        other();
    }
    for (target, fields) in [("/.*", &[][..]), ("/", &[("xkey", "all")]), ("/a", &[]), ("/a*", &[])] {
        assert_eq!(purge(&proxy, "PURGE", target, fields).status, 200);
    }
    assert_eq!((proxy.get("/a").cache(), other().cache()), ("MISS", "HIT"));
}

#[test]
fn soft_purges_let_stale_pages_stand_in_while_they_are_validated() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let origin = Origin::answering(move |_| {
        Reply::ok(counted.fetch_add(1, Ordering::SeqCst).to_string())
            .field("Cache-Control", "max-age=60, stale-while-revalidate=60")
    });
    let proxy = allowed(&origin).start();
    proxy.get("/x");
    assert_eq!(purge(&proxy, "PURGE", "/x", &[("Fastly-Soft-Purge", "1")]).status, 200);
    let stale = proxy.get("/x");
    assert_eq!((stale.cache(), stale.text()), ("STALE", "0"));
    assert_eventually!(proxy.get("/x").text() == "1");
    purge(&proxy, "PURGE", "/x", &[]);
    assert_eq!(proxy.get("/x").text(), "2", "hard: nothing stands in");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn a_304_does_not_bring_back_what_was_purged_meanwhile() {
    let origin = Origin::answering(|request| match request.field("If-None-Match") {
        Some(_) => Reply::new(304, "").field("ETag", "\"1\""),
        None => Reply::ok("whole").field("Cache-Control", "max-age=0").field("ETag", "\"1\""),
    });
    let proxy = allowed(&origin).start();
    proxy.get("/x");
    assert_eq!(proxy.get("/x").cache(), "REVALIDATED");
    origin.hold();
    let mut waiting = proxy.connect();
    waiting.send(head("GET", "/x", &[]));
    assert_eventually!(origin.total() == 3);
    purge(&proxy, "PURGE", "/x", &[]);
    origin.release();
    let answer = waiting.read_response();
    assert_eq!((answer.cache(), answer.text()), ("MISS", "whole"), "asked for the whole");
}

#[test]
fn a_fill_from_before_a_purge_is_neither_stored_nor_joined_after_it() {
    for fields in [&[][..], &[("xkey", "x")]] {
        let origin = numbered();
        let proxy = allowed(&origin).start();
        origin.hold();
        let mut before = proxy.connect();
        before.send(head("GET", "/x", &[]));
        assert_eventually!(origin.total() == 1);
        assert_eq!(purge(&proxy, "PURGE", if fields.is_empty() { "/x" } else { "/" }, fields).status, 200);
        let mut after = proxy.connect();
        after.send(head("GET", "/x", &[]));
        if fields.is_empty() {
            assert_eventually!(origin.total() == 2);
        }
        origin.release();
        let (before, after) = (before.read_response(), after.read_response());
        assert_ne!(before.text(), after.text());
        assert_eventually!(proxy.get("/x").cache() == "HIT");
        assert_eq!(proxy.get("/x").text(), after.text());
        assert_eq!(origin.total(), 2);
    }
}

#[test]
fn parts_are_purged_as_wholes_are() {
    let origin = Origin::answering(|request| {
        let reply = Reply::new(206, "01234").field("Cache-Control", "max-age=60").field("ETag", "\"1\"");
        assert_eq!(request.field("Range").as_deref(), Some("bytes=0-4"));
        reply.field("Content-Range", "bytes 0-4/10")
    });
    let proxy = allowed(&origin).start();
    let part = || proxy.get_with("/x", &[("Range", "bytes=0-4")]).cache().to_owned();
    assert_eq!((part(), part()), ("MISS".to_owned(), "HIT".to_owned()));
    purge(&proxy, "PURGE", "/.*", &[]);
    assert_eq!((part(), part()), ("MISS".to_owned(), "HIT".to_owned()));
}

#[test]
fn an_acknowledged_purge_holds_after_kill_9() {
    let origin = numbered();
    let mut proxy = allowed(&origin).disk("").start();
    let purges: [(&str, &[(&str, &str)]); 5] =
        [("/a", &[]), ("/a*", &[]), ("/[ab]", &[]), ("/", &[("xkey", "a")]), ("/.*", &[])];
    for (target, fields) in purges {
        let before = proxy.get("/a").text().to_owned();
        let admitted = proxy.metric("forebay_cache_admissions_total", &["tier=\"disk\""]);
        proxy.get("/kept");
        assert_eventually!(
            admitted >= 1.0 || proxy.metric("forebay_cache_admissions_total", &["tier=\"disk\""]) >= 2.0
        );
        assert_eq!(purge(&proxy, "PURGE", target, fields).status, 200);
        // The answer is the acknowledgement: nothing is waited for.
        proxy = proxy.kill_and_restart();
        let after = proxy.get("/a");
        assert_eq!(after.cache(), "MISS", "{target} {fields:?}");
        assert_ne!(after.text(), before);
        assert_eventually!(proxy.metric("forebay_cache_admissions_total", &["tier=\"disk\""]) >= 1.0);
    }
}

#[test]
fn the_sweep_removes_what_was_purged_and_forgets_the_purges() {
    let origin = numbered();
    let proxy = allowed(&origin).disk("").start();
    for n in 0..50 {
        proxy.get(&format!("/p/{n}"));
    }
    assert_eventually!(proxy.metric("forebay_cache_admissions_total", &["tier=\"disk\""]) >= 50.0);
    proxy.get("/kept");
    purge(&proxy, "PURGE", "/p/*", &[]);
    assert_eventually!(proxy.metric("forebay_purge_records", &[]) == 0.0);
    assert_eventually!(proxy.metric("forebay_cache_objects", &["tier=\"disk\""]) == 1.0);
    assert_eq!(proxy.metric("forebay_cache_objects", &["tier=\"memory\""]), 1.0);
    assert_eq!((proxy.get("/kept").cache(), proxy.get("/p/1").cache()), ("HIT", "MISS"));
}

/// 40 purges in a burst, 64 clients that read all the while: who asks after an acknowledgement gets nothing older.
#[test]
fn a_burst_of_purges_serves_nothing_older_and_costs_one_request_each() {
    let version = Arc::new(AtomicUsize::new(0));
    let served = Arc::clone(&version);
    let origin = Origin::answering(move |_| {
        Reply::cacheable(served.load(Ordering::SeqCst).to_string()).field("xkey", "page all")
    });
    let proxy = Arc::new(allowed(&origin).disk("").start());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..64)
        .map(|_| {
            let (proxy, acknowledged, done) = (Arc::clone(&proxy), Arc::clone(&acknowledged), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut client = proxy.connect();
                let mut reads = 0;
                while done.load(Ordering::SeqCst) == 0 {
                    let least = acknowledged.load(Ordering::SeqCst);
                    let answer = client.get("/page");
                    let got: usize = answer.text().parse().unwrap();
                    assert!(got >= least, "{got} although {least} was acknowledged: {answer}");
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    let purges: [(&str, &[(&str, &str)]); 4] =
        [("/page", &[]), ("/", &[("xkey", "page")]), ("/p.*", &[]), ("/.*", &[])];
    for round in 1..=40 {
        version.store(round, Ordering::SeqCst);
        let (target, fields) = purges[round % 4];
        assert_eq!(purge(&proxy, "PURGE", target, fields).status, 200);
        acknowledged.store(round, Ordering::SeqCst);
    }
    done.store(1, Ordering::SeqCst);
    let reads: Vec<usize> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    assert!(reads.iter().all(|reads| *reads > 0), "nobody stalls: {reads:?}");
    assert!(origin.count("/page") <= 41, "{} requests for 40 purges", origin.count("/page"));
}

#[test]
fn a_purge_is_finished_though_its_client_has_gone() {
    let origin = numbered();
    let proxy = allowed(&origin).start();
    proxy.get("/blog/a");
    // WP Rocket: the request, and no word of an answer read.
    let mut socket = std::net::TcpStream::connect(proxy.http()).unwrap();
    let request =
        "PURGE /blog/.* HTTP/1.1\r\nHost: site.test\r\nX-Purge-Method: regex\r\nUser-Agent: WordPress/6.7\r\n\r\n";
    std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    drop(socket);
    assert_eventually!(proxy.metric("forebay_purges_total", &["kind=\"prefix\""]) == 1.0);
    assert_eq!(proxy.get("/blog/a").cache(), "MISS");
}

#[test]
fn a_client_that_reads_to_the_end_gets_200_and_the_end() {
    let origin = numbered();
    let proxy = allowed(&origin).start();
    proxy.get("/hello/?a=b");
    let mut socket = std::net::TcpStream::connect(proxy.http()).unwrap();
    let request = "PURGE /hello/?a=b HTTP/1.1\r\nHost: site.test\r\nUser-Agent: W3 Total Cache/2.8\r\n\
                   Connection: close\r\n\r\n";
    std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert_eq!(proxy.get("/hello/?a=b").cache(), "MISS");
    let _ = Client::connect(proxy.http());
}
