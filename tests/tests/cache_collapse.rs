//! Collapsed forwarding: one fill for all who wait, and nobody waits for what cannot be shared (row 44).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_tests::client_h1::{Client, head};
use forebay_tests::origin::Ending;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

/// This many connections, each with a request for the target sent.
fn herd(proxy: &Proxy, size: usize, target: &str) -> Vec<Client> {
    let mut clients: Vec<_> = (0..size).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(head("GET", target, &[])));
    clients
}

/// An origin whose answers are numbered, with this `Cache-Control`.
fn numbered(cache_control: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |_| {
        Reply::ok(count.fetch_add(1, Ordering::SeqCst).to_string()).field("Cache-Control", cache_control)
    })
}

fn bodies(clients: Vec<Client>) -> BTreeSet<String> {
    clients.into_iter().map(|mut client| client.read_response().text().to_owned()).collect()
}

#[test]
fn thousand_simultaneous_requests_for_a_cold_key_are_one_at_the_origin() {
    let origin = numbered("max-age=60");
    let proxy = Proxy::before(&origin);
    origin.hold();
    let clients = herd(&proxy, 1000, "/x");
    assert_eventually!(origin.total() >= 1);
    origin.release();
    assert_eq!(bodies(clients).len(), 1);
    assert_eq!(origin.total(), 1);
}

#[test]
fn thousand_h2_streams_for_a_cold_key_are_one_at_the_origin() {
    let origin = numbered("max-age=60");
    let proxy = Proxy::before(&origin);
    origin.hold();
    let mut connections: Vec<_> = (0..10).map(|_| proxy.connect_h2()).collect();
    let pending: Vec<_> = connections
        .iter_mut()
        .map(|client| (0..100).map(|_| client.start("GET", "/x", &[], true)).collect::<Vec<_>>())
        .collect();
    assert_eventually!(origin.total() >= 1);
    origin.release();
    for (client, pending) in connections.iter().zip(pending) {
        for stream in pending {
            assert_eq!(client.finish(stream).unwrap().text(), "0");
        }
    }
    assert_eq!(origin.total(), 1);
}

#[test]
fn collapsed_answers_say_so_and_are_counted() {
    let origin = numbered("max-age=60");
    let proxy = Proxy::before(&origin);
    origin.hold();
    let clients = herd(&proxy, 100, "/x");
    assert_eventually!(origin.total() == 1);
    // The last of them may come so late that it hits.
    origin.release();
    let answers: Vec<_> = clients.into_iter().map(|mut client| client.read_response()).collect();
    let collapsed = answers.iter().filter(|answer| answer.cache_status().contains("collapsed")).count();
    assert!(collapsed > 0);
    assert_eventually!(proxy.metric("forebay_coalesced_requests_total", &[]) == collapsed as f64);
}

#[test]
fn different_keys_do_not_wait_for_each_other() {
    let origin = numbered("max-age=60");
    let proxy = Proxy::before(&origin);
    origin.hold();
    let clients: Vec<_> = (0..20).flat_map(|n| herd(&proxy, 1, &format!("/{n}"))).collect();
    assert_eventually!(origin.total() == 20);
    origin.release();
    assert_eq!(bodies(clients).len(), 20);
}

#[test]
fn private_answers_are_never_shared_among_those_who_waited() {
    for cache_control in ["private, max-age=60", "no-store"] {
        let origin = numbered(cache_control);
        let proxy = Proxy::before(&origin);
        origin.hold();
        let clients = herd(&proxy, 50, "/x");
        assert_eventually!(origin.total() >= 1);
        origin.release();
        assert_eq!(bodies(clients).len(), 50, "{cache_control}");
        assert_eq!(origin.total(), 50, "{cache_control}");
    }
}

#[test]
fn answers_with_set_cookie_are_never_shared_among_those_who_waited() {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        Reply::cacheable("x").field("Set-Cookie", format!("session={n}"))
    });
    let proxy = Proxy::before(&origin);
    origin.hold();
    let clients = herd(&proxy, 50, "/x");
    assert_eventually!(origin.total() >= 1);
    origin.release();
    let cookies: BTreeSet<_> =
        clients.into_iter().map(|mut client| client.read_response().field("set-cookie").unwrap().to_owned()).collect();
    assert_eq!(cookies.len(), 50);
}

#[test]
fn uncacheable_answers_do_not_serialise() {
    let origin = numbered("no-store");
    let proxy = Proxy::before(&origin);
    proxy.get("/x");
    origin.hold();
    // It is known by now that /x is not stored: all of these are at the origin at the same time.
    let clients = herd(&proxy, 20, "/x");
    assert_eventually!(origin.total() == 21);
    origin.release();
    assert_eq!(bodies(clients).len(), 20);
}

#[test]
fn waiters_of_an_uncacheable_answer_go_on_together() {
    let origin = numbered("no-store");
    let proxy = Proxy::before(&origin);
    origin.hold();
    let clients = herd(&proxy, 20, "/x");
    assert_eventually!(origin.total() >= 1);
    let start = std::time::Instant::now();
    origin.release();
    assert_eq!(bodies(clients).len(), 20);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn answer_that_varies_is_shared_only_with_those_it_fits() {
    let origin = Origin::answering(|request| {
        Reply::cacheable(request.field("x-kind").unwrap_or_default()).field("Vary", "X-Kind")
    });
    let proxy = Proxy::before(&origin);
    origin.hold();
    let mut clients = Vec::new();
    for n in 0..40 {
        let mut client = proxy.connect();
        client.send(head("GET", "/x", &[("X-Kind", if n % 2 == 0 { "even" } else { "odd" })]));
        clients.push(client);
    }
    assert_eventually!(origin.total() >= 1);
    origin.release();
    for (n, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.read_response().text(), if n % 2 == 0 { "even" } else { "odd" });
    }
}

#[test]
fn failure_of_the_fill_is_an_answer_to_all_who_waited() {
    let origin = Origin::answering(|_| Reply::silence(forebay_tests::origin::Ending::Reset));
    let proxy = Proxy::before(&origin);
    origin.hold();
    let clients = herd(&proxy, 20, "/x");
    assert_eventually!(origin.total() >= 1);
    origin.release();
    for mut client in clients {
        assert_eq!(client.read_response().status, 502);
    }
}

/// What is known not to be shared is fetched for nobody else: it keeps no AP server busy for a client that has left.
#[test]
fn what_is_not_shared_is_not_fetched_for_a_client_that_left() {
    let origin = Origin::answering(|request| match request.field("X-Hang") {
        None => Reply::ok("page").field("Cache-Control", "no-store"),
        Some(_) => Reply::silence(Ending::Hang),
    });
    let proxy = Proxy::before(&origin);
    let mut h2 = proxy.connect_h2();
    assert_eq!((proxy.get("/x").text(), h2.get("/x").text()), ("page", "page"));
    let mut client = proxy.connect();
    client.send(head("GET", "/x", &[("X-Hang", "1")]));
    let pending = h2.start("GET", "/x", &[("x-hang", "1")], true);
    assert_eventually!(origin.total() == 4);
    assert_eq!(origin.connections().iter().filter(|connection| connection.closed.is_none()).count(), 2);
    drop(client);
    assert_eventually!(origin.connections().iter().filter(|connection| connection.closed.is_none()).count() == 1);
    pending.cancel();
    assert_eventually!(origin.connections().iter().all(|connection| connection.closed.is_some()));
}
