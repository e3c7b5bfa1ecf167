//! The content while it is read: cached or not, cut, overwritten, replaced.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::*;

/// A megabyte in which no two places look alike.
fn megabyte() -> String {
    (0..131_072).map(|number| format!("{number:07}\n")).collect()
}

async fn open(site: &Site, path: &str) -> FileAnswer {
    match site.get(path).await {
        Offload::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn large_file_arrives_whole_in_chunks() {
    let site = Site::new(&[("a.txt", &megabyte())]);
    let answer = site.answer("/a.txt", &[]).await;
    assert_eq!(answer.length, 1_048_576);
    assert!(answer.content == megabyte());
}

#[tokio::test]
async fn file_that_is_not_in_memory_arrives_whole() {
    let site = Site::new(&[("a.txt", &megabyte())]);
    let file = fs::File::open(site.path("a.txt")).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    assert!(site.answer("/a.txt", &[]).await.content == megabyte());
}

#[tokio::test]
async fn device_that_knows_no_nowait_is_remembered_and_read_by_a_thread() {
    use std::os::unix::fs::MetadataExt;
    let site = Site::new(&[("a.txt", &megabyte())]);
    let device = fs::metadata(site.path("a.txt")).unwrap().dev() + 1;
    site.root.blocking_device.store(device, Ordering::Relaxed);
    assert!(site.answer("/a.txt", &[]).await.content == megabyte());
    assert_eq!(site.root.blocking_device.load(Ordering::Relaxed), device);
}

#[tokio::test]
async fn file_that_shrinks_while_sent_ends_in_an_error_and_is_never_padded() {
    let site = Site::new(&[("a.txt", &megabyte())]);
    for left in [0, 100, 200_000, 1_048_575] {
        site.write("a.txt", &megabyte());
        let mut answer = open(&site, "/a.txt").await;
        let first = answer.body.next().await.unwrap().unwrap();
        assert!(megabyte().as_bytes().starts_with(&first));
        OpenOptions::new().write(true).open(site.path("a.txt")).unwrap().set_len(left).unwrap();
        assert_eq!(answer.body.next().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(answer.body.next().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn file_overwritten_while_sent_ends_in_an_error_and_is_never_mixed() {
    let site = Site::new(&[("a.txt", &megabyte())]);
    fs::File::open(site.path("a.txt")).unwrap().set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    let mut answer = open(&site, "/a.txt").await;
    answer.body.next().await.unwrap().unwrap();
    fs::write(site.path("a.txt"), "x".repeat(1_048_576)).unwrap();
    assert!(answer.body.next().await.is_err());
}

#[tokio::test]
async fn file_replaced_while_sent_is_sent_as_it_was() {
    let site = Site::new(&[("a.txt", &megabyte()), ("new.txt", "new")]);
    let mut answer = open(&site, "/a.txt").await;
    let mut content = answer.body.next().await.unwrap().unwrap().to_vec();
    fs::rename(site.path("new.txt"), site.path("a.txt")).unwrap();
    content.extend_from_slice(read(answer).await.content.as_bytes());
    assert!(content == megabyte().as_bytes());
    assert_eq!(site.answer("/a.txt", &[]).await.content, "new");
}

#[tokio::test]
async fn empty_file_is_an_answer_without_content() {
    let site = Site::new(&[("a.txt", "")]);
    let answer = site.answer("/a.txt", &[]).await;
    assert_eq!((answer.status, answer.length, answer.field("content-length")), (200, 0, "0"));
}

#[tokio::test]
async fn file_range_for_a_sender_in_the_kernel() {
    let site = Site::new(&[("a.txt", "inside")]);
    let answer = open(&site, "/a.txt").await;
    assert_eq!(answer.body.remaining(), 6);
    match site.ask(Method::GET, "/a.txt", &[("range", "bytes=0-0,3-3")], false).await {
        Offload::Answer(answer) => {
            assert_eq!(answer.body.remaining(), answer.length);
        }
        other => panic!("{other:?}"),
    }
}
