use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_config::model::LogFormat;
use http::HeaderValue;

use super::Formatter;
use crate::account::entry::{CacheOutcome, Entry, StaleReason};
use crate::account::metrics::{Metrics, SiteMetrics};
use crate::account::tests::{bare_entry, full_entry};

const FORMATS: [LogFormat; 4] = [LogFormat::Combined, LogFormat::CombinedCache, LogFormat::Squid, LogFormat::Json];

fn site() -> Arc<SiteMetrics> {
    Metrics::new().unwrap().site("www.example.com").unwrap()
}

fn bytes(format: LogFormat, entry: &Entry) -> Vec<u8> {
    let mut line = Vec::new();
    Formatter::new(format).line(entry, &mut line);
    line
}

fn line(format: LogFormat, entry: &Entry) -> String {
    String::from_utf8(bytes(format, entry)).unwrap()
}

#[test]
fn combined_is_the_line_of_nginx() {
    assert_eq!(
        line(LogFormat::Combined, &full_entry(&site())),
        "192.0.2.7 - - [21/Nov/2024:12:10:01 +0000] \"GET /shop/?page=2 HTTP/2.0\" 200 5120 \
         \"https://www.example.com/\" \"Mozilla/5.0 (X11)\"\n"
    );
    assert_eq!(
        line(LogFormat::Combined, &bare_entry(&site())),
        "192.0.2.7 - - [21/Nov/2024:12:10:01 +0000] \"GET /shop/?page=2 HTTP/1.1\" 499 0 \"-\" \"-\"\n"
    );
}

#[test]
fn combined_cache_adds_outcome_upstream_and_timings() {
    assert_eq!(
        line(LogFormat::CombinedCache, &full_entry(&site())),
        "192.0.2.7 - - [21/Nov/2024:12:10:01 +0000] \"GET /shop/?page=2 HTTP/2.0\" 200 5120 \
         \"https://www.example.com/\" \"Mozilla/5.0 (X11)\" MISS fwd=uri-miss detail=stored rt=0.251 \
         up=192.168.0.100:80 us=200 uc=0.000 uh=0.240 tls=TLSv1.3 aborted=0 \
         site=\"www.example.com\" host=\"www.example.com\"\n"
    );
    assert_eq!(
        line(LogFormat::CombinedCache, &bare_entry(&site())),
        "192.0.2.7 - - [21/Nov/2024:12:10:01 +0000] \"GET /shop/?page=2 HTTP/1.1\" 499 0 \"-\" \"-\" \
         NONE fwd=- detail=- rt=0.251 up=- us=- uc=- uh=- tls=- aborted=1 site=\"www.example.com\" host=\"-\"\n"
    );
}

#[test]
fn squid_is_the_native_line_at_the_time_of_the_end() {
    assert_eq!(
        line(LogFormat::Squid, &full_entry(&site())),
        "1732191001.501    251 192.0.2.7 TCP_MISS/200 5120 GET https://www.example.com/shop/?page=2 - \
         HIER_DIRECT/192.168.0.100 text/html\n"
    );
    assert_eq!(
        line(LogFormat::Squid, &bare_entry(&site())),
        "1732191001.501    251 192.0.2.7 NONE_NONE_ABORTED/000 0 GET http://-/shop/?page=2 - HIER_NONE/- -\n"
    );
}

#[test]
fn squid_names_each_outcome() {
    let site = site();
    for (cache, status, expected) in [
        (CacheOutcome::Hit, 200, "TCP_HIT/200"),
        (CacheOutcome::Hit, 304, "TCP_IMS_HIT/304"),
        (CacheOutcome::Stale(StaleReason::Revalidate), 200, "TCP_STALE_HIT/200"),
        (CacheOutcome::Stale(StaleReason::Error), 200, "TCP_REFRESH_FAIL_OLD/200"),
        (CacheOutcome::Revalidated, 200, "TCP_REFRESH_UNMODIFIED/200"),
        (CacheOutcome::Collapsed, 200, "TCP_CF_HIT/200"),
        (CacheOutcome::Pass, 200, "TCP_MISS/200"),
        (CacheOutcome::Offload, 200, "TCP_HIT/200"),
        (CacheOutcome::Error, 403, "TCP_DENIED/403"),
        (CacheOutcome::Error, 503, "NONE_NONE/503"),
    ] {
        let entry = Entry { cache, status, upstream: None, ..full_entry(&site) };
        let line = line(LogFormat::Squid, &entry);
        assert_eq!(line.split_ascii_whitespace().nth(3), Some(expected), "{line}");
    }
}

#[test]
fn json_is_one_object_with_every_part() {
    let json: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, &full_entry(&site()))).unwrap();
    let expected = serde_json::json!({
        "time": "2024-11-21T12:10:01.250Z", "client": "192.0.2.7", "method": "GET", "scheme": "https",
        "host": "www.example.com", "target": "/shop/?page=2", "version": "HTTP/2.0", "status": 200, "bytes": 5120,
        "duration_ms": 251.5, "referer": "https://www.example.com/", "user_agent": "Mozilla/5.0 (X11)",
        "content_type": "text/html; charset=UTF-8", "tls": "TLSv1.3", "site": "www.example.com", "cache": "MISS",
        "fwd": "uri-miss", "detail": "stored", "aborted": false,
        "upstream": {"address": "192.168.0.100:80", "status": 200, "connect_ms": 0.4, "first_byte_ms": 240.0,
            "hierarchy": "HIER_DIRECT"},
    });
    assert_eq!(json, expected);
}

#[test]
fn json_leaves_out_what_is_absent() {
    let json: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, &bare_entry(&site()))).unwrap();
    let expected = serde_json::json!({
        "time": "2024-11-21T12:10:01.250Z", "client": "192.0.2.7", "method": "GET", "scheme": "http",
        "target": "/shop/?page=2", "version": "HTTP/1.1", "bytes": 0, "duration_ms": 251.5,
        "site": "www.example.com", "cache": "NONE", "aborted": true,
    });
    assert_eq!(json, expected);
}

#[test]
fn hostile_bytes_never_break_a_line() {
    let site = site();
    let every_byte: Vec<u8> = (0..=255).collect();
    // What a field value may hold on the wire: anything but CR, LF and NUL.
    let field: Vec<u8> = (1..=255).filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let field = HeaderValue::from_maybe_shared(Bytes::from(
        field.iter().copied().filter(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f)).collect::<Vec<u8>>(),
    ))
    .unwrap();
    let entry = Entry {
        target: Bytes::from(every_byte.clone()),
        host: Some(Bytes::from(every_byte)),
        referer: Some(field.clone()),
        user_agent: Some(field.clone()),
        content_type: Some(field),
        ..full_entry(&site)
    };
    for format in FORMATS {
        let line = bytes(format, &entry);
        let (last, body) = line.split_last().unwrap();
        assert_eq!(*last, b'\n');
        assert!(!body.iter().any(|byte| *byte < 0x20 || *byte == 0x7f), "{format:?}");
        std::str::from_utf8(body).unwrap();
    }
}

#[test]
fn hostile_text_stays_inside_its_quotes_and_columns() {
    let site = site();
    let attack = b"/\" 200 1 \"-\" \"x\"\r\n6.6.6.6 - - \\ \x1b[31m \xc3\x28 <x>";
    let entry =
        Entry { target: Bytes::from_static(attack), host: Some(Bytes::from_static(attack)), ..full_entry(&site) };
    let plain = full_entry(&site);
    for format in [LogFormat::Combined, LogFormat::CombinedCache] {
        let quotes = |line: &str| line.matches('"').count();
        assert_eq!(quotes(&line(format, &entry)), quotes(&line(format, &plain)));
    }
    let columns = |line: &str| line.split(' ').filter(|column| !column.is_empty()).count();
    assert_eq!(columns(&line(LogFormat::Squid, &entry)), columns(&line(LogFormat::Squid, &plain)));
    assert!(line(LogFormat::Combined, &entry).contains(r"/\x22 200 1 \x22-\x22 \x22x\x22\x0D\x0A6.6.6.6"));
    let json: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, &entry)).unwrap();
    assert_eq!(json["status"], 200);
    assert!(json["target"].as_str().unwrap().ends_with("\\xC3( <x>"), "{json}");
}

#[test]
fn json_shows_what_a_terminal_would_obey() {
    let entry = Entry { target: Bytes::from("/\u{9b}31m\u{202e}ä"), ..full_entry(&site()) };
    let line = line(LogFormat::Json, &entry);
    assert!(line.contains(r#""target":"/\\xC2\\x9B31m\\xE2\\x80\\xAEä""#), "{line}");
}

#[test]
fn the_date_follows_the_second() {
    let site = site();
    let mut formatter = Formatter::new(LogFormat::Combined);
    let mut lines = Vec::new();
    let first = full_entry(&site);
    let second = Entry { start: first.start + Duration::from_secs(1), ..full_entry(&site) };
    for entry in [&first, &first, &second] {
        formatter.line(entry, &mut lines);
    }
    let lines = String::from_utf8(lines).unwrap();
    let dates: Vec<&str> = lines.lines().map(|line| &line[14..42]).collect();
    assert_eq!(dates, ["[21/Nov/2024:12:10:01 +0000]", "[21/Nov/2024:12:10:01 +0000]", "[21/Nov/2024:12:10:02 +0000]"]);
}
