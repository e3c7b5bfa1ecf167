//! The ceiling, and who makes room.

use super::*;

#[test]
fn the_directory_never_takes_more_than_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for each in 0..1200_u64 {
        let length = match each % 60 {
            0 => 5 << 20,
            1..10 => 200_000,
            _ => 2000,
        };
        store.insert(&key(each), response(content(each, length)));
        if each.is_multiple_of(20) {
            store.flush();
            let taken = allocated(directory.path());
            assert!(taken <= SMALLEST && store.stats().bytes <= SMALLEST, "{taken} bytes after {each}");
        }
    }
    store.flush();
    let stats = store.stats();
    assert!(stats.evictions > 0 && stats.objects > 50, "{stats:?}");
    assert!(store.check().is_sound());
    drop(store);
    let again = open(directory.path());
    assert_eq!((again.stats().objects, again.stats().corrupt), (stats.objects, 0), "a replay gives the same index");
}

#[test]
fn what_is_used_outlives_what_is_not_and_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for each in 0..50 {
        store.insert(&key(format!("hot{each}")), response(content(each, 4000)));
    }
    store.insert(&key("hot large"), response(content(77, 2 << 20)));
    for each in 0..30_000 {
        store.insert(&key(each), response(content(each, 4000)));
        if each % 500 == 0 {
            store.flush();
            for hot in 0..50 {
                assert!(store.variants(&key(format!("hot{hot}"))) > 0, "{hot} at {each}");
            }
            assert!(store.variants(&key("hot large")) > 0, "at {each}");
        }
    }
    store.flush();
    assert!(get(&store, &key(0)).is_empty());
    let objects = store.stats().objects;
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.stats().objects, objects);
    for hot in 0..50 {
        assert_eq!(contents(&store, &key(format!("hot{hot}"))), [content(hot, 4000)]);
    }
    assert_eq!(contents(&store, &key("hot large")), [content(77, 2 << 20)]);
}

#[test]
fn a_smaller_size_than_before_is_kept_from_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let large = DiskConfig { size: 4 * SMALLEST, ..config(directory.path()) };
    let store = DiskStore::open(large).unwrap();
    for each in 0..400 {
        store.insert(&key(each), response(content(each, 250_000)));
        store.flush();
    }
    drop(store);
    assert!(allocated(directory.path()) > SMALLEST);
    let store = open(directory.path());
    assert!(allocated(directory.path()) <= SMALLEST);
    assert_eq!(contents(&store, &key(399)), [content(399, 250_000)]);
}

#[test]
fn what_is_removed_while_room_is_made_stays_away() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut gone = Vec::new();
    for each in 0..6000 {
        store.insert(&key(each), response(content(each, 10_000)));
        // Used, so that the reclaimer moves it, and removed at some time on its way.
        let _ = store.variants(&key(each));
        if each > 300 && each % 7 == 0 {
            store.remove(&key(each - 300));
            gone.push(each - 300);
        }
        if each % 50 == 0 {
            store.flush();
        }
    }
    store.flush();
    drop(store);
    let store = open(directory.path());
    for each in gone {
        assert!(get(&store, &key(each)).is_empty(), "{each}");
    }
}
