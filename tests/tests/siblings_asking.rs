//! A miss asks the siblings; whatever they do, the client gets its page.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use forebay_tests::icp::{HIT, Icp, MISS, QUERY, packet};
use forebay_tests::nodes::Nodes;
use forebay_tests::{Origin, Reply, assert_eventually};

fn numbered() -> Origin {
    Origin::answering(|request| Reply::cacheable(format!("origin {}", request.target)))
}

/// The HTTP side of a sibling that is a server of the test's own.
fn sibling_line(nodes: &Nodes, n: u8, http: &Origin, lines: &str) -> String {
    format!("[[icp.sibling]]\nicp = \"{}\"\nhttp = \"{}\"\n{lines}", nodes.icp(n), http.address())
}

#[test]
fn page_of_a_sibling_is_fetched_once_for_all_and_stored() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let (one, two) = (nodes.forebay(1, &[2], &origin).start(), nodes.forebay(2, &[1], &origin).start());
    assert_eq!(one.get("/x").text(), "origin /x");
    let answer = two.get("/x");
    assert_eq!((answer.text(), answer.cache()), ("origin /x", "MISS"));
    assert_eq!(answer.lines("cache-status").count(), 1, "{answer:?}");
    assert_eq!(two.get("/x").cache(), "HIT");
    assert_eq!(origin.count("/x"), 1);
    assert_eventually!(two.metric("forebay_sibling_fetches_total", &["result=\"used\""]) == 1.0);
}

#[test]
fn pages_of_https_are_shared_too() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let (one, two) = (nodes.forebay(1, &[2], &origin).start(), nodes.forebay(2, &[1], &origin).start());
    assert_eq!(one.connect_tls().get("/x").text(), "origin /x");
    assert_eq!(two.connect_tls().get("/x").text(), "origin /x");
    assert_eq!(origin.count("/x"), 1);
    // The same page of the other scheme is another one.
    assert_eq!(two.get("/x").text(), "origin /x");
    assert_eq!(origin.count("/x"), 2);
}

#[test]
fn sibling_is_asked_for_what_is_cached_alone() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let http = Origin::answering(|_| Reply::cacheable("sibling").field("Age", "7").field("X-Cache", "HIT from it"));
    let asked = Icp::bind(nodes.icp(2)).answering(HIT);
    let proxy = nodes.forebay_with(1, &[], &sibling_line(&nodes, 2, &http, ""), &origin).start();
    let answer = proxy.get("/x?a=1");
    assert_eq!((answer.text(), answer.cache()), ("sibling", "MISS"));
    assert!(answer.field("age").unwrap().parse::<u64>().unwrap() >= 7);
    let request = http.only("/x?a=1");
    assert_eq!(request.field("cache-control").as_deref(), Some("only-if-cached, max-age=31536000"));
    assert_eq!(request.field("host").as_deref(), Some("site.test"));
    assert_eq!((origin.total(), asked.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn sibling_that_breaks_its_promise_goes_unnoticed() {
    for reply in [
        Reply::new(504, "not cached"),
        Reply::new(403, "not you"),
        Reply::new(508, "loop"),
        Reply::silence(forebay_tests::origin::Ending::Reset),
        Reply::raw("nonsense\r\n\r\n"),
    ] {
        let (nodes, origin) = (Nodes::new(), numbered());
        let http = Origin::answering(move |_| reply.clone());
        let _asked = Icp::bind(nodes.icp(2)).answering(HIT);
        let proxy = nodes.forebay_with(1, &[], &sibling_line(&nodes, 2, &http, ""), &origin).start();
        let answer = proxy.get("/x");
        assert_eq!((answer.status, answer.text(), answer.cache()), (200, "origin /x", "MISS"));
        assert_eq!((http.count("/x"), origin.count("/x")), (1, 1));
        assert_eq!(proxy.get("/x").cache(), "HIT");
    }
}

#[test]
fn what_is_proxy_only_is_handed_on_and_not_stored() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let http = Origin::answering(|_| Reply::cacheable("sibling"));
    let _asked = Icp::bind(nodes.icp(2)).answering(HIT);
    let proxy = nodes.forebay_with(1, &[], &sibling_line(&nodes, 2, &http, "proxy_only = true"), &origin).start();
    for n in 1..=3 {
        let answer = proxy.get("/x");
        assert_eq!((answer.text(), answer.cache()), ("sibling", "MISS"));
        assert_eq!(http.count("/x"), n);
    }
    assert!(proxy.get("/x").cache_status().contains("proxy-only"));
}

#[test]
fn page_that_was_purged_here_is_not_brought_back_by_a_sibling() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let (one, two) = (nodes.forebay(1, &[2], &origin).start(), nodes.forebay(2, &[1], &origin).start());
    one.get("/x");
    two.get("/x");
    assert_eq!(origin.count("/x"), 1);
    let purged = forebay_tests::forebay(&["purge", "--admin", &one.admin().to_string(), "http://site.test/x"]);
    assert_eq!(purged.code, Some(0), "{purged:?}");
    assert_eq!(one.get("/x").cache(), "MISS");
    assert_eq!(origin.count("/x"), 2);
}

#[test]
fn requests_that_make_no_fill_ask_nobody() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let http = Origin::answering(|_| Reply::cacheable("sibling"));
    let asked = Icp::bind(nodes.icp(2)).answering(HIT);
    let site = "bypass_paths = [\"/bypassed\"]";
    let proxy = nodes.forebay_with(1, &[], &sibling_line(&nodes, 2, &http, ""), &origin).site(site).start();
    for (method, target, field) in [
        ("GET", "/bypassed", ("X-A", "b")),
        ("POST", "/x", ("X-A", "b")),
        ("GET", "/x", ("Cache-Control", "no-store")),
        ("GET", "/x", ("Cache-Control", "no-cache")),
        ("GET", "/y", ("Cache-Control", "max-age=0")),
        ("GET", "/z", ("Authorization", "Basic eA==")),
    ] {
        let body = proxy.connect().request(method, target, &[field]).text().to_owned();
        assert_eq!(body, format!("origin {target}"));
    }
    let only = proxy.get_with("/w", &[("Cache-Control", "only-if-cached")]);
    let passed = proxy.get_with("/bypassed", &[("Cache-Control", "only-if-cached")]);
    assert_eq!((only.status, passed.status), (504, 504));
    assert_eq!((asked.load(Ordering::SeqCst), http.total()), (0, 0));
}

#[test]
fn forged_answers_are_counted_and_not_believed() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let http = Origin::answering(|_| Reply::cacheable("forged"));
    let (sibling, stranger) = (Icp::bind(nodes.icp(2)), Icp::bind(nodes.icp(9)));
    let lines = format!("timeout = \"1s\"\n{}", sibling_line(&nodes, 2, &http, ""));
    let proxy = nodes.forebay_with(1, &[], &lines, &origin).start();
    let client = std::thread::spawn({
        let address = proxy.http();
        move || forebay_tests::Client::connect(address).get("/x").text().to_owned()
    });
    let asked = sibling.receive();
    assert_eq!((asked.opcode, asked.url.as_str()), (QUERY, "http://site.test/x"));
    let say = |from: &Icp, number: u32, url: &str| from.send(asked.from, &packet(HIT, number, url.as_bytes()));
    say(&sibling, asked.number.wrapping_add(1), &asked.url);
    say(&sibling, asked.number, "http://site.test/other");
    say(&stranger, asked.number, &asked.url);
    assert_eq!(client.join().unwrap(), "origin /x");
    assert_eq!(http.total(), 0);
    let ignored = |reason| proxy.metric("forebay_icp_ignored_total", &[reason]);
    assert_eq!((ignored("reason=\"unexpected\""), ignored("reason=\"stranger\"")), (2.0, 1.0));
}

#[test]
fn timed_silent_sibling_costs_the_timeout_once_and_its_first_sign_of_life_brings_it_back() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let sibling = Icp::bind(nodes.icp(2));
    let lines = "timeout = \"600ms\"\nprobe = \"100ms\"";
    let proxy = nodes.forebay_with(1, &[2], lines, &origin).start();
    let took = |target: &str| {
        let start = Instant::now();
        assert_eq!(proxy.get(target).status, 200);
        start.elapsed()
    };
    let first = took("/1");
    assert!(first >= Duration::from_millis(590) && first < Duration::from_millis(1500), "{first:?}");
    let second = took("/2");
    assert!(second < Duration::from_millis(400), "{second:?}");
    let up = || proxy.metric("forebay_icp_peer_up", &[]);
    assert_eq!(up(), 0.0);
    let asked = sibling.receive();
    sibling.send(asked.from, &packet(MISS, asked.number, asked.url.as_bytes()));
    assert_eventually!(up() == 1.0);
}

#[test]
fn parents_take_turns_and_a_uri_has_its_own_where_that_is_wanted() {
    for (balance, shares) in [("round-robin", 20..=20), ("hash-uri", 5..=35)] {
        let (nodes, origin) = (Nodes::new(), numbered());
        let parent = || Origin::answering(|request| Reply::cacheable(format!("parent {}", request.target)));
        let parents = [parent(), parent()];
        let lines: String =
            parents.iter().map(|parent| format!("[[icp.parent]]\nhttp = \"{}\"\n", parent.address())).collect();
        let proxy = nodes.forebay_with(1, &[], &format!("balance = \"{balance}\"\n{lines}"), &origin).start();
        for n in 0..40 {
            assert_eq!(proxy.get(&format!("/{n}")).text(), format!("parent /{n}"));
        }
        assert!(shares.contains(&parents[0].total()), "{balance}: {}", parents[0].total());
        assert_eq!((parents[0].total() + parents[1].total(), origin.total()), (40, 0));
    }
}

#[test]
fn parent_that_fails_is_followed_by_the_next_and_then_by_the_ap_server() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let refused = forebay_tests::origin::closed_address();
    let failing = Origin::answering(|_| Reply::new(503, "not now"));
    let lines = format!("[[icp.parent]]\nhttp = \"{refused}\"\n[[icp.parent]]\nhttp = \"{}\"", failing.address());
    let proxy = nodes.forebay_with(1, &[], &lines, &origin).start();
    for n in 0..4 {
        assert_eq!(proxy.get(&format!("/{n}")).text(), format!("origin /{n}"));
    }
    assert_eq!((failing.total(), origin.total()), (4, 4));
}

#[test]
fn request_that_went_through_many_caches_goes_to_the_ap_server() {
    let (nodes, origin) = (Nodes::new(), numbered());
    let http = Origin::answering(|_| Reply::cacheable("sibling"));
    let _asked = Icp::bind(nodes.icp(2)).answering(HIT);
    let proxy = nodes.forebay_with(1, &[], &sibling_line(&nodes, 2, &http, ""), &origin).start();
    let via = ["1.1 cache"; 11].join(", ");
    assert_eq!(proxy.get_with("/x", &[("Via", &via)]).text(), "origin /x");
    assert_eq!(proxy.get_with("/y", &[("Via", "1.1 cache")]).text(), "sibling");
}
