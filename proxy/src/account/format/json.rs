//! One JSON object a line, for log shippers.

use std::time::Duration;

use http::HeaderValue;

use crate::account::entry::{Entry, UpstreamExchange};
use crate::account::escape::{json as string, json_str};
use crate::account::number::{address, decimal, millis};
use crate::account::time::Utc;

/// Members without a value are left out. Times are in milliseconds, `time` is UTC when the request began.
pub(super) fn json(entry: &Entry, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"time":""#);
    out.extend_from_slice(Utc::new(entry.start).rfc3339().as_bytes());
    out.extend_from_slice(br#"","client":""#);
    address(out, entry.client);
    // A method is a token, and what follows is ours: neither has anything to escape.
    out.extend_from_slice(br#"","method":""#);
    out.extend_from_slice(entry.method.as_str().as_bytes());
    out.extend_from_slice(br#"","scheme":""#);
    out.extend_from_slice(entry.scheme().as_bytes());
    out.push(b'"');
    text(out, br#","host":"#, entry.host.as_deref());
    text(out, br#","target":"#, Some(&entry.target));
    out.extend_from_slice(br#","version":""#);
    out.extend_from_slice(entry.version_word().as_bytes());
    out.push(b'"');
    if entry.status != 0 {
        out.extend_from_slice(br#","status":"#);
        decimal(out, entry.status);
    }
    out.extend_from_slice(br#","bytes":"#);
    decimal(out, entry.bytes);
    time(out, br#","duration_ms":"#, Some(entry.duration));
    text(out, br#","referer":"#, entry.referer.as_ref().map(HeaderValue::as_bytes));
    text(out, br#","user_agent":"#, entry.user_agent.as_ref().map(HeaderValue::as_bytes));
    text(out, br#","content_type":"#, entry.content_type.as_ref().map(HeaderValue::as_bytes));
    text(out, br#","tls":"#, entry.tls.map(str::as_bytes));
    out.extend_from_slice(br#","site":"#);
    json_str(out, entry.site.label());
    text(out, br#","cache":"#, Some(entry.cache.word().as_bytes()));
    text(out, br#","fwd":"#, entry.forward_reason.map(str::as_bytes));
    text(out, br#","detail":"#, entry.detail.map(str::as_bytes));
    if let Some(exchange) = &entry.upstream {
        upstream(out, exchange);
    }
    out.extend_from_slice(if entry.aborted { br#","aborted":true}"# } else { br#","aborted":false}"# });
}

fn upstream(out: &mut Vec<u8>, exchange: &UpstreamExchange) {
    out.extend_from_slice(br#","upstream":{"address":""#);
    out.extend_from_slice(exchange.address.to_string().as_bytes());
    out.extend_from_slice(br#"","hierarchy":""#);
    out.extend_from_slice(exchange.hierarchy.as_bytes());
    out.push(b'"');
    if let Some(status) = exchange.status {
        out.extend_from_slice(br#","status":"#);
        decimal(out, status);
    }
    time(out, br#","connect_ms":"#, exchange.connect);
    time(out, br#","first_byte_ms":"#, exchange.first_byte);
    out.push(b'}');
}

fn time(out: &mut Vec<u8>, name: &[u8], value: Option<Duration>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        millis(out, value);
    }
}

fn text(out: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        string(out, value);
    }
}
