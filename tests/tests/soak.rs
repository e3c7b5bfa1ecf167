//! Load that goes on: memory and descriptors must stay flat. Run by `make soak`.

use std::time::{Duration, Instant};

use forebay_tests::client_h1::head;
use forebay_tests::origin::Ending;
use forebay_tests::{Origin, Proxy, Reply};

fn origin() -> Origin {
    Origin::answering(|request| match request.path() {
        "/private" => Reply::ok(vec![b'p'; 5000]).field("Cache-Control", "private"),
        "/cut" => Reply::cacheable(vec![b'x'; 5000]).truncated_at(100),
        "/reset" => Reply::silence(Ending::Reset),
        "/large" => Reply::cacheable(vec![b'x'; 1 << 20]),
        _ => Reply::cacheable(vec![b'x'; 2000]).field("Content-Type", "text/html"),
    })
}

/// A round of everything: hits, misses, passes, failures, clients that leave, both protocols.
fn round(proxy: &Proxy, n: usize) {
    let mut client = proxy.connect();
    for target in ["/hit", &format!("/miss/{n}"), "/private", "/large", "/hit?utm=1"] {
        assert_eq!(client.request("GET", target, &[("Accept-Encoding", "gzip")]).status, 200);
    }
    client.request("POST", "/hit", &[("Content-Length", "0")]);
    for target in ["/cut", "/reset"] {
        let _ = proxy.send_raw(head("GET", target, &[]));
    }
    let _ = proxy.send_raw("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let mut leaving = proxy.connect();
    leaving.send(head("GET", "/large", &[]));
    leaving.reset();
    proxy.connect_tls().get("/hit");
    if n.is_multiple_of(20) {
        proxy.connect_h2().get("/large");
    }
}

#[test]
#[ignore = "takes as long as FOREBAY_SOAK_SECONDS says; run by make soak"]
fn soak_memory_and_descriptors_stay_flat() {
    let seconds = std::env::var("FOREBAY_SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let (origin, length) = (origin(), Duration::from_secs(seconds));
    let proxy = Proxy::config().origin(&origin).memory("size = \"32MiB\"").log("path = \"off\"").start();
    let (start, mut n, mut warm) = (Instant::now(), 0, None);
    while start.elapsed() < length {
        round(&proxy, n);
        n += 1;
        // The first third fills the cache and the allocator's pools.
        if warm.is_none() && start.elapsed() > length / 3 {
            warm = Some((proxy.resident_kib(), proxy.descriptors()));
        }
    }
    let (memory, descriptors) = warm.unwrap();
    let (memory_now, descriptors_now) = (proxy.resident_kib(), proxy.descriptors());
    eprintln!("{n} rounds: {memory} -> {memory_now} KiB, {descriptors} -> {descriptors_now} descriptors");
    assert!(memory_now < memory + memory / 10 + 4096, "{memory} -> {memory_now} KiB");
    assert!(descriptors_now <= descriptors + 20, "{descriptors} -> {descriptors_now}");
}
