//! Fields, preconditions and ranges.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;

/// Mon, 02 Feb 2026 10:00:00 GMT, and a part of a second.
const DATE: &str = "Mon, 02 Feb 2026 10:00:00 GMT";

fn alphabet() -> Site {
    let site = Site::new(&[("a.css", "abcdefghijklmnopqrstuvwxyz")]);
    touch(&site, "a.css", UNIX_EPOCH + Duration::from_millis(1_770_026_400_500));
    site
}

fn touch(site: &Site, path: &str, time: SystemTime) {
    fs::File::open(site.path(path)).unwrap().set_modified(time).unwrap();
}

#[tokio::test]
async fn answer_has_all_fields_of_a_representation() {
    let answer = alphabet().answer("/a.css", &[]).await;
    assert_eq!((answer.status, answer.length, answer.content.len()), (200, 26, 26));
    assert_eq!(answer.field("content-type"), "text/css; charset=utf-8");
    assert_eq!(answer.field("content-length"), "26");
    assert_eq!(answer.field("last-modified"), DATE);
    assert_eq!(answer.field("accept-ranges"), "bytes");
    assert_eq!(answer.field("x-content-type-options"), "nosniff");
    assert!(answer.field("etag").starts_with('"'), "strong");
    assert!(!answer.fields.contains_key("vary") && !answer.fields.contains_key("cache-control"));
}

#[tokio::test]
async fn rfc9110_9_3_2_head_has_the_fields_of_get_and_no_content() {
    let site = alphabet();
    let get = site.answer("/a.css", &[]).await;
    let head = site.answer_to(Method::HEAD, "/a.css", &[("range", "bytes=0-1")]).await;
    assert_eq!((head.status, head.fields, head.length, head.content.as_str()), (200, get.fields, 26, ""));
}

#[tokio::test]
async fn media_types_of_a_wordpress_site() {
    let expected = [
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.html", "text/html; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.js.map", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.xml", "text/xml"),
        ("a.png", "image/png"),
        ("a.JPG", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("a.ico", "image/x-icon"),
        ("a.woff2", "font/woff2"),
        ("a.ttf", "font/ttf"),
        ("a.mp4", "video/mp4"),
        ("a.pdf", "application/pdf"),
        ("a.zip", "application/zip"),
        ("a.wasm", "application/wasm"),
        ("a.unknown", "application/octet-stream"),
        ("noextension", "application/octet-stream"),
        ("a.b/c", "application/octet-stream"),
    ];
    let site = Site::new(&[]);
    for (path, media_type) in expected {
        site.write(path, "inside");
        let answer = site.answer(&format!("/{path}"), &[]).await;
        assert_eq!(answer.field("content-type"), media_type, "{path}");
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn rfc9110_8_8_3_etag_changes_with_the_content_even_at_equal_size_and_time() {
    let site = alphabet();
    let time = fs::metadata(site.path("a.css")).unwrap().modified().unwrap();
    let first = site.answer("/a.css", &[]).await;
    let again = site.answer("/a.css", &[]).await;
    assert_eq!(first.field("etag"), again.field("etag"));
    site.write("b.css", "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    touch(&site, "b.css", time);
    fs::rename(site.path("b.css"), site.path("a.css")).unwrap();
    let replaced = site.answer("/a.css", &[]).await;
    assert_eq!(replaced.field("last-modified"), DATE);
    assert_ne!(first.field("etag"), replaced.field("etag"));
}

#[tokio::test]
async fn rfc9110_8_8_2_1_last_modified_is_never_in_the_future() {
    let site = alphabet();
    touch(&site, "a.css", SystemTime::now() + Duration::from_secs(86_400));
    let answer = site.answer("/a.css", &[]).await;
    let date = httpdate::parse_http_date(answer.field("last-modified")).unwrap();
    assert!(date <= SystemTime::now());
}

#[tokio::test]
async fn time_before_1970_has_no_last_modified() {
    let site = alphabet();
    touch(&site, "a.css", UNIX_EPOCH - Duration::from_secs(10));
    let answer = site.answer("/a.css", &[]).await;
    assert_eq!((answer.status, answer.field("last-modified")), (200, "-"));
}

#[tokio::test]
async fn rfc9110_15_4_5_304_has_the_etag_and_no_metadata() {
    let site = alphabet();
    let etag = site.answer("/a.css", &[]).await.field("etag").to_owned();
    for fields in [[("if-none-match", etag.as_str())], [("if-modified-since", DATE)]] {
        for method in [Method::GET, Method::HEAD] {
            let answer = site.answer_to(method, "/a.css", &fields).await;
            assert_eq!((answer.status, answer.length, answer.content.as_str()), (304, 0, ""));
            assert_eq!(answer.field("etag"), etag);
            for absent in ["content-length", "content-type", "last-modified"] {
                assert!(!answer.fields.contains_key(absent), "{absent}");
            }
        }
    }
}

#[tokio::test]
async fn rfc9110_13_1_1_failed_if_match_is_412_without_content() {
    let answer = alphabet().answer("/a.css", &[("if-match", "\"other\"")]).await;
    assert_eq!((answer.status, answer.field("content-length"), answer.content.as_str()), (412, "0", ""));
}

#[tokio::test]
async fn rfc9110_15_3_7_1_single_range_is_206_with_content_range() {
    let site = alphabet();
    let cases = [
        ("bytes=0-2", "abc", "bytes 0-2/26"),
        ("bytes=-2", "yz", "bytes 24-25/26"),
        ("bytes=24-", "yz", "bytes 24-25/26"),
    ];
    for (range, content, content_range) in cases {
        let answer = site.answer("/a.css", &[("range", range)]).await;
        assert_eq!((answer.status, answer.content.as_str()), (206, content));
        assert_eq!(answer.field("content-range"), content_range);
        assert_eq!(answer.field("content-length"), content.len().to_string());
        assert_eq!(answer.field("content-type"), "text/css; charset=utf-8");
    }
}

#[tokio::test]
async fn rfc9110_15_3_7_2_several_ranges_are_multipart_of_the_stated_length() {
    let answer = alphabet().answer("/a.css", &[("range", "bytes=0-1,10-12")]).await;
    assert_eq!(answer.status, 206);
    assert!(!answer.fields.contains_key("content-range"));
    let boundary = answer.field("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, content: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/css; charset=utf-8\r\nContent-Range: bytes {range}/26\r\n\r\n{content}\r\n"
        )
    };
    assert_eq!(answer.content, format!("{}{}--{boundary}--\r\n", part("0-1", "ab"), part("10-12", "klm")));
    assert_eq!(answer.length, answer.content.len() as u64);
    assert_eq!(answer.field("content-length"), answer.length.to_string());
}

#[tokio::test]
async fn rfc9110_15_5_17_416_states_the_length() {
    for range in ["bytes=26-", "bytes=-0", "bytes=9999999999999999999999-"] {
        let answer = alphabet().answer("/a.css", &[("range", range)]).await;
        assert_eq!((answer.status, answer.field("content-range"), answer.length), (416, "bytes */26", 0), "{range}");
    }
}

#[tokio::test]
async fn a_thousand_overlapping_ranges_cost_one_whole_answer_at_most() {
    let many = format!("bytes={}", vec!["0-"; 1000].join(","));
    let answer = alphabet().answer("/a.css", &[("range", many.as_str())]).await;
    assert_eq!((answer.status, answer.length), (200, 26));
    let few = format!("bytes={}", vec!["0-"; 16].join(","));
    let answer = alphabet().answer("/a.css", &[("range", few.as_str())]).await;
    assert_eq!((answer.status, answer.length), (206, 26));
}

#[tokio::test]
async fn rfc9110_13_1_5_range_counts_only_for_the_current_representation() {
    let site = alphabet();
    let etag = site.answer("/a.css", &[]).await.field("etag").to_owned();
    for (validator, status) in
        [(etag.as_str(), 206), (DATE, 206), ("\"other\"", 200), ("Mon, 02 Feb 2026 10:00:01 GMT", 200)]
    {
        let answer = site.answer("/a.css", &[("range", "bytes=0-0"), ("if-range", validator)]).await;
        assert_eq!(answer.status, status, "{validator}");
    }
}

#[tokio::test]
async fn rfc9110_13_2_2_precondition_goes_before_the_range() {
    let site = alphabet();
    let etag = site.answer("/a.css", &[]).await.field("etag").to_owned();
    let answer = site.answer("/a.css", &[("range", "bytes=99-"), ("if-none-match", &etag)]).await;
    assert_eq!(answer.status, 304);
}
