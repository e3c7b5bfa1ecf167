//! Servers that fail: another answers, and they are left alone for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use forebay_tests::origin::{Ending, closed_address};
use forebay_tests::{Origin, Proxy, Reply};

fn uncacheable() -> Origin {
    Origin::answering(|_| Reply::ok("x").field("Cache-Control", "no-store"))
}

/// A server that takes requests and breaks off while `broken`.
fn breaking(broken: &Arc<AtomicBool>) -> Origin {
    let broken = Arc::clone(broken);
    Origin::answering(move |_| {
        if broken.load(Ordering::SeqCst) {
            Reply::silence(Ending::Reset)
        } else {
            Reply::ok("x").field("Cache-Control", "no-store")
        }
    })
}

#[test]
fn request_that_can_be_repeated_is_answered_by_another_server() {
    let broken = Arc::new(AtomicBool::new(true));
    let (bad, good) = (breaking(&broken), uncacheable());
    let proxy = Proxy::config().origin(&bad).origin(&good).upstream("max_fails = 0").start();
    for n in 0..10 {
        assert_eq!(proxy.get(&format!("/{n}")).status, 200);
    }
    assert_eq!((bad.total(), good.total()), (5, 10));
}

#[test]
fn server_that_fails_three_times_in_a_row_is_left_alone() {
    let broken = Arc::new(AtomicBool::new(true));
    let (bad, good) = (breaking(&broken), uncacheable());
    let proxy = Proxy::config().origin(&bad).origin(&good).upstream("fail_timeout = \"1h\"").start();
    for n in 0..30 {
        assert_eq!(proxy.get(&format!("/{n}")).status, 200);
    }
    assert_eq!((bad.total(), good.total()), (3, 30));
    let server = format!("server=\"{}\"", bad.address());
    assert_eq!(proxy.metric("forebay_upstream_ejections_total", &[&server]), 1.0);
    assert!(proxy.ask_admin("/").text().contains("ejected"));
}

#[test]
fn timed_server_that_was_left_alone_is_asked_again() {
    let broken = Arc::new(AtomicBool::new(true));
    let (bad, good) = (breaking(&broken), uncacheable());
    let words = "max_fails = 1\nfail_timeout = \"200ms\"";
    let proxy = Proxy::config().origin(&bad).origin(&good).upstream(words).start();
    for n in 0..4 {
        assert_eq!(proxy.get(&format!("/{n}")).status, 200);
    }
    assert_eq!(bad.total(), 1);
    broken.store(false, Ordering::SeqCst);
    std::thread::sleep(std::time::Duration::from_millis(250));
    for n in 0..10 {
        assert_eq!(proxy.get(&format!("/again/{n}")).status, 200);
    }
    assert_eq!(bad.total(), 6);
}

#[test]
fn all_that_failed_are_asked_all_the_same() {
    let broken = Arc::new(AtomicBool::new(true));
    let bad = breaking(&broken);
    let words = "max_fails = 1\nfail_timeout = \"1h\"";
    let proxy = Proxy::config().origin(&bad).server_at(closed_address(), 1).upstream(words).start();
    assert_eq!(proxy.get("/x").status, 502);
    broken.store(false, Ordering::SeqCst);
    assert_eq!(proxy.get("/x").status, 200);
}

#[test]
fn failures_outlive_a_reload() {
    let broken = Arc::new(AtomicBool::new(true));
    let (bad, good) = (breaking(&broken), uncacheable());
    let words = "max_fails = 1\nfail_timeout = \"1h\"";
    let proxy = Proxy::config().origin(&bad).origin(&good).upstream(words).start();
    for n in 0..4 {
        assert_eq!(proxy.get(&format!("/{n}")).status, 200);
    }
    let before = proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]);
    proxy.signal(rustix::process::Signal::HUP);
    forebay_tests::assert_eventually!(
        proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]) > before
    );
    for n in 0..4 {
        assert_eq!(proxy.get(&format!("/after/{n}")).status, 200);
    }
    assert_eq!(bad.total(), 1);
}

#[test]
fn server_that_dies_under_64_clients_costs_none_of_them_an_error() {
    let dying = Arc::new(AtomicBool::new(false));
    let (bad, good) = (breaking(&dying), uncacheable());
    let proxy = Proxy::config().origin(&bad).origin(&good).start();
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..64 {
            let (proxy, dying, answered) = (&proxy, &dying, &answered);
            scope.spawn(move || {
                let mut connection = proxy.connect();
                for n in 0..20 {
                    let answer = connection.get(&format!("/{client}/{n}"));
                    assert_eq!(answer.status, 200, "{answer}");
                    if answered.fetch_add(1, Ordering::SeqCst) == 300 {
                        dying.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(answered.load(Ordering::SeqCst), 1280);
    assert!(good.total() > bad.total());
}
