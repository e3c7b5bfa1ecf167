use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::{Body, BodyError, BodyWriter, Limits, Retention, SpoolSpace};
use crate::key::CacheKey;
use crate::store::disk::{DiskConfig, DiskStore, SMALLEST};

fn space() -> Arc<SpoolSpace> {
    Arc::new(SpoolSpace::new(&std::env::temp_dir(), 64 * 1024 * 1024))
}

async fn read_all(mut reader: super::BodyReader) -> Result<Vec<u8>, BodyError> {
    let mut all = Vec::new();
    while let Some(chunk) = reader.next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[tokio::test]
async fn a_writer_is_not_held_up_by_a_reader_that_does_not_read() {
    let space = space();
    let (mut writer, body) =
        Body::new(Retention::Release, Limits { memory: 10_000, file: 1 << 30 }, Arc::clone(&space));
    let reader = body.reader().unwrap();
    let sent = pattern(1_000_000);
    for chunk in sent.chunks(8_192) {
        writer.push(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    assert!(space.used() > 900_000, "what memory does not hold waits in the file");
    writer.finish();
    assert_eq!(read_all(reader).await.unwrap(), sent);
    assert_eq!(space.used(), 0, "the budget is given back");
}

#[tokio::test]
async fn memory_is_used_again_once_the_file_was_read() {
    let space = space();
    let (mut writer, body) = Body::new(Retention::Release, Limits { memory: 1_000, file: 1 << 20 }, Arc::clone(&space));
    let mut reader = body.reader().unwrap();
    let sent = pattern(50_000);
    let mut got = Vec::new();
    for round in sent.chunks(5_000) {
        for chunk in round.chunks(500) {
            writer.push(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        while got.len() < body.received() as usize {
            got.extend_from_slice(&reader.next().await.unwrap().unwrap());
        }
    }
    writer.finish();
    assert_eq!(reader.next().await.unwrap(), None);
    assert_eq!(got, sent);
    assert_eq!(space.used(), 0);
}

#[tokio::test]
async fn a_full_file_makes_the_writer_wait_and_a_reader_frees_it() {
    let (mut writer, body) = Body::new(Retention::Release, Limits { memory: 100, file: 1_000 }, space());
    let reader = body.reader().unwrap();
    let sent = pattern(20_000);
    let copy = sent.clone();
    let task = tokio::spawn(async move {
        for chunk in copy.chunks(100) {
            writer.push(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        writer.finish();
    });
    assert_eq!(read_all(reader).await.unwrap(), sent);
    task.await.unwrap();
}

#[tokio::test]
async fn every_reader_of_kept_content_gets_the_whole() {
    let (mut writer, body) = Body::new(Retention::Keep, Limits { memory: 10, file: 10 }, space());
    let early = body.reader().unwrap();
    let sent = pattern(10_000);
    for chunk in sent.chunks(999) {
        writer.push(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let late = body.reader().unwrap();
    assert_eq!(writer.content().unwrap(), sent);
    writer.finish();
    let after = body.reader().unwrap();
    for reader in [early, late, after] {
        assert_eq!(read_all(reader).await.unwrap(), sent);
    }
}

#[tokio::test]
async fn content_that_grew_too_large_is_still_delivered_to_those_who_read_it() {
    let (mut writer, body) = Body::new(Retention::Keep, Limits { memory: 1_000, file: 1 << 20 }, space());
    let (first, second) = (body.reader().unwrap(), body.reader().unwrap());
    let sent = pattern(100_000);
    for (index, chunk) in sent.chunks(1_000).enumerate() {
        if index == 20 {
            writer.stop_retaining();
        }
        writer.push(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    assert_eq!(writer.content(), None);
    writer.finish();
    let (first, second) = tokio::join!(read_all(first), read_all(second));
    assert_eq!((first.unwrap(), second.unwrap()), (sent.clone(), sent));
    assert!(body.reader().is_none(), "the first bytes are gone");
}

#[tokio::test]
async fn a_dropped_writer_is_an_error_and_never_a_short_success() {
    let (mut writer, body) = Body::new(Retention::Keep, Limits::default(), space());
    let reader = body.reader().unwrap();
    writer.push(Bytes::from_static(b"half")).await.unwrap();
    drop(writer);
    assert!(matches!(read_all(reader).await, Err(BodyError::Aborted(_))));
}

#[tokio::test]
async fn a_writer_nobody_reads_is_told_so() {
    let (mut writer, body) = Body::new(Retention::Release, Limits::default(), space());
    drop(body.reader().unwrap());
    assert!(writer.push(Bytes::from_static(b"x")).await.is_err());
}

#[tokio::test]
async fn the_budget_is_held_until_the_file_is_gone_and_not_only_until_the_upstream_is_done() {
    let space = space();
    let (mut writer, body) = Body::new(Retention::Release, Limits { memory: 10, file: 1 << 20 }, Arc::clone(&space));
    let mut reader = body.reader().unwrap();
    writer.push(Bytes::from(pattern(50_000))).await.unwrap();
    writer.finish();
    assert_eq!(space.used(), 50_000, "a slow reader still holds the file");
    while reader.next().await.unwrap().is_some() {}
    assert_eq!(space.used(), 0);
}

fn disk(path: &Path) -> DiskStore {
    let path = path.to_owned();
    let config = DiskConfig { path, size: SMALLEST, max_object: SMALLEST / 4, whole: 4096, takeover: false };
    DiskStore::open(config).unwrap()
}

/// A body all of which goes to a file of the disk tier.
async fn in_file(disk: &DiskStore) -> (BodyWriter, Arc<Body>) {
    let file = disk.begin_large(&CacheKey::new("http", "site.test", "/a", None), None).await.unwrap();
    let (mut writer, body) = Body::new(Retention::Keep, Limits::default(), space());
    writer.move_to(file).await.unwrap();
    (writer, body)
}

/// What goes to a file of the disk tier: who keeps up gets the bytes as they came, who comes late reads them from the file.
#[tokio::test]
async fn readers_that_keep_up_need_not_read_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let (mut writer, body) = in_file(&disk).await;
    let (mut first, slow) = (body.reader().unwrap(), body.reader().unwrap());
    let sent = bytes::Bytes::from(pattern(3_030_000));
    let (mut at, mut as_they_came) = (0, 0);
    for start in (0..sent.len()).step_by(60_000) {
        writer.push(sent.slice(start..(start + 60_000).min(sent.len()))).await.unwrap();
        while let Some(chunk) = first.ready() {
            assert_eq!(chunk, sent[at..at + chunk.len()]);
            assert_eq!(chunk.as_ptr(), sent[at..].as_ptr(), "no copy");
            at += chunk.len();
            as_they_came += chunk.len();
        }
        let held = body.window.lock().recent_bytes();
        assert!(held <= 512 * 1024, "{held} bytes are held for a reader that does not read");
    }
    writer.flush().await.unwrap();
    assert!(first.ready().is_some());
    let late = body.reader().unwrap();
    writer.finish();
    assert!(as_they_came > 2_500_000);
    drop(first);
    assert_eq!(body.window.lock().recent_bytes(), 0, "at the end nothing is held for who is far behind");
    assert!(read_all(slow).await.unwrap() == sent);
    assert!(read_all(late).await.unwrap() == sent);
}

#[tokio::test]
async fn a_reader_gets_the_whole_however_it_keeps_up() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    for lag in [1, 3, 7, 11, 19] {
        let (mut writer, body) = in_file(&disk).await;
        let mut reader = body.reader().unwrap();
        let sent = bytes::Bytes::from(pattern(2_000_000));
        let mut got = Vec::new();
        for (index, start) in (0..sent.len()).step_by(50_000).enumerate() {
            writer.push(sent.slice(start..(start + 50_000).min(sent.len()))).await.unwrap();
            if index % lag == 0 {
                let skipped = reader.skip(1_000);
                got.extend_from_slice(&sent[got.len()..got.len() + usize::try_from(skipped).unwrap()]);
                while (got.len() as u64) < body.received() {
                    got.extend_from_slice(&reader.next().await.unwrap().unwrap());
                }
            }
        }
        writer.flush().await.unwrap();
        writer.finish();
        while let Some(chunk) = reader.next().await.unwrap() {
            got.extend_from_slice(&chunk);
        }
        assert!(got == sent, "{lag}");
    }
}
