//! Tests of the engine as a whole: what is stored, what is found, what a start finds.

mod crash;
mod damage;
mod faults;
mod journal;
mod large;
mod replay;
mod room;
mod seals;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::semantics::testing::Case;
use crate::store::Variants;

/// The smallest tier, segments of 4 MiB.
fn config(path: &Path) -> DiskConfig {
    DiskConfig { path: path.to_owned(), size: SMALLEST, max_object: 8 << 20, whole: 2 << 20, takeover: false }
}

fn open(path: &Path) -> DiskStore {
    DiskStore::open(config(path)).unwrap()
}

fn key(name: impl std::fmt::Display) -> CacheKey {
    CacheKey::new("http", "www.example.com", &format!("/{name}"), None)
}

/// Bytes that tell where they are from.
fn content(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    Bytes::from(words.flatten().take(length).collect::<Vec<u8>>())
}

fn response(content: Bytes) -> Arc<StoredResponse> {
    let stored = Case::response(&[("Cache-Control", "max-age=60"), ("ETag", "\"e\"")]).stored();
    Arc::new(stored.with_content(content))
}

fn variant(language: &str, content: Bytes) -> Arc<StoredResponse> {
    let case = Case::response(&[("Cache-Control", "max-age=60"), ("Vary", "Accept-Language")]);
    Arc::new(case.request(&[("Accept-Language", language)]).stored().with_content(content))
}

fn get(store: &DiskStore, key: &CacheKey) -> Variants {
    match store.get(key) {
        Lookup::Ready(variants) => variants,
        Lookup::Blocking(read) => read.read_now(),
    }
}

fn contents(store: &DiskStore, key: &CacheKey) -> Vec<Bytes> {
    get(store, key).iter().map(|variant| variant.response.content().clone()).collect()
}

fn removed(store: &DiskStore, key: &CacheKey) -> bool {
    let removal = store.remove(key);
    let existed = removal.existed;
    runtime().block_on(removal.durable());
    existed
}

impl DiskStore {
    /// As `flush`, for where a runtime is.
    async fn flush_now(&self) {
        let (done, flushed) = oneshot::channel();
        assert!(self.shared.queue.tell(Command::Room { bytes: 0, done }) && flushed.await.is_ok());
    }

    /// Waits until the writer has looked after its directory once more, as it does four times a second.
    fn sync(&self) {
        let (done, synced) = oneshot::channel();
        self.shared.queue.tell(Command::Tick { done });
        synced.blocking_recv().unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Bytes of all files beneath `path`, as they are allocated.
fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let each = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        let own = metadata.blocks() * 512;
        if metadata.is_dir() { own + allocated(&entry.path()) } else { own }
    });
    each.sum()
}

fn segments(path: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(path.join("segments")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn what_is_stored_is_found_at_once_once_written_and_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let stored = response(content(1, 5000));
    assert!(store.insert(&key("a"), Arc::clone(&stored)));
    let found = |store: &DiskStore| get(store, &key("a")).iter().next().map(|variant| variant.response.clone());
    assert_eq!(found(&store), Some(Arc::clone(&stored)), "while it waits to be written");
    store.flush();
    assert_eq!(found(&store), Some(Arc::clone(&stored)), "read from its segment");
    assert_eq!(contents(&store, &key("b")), Vec::<Bytes>::new());
    drop(store);
    let store = open(directory.path());
    assert_eq!(found(&store), Some(stored), "after a restart");
    assert_eq!((store.stats().objects, store.stats().corrupt), (1, 0));
}

#[test]
fn rfc9111_4_1_variants_stand_side_by_side_and_one_removal_takes_them_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for (language, text) in [("de", "eins"), ("en", "one"), ("de", "zwei")] {
        store.insert(&key("a"), variant(language, Bytes::from_static(text.as_bytes())));
    }
    assert_eq!(contents(&store, &key("a")), ["zwei", "one"]);
    store.flush();
    assert_eq!(contents(&store, &key("a")), ["zwei", "one"]);
    assert!(removed(&store, &key("a")) && !removed(&store, &key("a")));
    assert!(get(&store, &key("a")).is_empty());
    drop(store);
    assert!(get(&open(directory.path()), &key("a")).is_empty());
}

#[test]
fn a_removal_takes_what_still_waits_to_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for round in 0..200 {
        store.insert(&key(round), response(content(round, 20_000)));
        assert!(store.remove(&key(round)).existed);
        assert!(get(&store, &key(round)).is_empty());
    }
    store.flush();
    drop(store);
    assert_eq!(open(directory.path()).stats().objects, 0);
}

#[test]
fn codings_stay_with_the_content_they_were_made_from() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (first, second) = (response(content(1, 4000)), response(content(2, 4000)));
    let coded = |store: &DiskStore| {
        store.flush();
        let found = get(store, &key("a"));
        found.iter().next().unwrap().coded(Coding::Gzip).cloned()
    };
    store.insert(&key("a"), Arc::clone(&first));
    store.add_coded(&key("a"), &first, None, Coding::Gzip, Bytes::from_static(b"gzip of first"));
    assert_eq!(coded(&store).unwrap(), "gzip of first");
    let fresh = Arc::new(first.made_stale(crate::clock::Timestamp::from_secs(1)));
    store.freshen(&key("a"), &first, fresh, None);
    assert_eq!(coded(&store).unwrap(), "gzip of first", "freshened: the content is the same");
    drop(store);
    let store = open(directory.path());
    assert_eq!(coded(&store).unwrap(), "gzip of first", "after a restart");
    store.insert(&key("a"), Arc::clone(&second));
    assert_eq!(coded(&store), None, "new content");
    store.add_coded(&key("a"), &first, None, Coding::Gzip, Bytes::from_static(b"gzip of first"));
    assert_eq!(coded(&store), None, "made from what has been replaced meanwhile");
}

#[test]
fn two_processes_never_have_one_directory_and_the_newcomer_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let old = open(directory.path());
    old.insert(&key("a"), response(content(1, 100)));
    old.insert(&key("purged"), response(content(2, 100)));
    let refused = DiskStore::open(config(directory.path())).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ResourceBusy);
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    let new = DiskStore::open(DiskConfig { takeover: true, ..config(directory.path()) }).unwrap();
    assert!(new.degraded().is_some() && !new.insert(&key("b"), response(content(1, 10))));
    new.remove(&key("purged"));
    runtime().block_on(old.release());
    assert!(!old.insert(&key("c"), response(content(1, 10))));
    assert_eq!(contents(&old, &key("a")).len(), 1, "what it has can still be read");
    while new.degraded().is_some() {
        std::thread::yield_now();
    }
    assert_eq!((contents(&new, &key("a")).len(), contents(&new, &key("purged")).len()), (1, 0));
    assert!(new.insert(&key("b"), response(content(1, 10))));
}

#[test]
fn a_directory_that_is_too_small_or_not_ours_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let small = DiskStore::open(DiskConfig { size: SMALLEST - 1, ..config(directory.path()) }).unwrap_err();
    assert!(small.to_string().contains("32 MiB"), "{small}");
    std::fs::write(directory.path().join("file"), "").unwrap();
    assert!(DiskStore::open(config(&directory.path().join("file"))).is_err());
}

#[test]
fn everything_is_listed_by_prefix_and_checked() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for name in ["a/1", "a/2", "b/1"] {
        store.insert(&key(name), response(content(1, 1000)));
    }
    store.insert(&key("a/large"), response(content(1, 3 << 20)));
    store.flush();
    let now = crate::clock::Timestamp::from_secs(0);
    let mut listed = Vec::new();
    store.list("http://www.example.com/a/", now, |each| {
        listed.push(each);
        true
    });
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    let told: Vec<_> = listed.iter().map(|each| (each.key.path(), each.status, each.length)).collect();
    assert_eq!(told, [("/a/1", 200, 1000), ("/a/2", 200, 1000), ("/a/large", 200, 3 << 20)]);
    let report = store.check();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.sound, report.bytes), (4, 3000 + (3 << 20)));
}
