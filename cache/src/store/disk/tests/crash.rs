//! A start after an end at any moment: what was acknowledged is right, and nothing else is there.

use super::*;

/// What the directory would look like had the process ended now: the files as the kernel has them.
fn snapshot(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for directory in ["segments", "large"] {
        std::fs::create_dir(copy.path().join(directory)).unwrap();
        for entry in std::fs::read_dir(from.join(directory)).unwrap() {
            let entry = entry.unwrap();
            let _ = std::fs::copy(entry.path(), copy.path().join(directory).join(entry.file_name()));
        }
    }
    for file in ["identity", "purges"] {
        std::fs::copy(from.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[test]
fn an_unsealed_log_is_recovered_and_what_was_removed_stays_away() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for each in 0..500 {
        store.insert(&key(each), response(content(each, 3000)));
    }
    store.flush();
    for each in (0..500).step_by(3) {
        assert!(removed(&store, &key(each)));
    }
    let crashed = snapshot(directory.path());
    let again = open(crashed.path());
    for each in 0..500 {
        let expected = if each % 3 == 0 { vec![] } else { vec![content(each, 3000)] };
        assert_eq!(contents(&again, &key(each)), expected, "{each}");
    }
    assert_eq!(again.stats().corrupt, 0);
}

/// Writes are not atomic: the end of the process may leave the first pages of one. At every such point a start serves
/// all that came before, and nothing that was removed.
#[test]
fn a_last_write_that_was_cut_short_costs_itself_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.insert(&key("removed"), response(content(1, 100)));
    store.insert(&key("kept"), response(content(2, 9000)));
    store.flush();
    assert!(removed(&store, &key("removed")));
    let before = snapshot(directory.path());
    store.insert(&key("torn"), response(content(3, 30_000)));
    store.flush();
    let after = snapshot(directory.path());
    drop(store);
    let segment = |of: &tempfile::TempDir| segments(of.path()).pop().unwrap();
    let (old, new) = (std::fs::read(segment(&before)).unwrap(), std::fs::read(segment(&after)).unwrap());
    let first = old.iter().zip(&new).position(|(a, b)| a != b).unwrap();
    let mut cut = (first / 4096) * 4096;
    while cut < first + 40_000 {
        let torn = snapshot(after.path());
        let mut bytes = new.clone();
        bytes[cut..].fill(0);
        bytes[..cut.min(first)].copy_from_slice(&old[..cut.min(first)]);
        if cut <= first {
            bytes = old.clone();
        }
        std::fs::write(segment(&torn), bytes).unwrap();
        let store = open(torn.path());
        assert_eq!(contents(&store, &key("kept")), [content(2, 9000)], "cut at {cut}");
        assert!(get(&store, &key("removed")).is_empty(), "cut at {cut}");
        let torn = contents(&store, &key("torn"));
        assert!(torn.is_empty() || torn == [content(3, 30_000)], "cut at {cut}");
        cut += 4096;
    }
}

#[test]
fn a_seal_that_was_cut_short_is_as_good_as_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for each in 0..300 {
        store.insert(&key(each), response(content(each, 1000)));
    }
    store.flush();
    let unsealed = snapshot(directory.path());
    drop(store);
    let sealed = std::fs::read(segments(directory.path()).pop().unwrap()).unwrap();
    let open_ended = std::fs::read(segments(unsealed.path()).pop().unwrap()).unwrap();
    let first = open_ended.iter().zip(&sealed).position(|(a, b)| a != b).unwrap();
    for cut in (first..=sealed.len()).step_by(1024).chain([sealed.len()]) {
        let torn = snapshot(unsealed.path());
        let mut bytes = open_ended.clone();
        bytes[first..cut].copy_from_slice(&sealed[first..cut]);
        std::fs::write(segments(torn.path()).pop().unwrap(), bytes).unwrap();
        let store = open(torn.path());
        assert_eq!((store.stats().objects, store.stats().corrupt), (300, 0), "cut at {cut}");
    }
}

#[test]
fn tombstones_hold_through_many_starts() {
    let directory = tempfile::tempdir().unwrap();
    for start in 0..10 {
        let store = open(directory.path());
        for before in 0..start {
            assert!(get(&store, &key(before)).is_empty(), "start {start}");
        }
        assert_eq!(contents(&store, &key("kept")).len(), usize::from(start > 0));
        store.insert(&key("kept"), response(content(0, 100)));
        store.insert(&key(start), response(content(start, 100)));
        store.insert(&key(start + 1000), response(content(start, 100)));
        store.flush();
        assert!(removed(&store, &key(start)));
    }
    assert_eq!(open(directory.path()).stats().objects, 11);
}

#[test]
fn a_missing_segment_may_have_held_a_tombstone() {
    let directory = tempfile::tempdir().unwrap();
    for start in 0..3 {
        let store = open(directory.path());
        store.insert(&key(start), response(content(start, 100)));
    }
    let found = segments(directory.path());
    assert_eq!(found.len(), 3);
    std::fs::remove_file(&found[1]).unwrap();
    let store = open(directory.path());
    assert!(get(&store, &key(0)).is_empty());
    assert_eq!((contents(&store, &key(2)).len(), store.stats().corrupt), (1, 1));
}

#[test]
fn a_segment_that_was_made_and_not_named_costs_nothing() {
    for length in [0, 4 << 20] {
        let directory = tempfile::tempdir().unwrap();
        for start in 0..3 {
            let store = open(directory.path());
            assert_eq!((store.stats().objects, store.stats().corrupt), (start, 0), "{length}");
            store.insert(&key(start), response(content(start, 100)));
            store.flush();
            drop(store);
            let next = super::super::segment::path(directory.path(), u32::try_from(start).unwrap() + 2);
            std::fs::File::create_new(next).unwrap().set_len(length).unwrap();
        }
        assert_eq!(open(directory.path()).stats().objects, 3);
    }
}
