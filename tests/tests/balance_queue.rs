//! `max_connections`: what a server has in flight, and who waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

fn limited(origin: &Origin, words: &str) -> Proxy {
    let servers = format!("servers = [{{ address = \"{}\", max_connections = 2 }}]\n{words}", origin.address());
    Proxy::config().origin(origin).upstream(&servers).start()
}

fn uncacheable() -> Origin {
    Origin::answering(|_| Reply::ok("x").field("Cache-Control", "no-store"))
}

#[test]
fn server_never_has_more_in_flight_than_it_may_and_all_are_served() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let origin = Origin::answering(|_| {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
        NOW.fetch_sub(1, Ordering::SeqCst);
        Reply::ok("x").field("Cache-Control", "no-store")
    });
    let proxy = limited(&origin, "queue_timeout = \"30s\"");
    std::thread::scope(|scope| {
        for client in 0..16 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut connection = proxy.connect();
                for n in 0..20 {
                    assert_eq!(connection.get(&format!("/{client}/{n}")).status, 200);
                }
            });
        }
    });
    assert_eq!(origin.total(), 320);
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}

#[test]
fn request_beyond_the_queue_gets_503_at_once_and_those_within_are_served() {
    let origin = uncacheable();
    let proxy = limited(&origin, "queue = 1\nqueue_timeout = \"30s\"");
    origin.hold();
    let mut served: Vec<_> = (0..2)
        .map(|n| {
            let mut client = proxy.connect();
            client.send(format!("GET /{n} HTTP/1.1\r\nHost: site.test\r\n\r\n"));
            client
        })
        .collect();
    assert_eventually!(origin.total() == 2);
    let mut queued = proxy.connect();
    queued.send("GET /queued HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eventually!(proxy.metric("forebay_upstream_queued", &["upstream=\"ap\""]) == 1.0);
    let refused = proxy.get("/refused");
    assert_eq!(refused.status, 503, "{refused}");
    assert!(refused.field("cache-status").unwrap().contains("detail=upstream-queue-full"), "{refused}");
    assert_eq!(refused.field("retry-after"), Some("5"));
    origin.release();
    served.push(queued);
    for mut client in served {
        assert_eq!(client.read_response().status, 200);
    }
    assert_eq!(origin.count("/refused"), 0);
}

#[test]
fn request_that_waited_too_long_gets_503() {
    let origin = uncacheable();
    let proxy = limited(&origin, "queue_timeout = \"50ms\"");
    origin.hold();
    let mut clients = [proxy.connect(), proxy.connect()];
    for client in &mut clients {
        client.send("GET /held HTTP/1.1\r\nHost: site.test\r\nCache-Control: no-store\r\n\r\n");
    }
    assert_eventually!(origin.total() == 2);
    let late = proxy.get("/late");
    assert_eq!(late.status, 503, "{late}");
    assert!(late.field("cache-status").unwrap().contains("detail=upstream-queue-timeout"), "{late}");
    origin.release();
    for client in &mut clients {
        assert_eq!(client.read_response().status, 200);
    }
    assert_eq!(proxy.get("/after").status, 200);
}

#[test]
fn client_that_leaves_the_queue_holds_no_place() {
    let origin = uncacheable();
    let proxy = limited(&origin, "queue_timeout = \"30s\"");
    origin.hold();
    let mut clients = [proxy.connect(), proxy.connect()];
    for client in &mut clients {
        client.send("GET /held HTTP/1.1\r\nHost: site.test\r\nAuthorization: x\r\nCookie: a=b\r\n\r\n");
    }
    assert_eventually!(origin.total() == 2);
    let mut leaving = proxy.connect();
    leaving.send("GET /leaving HTTP/1.1\r\nHost: site.test\r\nAuthorization: x\r\nCookie: a=b\r\n\r\n");
    assert_eventually!(proxy.metric("forebay_upstream_queued", &["upstream=\"ap\""]) == 1.0);
    drop(leaving);
    assert_eventually!(proxy.metric("forebay_upstream_queued", &["upstream=\"ap\""]) == 0.0);
    origin.release();
    assert_eq!(proxy.get("/after").status, 200);
    assert_eq!(origin.count("/leaving"), 0);
}
