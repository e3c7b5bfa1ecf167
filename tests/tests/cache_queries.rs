//! `max_queries`: a flood of made-up queries neither fills the cache nor spoils it for others.

use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

/// A page that takes any query, as WordPress does.
fn page(most: &str) -> (Origin, Proxy) {
    let origin = Origin::answering(|request| Reply::cacheable(request.target.clone()));
    let proxy = Proxy::config().origin(&origin).site(&format!("max_queries = {most}")).start();
    (origin, proxy)
}

#[test]
fn row_38_flood_of_queries_is_not_stored_beyond_the_cap_and_spares_the_others() {
    let (_origin, proxy) = page("20");
    let mut client = proxy.connect();
    for n in 0..10 {
        client.get(&format!("/?page={n}"));
    }
    for n in 0..500 {
        let answer = client.get(&format!("/?junk={n}"));
        assert_eq!((answer.status, answer.cache()), (200, "MISS"), "{answer}");
        if n >= 10 {
            assert!(answer.cache_status().contains("detail=too-many-queries"), "{answer}");
            assert!(!answer.cache_status().contains("stored"), "{answer}");
        }
    }
    for n in 0..10 {
        assert_eq!(client.get(&format!("/?page={n}")).cache(), "HIT", "{n}");
    }
    assert_eq!(client.get("/").cache(), "MISS", "a path without a query is not counted");
    assert_eq!(client.get("/").cache(), "HIT");
    assert!(proxy.metric("forebay_cache_objects", &["tier=\"memory\""]) <= 21.0);
    assert_eventually!(proxy.metric("forebay_cache_queries_refused_total", &[]) == 490.0);
}

#[test]
fn query_that_is_asked_for_again_takes_the_place_of_the_oldest() {
    let (_origin, proxy) = page("2");
    let caches = |target: &str| proxy.get(target).cache().to_owned();
    assert_eq!(
        [caches("/?a"), caches("/?b"), caches("/?c"), caches("/?c"), caches("/?c")].join(" "),
        "MISS MISS MISS MISS HIT"
    );
    assert_eq!(caches("/?b"), "HIT");
    assert_eq!(caches("/?a"), "MISS", "it made room");
}

#[test]
fn those_who_wait_for_a_query_beyond_the_cap_share_it() {
    let (origin, proxy) = page("0");
    origin.hold();
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let mut client = proxy.connect();
            client.send("GET /?viral HTTP/1.1\r\nHost: site.test\r\n\r\n");
            client
        })
        .collect();
    assert_eventually!(proxy.metric("forebay_coalesced_requests_total", &[]) == 4.0);
    origin.release();
    for mut client in clients {
        assert_eq!(client.read_response().text(), "/?viral");
    }
    assert_eq!(origin.count("/?viral"), 1);
    assert_eq!(proxy.get("/?viral").cache(), "MISS", "0: none is stored");
}

#[test]
fn large_content_beyond_the_cap_is_delivered_whole_and_stored_nowhere() {
    let content = "0123456789".repeat(1_000_000);
    let expected = content.clone();
    let origin = Origin::answering(move |_| Reply::cacheable(content.clone()));
    let proxy = Proxy::config()
        .origin(&origin)
        .memory("size = \"16MiB\"\nmax_object = \"1MiB\"")
        .disk("size = \"64MiB\"")
        .site("max_queries = 0")
        .start();
    for _ in 0..2 {
        let answer = proxy.get("/?large");
        assert_eq!(answer.cache(), "MISS");
        assert!(answer.text() == expected, "{} bytes", answer.body.len());
    }
    assert_eq!(proxy.metric("forebay_cache_objects", &[]), 0.0);
}
