//! Servers added and removed while requests go on.

use forebay_tests::client_h1::Client;
use forebay_tests::forebay as run;
use forebay_tests::load::no_client_sees_an_error;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

fn saying(what: &'static str) -> Origin {
    Origin::answering(move |_| Reply::ok(what).field("Cache-Control", "no-store"))
}

/// `forebay upstream …` of this instance: exit code and standard error.
fn upstream(proxy: &Proxy, arguments: &[&str]) -> (Option<i32>, String) {
    let admin = proxy.admin().to_string();
    let outcome = run(&[&["upstream"], arguments, &["--admin", &admin]].concat());
    (outcome.code, outcome.stderr)
}

fn ordered(proxy: &Proxy, arguments: &[&str]) {
    assert_eq!(upstream(proxy, arguments), (Some(0), String::new()), "{arguments:?}");
}

fn counts(proxy: &Proxy, requests: usize, origins: &[&Origin]) -> Vec<usize> {
    let before: Vec<usize> = origins.iter().map(|origin| origin.total()).collect();
    for n in 0..requests {
        assert_eq!(proxy.get(&format!("/{n}")).status, 200);
    }
    origins.iter().zip(before).map(|(origin, before)| origin.total() - before).collect()
}

#[test]
fn server_that_is_added_takes_its_share_and_one_that_is_removed_none() {
    let (first, second) = (saying("a"), saying("b"));
    let proxy = Proxy::config().origin(&first).start();
    let address = second.address().to_string();
    ordered(&proxy, &["add", "ap", &address, "--weight", "2", "--max-connections", "9"]);
    assert_eq!(counts(&proxy, 9, &[&first, &second]), [3, 6]);
    let list = run(&["upstream", "list", "--admin", &proxy.admin().to_string()]).stdout;
    assert!(list.lines().any(|line| line.contains(&address) && line.ends_with("added")), "{list}");
    ordered(&proxy, &["remove", "ap", &first.address().to_string()]);
    assert_eq!(counts(&proxy, 4, &[&first, &second]), [0, 4]);
    // One of the configuration comes back by the words it has there.
    ordered(&proxy, &["add", "ap", &first.address().to_string(), "--weight", "9"]);
    ordered(&proxy, &["remove", "ap", &address]);
    assert_eq!(counts(&proxy, 4, &[&first, &second]), [4, 0]);
}

#[test]
fn backup_that_is_added_waits_for_its_hour() {
    let (first, backup) = (saying("a"), saying("b"));
    let proxy = Proxy::config().origin(&first).start();
    ordered(&proxy, &["add", "ap", &backup.address().to_string(), "--backup"]);
    assert_eq!(counts(&proxy, 4, &[&first, &backup]), [4, 0]);
    ordered(&proxy, &["disable", &first.address().to_string()]);
    assert_eq!(counts(&proxy, 4, &[&first, &backup]), [0, 4]);
}

#[test]
fn what_cannot_be_is_refused() {
    let (first, other) = (saying("a"), saying("b"));
    let proxy = Proxy::config().origin(&first).start();
    let (first, other) = (first.address().to_string(), other.address().to_string());
    for (arguments, error) in [
        (vec!["add", "nobody", &other], "there is no such pool"),
        (vec!["add", "ap", &first], "it is there already"),
        (vec!["add", "ap", "192.0.2.1"], "has no port"),
        (vec!["add", "ap", "srv:x"], "is not the name of a service"),
        (vec!["add", "ap", &other, "--weight", "1001"], "weight is a number from 0 to 1000"),
        (vec!["add", "ap", "srv:_http._tcp.x.test", "--weight", "2"], "SRV records"),
        (vec!["remove", "ap", &other], "there is no such server"),
        (vec!["remove", "nobody", &first], "there is no such server"),
        (vec!["remove", "ap", &first], "nobody would be left"),
    ] {
        let (code, stderr) = upstream(&proxy, &arguments);
        assert!(code == Some(1) && stderr.contains(error), "{arguments:?}: {code:?} {stderr}");
    }
    assert_eq!(proxy.get("/x").status, 200);
}

#[test]
fn browsers_may_not_add_servers() {
    let (first, other) = (saying("a"), saying("b"));
    let proxy = Proxy::config().origin(&first).start();
    let target = format!("/upstreams/ap/{}/add", other.address());
    let answer =
        Client::connect(proxy.admin()).request("POST", &target, &[("Host", "127.0.0.1"), ("Origin", "http://x")]);
    assert_eq!(answer.status, 403);
    assert_eq!(counts(&proxy, 2, &[&first, &other]), [2, 0]);
}

#[test]
fn requests_in_flight_are_finished_by_a_server_that_is_removed() {
    let (leaving, staying) = (saying("a"), saying("b"));
    let proxy = Proxy::config().origin(&leaving).start();
    leaving.hold();
    let mut waiting = proxy.connect();
    waiting.send("GET /before HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eventually!(leaving.total() == 1);
    ordered(&proxy, &["add", "ap", &staying.address().to_string()]);
    ordered(&proxy, &["remove", "ap", &leaving.address().to_string()]);
    assert_eq!(counts(&proxy, 4, &[&leaving, &staying]), [0, 4]);
    let list = run(&["upstream", "list", "--admin", &proxy.admin().to_string()]).stdout;
    assert!(list.contains("leaving"), "{list}");
    leaving.release();
    assert_eq!(waiting.read_response().text(), "a");
}

#[test]
fn change_under_load_costs_no_client_an_error() {
    let (always, comes_and_goes) = (saying("a"), saying("b"));
    let proxy = Proxy::config().origin(&always).start();
    let address = comes_and_goes.address().to_string();
    no_client_sees_an_error(&proxy, 32, || {
        for _ in 0..15 {
            let before = comes_and_goes.total();
            ordered(&proxy, &["add", "ap", &address]);
            assert_eventually!(comes_and_goes.total() > before);
            ordered(&proxy, &["remove", "ap", &address]);
        }
    });
}

#[test]
fn reload_goes_by_the_file_and_says_what_it_undoes() {
    let (first, second, added) = (saying("a"), saying("b"), saying("c"));
    let proxy = Proxy::config().origin(&first).origin(&second).start();
    ordered(&proxy, &["add", "ap", &added.address().to_string()]);
    ordered(&proxy, &["remove", "ap", &second.address().to_string()]);
    assert_eq!(counts(&proxy, 4, &[&first, &second, &added]), [2, 0, 2]);
    let before = proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]);
    proxy.signal(rustix::process::Signal::HUP);
    assert_eventually!(proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]) > before);
    assert_eq!(counts(&proxy, 4, &[&first, &second, &added]), [2, 2, 0]);
    let said = |what: String| proxy.stderr().iter().any(|line| line.contains(&what));
    assert_eventually!(said(format!("{} was added", added.address())));
    assert_eventually!(said(format!("{} was removed", second.address())));
}
