//! Which server of a pool takes the next request.

use std::collections::HashMap;

use forebay_tests::origin::closed_address;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

/// A server that tells its name and lets nothing be stored.
fn named(name: &'static str) -> Origin {
    Origin::answering(move |_| Reply::ok(name).field("Cache-Control", "no-store"))
}

fn ask(proxy: &Proxy, target: &str, fields: &[(&str, &str)]) -> String {
    let answer = proxy.get_with(target, fields);
    assert_eq!(answer.status, 200, "{target}: {answer}");
    answer.text().to_owned()
}

#[test]
fn least_connections_leaves_a_busy_server_alone() {
    let (busy, free) = (named("busy"), named("free"));
    let proxy = Proxy::config().origin(&busy).origin(&free).upstream("balance = \"least-connections\"").start();
    busy.hold();
    let mut waiting = proxy.connect();
    waiting.send("GET /first HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eventually!(busy.total() == 1);
    for n in 0..10 {
        assert_eq!(ask(&proxy, &format!("/{n}"), &[]), "free");
    }
    busy.release();
    assert_eq!(waiting.read_response().text(), "busy");
}

#[test]
fn hash_keeps_what_belongs_together_on_one_server_and_spreads_the_rest() {
    let origins = [named("a"), named("b"), named("c")];
    for (words, field) in [
        ("balance = \"hash-header\"\nhash_name = \"X-Tenant\"", "X-Tenant"),
        ("balance = \"hash-cookie\"\nhash_name = \"tenant\"", "Cookie"),
    ] {
        let proxy =
            origins.iter().fold(Proxy::config(), |config, origin| config.origin(origin)).upstream(words).start();
        let mut homes: HashMap<String, usize> = HashMap::new();
        for n in 0..30 {
            let value = format!("tenant={n}");
            let home = ask(&proxy, "/x", &[(field, &value)]);
            for path in ["/y", "/z"] {
                assert_eq!(ask(&proxy, path, &[(field, &value)]), home, "{value}");
            }
            *homes.entry(home).or_default() += 1;
        }
        assert_eq!(homes.len(), 3, "{homes:?}");
        // Nothing to hash: in turn.
        let turns: Vec<String> = (0..6).map(|_| ask(&proxy, "/x", &[])).collect();
        assert_eq!(turns[..3], turns[3..], "{turns:?}");
        assert_ne!(turns[0], turns[1]);
    }
}

#[test]
fn hash_uri_chooses_alike_in_every_process_and_whatever_the_order_of_servers() {
    let origins = [named("a"), named("b"), named("c")];
    let homes = |order: [usize; 3]| {
        let config = order.iter().fold(Proxy::config(), |config, index| config.origin(&origins[*index]));
        let proxy = config.upstream("balance = \"hash-uri\"").start();
        (0..20).map(|n| ask(&proxy, &format!("/{n}?q"), &[])).collect::<Vec<_>>()
    };
    assert_eq!(homes([0, 1, 2]), homes([2, 0, 1]));
}

#[test]
fn hash_moves_the_keys_of_a_server_that_is_gone_and_no_others() {
    let origins = [named("a"), named("b")];
    let homes = |proxy: &Proxy| (0..30).map(|n| ask(proxy, &format!("/{n}"), &[])).collect::<Vec<_>>();
    let gone = closed_address();
    let config = || Proxy::config().origin(&origins[0]).origin(&origins[1]).upstream("balance = \"hash-uri\"");
    let without = homes(&config().start());
    // The third never answers: its keys go to the others, where they belong without it.
    assert_eq!(homes(&config().server_at(gone, 1).start()), without);
}

#[test]
fn first_is_asked_until_it_is_full() {
    let (first, second) = (named("first"), named("second"));
    let servers = format!(
        "servers = [{{ address = \"{}\", max_connections = 1 }}, \"{}\"]\nbalance = \"first\"",
        first.address(),
        second.address()
    );
    let proxy = Proxy::config().origin(&first).upstream(&servers).start();
    for _ in 0..3 {
        assert_eq!(ask(&proxy, "/x", &[]), "first");
    }
    first.hold();
    let mut waiting = proxy.connect();
    waiting.send("GET /held HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eventually!(first.total() == 4);
    assert_eq!(ask(&proxy, "/x", &[]), "second");
    first.release();
    assert_eq!(waiting.read_response().text(), "first");
}

#[test]
fn backup_answers_while_no_other_can() {
    let backup = named("backup");
    let servers =
        format!("servers = [\"{}\", {{ address = \"{}\", backup = true }}]", closed_address(), backup.address());
    let proxy = Proxy::config().origin(&backup).upstream(&servers).start();
    for _ in 0..5 {
        assert_eq!(ask(&proxy, "/x", &[]), "backup");
    }
    let primary = named("primary");
    let servers =
        format!("servers = [{{ address = \"{}\", backup = true }}, \"{}\"]", backup.address(), primary.address());
    let proxy = Proxy::config().origin(&backup).upstream(&servers).start();
    for _ in 0..5 {
        assert_eq!(ask(&proxy, "/x", &[]), "primary");
    }
}

#[test]
fn least_time_finds_the_quick_server() {
    let quick = named("quick");
    let slow = Origin::answering(|_| {
        Reply::ok("slow").field("Cache-Control", "no-store").after(std::time::Duration::from_millis(100))
    });
    let proxy = Proxy::config().origin(&slow).origin(&quick).upstream("balance = \"least-time\"").start();
    let answers: Vec<String> = (0..30).map(|n| ask(&proxy, &format!("/{n}"), &[])).collect();
    let slow = answers.iter().filter(|answer| *answer == "slow").count();
    assert!((1..=5).contains(&slow), "{answers:?}");
}

#[test]
fn random_two_uses_every_server() {
    let origins = [named("a"), named("b"), named("c")];
    let config = origins.iter().fold(Proxy::config(), |config, origin| config.origin(origin));
    let proxy = config.upstream("balance = \"random-two\"").start();
    for n in 0..60 {
        ask(&proxy, &format!("/{n}"), &[]);
    }
    for origin in &origins {
        assert!((5..=40).contains(&origin.total()), "{}", origin.total());
    }
}
