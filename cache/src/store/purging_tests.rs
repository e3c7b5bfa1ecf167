use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::fill::{Fills, Joined};
use crate::purge::Scope;
use crate::semantics::testing::{Case, T0, at};
use crate::store::MemoryStore;
use crate::store::disk::{DiskConfig, DiskStore, SMALLEST};

fn key(path: &str) -> CacheKey {
    CacheKey::new("http", "a.test", path, None)
}

fn response(store: &TieredStore, tags: &str) -> Arc<StoredResponse> {
    let lines = [("Cache-Control", "max-age=60, stale-while-revalidate=30"), ("xkey", tags), ("ETag", "\"1\"")];
    let stored = Case::response(&lines).stored().with_content(Bytes::from_static(b"0123456789"));
    Arc::new(stored.stamped(store.purges().last()))
}

fn memory() -> TieredStore {
    TieredStore::new(MemoryStore::new(1 << 20, 4096), None)
}

fn both(path: &std::path::Path) -> TieredStore {
    let config =
        DiskConfig { path: path.to_owned(), size: SMALLEST, max_object: SMALLEST / 4, whole: 4096, takeover: false };
    TieredStore::new(MemoryStore::new(1 << 20, 4096), Some(DiskStore::open(config).unwrap()))
}

fn of_host(what: What, soft: bool) -> Purge {
    Purge { scope: Scope::Host("a.test".to_owned()), what, soft }
}

async fn purge(store: &TieredStore, what: What) -> Purged {
    store.purge(&of_host(what, false), &[], at(1)).await.unwrap()
}

async fn held(store: &TieredStore, path: &str) -> bool {
    store.get(&key(path), |variants| !variants.is_empty()).await.is_some()
}

/// On a thread that may block.
fn beside<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[tokio::test]
async fn a_purge_takes_out_what_it_concerns_in_both_tiers_and_counts_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = both(directory.path());
    for (path, tags) in [("/a", "home"), ("/b", "home p-1"), ("/c", "p-12")] {
        store.insert(&key(path), response(&store, tags));
    }
    let tags = What::Tags(vec!["p-1".to_owned()]);
    assert_eq!(store.would_purge(&of_host(tags.clone(), false), &[], at(1)).await, Ok(1));
    assert!(held(&store, "/b").await, "a dry run purges nothing");
    assert_eq!(purge(&store, tags.clone()).await, Purged { count: 1, durable: true });
    assert_eq!(purge(&store, tags).await.count, 0, "it is gone");
    assert_eq!((held(&store, "/a").await, held(&store, "/b").await, held(&store, "/c").await), (true, false, true));
    store.insert(&key("/b"), response(&store, "home p-1"));
    assert!(held(&store, "/b").await, "what was fetched after it is used");
    store.memory.remove(&key("/a"));
    let purged = store.purge(&of_host(What::Url("/a".to_owned()), false), &[key("/a")], at(2)).await.unwrap();
    assert_eq!(purged.count, 1, "a URL is counted on disk, too");
    assert!(!held(&store, "/a").await);
    assert_eq!(purge(&store, What::Everything).await.count, 2);
}

#[tokio::test]
async fn a_broken_purge_purges_nothing() {
    let store = memory();
    store.insert(&key("/a"), response(&store, "home"));
    for what in [What::Regex("(".to_owned()), What::Tags(Vec::new()), What::Url("a".to_owned())] {
        assert!(store.purge(&of_host(what, false), &[], T0).await.is_err());
    }
    assert!(held(&store, "/a").await && store.purges().last() == 0);
}

#[tokio::test]
async fn a_soft_purge_makes_stale_and_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = both(directory.path());
    store.insert(&key("/a"), response(&store, "home"));
    let soft = of_host(What::Everything, true);
    assert_eq!(store.purge(&soft, &[], at(10)).await.unwrap().count, 1);
    for _ in 0..2 {
        let found = store.get(&key("/a"), |_| true).await.unwrap();
        let response = &found.variants.iter().next().unwrap().response;
        assert!(!response.is_fresh(at(10)) && response.staleness(at(20)) == Duration::from_secs(10));
        beside(|| store.disk().unwrap().flush());
        drop(store);
        store = both(directory.path());
    }
}

#[tokio::test]
async fn parts_are_purged_and_not_joined_by_newer_ones() {
    let store = memory();
    let part = |first: u64| Parts::new(response(&store, "home"), 10, first, Bytes::from_static(b"01234"));
    store.insert_parts(&key("/a"), part(0));
    assert!(store.parts(&key("/a")).is_some());
    purge(&store, What::Prefix("/".to_owned())).await;
    assert!(store.parts(&key("/a")).is_none());
    store.insert_parts(&key("/a"), part(0));
    purge(&store, What::Prefix("/a".to_owned())).await;
    store.insert_parts(&key("/a"), part(5));
    assert_eq!(store.parts(&key("/a")).unwrap().gap(), Some(0..5));
}

#[tokio::test]
async fn who_comes_after_a_purge_does_not_join_a_fill_that_began_before_it() {
    let store = memory();
    let fills: Arc<Fills<u8>> = Arc::new(Fills::new(Arc::clone(store.purges())));
    let join = || fills.join(&key("/a"), b"", || None::<()>).unwrap();
    let Joined::Lead(first) = join() else { panic!("the first leads") };
    assert!(matches!(join(), Joined::Follow(_)));
    purge(&store, What::Url("/a".to_owned())).await;
    assert_eq!(fills.oldest(), 0);
    let Joined::Lead(second) = join() else { panic!("the fill before the purge was joined") };
    assert!(first.fill().is_doomed() && !second.fill().is_doomed());
    assert!(matches!(join(), Joined::Follow(_)));
    assert_eq!(fills.oldest(), store.purges().last());
    let again = fills.instead_of(&first, &key("/a"));
    assert!(again.fill().is_doomed(), "one that goes on is as old as it was");
}

#[tokio::test]
async fn the_sweep_removes_what_is_purged_and_retires_the_records() {
    let directory = tempfile::tempdir().unwrap();
    let store = both(directory.path());
    for n in 0..50 {
        store.insert(&key(&format!("/a/{n}")), response(&store, "a"));
        store.insert(&key(&format!("/b/{n}")), response(&store, "b"));
    }
    beside(|| store.disk().unwrap().flush());
    for n in 0..50 {
        store.memory.remove(&key(&format!("/a/{n}")));
    }
    purge(&store, What::Prefix("/a/".to_owned())).await;
    let soft = of_host(What::Prefix("/b/".to_owned()), true);
    store.purge(&soft, &[], at(1)).await.unwrap();
    assert_eq!(store.purges().records(), 2);
    let last = store.purges().last();
    let store = Arc::new(store);
    let sweep = |oldest, now| beside(|| store.sweep(oldest, now, || true));
    assert!(sweep(0, at(2)).whole);
    assert_eq!(store.purges().records(), 2, "a fill from before the purges is still on its way");
    assert_eq!(store.disk_stats().unwrap().objects, 50);
    assert!(sweep(last, at(2)).whole);
    assert_eq!(store.purges().records(), 1, "something stored has yet to be told of the soft one");
    assert!(!held(&store, "/a/1").await && held(&store, "/b/1").await);
    assert!(sweep(last, at(100)).whole);
    assert_eq!((store.purges().records(), store.disk_stats().unwrap().objects), (0, 0));
}
