//! Precompressed files beside the file.

use std::time::{Duration, SystemTime};

use super::*;

const FILES: &[(&str, &str)] =
    &[("a.css", "plain"), ("a.css.br", "brotli"), ("a.css.zst", "zstandard"), ("a.css.gz", "gzipped!")];

async fn with(site: &Site, accept_encoding: &str) -> Answered {
    site.answer("/a.css", &[("accept-encoding", accept_encoding)]).await
}

fn age(site: &Site, path: &str, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    fs::File::open(site.path(path)).unwrap().set_modified(time).unwrap();
}

#[tokio::test]
async fn rfc9110_12_5_3_coding_is_the_one_the_client_weighs_highest() {
    let site = Site::new(FILES);
    let cases = [
        ("gzip", "gzip", "gzipped!"),
        ("gzip, br", "br", "brotli"),
        ("gzip, zstd;q=0.9", "gzip", "gzipped!"),
        ("br;q=0.1, zstd;q=0.2", "zstd", "zstandard"),
        ("*", "br", "brotli"),
        ("br;q=0, *", "zstd", "zstandard"),
        ("gzip;q=0", "-", "plain"),
        ("deflate", "-", "plain"),
        ("identity", "-", "plain"),
        ("gzip;q=0.5, identity", "-", "plain"),
        ("identity;q=0, gzip;q=0.1", "gzip", "gzipped!"),
    ];
    for (accept_encoding, coding, content) in cases {
        let answer = with(&site, accept_encoding).await;
        assert_eq!(answer.status, 200);
        assert_eq!((answer.field("content-encoding"), answer.content.as_str()), (coding, content), "{accept_encoding}");
        assert_eq!(answer.field("content-length"), content.len().to_string());
        assert_eq!(answer.field("content-type"), "text/css; charset=utf-8");
        assert_eq!(answer.field("vary"), "Accept-Encoding");
    }
}

#[tokio::test]
async fn rfc9110_15_5_7_nothing_acceptable_is_406() {
    let site = Site::new(&[("a.css", "plain"), ("a.css.gz", "gzipped"), ("b.css", "plain")]);
    for (path, accept_encoding) in [("/a.css", "identity;q=0, br"), ("/a.css", "*;q=0"), ("/b.css", "identity;q=0")] {
        let answer = site.answer(path, &[("accept-encoding", accept_encoding)]).await;
        assert_eq!((answer.status, answer.field("vary"), answer.length), (406, "Accept-Encoding", 0));
    }
}

#[tokio::test]
async fn rfc9110_12_5_5_every_answer_of_a_file_with_siblings_varies() {
    let site = Site::new(FILES);
    let etag = site.answer("/a.css", &[]).await.field("etag").to_owned();
    let cases = [
        ("range", "bytes=0-0", 206),
        ("range", "bytes=99-", 416),
        ("if-none-match", &etag, 304),
        ("if-match", "\"x\"", 412),
    ];
    for (name, value, status) in cases {
        let answer = site.answer("/a.css", &[(name, value)]).await;
        assert_eq!((answer.status, answer.field("vary")), (status, "Accept-Encoding"));
    }
}

#[tokio::test]
async fn rfc9110_8_8_3_3_each_coding_has_its_own_etag() {
    let site = Site::new(&[("a.css", "plain")]);
    // One inode for all: even then the tags differ.
    for suffix in ["br", "zst", "gz"] {
        fs::hard_link(site.path("a.css"), site.path(&format!("a.css.{suffix}"))).unwrap();
    }
    let mut tags = Vec::new();
    for accept_encoding in ["", "br", "zstd", "gzip"] {
        let answer = with(&site, accept_encoding).await;
        let etag = answer.field("etag").to_owned();
        let fields = [("accept-encoding", accept_encoding), ("if-none-match", etag.as_str())];
        assert_eq!(site.answer("/a.css", &fields).await.status, 304);
        assert!(!tags.contains(&etag));
        tags.push(etag);
    }
}

#[tokio::test]
async fn range_counts_in_the_bytes_of_the_coding() {
    let site = Site::new(FILES);
    let answer = site.answer("/a.css", &[("accept-encoding", "gzip"), ("range", "bytes=0-3")]).await;
    assert_eq!((answer.content.as_str(), answer.field("content-range")), ("gzip", "bytes 0-3/8"));
    assert_eq!(answer.field("content-encoding"), "gzip");
}

#[tokio::test]
async fn older_sibling_is_not_used() {
    let site = Site::new(&[("a.css", "plain"), ("a.css.gz", "gzipped")]);
    age(&site, "a.css", 100);
    age(&site, "a.css.gz", 101);
    let answer = with(&site, "gzip").await;
    assert_eq!((answer.content.as_str(), answer.field("vary")), ("plain", "-"));
    age(&site, "a.css", 101);
    age(&site, "a.css.gz", 100);
    assert_eq!(with(&site, "gzip").await.content, "gzipped");
}

#[tokio::test]
async fn sibling_that_is_no_regular_file_or_leaves_the_root_is_not_used() {
    let site = Site::new(&[("a.css", "plain")]);
    fs::create_dir(site.path("a.css.gz")).unwrap();
    std::os::unix::fs::symlink("../outside/secret.txt", site.path("a.css.br")).unwrap();
    let answer = with(&site, "gzip, br").await;
    assert_eq!((answer.content.as_str(), answer.field("content-encoding")), ("plain", "-"));
}

#[tokio::test]
async fn request_for_the_compressed_file_itself_is_just_a_file() {
    let site = Site::new(FILES);
    let answer = site.answer("/a.css.gz", &[("accept-encoding", "gzip")]).await;
    assert_eq!((answer.content.as_str(), answer.field("content-encoding")), ("gzipped!", "-"));
    assert_eq!(answer.field("content-type"), "application/gzip");
}

#[tokio::test]
async fn sibling_alone_does_not_stand_for_a_missing_file() {
    let site = Site::new(&[("a.css.gz", "gzipped")]);
    assert_eq!(outcome(&site.ask(Method::GET, "/a.css", &[("accept-encoding", "gzip")], false).await), 0);
}

#[tokio::test]
async fn index_has_siblings_too() {
    let site = Site::new(&[("index.html", "plain"), ("index.html.br", "brotli")]);
    let answer = site.answer("/", &[("accept-encoding", "br")]).await;
    assert_eq!((answer.content.as_str(), answer.field("content-type")), ("brotli", "text/html; charset=utf-8"));
}
