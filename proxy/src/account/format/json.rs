//! One JSON object a line, for log shippers.

use std::io::Write as _;
use std::time::Duration;

use http::HeaderValue;

use super::millis;
use crate::account::entry::{Entry, UpstreamExchange};
use crate::account::escape::{json as string, json_str};
use crate::account::time::Utc;

/// Members without a value are left out. Times are in milliseconds, `time` is UTC when the request began.
pub(super) fn json(entry: &Entry, out: &mut Vec<u8>) {
    let _ = write!(
        out,
        r#"{{"time":"{}","client":"{}","method":"{}","scheme":"{}","#,
        Utc::new(entry.start).rfc3339(),
        entry.client,
        entry.method,
        entry.scheme()
    );
    text(out, "host", entry.host.as_deref());
    text(out, "target", Some(&entry.target));
    let _ = write!(out, r#""version":"{}","#, entry.version_word());
    if entry.status != 0 {
        let _ = write!(out, r#""status":{},"#, entry.status);
    }
    let _ = write!(out, r#""bytes":{},"duration_ms":{},"#, entry.bytes, millis(entry.duration));
    text(out, "referer", entry.referer.as_ref().map(HeaderValue::as_bytes));
    text(out, "user_agent", entry.user_agent.as_ref().map(HeaderValue::as_bytes));
    text(out, "content_type", entry.content_type.as_ref().map(HeaderValue::as_bytes));
    text(out, "tls", entry.tls.map(str::as_bytes));
    out.extend_from_slice(br#""site":"#);
    json_str(out, entry.site.label());
    let _ = write!(out, r#","cache":"{}","#, entry.cache.word());
    text(out, "fwd", entry.forward_reason.map(str::as_bytes));
    text(out, "detail", entry.detail.map(str::as_bytes));
    if let Some(exchange) = &entry.upstream {
        upstream(out, exchange);
    }
    let _ = write!(out, r#""aborted":{}}}"#, entry.aborted);
}

fn upstream(out: &mut Vec<u8>, exchange: &UpstreamExchange) {
    let _ = write!(out, r#""upstream":{{"address":"{}""#, exchange.address);
    if let Some(status) = exchange.status {
        let _ = write!(out, r#","status":{status}"#);
    }
    time(out, "connect_ms", exchange.connect);
    time(out, "first_byte_ms", exchange.first_byte);
    time(out, "total_ms", exchange.total);
    out.extend_from_slice(b"},");
}

fn time(out: &mut Vec<u8>, name: &str, value: Option<Duration>) {
    if let Some(value) = value {
        let _ = write!(out, r#","{name}":{}"#, millis(value));
    }
}

fn text(out: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    if let Some(value) = value {
        let _ = write!(out, "\"{name}\":");
        string(out, value);
        out.push(b',');
    }
}
