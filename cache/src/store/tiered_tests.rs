use super::*;
use crate::semantics::testing::Case;
use crate::store::disk::{DiskConfig, SMALLEST};

fn key(name: &str) -> CacheKey {
    CacheKey::new("http", "x", name, None)
}

fn response(text: &'static str) -> Arc<StoredResponse> {
    Arc::new(
        Case::response(&[("Cache-Control", "max-age=60")]).stored().with_content(Bytes::from_static(text.as_bytes())),
    )
}

fn variant(language: &str) -> Arc<StoredResponse> {
    let case = Case::response(&[("Cache-Control", "max-age=60"), ("Vary", "Accept-Language")]);
    Arc::new(case.request(&[("Accept-Language", language)]).stored().with_content(Bytes::from(language.to_owned())))
}

fn open(path: &std::path::Path) -> TieredStore {
    let config =
        DiskConfig { path: path.to_owned(), size: SMALLEST, max_object: SMALLEST / 4, whole: 4096, takeover: false };
    TieredStore::new(MemoryStore::new(1 << 20, 4096), Some(DiskStore::open(config).unwrap()))
}

async fn found(store: &TieredStore, name: &str) -> Option<(Tier, Bytes)> {
    let found = store.get(&key(name), |variants| !variants.is_empty()).await?;
    Some((found.tier, found.variants.iter().next()?.response.content().clone()))
}

#[tokio::test]
async fn what_memory_forgot_is_found_on_disk_and_promoted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.insert(&key("/a"), response("a"));
    assert_eq!(found(&store, "/a").await, Some((Tier::Memory, "a".into())));
    store.memory.remove(&key("/a"));
    assert_eq!(found(&store, "/a").await, Some((Tier::Disk, "a".into())));
    assert_eq!(found(&store, "/a").await, Some((Tier::Memory, "a".into())));
    drop(store);
    let store = open(directory.path());
    assert_eq!(found(&store, "/a").await, Some((Tier::Disk, "a".into())), "after a restart");
    assert_eq!(found(&store, "/b").await, None);
}

/// A round through more than memory holds would push out each before it is asked for again.
#[tokio::test]
async fn full_memory_takes_in_what_is_found_on_disk_twice_within_a_short_while() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let content: &'static str = "x".repeat(4096).leak();
    let names: Vec<String> = (0..4000).map(|number| format!("/{number}")).collect();
    for name in &names {
        store.insert(&key(name), response(content));
    }
    assert!(store.stats().objects < 250, "{} of 4000 are in memory", store.stats().objects);
    let before = store.stats().admissions;
    for name in &names {
        assert!(found(&store, name).await.is_some(), "{name}");
    }
    let promoted = store.stats().admissions - before;
    assert!(promoted < 20, "{promoted} were promoted by one round");
    let absent = names.iter().find(|name| store.in_memory(&key(name)).is_none()).unwrap();
    let before = store.stats().admissions;
    for _ in 0..2 {
        assert_eq!(found(&store, absent).await.map(|(tier, _)| tier), Some(Tier::Disk));
    }
    assert_eq!(store.stats().admissions, before + 1, "the second time");
    for _ in 0..20 {
        found(&store, absent).await;
    }
    assert!(store.stats().objects > 0, "moka is up to date");
    assert_eq!(found(&store, absent).await.map(|(tier, _)| tier), Some(Tier::Memory), "asked for often");
}

#[tokio::test]
async fn one_removal_reaches_both_tiers() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.insert(&key("/a"), response("a"));
    assert!(store.remove(&key("/a")).await);
    assert_eq!(found(&store, "/a").await, None);
    assert!(!store.remove(&key("/a")).await);
    store.memory.insert(&key("/only-here"), response("a"));
    assert!(store.remove(&key("/only-here")).await);
}

/// A removal that falls between the reading of the disk and the promotion must win.
#[test]
fn a_removal_during_a_promotion_is_not_undone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..1000 {
        store.insert(&key("/a"), response("a"));
        store.memory.remove(&key("/a"));
        let start = Arc::new(std::sync::Barrier::new(2));
        let reader = {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                runtime().block_on(found(&store, "/a"))
            })
        };
        start.wait();
        runtime().block_on(store.remove(&key("/a")));
        reader.join().unwrap();
        assert!(store.in_memory(&key("/a")).is_none());
    }
}

#[tokio::test]
async fn rfc9111_4_1_a_variant_that_memory_lacks_is_looked_for_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.insert(&key("/a"), variant("de"));
    store.memory.remove(&key("/a"));
    store.insert(&key("/a"), variant("en"));
    let mut german = http::HeaderMap::new();
    german.insert("accept-language", http::HeaderValue::from_static("de"));
    let found = store.get(&key("/a"), |variants| variants.select(&german).is_some()).await.unwrap();
    assert_eq!(
        (found.tier, found.variants.select(&german).unwrap().response.content().as_ref()),
        (Tier::Disk, &b"de"[..])
    );
    assert_eq!(store.in_memory(&key("/a")).unwrap().len(), 2, "both are in memory now");
}

#[tokio::test]
async fn codings_and_freshened_fields_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let old = response("a");
    store.insert(&key("/a"), Arc::clone(&old));
    store.add_coded(&key("/a"), &old, Coding::Brotli, Bytes::from_static(b"br")).await;
    let fresh = Arc::new(old.made_stale(crate::clock::Timestamp::from_secs(5)));
    store.freshen(&key("/a"), &Variant::new(old), Arc::clone(&fresh));
    drop(store);
    let store = open(directory.path());
    let found = store.get(&key("/a"), |_| true).await.unwrap();
    let variant = found.variants.iter().next().unwrap();
    assert_eq!(variant.response, fresh);
    assert_eq!(variant.coded(Coding::Brotli).map(Bytes::as_ref), Some(&b"br"[..]));
}

#[tokio::test]
async fn what_is_too_large_for_memory_stays_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert_eq!((store.max_in_memory(), store.max_object()), (4096, SMALLEST / 4));
    let mut writer = store.begin_large(&key("/a"), Some(2 << 20)).await.unwrap();
    let whole = Bytes::from(vec![7; 2 << 20]);
    writer.write(vec![whole.clone()]).await.unwrap();
    assert!(store.commit_large(&key("/a"), response(""), writer).await);
    let found = store.get(&key("/a"), |_| true).await.unwrap();
    let large = found.variants.iter().next().unwrap().large.clone().unwrap();
    let mut reader = large.reader(0..u64::MAX);
    let mut read = Vec::new();
    while let Some(part) = reader.next().await.unwrap() {
        read.extend_from_slice(&part);
    }
    assert_eq!(read, whole);
    assert!(store.in_memory(&key("/a")).is_none());
}

/// A flight has the head alone; what is stored of it has the content, and memory may not have admitted that.
#[tokio::test]
async fn a_coding_made_in_flight_is_kept_in_both_tiers() {
    let directory = tempfile::tempdir().unwrap();
    for forgotten in [false, true] {
        let store = open(directory.path());
        let flight = response("");
        let name = format!("/{forgotten}");
        store.insert(&key(&name), Arc::new(flight.as_ref().clone().with_content(Bytes::from_static(b"content"))));
        if forgotten {
            store.memory.remove(&key(&name));
        }
        store.add_coded(&key(&name), &flight, Coding::Gzip, Bytes::from_static(b"gzip")).await;
        let gzip = |found: &Found| found.variants.iter().next().unwrap().coded(Coding::Gzip).cloned();
        let found = store.get(&key(&name), |_| true).await.unwrap();
        assert_eq!(found.tier, if forgotten { Tier::Disk } else { Tier::Memory });
        assert_eq!(gzip(&found).unwrap(), "gzip");
        drop(store);
        let store = open(directory.path());
        assert_eq!(gzip(&store.get(&key(&name), |_| true).await.unwrap()).unwrap(), "gzip", "after a restart");
    }
}

/// What the short way reads: the content's length, and the content in `coding`.
fn plain(store: &TieredStore, name: &str, coding: Option<Coding>) -> Option<(u64, Bytes)> {
    let found = store.on_disk_by_bytes(key(name).as_bytes())?;
    assert!(found.variant().response.content().is_empty());
    Some((found.length(), found.content(coding)?))
}

/// Stored with a coding, on disk alone, where memory has no room.
fn on_disk_alone(path: &std::path::Path, name: &str) -> TieredStore {
    let config =
        DiskConfig { path: path.to_owned(), size: SMALLEST, max_object: SMALLEST / 4, whole: 4096, takeover: false };
    let store = TieredStore::new(MemoryStore::new(0, 4096), Some(DiskStore::open(config).unwrap()));
    let stored = response("as it came");
    store.insert(&key(name), Arc::clone(&stored));
    store.disk.as_ref().unwrap().add_coded(&key(name), &stored, None, Coding::Gzip, Bytes::from_static(b"gzip"));
    store.disk.as_ref().unwrap().flush();
    store
}

#[test]
fn the_short_way_reads_the_form_that_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let store = on_disk_alone(directory.path(), "/a");
    for _ in ["read", "read and kept", "kept"] {
        assert_eq!(plain(&store, "/a", None), Some((10, "as it came".into())));
        assert_eq!(plain(&store, "/a", Some(Coding::Gzip)), Some((10, "gzip".into())));
        assert_eq!(plain(&store, "/a", Some(Coding::Zstd)), None);
    }
    assert_eq!(plain(&store, "/b", None), None);
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn the_short_way_leaves_what_varies_waits_was_purged_or_removed_to_the_long_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = on_disk_alone(directory.path(), "/a");
    store.insert(&key("/vary"), variant("de"));
    store.disk.as_ref().unwrap().flush();
    assert_eq!(plain(&store, "/vary", None), None);
    let other = crate::purge::Purge {
        scope: crate::purge::Scope::Everywhere,
        what: crate::purge::What::Url("/other".to_owned()),
        soft: false,
    };
    let now = crate::clock::Timestamp::from_secs(5);
    wait(store.purge(&other, &[], now)).unwrap();
    assert!(plain(&store, "/a", None).is_some(), "another URL was purged");
    let this = crate::purge::Purge { what: crate::purge::What::Url("/a".to_owned()), ..other };
    wait(store.purge(&this, &[], now)).unwrap();
    assert_eq!(plain(&store, "/a", None), None, "purged, and still there");
    let store = on_disk_alone(tempfile::tempdir().unwrap().path(), "/a");
    wait(store.remove(&key("/a")));
    assert_eq!(plain(&store, "/a", None), None);
}

#[test]
fn the_short_way_serves_no_byte_whose_checksum_is_wrong() {
    for is_kept in [false, true] {
        for (coding, damaged) in [(None, "as it came"), (Some(Coding::Gzip), "gzip"), (None, "max-age")] {
            let directory = tempfile::tempdir().unwrap();
            let store = on_disk_alone(directory.path(), "/a");
            for _ in 0..if is_kept { 2 } else { 0 } {
                assert!(plain(&store, "/a", coding).is_some());
            }
            flip(directory.path(), damaged);
            // What is in memory already is right.
            let survives = is_kept && damaged == "max-age";
            assert_eq!(plain(&store, "/a", coding).is_some(), survives, "{damaged} {is_kept}");
            assert_eq!(store.disk_stats().unwrap().corrupt, u64::from(!survives));
        }
    }
}

/// Flips a bit where `text` stands in the only segment.
fn flip(directory: &std::path::Path, text: &str) {
    let segment = std::fs::read_dir(directory.join("segments")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(text.len()).rposition(|window| window == text.as_bytes()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&segment).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[bytes[at] ^ 1], at as u64).unwrap();
}

#[test]
fn the_short_way_leaves_to_the_long_way_what_is_worth_memory() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.insert(&key("/a"), response("a"));
    store.disk.as_ref().unwrap().flush();
    store.memory.remove(&key("/a"));
    assert_eq!(plain(&store, "/a", None), None, "memory has room");
    assert_eq!(wait(found(&store, "/a")), Some((Tier::Disk, "a".into())));
    assert_eq!(wait(found(&store, "/a")), Some((Tier::Memory, "a".into())));
}
