//! The journal of purges.

use rustix::io::Errno;

use super::super::io::Op;
use super::*;
use crate::clock::Timestamp;
use crate::purge::{Scope, Standing, What};

fn purge(path: &str) -> Purge {
    Purge { scope: Scope::Host("a.test".to_owned()), what: What::Prefix(path.to_owned()), soft: false }
}

fn at_a(path: &str) -> CacheKey {
    CacheKey::new("http", "a.test", path, None)
}

/// Stores `/kept` and `/gone/x`, purges the latter, and forgets the process.
async fn written(directory: &Path) {
    let store = open(directory);
    for path in ["/kept", "/gone/x"] {
        assert!(store.insert(&at_a(path), response(content(1, 1000))));
    }
    let number = store.purges().issue(&purge("/gone/"), Timestamp::from_secs(1)).unwrap();
    assert!(store.write_down(number, &purge("/gone/")).await);
    std::thread::scope(|scope| scope.spawn(|| store.flush()).join().unwrap());
}

fn held(store: &DiskStore, path: &str) -> bool {
    let is_current = |variant: &crate::store::Variant| {
        store.purges().standing(&at_a(path), &variant.response, 0) == Standing::Current
    };
    get(store, &at_a(path)).iter().any(is_current)
}

#[tokio::test]
async fn a_purge_that_was_written_down_holds_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    for _ in 0..2 {
        let store = open(directory.path());
        assert!(held(&store, "/kept") && !held(&store, "/gone/x"));
    }
}

#[tokio::test]
async fn without_its_journal_or_with_a_damaged_one_the_log_is_not_believed() {
    for damage in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path()).await;
        let file = directory.path().join("purges");
        let mut bytes = std::fs::read(&file).unwrap();
        match damage {
            0 => std::fs::remove_file(&file).unwrap(),
            1 => {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                std::fs::write(&file, bytes).unwrap();
            }
            _ => {
                bytes[3] ^= 1;
                std::fs::write(&file, bytes).unwrap();
            }
        }
        let store = open(directory.path());
        assert!(!held(&store, "/kept") && !held(&store, "/gone/x"), "damage {damage}");
        assert!(store.insert(&at_a("/new"), response(content(1, 10))));
    }
}

#[tokio::test]
async fn an_entry_that_was_being_written_is_as_good_as_none() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    let file = directory.path().join("purges");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend_from_slice(&[40, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
    std::fs::write(&file, bytes).unwrap();
    let store = open(directory.path());
    assert!(held(&store, "/kept") && !held(&store, "/gone/x"));
}

#[tokio::test]
async fn the_journal_is_written_anew_before_it_grows_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for n in 0..60 {
        let purge = Purge { scope: Scope::Everywhere, what: What::Tags(vec!["t".repeat(1000); 20]), soft: false };
        let number = store.purges().issue(&purge, Timestamp::from_secs(n)).unwrap();
        assert!(store.write_down(number, &purge).await);
    }
    let length = std::fs::metadata(directory.path().join("purges")).unwrap().len();
    assert!(length < 320 * 1024, "{length}");
}

#[tokio::test]
async fn a_purge_that_cannot_be_written_down_is_said_so_and_written_later() {
    let directory = tempfile::tempdir().unwrap();
    let (store, faults) = super::faults::faulty(directory.path());
    assert!(store.insert(&at_a("/gone/x"), response(content(1, 1000))));
    std::thread::scope(|scope| scope.spawn(|| store.flush()).join().unwrap());
    faults.fail(Op::Sync, Errno::IO);
    let number = store.purges().issue(&purge("/gone/"), Timestamp::from_secs(1)).unwrap();
    assert!(!store.write_down(number, &purge("/gone/")).await);
    assert!(!held(&store, "/gone/x"), "purged all the same");
    faults.heal();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let written = || super::super::journal::read(directory.path(), store.shared.nonce());
    while written().is_none_or(|purges| purges.is_empty()) {
        assert!(std::time::Instant::now() < deadline, "not written");
        std::thread::yield_now();
    }
    drop(store);
    assert!(!held(&open(directory.path()), "/gone/x"));
}
