//! Squid's native format (calamaris and SARG read it).

use std::io::Write as _;

use crate::account::entry::{CacheOutcome, Entry, StaleReason};
use crate::account::escape::column;
use crate::account::time::unix_millis;

/// `time.ms elapsed client RESULT/status bytes METHOD URL - HIERARCHY/server type`
///
/// The time is when the request finished, elapsed is in milliseconds. Bytes are those of the content, where Squid also
/// counts the fields.
pub(super) fn squid(entry: &Entry, out: &mut Vec<u8>) {
    let end = unix_millis(entry.start + entry.duration);
    let _ = write!(
        out,
        "{:9}.{:03} {:6} {} {}{}/{:03} {} {} ",
        end / 1000,
        end % 1000,
        entry.duration.as_millis(),
        entry.client,
        result(entry),
        if entry.aborted { "_ABORTED" } else { "" },
        entry.status,
        entry.bytes,
        entry.method,
    );
    url(entry, out);
    match &entry.upstream {
        Some(upstream) => drop(write!(out, " - {}/{} ", upstream.hierarchy, upstream.address.ip())),
        None => out.extend_from_slice(b" - HIER_NONE/- "),
    }
    match media_type(entry) {
        Some(media_type) => column(out, media_type),
        None => out.push(b'-'),
    }
}

/// Squid logs the absolute URL; only a target that is one already stays as it is.
fn url(entry: &Entry, out: &mut Vec<u8>) {
    if entry.target.first().is_none_or(|first| *first == b'/' || *first == b'*') {
        let _ = write!(out, "{}://", entry.scheme());
        column(out, entry.host.as_deref().unwrap_or(b"-"));
    }
    column(out, &entry.target);
}

/// Squid's result codes. What we answer ourselves without a look into the cache is `NONE_NONE`; an offloaded file is a hit.
fn result(entry: &Entry) -> &'static str {
    match entry.cache {
        CacheOutcome::Hit | CacheOutcome::Offload if entry.status == 304 => "TCP_IMS_HIT",
        CacheOutcome::Hit | CacheOutcome::Offload => "TCP_HIT",
        CacheOutcome::Miss | CacheOutcome::Pass => "TCP_MISS",
        CacheOutcome::Collapsed => "TCP_CF_HIT",
        CacheOutcome::Stale(StaleReason::Error) => "TCP_REFRESH_FAIL_OLD",
        CacheOutcome::Stale(StaleReason::Revalidate | StaleReason::Request) => "TCP_STALE_HIT",
        CacheOutcome::Revalidated => "TCP_REFRESH_UNMODIFIED",
        CacheOutcome::Error if entry.upstream.is_some() => "TCP_MISS",
        CacheOutcome::Error if matches!(entry.status, 400..=499) => "TCP_DENIED",
        CacheOutcome::Error | CacheOutcome::None => "NONE_NONE",
    }
}

/// `Content-Type` without its parameters; Squid does the same.
fn media_type(entry: &Entry) -> Option<&[u8]> {
    let value = entry.content_type.as_ref()?.as_bytes();
    let media_type = value.split(|byte| *byte == b';').next().unwrap_or(value).trim_ascii();
    (!media_type.is_empty()).then_some(media_type)
}
