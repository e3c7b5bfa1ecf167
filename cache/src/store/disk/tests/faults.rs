//! A device that fails: requests go on, it is told, and it heals by itself.

use rustix::io::Errno;

use super::super::fault::Faults;
use super::super::io::Op;
use super::*;

pub(super) fn faulty(path: &Path) -> (DiskStore, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let io = Io { faults: Some(Arc::clone(&faults)), ..Io::default() };
    (DiskStore::open_with(config(path), io, 4 * MIB).unwrap(), faults)
}

fn await_health(store: &DiskStore) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while store.degraded().is_some() {
        assert!(std::time::Instant::now() < deadline, "it does not heal: {:?}", store.degraded());
        std::thread::yield_now();
    }
}

#[test]
fn a_device_that_fails_to_write_costs_entries_and_heals() {
    for (op, errno) in [(Op::Write, Errno::IO), (Op::Create, Errno::NOSPC), (Op::Create, Errno::ROFS)] {
        let directory = tempfile::tempdir().unwrap();
        let (store, faults) = faulty(directory.path());
        store.insert(&key("before"), response(content(1, 1000)));
        store.flush();
        faults.fail(op, errno);
        for each in 0..20_u64 {
            // Large ones ask for a file each, so every kind of failure is met.
            let length = if each.is_multiple_of(4) { 1 << 20 } else { 300_000 };
            store.insert(&key(each), response(content(each, length)));
        }
        store.flush();
        assert!(store.degraded().is_some(), "{op:?} {errno}");
        assert_eq!(contents(&store, &key("before")), [content(1, 1000)], "reads go on");
        let stats = store.stats();
        assert!(stats.write_errors > 0 && stats.rejections > 0, "{stats:?}");
        faults.heal();
        await_health(&store);
        assert!(store.insert(&key("after"), response(content(2, 1000))));
        store.flush();
        drop(store);
        let store = open(directory.path());
        assert_eq!(contents(&store, &key("before")), [content(1, 1000)]);
        assert_eq!(contents(&store, &key("after")), [content(2, 1000)]);
        assert_eq!(store.stats().corrupt, 0, "{op:?} {errno}");
        assert!(store.check().is_sound());
    }
}

/// A descriptor that cannot be read from, as a device that has gone: `EBADF` for `EIO`.
#[test]
fn a_device_that_fails_to_read_is_a_miss_and_counted_and_heals() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let stored = response(content(1, 1000));
    store.insert(&key("a"), Arc::clone(&stored));
    store.flush();
    let (id, sound) =
        store.shared.segments.read().first_key_value().map(|(id, segment)| (*id, Arc::clone(segment))).unwrap();
    let unreadable = Segment {
        id,
        path: sound.path.clone(),
        file: std::fs::File::options().write(true).open(&sound.path).unwrap(),
        space: store.shared.space.occupy(0),
    };
    store.shared.segments.write().insert(id, Arc::new(unreadable));
    assert!(get(&store, &key("a")).is_empty());
    let stats = store.stats();
    assert!(stats.read_errors >= 1 && stats.corrupt == 0, "{stats:?}");
    assert_eq!(stats.objects, 1, "the entry may be sound: it stays");
    store.shared.segments.write().insert(id, sound);
    assert_eq!(contents(&store, &key("a")), [content(1, 1000)]);
}

/// Each operation takes longer than a client waits.
#[test]
fn a_device_that_is_slow_holds_nobody_up_who_stores_or_reads() {
    let directory = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(directory.path());
    store.insert(&key("before"), response(content(1, 1000)));
    store.flush();
    faults.slow_down(std::time::Duration::from_millis(300));
    let started = std::time::Instant::now();
    let whole = content(2, 900_000);
    let taken = (0..200).filter(|each| store.insert(&key(each), response(whole.clone()))).count();
    assert_eq!(contents(&store, &key("before")), [content(1, 1000)]);
    assert_eq!(contents(&store, &key(0)), std::slice::from_ref(&whole), "what waits is found");
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
    assert!((60..=80).contains(&taken), "64 MiB may wait, the rest is not stored: {taken}");
    assert!(store.stats().rejections >= 120 && get(&store, &key(199)).is_empty());
    assert!(!removed_soon(&store, &key("before")), "its tombstone waits its turn");
    assert!(get(&store, &key("before")).is_empty(), "and it is gone all the same");
    faults.heal();
    store.flush();
    assert!(store.degraded().is_none());
    assert!(store.insert(&key("after"), response(content(3, 1000))));
    store.flush();
    drop(store);
    let store = open(directory.path());
    assert!(get(&store, &key("before")).is_empty());
    assert_eq!(contents(&store, &key("after")), [content(3, 1000)]);
}

/// A large fill: who reads it gets it all the same, and nothing of it is left.
#[tokio::test]
async fn a_device_that_hangs_in_a_large_fill_does_not_hold_up_who_reads_it() {
    use crate::body::{Body, Limits, Retention, SpoolSpace};
    let directory = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(directory.path());
    let spool = Arc::new(SpoolSpace::new(directory.path(), 64 << 20));
    let (mut writer, body) = Body::new(Retention::Keep, Limits::default(), spool);
    writer.move_to(store.begin_large(&key("a"), Some(900_000)).await.unwrap()).await.unwrap();
    let mut reader = body.reader().unwrap();
    let whole = content(1, 900_000);
    writer.push(whole.slice(..300_000)).await.unwrap();
    faults.slow_down(PATIENCE * 3);
    let started = std::time::Instant::now();
    let mut sent = Vec::new();
    let write = async {
        writer.push(whole.slice(300_000..600_000)).await.unwrap();
        assert!(!writer.is_in_file(), "it is given up");
        writer.push(whole.slice(600_000..)).await.unwrap();
        writer.finish();
    };
    let read = async {
        while let Some(chunk) = reader.next().await.unwrap() {
            sent.extend_from_slice(&chunk);
        }
    };
    tokio::join!(write, read);
    assert!(sent == whole && started.elapsed() < PATIENCE * 2, "{:?}", started.elapsed());
    assert!(store.begin_large(&key("b"), Some(900_000)).await.is_err(), "it goes on without the device");
    assert!(started.elapsed() < PATIENCE * 3);
    faults.heal();
}

/// Whether a removal is in the log within a moment.
fn removed_soon(store: &DiskStore, key: &CacheKey) -> bool {
    let removal = store.remove(key);
    assert!(removal.existed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let soon = std::time::Duration::from_millis(20);
    runtime.block_on(async { tokio::time::timeout(soon, removal.durable()).await.is_ok() })
}

#[test]
fn what_is_removed_while_the_device_fails_is_removed_for_good_once_it_heals() {
    let directory = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(directory.path());
    for each in 0..10 {
        store.insert(&key(each), response(content(each, 1000)));
    }
    store.flush();
    faults.fail(Op::Write, Errno::IO);
    faults.fail(Op::Create, Errno::IO);
    let removal = store.remove(&key(3));
    assert!(removal.existed && !runtime().block_on(removal.durable()), "it says that it is not durable");
    assert!(get(&store, &key(3)).is_empty());
    faults.heal();
    await_health(&store);
    store.flush();
    drop(store);
    let store = open(directory.path());
    assert!(get(&store, &key(3)).is_empty());
    assert_eq!(store.stats().objects, 9);
}

#[test]
fn a_put_that_fails_takes_what_it_was_to_replace_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(directory.path());
    store.insert(&key("a"), response(content(1, 1000)));
    store.flush();
    faults.fail(Op::Write, Errno::IO);
    store.insert(&key("a"), response(content(2, 1000)));
    store.flush();
    assert!(get(&store, &key("a")).is_empty(), "not the one before");
    faults.heal();
    await_health(&store);
    store.flush();
    drop(store);
    assert!(get(&open(directory.path()), &key("a")).is_empty());
}

#[test]
fn a_directory_that_is_removed_under_load_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache");
    let store = open(&path);
    store.insert(&key("a"), response(content(1, 1000)));
    store.flush();
    std::fs::remove_dir_all(&path).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut seed = 0;
    loop {
        seed += 1;
        store.insert(&key("b"), response(content(seed, 1000)));
        store.flush();
        if path.join("identity").exists() && store.degraded().is_none() && segments(&path).len() == 1 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{:?}", store.stats());
    }
    assert!(get(&store, &key("a")).is_empty());
    store.insert(&key("c"), response(content(3, 1000)));
    store.flush();
    drop(store);
    assert_eq!(contents(&open(&path), &key("c")), [content(3, 1000)]);
}
