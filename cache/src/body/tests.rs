use std::sync::Arc;

use bytes::Bytes;

use super::{Body, BodyError, Limits, Retention, SpoolSpace};

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
