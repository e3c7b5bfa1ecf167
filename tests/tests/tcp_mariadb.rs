//! Replicas of a database behind one address.

use forebay_tests::mariadb::MariaDb;
use forebay_tests::origin::closed_address;
use forebay_tests::{Origin, ProxyConfig, Reply};

#[test]
fn queries_go_to_the_replicas_in_turns_and_to_the_one_that_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let addresses = [closed_address(), closed_address(), closed_address()];
    let _primary = MariaDb::start_primary(&place("primary"), 100, addresses[0]);
    let first = MariaDb::start_replica(&place("first"), 101, addresses[1], addresses[0]);
    let _second = MariaDb::start_replica(&place("second"), 102, addresses[2], addresses[0]);
    let origin = Origin::answering(|_| Reply::ok("served"));
    let tables = format!(
        "[[upstream]]\nname = \"replicas\"\nservers = [\"{}\", \"{}\"]\n\
         [[tcp]]\nlisten = \"127.0.0.1:0\"\nupstream = \"replicas\"",
        addresses[1], addresses[2]
    );
    let proxy = ProxyConfig::new().origin(&origin).extra(&tables).start();
    let address = proxy.sockets("tcp").next().unwrap();
    let who = || MariaDb::ask(address, "SELECT @@server_id").unwrap();
    let turns: Vec<String> = (0..6).map(|_| who()).collect();
    let expected = if turns[0] == "101" { ["101", "102"] } else { ["102", "101"] };
    assert_eq!(turns, expected.repeat(3));
    // What the primary is told arrives at both.
    assert!(
        MariaDb::ask(addresses[0], "CREATE DATABASE shop; CREATE TABLE shop.t (n INT); INSERT INTO shop.t VALUES (7)")
            .is_some()
    );
    for _ in 0..2 {
        forebay_tests::assert_eventually!(MariaDb::ask(address, "SELECT n FROM shop.t").as_deref() == Some("7"));
    }
    drop(first);
    // No connection is lost to the one that is gone: the next server is asked within the same connection.
    assert_eq!((0..6).map(|_| who()).collect::<Vec<_>>(), ["102"; 6]);
}
