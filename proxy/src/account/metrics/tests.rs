use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use forebay_cache::semantics::coding::Coding;
use http::{HeaderValue, Method};

use super::Metrics;
use crate::account::entry::{CacheOutcome, Entry, StaleReason};
use crate::account::tests::full_entry;

/// Every series without its value.
fn series(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|found| found == line)
}

/// A small generator is enough for text that never repeats (splitmix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

#[test]
fn clients_cannot_make_series() {
    let metrics = Metrics::new().unwrap();
    let site = metrics.site("www.example.com").unwrap();
    let mut seed = 1;
    let mut strange = || {
        let host = random(&mut seed);
        let entry = Entry {
            method: Method::from_bytes(format!("M{:x}", random(&mut seed)).as_bytes()).unwrap(),
            host: Some(Bytes::from(format!("{host:x}.example"))),
            target: Bytes::from(format!("/{:x}", random(&mut seed))),
            user_agent: Some(HeaderValue::from_str(&format!("{:x}", random(&mut seed))).unwrap()),
            status: 404,
            ..full_entry(&site)
        };
        let unknown = Entry { site: metrics.unrouted().clone(), ..entry.clone() };
        entry.site.record(&entry);
        unknown.site.record(&unknown);
    };
    strange();
    let before = series(&metrics.render());
    (0..10_000).for_each(|_| strange());
    let text = metrics.render();
    assert_eq!(series(&text), before);
    let line = r#"forebay_http_requests_total{cache="miss",code="404",method="other",site="www.example.com"} 10001"#;
    assert!(has(&text, line), "{text}");
}

#[test]
fn codes_are_exact_from_100_to_599_and_other_beyond() {
    let metrics = Metrics::new().unwrap();
    let site = metrics.site("s").unwrap();
    for status in [0, 99, 100, 200, 418, 599, 600, 999] {
        site.record(&Entry { status, ..full_entry(&site) });
    }
    let text = metrics.render();
    for (code, count) in [("100", 1), ("200", 1), ("418", 1), ("599", 1), ("other", 4)] {
        let line =
            format!(r#"forebay_http_requests_total{{cache="miss",code="{code}",method="GET",site="s"}} {count}"#);
        assert!(has(&text, &line), "{line}\n{text}");
    }
}

#[test]
fn each_outcome_counts_where_it_belongs() {
    let metrics = Metrics::new().unwrap();
    let site = metrics.site("s").unwrap();
    for cache in [
        CacheOutcome::Hit,
        CacheOutcome::Stale(StaleReason::Revalidate),
        CacheOutcome::Stale(StaleReason::Error),
        CacheOutcome::Stale(StaleReason::Request),
        CacheOutcome::Collapsed,
        CacheOutcome::Offload,
        CacheOutcome::Pass,
    ] {
        let duration = Duration::from_micros(300);
        site.record(&Entry { cache, bytes: 10, duration, aborted: cache == CacheOutcome::Pass, ..full_entry(&site) });
    }
    let text = metrics.render();
    for line in [
        r#"forebay_cache_stale_served_total{reason="revalidate"} 1"#,
        r#"forebay_cache_stale_served_total{reason="error"} 1"#,
        r#"forebay_cache_stale_served_total{reason="request"} 1"#,
        "forebay_coalesced_requests_total 0",
        "forebay_offload_total 1",
        r#"forebay_bytes_sent_total{site="s"} 70"#,
        r#"forebay_http_requests_aborted_total{site="s"} 1"#,
        r#"forebay_http_request_duration_seconds_bucket{cache="hit",site="s",le="0.00025"} 0"#,
        r#"forebay_http_request_duration_seconds_bucket{cache="hit",site="s",le="0.0005"} 1"#,
        r#"forebay_http_requests_total{cache="stale",code="200",method="GET",site="s"} 3"#,
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
    assert_eq!((site.requests(), site.served()), (7, 6));
}

#[test]
fn a_site_keeps_its_counters_through_a_reload() {
    let metrics = Metrics::new().unwrap();
    let before = metrics.site("s").unwrap();
    before.record(&full_entry(&before));
    assert_eq!(metrics.site("s").unwrap().requests(), 1);
    assert_eq!(metrics.site("t").unwrap().requests(), 0);
}

#[test]
fn upstreams_listeners_and_handshakes_have_their_series() {
    let metrics = Metrics::new().unwrap();
    let upstream = metrics.upstream("ap", "192.168.0.100:80").unwrap();
    upstream.response(200, Duration::from_millis(20));
    upstream.response(503, Duration::from_millis(20));
    upstream.response(42, Duration::from_millis(20));
    upstream.failed();
    upstream.connect_error();
    assert_eq!((upstream.requests(), upstream.errors()), (4, 4));
    let listener = metrics.listener("0.0.0.0:443").unwrap();
    listener.accepted.inc();
    listener.open.inc();
    metrics.tls_handshake(rustls::ProtocolVersion::TLSv1_3, true);
    metrics.tls_handshake(rustls::ProtocolVersion::TLSv1_2, false);
    metrics.compressed(Coding::Brotli);
    metrics.memory.hits.inc();
    metrics.memory.bytes.set(4096);
    metrics.config_read(false);
    let text = metrics.render();
    for line in [
        r#"forebay_upstream_requests_total{code="2xx",server="192.168.0.100:80",upstream="ap"} 1"#,
        r#"forebay_upstream_requests_total{code="error",server="192.168.0.100:80",upstream="ap"} 2"#,
        r#"forebay_upstream_connect_errors_total{server="192.168.0.100:80",upstream="ap"} 1"#,
        r#"forebay_upstream_response_seconds_count{server="192.168.0.100:80",upstream="ap"} 3"#,
        r#"forebay_connections{listener="0.0.0.0:443"} 1"#,
        r#"forebay_tls_handshakes_total{resumed="true",version="1.3"} 1"#,
        r#"forebay_tls_handshakes_total{resumed="false",version="1.2"} 1"#,
        r#"forebay_compressed_total{coding="br"} 1"#,
        r#"forebay_cache_hits_total{tier="memory"} 1"#,
        r#"forebay_cache_bytes{tier="memory"} 4096"#,
        "forebay_config_last_reload_successful 0",
        concat!(r#"forebay_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
}

#[test]
fn the_process_is_described_anew_at_each_render() {
    let value = |text: &str, name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#')).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let metrics = Metrics::new().unwrap();
    let first = metrics.render();
    let file = std::fs::File::open("/proc/self/status").unwrap();
    let second = metrics.render();
    assert!(value(&first, "process_resident_memory_bytes") > 1e6);
    assert!(value(&first, "process_start_time_seconds") > 1.7e9);
    assert!(value(&first, "process_open_fds") >= 3.0);
    assert!(value(&first, "process_max_fds") >= value(&first, "process_open_fds"));
    assert!(value(&first, "process_threads") >= 1.0);
    assert!(value(&second, "process_cpu_seconds_total") > value(&first, "process_cpu_seconds_total"));
    drop(file);
}
