//! Damage of any kind: a miss and a counter, never an answer, never a panic, and nothing that was removed comes back.

use super::*;

const ENTRIES: u64 = 40;

/// Seeds in an ordinary run; `FOREBAY_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("FOREBAY_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60)
}

fn length(each: u64) -> usize {
    if each.is_multiple_of(13) { (1 << 20) + 700_000 } else { 200 + usize::try_from(each * 97).unwrap() }
}

/// Some have a coding, and of these some one that has a file of its own.
fn coded(each: u64) -> Option<Bytes> {
    (each % 7 == 3).then(|| content(each + 1000, if each % 2 == 1 { (1 << 20) + 50_000 } else { 300 }))
}

/// A directory with a sealed segment and one that was not, entries that were removed, large ones, and codings.
fn prepared() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for half in [0, ENTRIES / 2] {
        let store = open(directory.path());
        for each in half..half + ENTRIES / 2 {
            let stored = response(content(each, length(each)));
            store.insert(&key(each), Arc::clone(&stored));
            if let Some(coded) = coded(each) {
                assert!(store.add_coded(&key(each), &stored, None, Coding::Gzip, coded));
            }
        }
        store.flush();
        for each in (0..half + ENTRIES / 2).filter(|each| each % 5 == 4) {
            removed(&store, &key(each));
        }
    }
    directory
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for name in ["segments", "large"] {
        std::fs::create_dir(to.path().join(name)).unwrap();
        for entry in std::fs::read_dir(from.join(name)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.path().join(name).join(entry.file_name())).unwrap();
        }
    }
    for file in ["identity", "purges"] {
        std::fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    to
}

fn files(path: &Path) -> Vec<std::path::PathBuf> {
    let mut files = vec![path.join("identity"), path.join("purges")];
    for name in ["segments", "large"] {
        files.extend(std::fs::read_dir(path.join(name)).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files
}

/// Every answer is right; how many there were.
fn verify(path: &Path, what: &str) -> usize {
    let store = open(path);
    let mut found = 0;
    for each in 0..ENTRIES {
        let variants = get(&store, &key(each));
        let answers: Vec<_> = variants.iter().map(|variant| variant.response.content().clone()).collect();
        if answers.is_empty() {
            continue;
        }
        for made in variants.iter().filter_map(|variant| variant.coded(Coding::Gzip)) {
            assert!(Some(made) == coded(each).as_ref(), "{what}: coding of {each}");
        }
        found += 1;
        assert!(each % 5 != 4, "{what}: {each} was removed");
        assert_eq!(answers, [content(each, length(each))], "{what}: {each}");
    }
    let _ = store.check();
    assert!(store.check().damaged == 0, "{what}: what is damaged has been dropped");
    found
}

#[test]
fn no_damage_is_served() {
    let original = prepared();
    assert_eq!(verify(copy(original.path()).path(), "undamaged"), 32);
    for seed in 0..seeds() {
        let directory = copy(original.path());
        let bytes = content(seed + 1, 24);
        let random = |at: usize| u64::from_le_bytes(bytes[at * 8..at * 8 + 8].try_into().unwrap());
        let files = files(directory.path());
        let pick = |n: u64| usize::try_from(n % files.len() as u64).unwrap();
        let file = &files[pick(random(0))];
        let mut damaged = std::fs::read(file).unwrap();
        let at = usize::try_from(random(1) % damaged.len() as u64).unwrap();
        let kind = seed % 6;
        match kind {
            0 => damaged[at] ^= 1 << (random(2) % 8),
            1 => damaged.truncate(at),
            2 => {
                let end = damaged.len().min(at + 4096);
                damaged[at..end].fill(0);
            }
            3 => {
                let other = &files[pick(random(2))];
                let swapped = std::fs::read(other).unwrap();
                std::fs::write(other, &damaged).unwrap();
                damaged = swapped;
            }
            4 => {
                let end = damaged.len().min(at + 512);
                damaged[at..end].copy_from_slice(&content(random(2), end - at));
            }
            _ => {
                // A stretch of one file in the place of another's.
                let other = std::fs::read(&files[pick(random(2))]).unwrap();
                let length = (damaged.len() - at).min(other.len()).min(8192) & !63;
                damaged[at & !63..(at & !63) + length].copy_from_slice(&other[..length]);
            }
        }
        std::fs::write(file, damaged).unwrap();
        let what = format!("seed {seed}, kind {kind}, {} at {at}", file.display());
        verify(directory.path(), &what);
    }
}

#[test]
fn a_flipped_bit_in_a_running_tier_is_a_miss_and_counted() {
    use std::os::unix::fs::FileExt as _;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.insert(&key("a"), response(content(1, 5000)));
    store.insert(&key("b"), response(content(2, 5000)));
    store.flush();
    let file = std::fs::File::options().read(true).write(true).open(segments(directory.path()).pop().unwrap()).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 4000).unwrap();
    file.write_all_at(&[byte[0] ^ 4], 4000).unwrap();
    assert!(get(&store, &key("a")).is_empty());
    assert_eq!((store.stats().corrupt, store.stats().objects), (1, 1));
    assert_eq!(contents(&store, &key("b")), [content(2, 5000)]);
    drop(store);
    let store = open(directory.path());
    assert_eq!((store.stats().corrupt, store.stats().objects), (0, 1), "and it stays away");
}

#[test]
fn a_directory_of_another_version_begins_empty_and_works() {
    let directory = prepared();
    let identity = directory.path().join("identity");
    let mut bytes = std::fs::read(&identity).unwrap();
    bytes[28] = 1;
    let crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
    bytes[60..].copy_from_slice(&crc);
    std::fs::write(&identity, bytes).unwrap();
    let store = open(directory.path());
    assert_eq!((store.stats().objects, store.stats().corrupt), (0, 1));
    assert!(store.insert(&key("a"), response(content(1, 10))));
    assert_eq!(contents(&store, &key("a")).len(), 1);
    assert_eq!(std::fs::read_dir(directory.path().join("large")).unwrap().count(), 0);
}

/// Zeros at its end make a sealed segment look like one that was never filled: but for its length.
#[test]
fn a_sealed_segment_whose_end_was_zeroed_may_have_held_a_tombstone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.insert(&key("a"), response(content(1, 100)));
    drop(store);
    let store = open(directory.path());
    assert!(removed(&store, &key("a")));
    drop(store);
    let last = segments(directory.path()).pop().unwrap();
    let mut bytes = std::fs::read(&last).unwrap();
    bytes[64..].fill(0);
    std::fs::write(&last, bytes).unwrap();
    let store = open(directory.path());
    assert!(get(&store, &key("a")).is_empty());
    assert_eq!(store.stats().corrupt, 1);
}
