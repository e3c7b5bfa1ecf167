//! Conditional and range requests for files (row 59; RFC 9110, sections 13 and 14).

use std::fs;

use forebay_tests::{Answer, Proxy};

const DIGITS: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

struct File {
    _root: tempfile::TempDir,
    proxy: Proxy,
}

impl File {
    fn new(content: &[u8]) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.bin"), content).unwrap();
        let proxy = Proxy::config().root(root.path()).start();
        Self { _root: root, proxy }
    }

    fn get(&self, fields: &[(&str, &str)]) -> Answer {
        self.proxy.get_with("/a.bin", fields)
    }

    fn range(&self, range: &str) -> Answer {
        self.get(&[("Range", range)])
    }
}

#[test]
fn etag_is_strong_and_conditions_are_evaluated() {
    let file = File::new(DIGITS.as_bytes());
    let whole = file.get(&[]);
    let (etag, modified) = (whole.field("etag").unwrap(), whole.field("last-modified").unwrap());
    assert!(etag.starts_with('"'), "{etag}");
    let status = |fields: &[(&str, &str)]| file.get(fields).status;
    assert_eq!(status(&[("If-None-Match", etag)]), 304);
    assert_eq!(status(&[("If-None-Match", &format!("W/{etag}"))]), 304);
    assert_eq!(status(&[("If-None-Match", "*")]), 304);
    assert_eq!(status(&[("If-None-Match", &format!("\"other\", {etag}"))]), 304);
    assert_eq!(status(&[("If-None-Match", "\"other\"")]), 200);
    assert_eq!(status(&[("If-Modified-Since", modified)]), 304);
    assert_eq!(status(&[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")]), 200);
    assert_eq!(status(&[("If-None-Match", "\"other\""), ("If-Modified-Since", modified)]), 200);
    assert_eq!(status(&[("If-Match", etag)]), 200);
    assert_eq!(status(&[("If-Match", "\"other\"")]), 412);
    assert_eq!(status(&[("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")]), 412);
    let not_modified = file.get(&[("If-None-Match", etag)]);
    assert_eq!((not_modified.field("etag"), not_modified.body.len()), (Some(etag), 0));
}

#[test]
fn single_ranges_are_exact() {
    let file = File::new(DIGITS.as_bytes());
    for (range, content, content_range) in [
        ("bytes=0-4", "01234", "bytes 0-4/36"),
        ("bytes=30-", "uvwxyz", "bytes 30-35/36"),
        ("bytes=-3", "xyz", "bytes 33-35/36"),
        ("bytes=-100", DIGITS, "bytes 0-35/36"),
        ("bytes=10-1000", "abcdefghijklmnopqrstuvwxyz", "bytes 10-35/36"),
    ] {
        let answer = file.range(range);
        assert_eq!((answer.status, answer.text(), answer.field("content-range")), (206, content, Some(content_range)));
    }
    assert_eq!(file.get(&[]).field("accept-ranges"), Some("bytes"));
}

#[test]
fn unsatisfiable_range_is_a_416() {
    let file = File::new(DIGITS.as_bytes());
    for range in
        ["bytes=36-", "bytes=100-200", "bytes=-0", "bytes=9999999999999999999-", "bytes=99999999999999999999999-"]
    {
        let answer = file.range(range);
        assert_eq!((answer.status, answer.field("content-range")), (416, Some("bytes */36")), "{range}: {answer}");
    }
}

#[test]
fn range_that_is_malformed_is_ignored() {
    let file = File::new(DIGITS.as_bytes());
    for range in ["bytes=5-2", "bytes=a-b", "bytes", "lines=0-1", "bytes=", "bytes=--1", "bytes=1--2"] {
        let answer = file.range(range);
        assert!(matches!(answer.status, 200 | 416), "{range}: {answer}");
    }
}

#[test]
fn if_range_guards_the_range() {
    let file = File::new(DIGITS.as_bytes());
    let etag = file.get(&[]).field("etag").unwrap().to_owned();
    assert_eq!(file.get(&[("Range", "bytes=0-1"), ("If-Range", &etag)]).status, 206);
    assert_eq!(file.get(&[("Range", "bytes=0-1"), ("If-Range", "\"other\"")]).status, 200);
    assert_eq!(file.get(&[("Range", "bytes=0-1"), ("If-Range", &format!("W/{etag}"))]).status, 200);
}

#[test]
fn several_ranges_are_multipart() {
    let file = File::new(DIGITS.as_bytes());
    let answer = file.range("bytes=0-1,10-12");
    assert_eq!(answer.status, 206);
    let boundary = answer.field("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let parts: Vec<_> = answer.text().split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4, "{answer}");
    assert!(parts[1].contains("Content-Range: bytes 0-1/36") || parts[1].contains("content-range: bytes 0-1/36"));
    assert!(parts[1].trim_end().ends_with("\r\n\r\n01"), "{answer}");
    assert!(parts[2].trim_end().ends_with("\r\n\r\nabc"), "{answer}");
    assert_eq!(parts[3].trim_end(), "--");
}

#[test]
fn row_59_a_thousand_overlapping_ranges_cost_no_more_than_the_file() {
    let file = File::new(&vec![b'x'; 1 << 20]);
    let overlapping: Vec<_> = (0..1000).map(|n| format!("{n}-")).collect();
    let same = vec!["0-"; 1000];
    for ranges in [overlapping.join(","), same.join(","), "0-,0-,0-".to_owned(), "0-9,5-14,10-19".to_owned()] {
        let answer = file.range(&format!("bytes={ranges}"));
        assert!(matches!(answer.status, 200 | 206 | 416), "{answer}");
        assert!(answer.body.len() <= (1 << 20) + 4096, "{} bytes for one file of 1 MiB", answer.body.len());
    }
}

#[test]
fn row_59_more_than_16_ranges_are_not_served_apart() {
    let file = File::new(&vec![b'x'; 4096]);
    let ranges =
        |count: usize| (0..count).map(|n| format!("{}-{}", n * 100, n * 100 + 1)).collect::<Vec<_>>().join(",");
    assert_eq!(file.range(&format!("bytes={}", ranges(16))).status, 206);
    assert!(matches!(file.range(&format!("bytes={}", ranges(17))).status, 200 | 416));
}

#[test]
fn row_59_numbers_that_overflow_do_not() {
    let file = File::new(DIGITS.as_bytes());
    for range in [
        "bytes=18446744073709551615-",
        "bytes=18446744073709551616-",
        "bytes=0-18446744073709551615",
        "bytes=-18446744073709551616",
        "bytes=18446744073709551610-18446744073709551615",
        "bytes=0-18446744073709551616,1-2",
    ] {
        let answer = file.range(range);
        assert!(matches!(answer.status, 200 | 206 | 416), "{range}: {answer}");
        assert!(answer.body.len() <= 1024, "{range}: {answer}");
    }
}

#[test]
fn empty_file_is_served() {
    let file = File::new(b"");
    assert_eq!((file.get(&[]).status, file.get(&[]).body.len()), (200, 0));
    assert!(matches!(file.range("bytes=0-").status, 200 | 416));
}
