//! `max_requests`: the AP servers never work on more at a time; people come before bots, and stale before waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_tests::{Answer, Client, Origin, Proxy, Reply, assert_eventually};

const PERSON: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const BOT: &str = "Mozilla/5.0 (compatible; Examplebot/2.1; +http://example.com/bot.html)";

/// Asks without reading the answer.
fn ask(proxy: &Proxy, agent: &str, target: &str) -> Client {
    let mut client = proxy.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: site.test\r\nUser-Agent: {agent}\r\n\r\n"));
    client
}

fn waiting(proxy: &Proxy) -> f64 {
    proxy.metric("forebay_gate_waiting", &[])
}

fn get(proxy: &Proxy, target: &str) -> Answer {
    proxy.get_with(target, &[("User-Agent", PERSON)])
}

#[test]
fn ap_servers_never_see_more_than_max_requests_at_a_time() {
    const MOST: usize = 3;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak) = (Arc::clone(&now), Arc::clone(&most));
    let origin = Origin::answering(move |request| {
        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        inside.fetch_sub(1, Ordering::SeqCst);
        match request.path() {
            path if path.starts_with("/fill") => Reply::cacheable("fill"),
            // Stale at once, and refreshed behind it.
            path if path.starts_with("/refresh") => {
                Reply::ok("x").field("Cache-Control", "max-age=0, stale-while-revalidate=60")
            }
            _ => Reply::ok("pass").field("Cache-Control", "no-store"),
        }
    });
    let upstream = format!("max_requests = {MOST}\nqueue = 1000\nqueue_timeout = \"60s\"");
    let proxy = Proxy::config().origin(&origin).upstream(&upstream).start();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut client = proxy.connect();
                for n in 0..12 {
                    let (method, target) = match (thread + n) % 4 {
                        0 => ("GET", format!("/fill/{thread}/{n}")),
                        1 => ("GET", format!("/refresh/{}", n % 3)),
                        2 => ("GET", format!("/pass/{n}")),
                        _ => ("POST", "/post".to_owned()),
                    };
                    let fields = [("User-Agent", PERSON), ("Content-Length", "0")];
                    let fields = if method == "POST" { &fields[..] } else { &fields[..1] };
                    let answer = client.request(method, &target, fields);
                    assert_eq!(answer.status, 200, "{method} {target}: {answer}");
                }
            });
        }
    });
    let peak = most.load(Ordering::SeqCst);
    assert_eq!(peak, MOST, "the farm was not kept busy, or got too much");
    assert_eventually!(proxy.metric("forebay_gate_running", &[]) == 0.0);
    assert_eq!(waiting(&proxy), 0.0);
    assert!(proxy.metric("forebay_gate_wait_seconds_count", &[]) > 100.0);
}

/// A farm that works on one request at a time, and has it.
fn busy(words: &str) -> (Origin, Proxy, Client) {
    let origin = Origin::answering(|request| match request.path() {
        "/stale" => Reply::ok("stored").field("Cache-Control", "max-age=0, stale-if-error=600"),
        "/behind" => Reply::ok("stored").field("Cache-Control", "max-age=0, stale-while-revalidate=600"),
        _ => Reply::ok("x").field("Cache-Control", "no-store"),
    });
    let proxy = Proxy::config().origin(&origin).upstream(&format!("max_requests = 1\n{words}")).start();
    for target in ["/stale", "/behind"] {
        assert_eq!(get(&proxy, target).status, 200);
    }
    origin.hold();
    let inside = ask(&proxy, PERSON, "/inside");
    assert_eventually!(origin.count("/inside") == 1);
    (origin, proxy, inside)
}

#[test]
fn person_is_served_before_bots_that_came_earlier() {
    let (origin, proxy, mut inside) = busy("");
    let mut bots = Vec::new();
    for n in 0..3 {
        bots.push(ask(&proxy, BOT, &format!("/bot/{n}")));
        assert_eventually!(waiting(&proxy) == f64::from(n + 1));
    }
    let mut person = ask(&proxy, PERSON, "/person");
    assert_eventually!(waiting(&proxy) == 4.0);
    origin.release();
    for client in [&mut inside, &mut person] {
        assert_eq!(client.read_response().status, 200);
    }
    for bot in &mut bots {
        assert_eq!(bot.read_response().status, 200);
    }
    let order: Vec<_> = origin.requests().into_iter().map(|request| request.target).skip(3).collect();
    assert_eq!(order, ["/person", "/bot/0", "/bot/1", "/bot/2"]);
}

#[test]
fn bots_are_the_first_to_be_refused_when_the_queue_is_full() {
    let (origin, proxy, _inside) = busy("queue = 2");
    let mut bots = [ask(&proxy, BOT, "/bot/0"), {
        assert_eventually!(waiting(&proxy) == 1.0);
        ask(&proxy, BOT, "/bot/1")
    }];
    assert_eventually!(waiting(&proxy) == 2.0);
    let third = proxy.get_with("/bot/2", &[("User-Agent", BOT)]);
    assert_eq!((third.status, third.field("retry-after")), (503, Some("5")), "{third}");
    assert!(third.cache_status().contains("detail=upstream-queue-full"), "{third}");
    let nameless = proxy.connect().request("GET", "/nameless", &[]);
    assert_eq!(nameless.status, 503, "who says nothing of himself is no person: {nameless}");
    let _first = ask(&proxy, PERSON, "/person/0");
    assert_eq!(bots[1].read_response().status, 503, "it made room for a person");
    let _second = ask(&proxy, PERSON, "/person/1");
    assert_eq!(bots[0].read_response().status, 503);
    assert_eq!(get(&proxy, "/person/2").status, 503, "only people wait now");
    let refused = |labels: &[&str]| proxy.metric("forebay_gate_refused_total", labels);
    assert_eq!(refused(&["rank=\"bot\"", "reason=\"full\""]), 4.0);
    assert_eq!(refused(&["rank=\"person\"", "reason=\"full\""]), 1.0);
    origin.release();
}

#[test]
fn who_waits_for_too_long_gets_a_503_with_retry_after() {
    let (origin, proxy, _inside) = busy("queue_timeout = \"50ms\"");
    let answer = get(&proxy, "/late");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("5")), "{answer}");
    assert!(answer.cache_status().contains("detail=upstream-queue-timeout"), "{answer}");
    assert_eq!(origin.count("/late"), 0);
    origin.release();
    assert_eventually!(get(&proxy, "/late").status == 200);
}

#[test]
fn stale_page_is_served_rather_than_queued_for() {
    let (origin, proxy, _inside) = busy("queue_timeout = \"60s\"");
    for _ in 0..3 {
        let answer = get(&proxy, "/stale");
        assert_eq!((answer.status, answer.text(), answer.cache()), (200, "stored", "STALE"), "{answer}");
        assert!(answer.cache_status().contains("detail=upstream-busy"), "{answer}");
    }
    assert_eq!(origin.count("/stale"), 1, "the farm was not asked");
    origin.release();
    assert_eventually!({
        get(&proxy, "/stale");
        origin.count("/stale") > 1
    });
}

#[test]
fn refreshes_in_the_background_give_way_to_those_who_wait() {
    let (origin, proxy, _inside) = busy("");
    let _waits = ask(&proxy, PERSON, "/waits");
    assert_eventually!(waiting(&proxy) == 1.0);
    for _ in 0..5 {
        assert_eq!(get(&proxy, "/behind").cache(), "STALE");
    }
    assert_eventually!(proxy.metric("forebay_gate_refused_total", &["rank=\"background\""]) >= 1.0);
    assert_eq!((origin.count("/behind"), waiting(&proxy)), (1, 1.0));
    origin.release();
    assert_eventually!({
        get(&proxy, "/behind");
        origin.count("/behind") > 1
    });
}

#[test]
fn fill_that_a_bot_waits_with_holds_up_no_person() {
    let (origin, proxy, _inside) = busy("");
    let _other = ask(&proxy, PERSON, "/other");
    assert_eventually!(waiting(&proxy) == 1.0);
    let _bot = ask(&proxy, BOT, "/page");
    assert_eventually!(waiting(&proxy) == 2.0);
    let mut person = ask(&proxy, PERSON, "/page");
    // In the queue by himself, before the bot.
    assert_eventually!(waiting(&proxy) == 3.0);
    origin.release();
    assert_eq!(person.read_response().status, 200);
    let agents: Vec<_> = origin.requests().into_iter().filter(|request| request.target == "/page").collect();
    assert_eq!(agents[0].field("user-agent").as_deref(), Some(PERSON));
}

#[test]
fn client_that_leaves_the_queue_takes_no_place_along() {
    let (origin, proxy, mut inside) = busy("queue = 1");
    ask(&proxy, PERSON, "/gone?nocache").reset();
    let mut leaving = proxy.connect();
    leaving.send("POST /leaving HTTP/1.1\r\nHost: site.test\r\nUser-Agent: Mozilla\r\nContent-Length: 0\r\n\r\n");
    leaving.reset();
    assert_eventually!(waiting(&proxy) <= 1.0);
    origin.release();
    assert_eq!(inside.read_response().status, 200);
    assert_eventually!(get(&proxy, "/after").status == 200);
    assert_eventually!(proxy.metric("forebay_gate_running", &[]) == 0.0);
}

#[test]
fn limit_holds_through_a_reload() {
    let (origin, proxy, mut inside) = busy("");
    proxy.signal(rustix::process::Signal::HUP);
    assert_eventually!(proxy.stderr().iter().any(|line| line.contains("reload") || line.contains("configuration")));
    let mut next = ask(&proxy, PERSON, "/next");
    assert_eventually!(waiting(&proxy) == 1.0);
    assert_eq!(origin.count("/next"), 0);
    origin.release();
    for client in [&mut inside, &mut next] {
        assert_eq!(client.read_response().status, 200);
    }
}
