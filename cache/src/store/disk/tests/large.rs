//! Large content: streamed in, read while it is written, read in part, freshened without being written again.

use super::*;

async fn stream(store: &DiskStore, name: &str, whole: &Bytes, length: Option<u64>) -> std::io::Result<LargeWriter> {
    let mut writer = store.begin_large(&key(name), length).await?;
    for chunk in whole.chunks(70_000) {
        writer.write(vec![Bytes::copy_from_slice(chunk)]).await?;
    }
    Ok(writer)
}

async fn read(content: &Arc<LargeContent>, range: std::ops::Range<u64>) -> std::io::Result<Vec<u8>> {
    let (mut reader, mut read) = (content.reader(range), Vec::new());
    while let Some(part) = reader.next().await? {
        read.extend_from_slice(&part);
    }
    Ok(read)
}

async fn found(store: &DiskStore, name: &str) -> Option<Arc<LargeContent>> {
    store.load(&key(name)).await.iter().next()?.large.clone()
}

#[tokio::test]
async fn it_is_streamed_and_any_range_of_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let whole = content(1, 5_000_001);
    for length in [Some(5_000_001), None] {
        let store = open(directory.path());
        let writer = stream(&store, "a", &whole, length).await.unwrap();
        let mut readable = vec![0; 100_000];
        std::os::unix::fs::FileExt::read_exact_at(&**writer.file(), &mut readable, 4_900_001).unwrap();
        assert_eq!(readable, whole[4_900_001..], "while it is written");
        assert!(store.load(&key("a")).await.is_empty() || length.is_none(), "not found before it is whole");
        assert!(store.commit_large(&key("a"), response(Bytes::new()), writer).await);
        for restart in [false, true] {
            let again;
            let store = if restart {
                let (done, flushed) = oneshot::channel();
                store.shared.queue.tell(Command::Room { bytes: 0, done });
                flushed.await.unwrap();
                store.release().await;
                again = open(directory.path());
                &again
            } else {
                &store
            };
            let file = found(store, "a").await.unwrap();
            assert_eq!(file.length(), 5_000_001);
            for range in [0..5_000_001, 0..1, 262_143..262_146, 5_000_000..9_000_000, 3..3, 9_000_000..9_000_001] {
                let end = usize::try_from(range.end.min(5_000_001)).unwrap();
                let start = usize::try_from(range.start).unwrap().min(end);
                assert_eq!(read(&file, range.clone()).await.unwrap(), whole[start..end], "{range:?}");
            }
        }
    }
}

#[tokio::test]
async fn one_that_is_not_finished_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let before = store.stats().bytes;
    let writer = stream(&store, "a", &content(1, 3_000_000), None).await.unwrap();
    assert!(store.stats().bytes > before + 3_000_000, "room is taken before it is used");
    drop(writer);
    // By a thread that may wait.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while store.stats().bytes != before {
        assert!(std::time::Instant::now() < deadline, "{:?}", store.stats());
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_dir(directory.path().join("large")).unwrap().count(), 0);
    assert!(store.load(&key("a")).await.is_empty());
}

#[tokio::test]
async fn too_large_is_refused_before_or_while_it_arrives() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert!(store.begin_large(&key("a"), Some((8 << 20) + 1)).await.is_err());
    let refused = stream(&store, "a", &content(1, (8 << 20) + 1), None).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::FileTooLarge);
    assert!(!store.insert(&key("a"), response(content(1, (8 << 20) + 1))));
    assert!(store.stats().rejections >= 2);
}

#[tokio::test]
async fn fields_are_freshened_without_writing_the_content_again() {
    let directory = tempfile::tempdir().unwrap();
    let whole = content(1, 3_000_000);
    let store = open(directory.path());
    let old = response(Bytes::new());
    let writer = stream(&store, "a", &whole, Some(3_000_000)).await.unwrap();
    store.commit_large(&key("a"), Arc::clone(&old), writer).await;
    let file = found(&store, "a").await.unwrap();
    let fresh = Arc::new(old.made_stale(crate::clock::Timestamp::from_secs(9)));
    assert!(store.freshen(&key("a"), &old, Arc::clone(&fresh), Some(&file)));
    drop(file);
    store.release().await;
    let store = open(directory.path());
    let variants = store.load(&key("a")).await;
    assert_eq!(variants.iter().next().unwrap().response.metadata(), fresh.metadata());
    assert_eq!(read(&found(&store, "a").await.unwrap(), 0..3_000_000).await.unwrap(), whole);
    assert_eq!(std::fs::read_dir(directory.path().join("large")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_reader_goes_on_when_the_entry_is_removed_and_its_room_comes_back_after() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let whole = content(1, 3_000_000);
    let writer = stream(&store, "a", &whole, Some(3_000_000)).await.unwrap();
    store.commit_large(&key("a"), response(Bytes::new()), writer).await;
    let file = found(&store, "a").await.unwrap();
    assert!(store.remove(&key("a")).durable().await);
    assert_eq!(read(&file, 0..3_000_000).await.unwrap(), whole);
    let held = store.stats().bytes;
    assert!(held > 3_000_000, "the device still holds it");
    drop(file);
    assert!(store.stats().bytes < held - 3_000_000);
}

#[tokio::test]
async fn a_flipped_bit_ends_the_reader_and_the_entry() {
    use std::os::unix::fs::FileExt as _;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let whole = content(1, 3_000_000);
    let writer = stream(&store, "a", &whole, Some(3_000_000)).await.unwrap();
    store.commit_large(&key("a"), response(Bytes::new()), writer).await;
    store.release().await;
    let store = open(directory.path());
    let path = std::fs::read_dir(directory.path().join("large")).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[whole[2_000_000] ^ 1], 2_000_000).unwrap();
    let found = found(&store, "a").await.unwrap();
    assert!(read(&found, 0..3_000_000).await.is_err());
    assert_eq!(read(&found, 0..1000).await.unwrap(), whole[..1000], "blocks that are right are right");
    assert!(store.load(&key("a")).await.is_empty());
    assert_eq!(store.stats().corrupt, 1);
}

#[test]
fn a_file_that_became_shorter_is_a_miss_counted_and_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for each in 0..2 {
        store.insert(&key(each), response(content(each, 3 << 20)));
    }
    store.flush();
    for entry in std::fs::read_dir(directory.path().join("large")).unwrap() {
        std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap().set_len(1 << 20).unwrap();
    }
    assert!(get(&store, &key(0)).is_empty());
    assert_eq!((store.stats().corrupt, store.stats().objects), (1, 1));
    assert_eq!(store.check().damaged, 1, "the other one");
    store.flush();
    assert_eq!(std::fs::read_dir(directory.path().join("large")).unwrap().count(), 0);
}

/// A record that is still in the log may name a file that is gone: another one of that name would have two owners.
#[test]
fn the_number_of_a_file_that_is_gone_is_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.insert(&key("gone"), response(content(1, 3 << 20)));
    store.flush();
    drop(store);
    for entry in std::fs::read_dir(directory.path().join("large")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for start in 0..2 {
        let store = open(directory.path());
        assert!(get(&store, &key("gone")).is_empty());
        assert_eq!(contents(&store, &key("new")).len(), start);
        store.insert(&key("new"), response(content(2, 3 << 20)));
        store.flush();
        assert_eq!((store.stats().objects, store.stats().corrupt), (1, 0));
    }
}

/// What is found of `name`: the content and its codings, each read from its file, or none.
async fn coded(store: &DiskStore, name: &str) -> Option<(Vec<u8>, Vec<(Coding, Vec<u8>)>)> {
    let variants = store.load(&key(name)).await;
    let variant = variants.iter().next()?;
    let mut codings = Vec::new();
    for (coding, content) in &variant.coded {
        codings.push((*coding, content.to_vec()));
    }
    for (coding, content) in &variant.coded_large {
        codings.push((*coding, read(content, 0..u64::MAX).await.unwrap()));
    }
    Some((read(variant.large.as_ref()?, 0..u64::MAX).await.unwrap(), codings))
}

/// Stores `whole` in a file, and both kinds of codings of it: one that is short, and one that has a file too.
async fn store_coded(store: &DiskStore, name: &str, whole: &Bytes, long: &Bytes) {
    let writer = stream(store, name, whole, None).await.unwrap();
    assert!(store.commit_large(&key(name), response(Bytes::new()), writer).await);
    let variants = store.load(&key(name)).await;
    let variant = variants.iter().next().unwrap();
    let file = variant.large.clone().unwrap();
    assert!(store.is_stored(&key(name), &variant.response));
    assert!(store.add_coded(&key(name), &variant.response, Some(&file), Coding::Brotli, Bytes::from_static(b"short")));
    let writer = stream(store, name, long, None).await.unwrap();
    assert!(store.commit_coded(&key(name), &variant.response, &file, Coding::Gzip, writer).await);
}

#[tokio::test]
async fn codings_of_content_in_files_stay_with_it_through_restarts_and_go_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let (whole, long) = (content(1, 4_000_001), content(2, 2_000_001));
    let store = open(directory.path());
    store_coded(&store, "a", &whole, &long).await;
    let codings = vec![(Coding::Brotli, b"short".to_vec()), (Coding::Gzip, long.to_vec())];
    assert_eq!(coded(&store, "a").await, Some((whole.to_vec(), codings.clone())), "before it is written");
    drop(store);
    let store = open(directory.path());
    assert_eq!(coded(&store, "a").await, Some((whole.to_vec(), codings.clone())), "after a restart");
    assert!(store.check().is_sound() && store.stats().objects == 3);
    // Freshened, it keeps them.
    let variants = store.load(&key("a")).await;
    let variant = variants.iter().next().unwrap();
    let fresh = Arc::new(variant.response.made_stale(crate::clock::Timestamp::from_secs(1)));
    assert!(store.freshen(&key("a"), &variant.response, fresh, variant.large.as_deref()));
    drop(store);
    let store = open(directory.path());
    assert_eq!(coded(&store, "a").await, Some((whole.to_vec(), codings)), "freshened");
    // Other content of the same key: none of the codings was made of that.
    let other = content(3, 4_000_001);
    let writer = stream(&store, "a", &other, None).await.unwrap();
    assert!(store.commit_large(&key("a"), response(Bytes::new()), writer).await);
    assert_eq!(coded(&store, "a").await, Some((other.to_vec(), Vec::new())));
    store.flush_now().await;
    assert_eq!(std::fs::read_dir(directory.path().join("large")).unwrap().count(), 1);
    assert!(store.remove(&key("a")).durable().await);
    assert!(coded(&store, "a").await.is_none());
    assert_eq!(std::fs::read_dir(directory.path().join("large")).unwrap().count(), 0);
}

#[tokio::test]
async fn one_removal_takes_content_in_a_file_and_its_codings_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let (whole, long) = (content(1, 4_000_001), content(2, 2_000_001));
    for waits in [true, false] {
        let store = open(directory.path());
        store_coded(&store, "a", &whole, &long).await;
        if !waits {
            store.flush_now().await;
        }
        assert!(store.remove(&key("a")).durable().await);
        assert!(coded(&store, "a").await.is_none());
        drop(store);
        let store = open(directory.path());
        assert!(coded(&store, "a").await.is_none());
        assert_eq!((store.stats().objects, std::fs::read_dir(directory.path().join("large")).unwrap().count()), (0, 0));
    }
}

#[tokio::test]
async fn a_coding_whose_file_is_damaged_is_dropped_and_the_content_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (whole, long) = (content(1, 4_000_001), content(2, 2_000_001));
    let store = open(directory.path());
    store_coded(&store, "a", &whole, &long).await;
    store.flush_now().await;
    let files = std::fs::read_dir(directory.path().join("large")).unwrap().map(|entry| entry.unwrap());
    let coding = files.min_by_key(|file| file.metadata().unwrap().len()).unwrap().path();
    let mut bytes = std::fs::read(&coding).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(&coding, bytes).unwrap();
    assert_eq!(store.check().damaged, 1);
    let short = vec![(Coding::Brotli, b"short".to_vec())];
    assert_eq!(coded(&store, "a").await, Some((whole.to_vec(), short.clone())));
    drop(store);
    let store = open(directory.path());
    assert_eq!(coded(&store, "a").await, Some((whole.to_vec(), short)));
}

/// As content in memory that is coded: what comes out has a file where it is long.
#[tokio::test]
async fn a_long_coding_of_content_that_is_read_whole_is_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (whole, long) = (content(1, 1_500_000), content(2, 1_200_000));
    let config = DiskConfig { whole: 2 << 20, ..config(directory.path()) };
    let store = DiskStore::open(config.clone()).unwrap();
    let stored = response(whole.clone());
    assert!(store.insert(&key("a"), Arc::clone(&stored)));
    assert!(store.add_coded(&key("a"), &stored, None, Coding::Gzip, long.clone()));
    for _ in 0..2 {
        store.flush_now().await;
        let variants = store.load(&key("a")).await;
        let variant = variants.iter().next().unwrap();
        assert!(*variant.response.content() == whole && variant.coded(Coding::Gzip) == Some(&long));
    }
    drop(store);
    let store = DiskStore::open(config).unwrap();
    let variants = store.load(&key("a")).await;
    let variant = variants.iter().next().unwrap();
    assert!(*variant.response.content() == whole && variant.coded(Coding::Gzip) == Some(&long));
}

#[tokio::test]
async fn a_fill_that_is_given_up_after_the_directory_was_let_go_of_leaves_the_successor_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (old, whole) = (open(directory.path()), content(1, 3_000_000));
    let ours = stream(&old, "a", &whole, None).await.unwrap();
    old.release().await;
    let new = open(directory.path());
    let theirs = stream(&new, "b", &whole, None).await.unwrap();
    assert_eq!(files_in(directory.path()).len(), 1, "the one before it is gone");
    drop(ours);
    assert!(new.commit_large(&key("b"), response(Bytes::new()), theirs).await);
    let file = found(&new, "b").await.unwrap();
    assert_eq!(read(&file, 0..3_000_000).await.unwrap(), whole);
    // The same by a fill that comes to its end too late.
    let late = old.begin_large(&key("c"), None).await;
    assert!(late.is_err());
}

#[tokio::test]
async fn what_is_stored_or_removed_after_the_directory_was_let_go_of_costs_the_successor_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (old, whole) = (open(directory.path()), content(1, 3_000_000));
    for name in ["a", "b"] {
        let writer = stream(&old, name, &whole, None).await.unwrap();
        assert!(old.commit_large(&key(name), response(Bytes::new()), writer).await);
    }
    old.release().await;
    let new = open(directory.path());
    assert!(!old.insert(&key("a"), response(content(2, 100))));
    assert!(!old.remove(&key("b")).durable().await, "it is another's to write down");
    old.flush_now().await;
    assert!(found(&old, "a").await.is_none() && found(&old, "b").await.is_none());
    for name in ["a", "b"] {
        assert_eq!(read(&found(&new, name).await.unwrap(), 0..3_000_000).await.unwrap(), whole);
    }
    assert!(new.check().is_sound());
}

fn files_in(directory: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(directory.join("large")).unwrap().map(|entry| entry.unwrap().path()).collect()
}
