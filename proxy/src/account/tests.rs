use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use forebay_config::model::{Log, LogFormat, LogTarget};
use http::{HeaderValue, Method, Version};

use super::Account;
use super::entry::{CacheOutcome, Entry, UpstreamExchange};
use super::metrics::{Metrics, SiteMetrics};

/// A miss of `www.example.com` with every part present.
pub(super) fn full_entry(site: &Arc<SiteMetrics>) -> Entry {
    Entry {
        start: UNIX_EPOCH + Duration::from_millis(1_732_191_001_250),
        duration: Duration::from_micros(251_500),
        client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        tls: Some("TLSv1.3"),
        method: Method::GET,
        target: Bytes::from_static(b"/shop/?page=2"),
        version: Version::HTTP_2,
        host: Some(Bytes::from_static(b"www.example.com")),
        status: 200,
        bytes: 5120,
        referer: Some(HeaderValue::from_static("https://www.example.com/")),
        user_agent: Some(HeaderValue::from_static("Mozilla/5.0 (X11)")),
        content_type: Some(HeaderValue::from_static("text/html; charset=UTF-8")),
        cache: CacheOutcome::Miss,
        forward_reason: Some("uri-miss"),
        detail: Some("stored"),
        upstream: Some(UpstreamExchange {
            hierarchy: "HIER_DIRECT",
            address: SocketAddr::from(([192, 168, 0, 100], 80)),
            status: Some(200),
            connect: Some(Duration::from_micros(400)),
            first_byte: Some(Duration::from_millis(240)),
        }),
        site: Arc::clone(site),
        aborted: false,
    }
}

/// A plain request nobody answered, with every part absent that may be.
pub(super) fn bare_entry(site: &Arc<SiteMetrics>) -> Entry {
    Entry {
        tls: None,
        version: Version::HTTP_11,
        host: None,
        status: 0,
        bytes: 0,
        referer: None,
        user_agent: None,
        content_type: None,
        cache: CacheOutcome::None,
        forward_reason: None,
        detail: None,
        upstream: None,
        aborted: true,
        ..full_entry(site)
    }
}

#[test]
fn one_request_is_one_line_and_one_count() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let config = Log { format: LogFormat::Combined, target: LogTarget::File(path.clone()), level: "info".to_owned() };
    let metrics = Metrics::new().unwrap();
    let site = metrics.site("www.example.com").unwrap();
    let account = Account::start(&config, &metrics).unwrap();
    account.finish(full_entry(&site));
    assert!(account.stop(Duration::from_secs(10)));
    let log = std::fs::read_to_string(path).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    let text = metrics.render();
    let line = r#"forebay_http_requests_total{cache="miss",code="200",method="GET",site="www.example.com"} 1"#;
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[test]
fn a_log_that_is_off_loses_nothing_and_still_counts() {
    let config = Log { format: LogFormat::Json, target: LogTarget::Off, level: "info".to_owned() };
    let metrics = Metrics::new().unwrap();
    let site = metrics.site("s").unwrap();
    let account = Account::start(&config, &metrics).unwrap();
    account.finish(full_entry(&site));
    assert_eq!(site.requests(), 1);
    assert_eq!(metrics.log_dropped.get(), 0);
    assert!(account.stop(Duration::ZERO));
}
