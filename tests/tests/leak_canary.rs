//! `leak_canary`: a stored page that was shaped by its client is found, forgotten and kept from being stored.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use forebay_tests::{Origin, Proxy, Reply, Request, assert_eventually};

/// A page as applications make them: with a nonce and a time of its own each time.
fn page(count: &AtomicUsize, body: &str) -> Reply {
    let n = count.fetch_add(1, Ordering::SeqCst);
    let nonce = (n + 1).wrapping_mul(0x9e37_79b9) % 0xffff_ffff;
    let html = format!("<body class=\"home\"><p>{body}</p><i data-nonce=\"{nonce:08x}{n:02}\">{n} views</i></body>");
    Reply::cacheable(html).field("Content-Type", "text/html; charset=UTF-8")
}

fn watched(reply: impl Fn(&Request, &AtomicUsize) -> Reply + Send + Sync + 'static) -> (Origin, Proxy) {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |request| reply(request, &count));
    let proxy = Proxy::config().origin(&origin).site("leak_canary = 1").start();
    (origin, proxy)
}

fn found(proxy: &Proxy, word: &str) -> f64 {
    proxy.metric("forebay_leak_canary_total", &[&format!("found=\"{word}\"")])
}

#[test]
fn page_that_was_shaped_by_its_client_is_forgotten_and_not_stored_again() {
    let (_origin, proxy) = watched(|request, count| {
        // A plugin that greets by a field nobody thought of, and does not say so.
        page(count, &format!("Hello {}", request.field("x-visitor").unwrap_or_else(|| "stranger".to_owned())))
    });
    assert!(proxy.get_with("/?a=1", &[("X-Visitor", "Jane")]).text().contains("Hello Jane"));
    assert_eventually!(found(&proxy, "shaped-by-client") == 1.0);
    for _ in 0..3 {
        let answer = proxy.get("/?a=1");
        assert!(answer.text().contains("Hello stranger") && answer.cache() == "MISS", "{answer}");
        assert!(answer.cache_status().contains("detail=quarantined"), "{answer}");
    }
    let told = proxy.stderr().join("\n");
    assert!(told.contains("http://site.test/?a=1") && told.contains("shaped-by-client"), "{told}");
    assert!(!told.contains("Jane") && !told.contains("Hello"), "the log tells what was on the page: {told}");
}

#[test]
fn pages_that_differ_by_nonces_and_numbers_stay_stored() {
    let (_origin, proxy) = watched(|_, count| page(count, "Hello everybody"));
    assert_eq!(proxy.get("/").cache(), "MISS");
    assert_eventually!(found(&proxy, "clean") == 1.0);
    assert_eq!(proxy.get("/").cache(), "HIT");
}

#[test]
fn pages_that_are_another_each_time_stay_stored_unless_they_name_a_person() {
    const SAYINGS: [&str; 7] = ["wheel", "weir", "sluice", "race", "stone", "hopper", "sack"];
    let said = |n: usize| SAYINGS[n % SAYINGS.len()];
    let (_origin, proxy) = watched(move |request, count| {
        let saying = said(count.load(Ordering::SeqCst));
        let who = request.field("x-visitor").map(|name| format!(" for {name}@wp.test")).unwrap_or_default();
        page(count, &format!("{saying}{who}"))
    });
    proxy.get("/");
    assert_eventually!(found(&proxy, "unstable") == 1.0);
    assert_eq!(proxy.get("/").cache(), "HIT");
    // One comparison a second at most: ask until one is made.
    let mut n = 0;
    assert_eventually!({
        n += 1;
        proxy.get_with(&format!("/{n}"), &[("X-Visitor", "jane")]);
        found(&proxy, "email-address") == 1.0
    });
}

#[test]
fn clean_fills_carry_nothing_of_a_client() {
    let (origin, proxy) = watched(|_, count| page(count, "x").field("Vary", "Accept-Language"));
    let fields = [
        ("Accept-Language", "de"),
        ("User-Agent", "Mozilla/5.0 Jane"),
        ("Referer", "http://site.test/jane"),
        ("X-Visitor", "jane"),
        ("Cookie", "name=jane"),
    ];
    proxy.get_with("/page?q=1", &fields);
    assert_eventually!(found(&proxy, "clean") == 1.0);
    let clean: Vec<Request> = origin.requests().into_iter().skip(1).collect();
    assert_eq!(clean.len(), 2);
    for request in &clean {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/page?q=1"));
        assert_eq!(request.field("accept-language").as_deref(), Some("de"), "what the response varies on");
        assert!(!request.head.to_lowercase().contains("jane"), "{}", request.head);
        assert!(!request.head.contains("127.0.0.1:"), "{}", request.head);
    }
    assert_ne!(clean[0].field("x-forwarded-for"), clean[1].field("x-forwarded-for"), "two strangers");
}

#[test]
fn timed_comparisons_are_few_however_many_fills_there_are() {
    let (origin, proxy) = watched(|_, count| page(count, "x"));
    let began = Instant::now();
    let mut client = proxy.connect();
    for n in 0..300 {
        client.get(&format!("/{n}"));
    }
    let agent = |request: &Request| request.field("user-agent").is_some_and(|agent| agent.contains("canary"));
    let asked = origin.requests().iter().filter(|request| agent(request)).count();
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!((1..=2 * (seconds + 1)).contains(&asked), "{asked} in {seconds} s");
}

#[test]
fn farm_that_is_busy_is_not_asked() {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |request| match request.path() {
        "/busy" => Reply::ok("x").field("Cache-Control", "no-store"),
        _ => page(&count, "x"),
    });
    let proxy = Proxy::config().origin(&origin).upstream("max_requests = 2").site("leak_canary = 1").start();
    origin.hold();
    let mut busy = proxy.connect();
    busy.send("GET /busy HTTP/1.1\r\nHost: site.test\r\nUser-Agent: Mozilla\r\n\r\n");
    assert_eventually!(origin.count("/busy") == 1);
    let mut page = proxy.connect();
    page.send("GET /page HTTP/1.1\r\nHost: site.test\r\nUser-Agent: Mozilla\r\n\r\n");
    assert_eventually!(origin.count("/page") == 1);
    let mut waits = proxy.connect();
    waits.send("GET /busy?2 HTTP/1.1\r\nHost: site.test\r\nUser-Agent: Mozilla\r\n\r\n");
    assert_eventually!(proxy.metric("forebay_gate_waiting", &[]) == 1.0);
    drop(waits);
    origin.release();
    assert_eq!(page.read_response().status, 200);
    // Whether it was compared or not: never beside more than the farm takes.
    assert_eventually!(found(&proxy, "inconclusive") + found(&proxy, "clean") == 1.0);
    assert_eq!(busy.read_response().status, 200);
}
