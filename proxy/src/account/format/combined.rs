//! `combined`, as Apache and nginx write it (fail2ban, GoAccess and AWStats read it), and what `combined+cache` adds.

use std::time::Duration;

use http::HeaderValue;

use crate::account::entry::{Entry, UpstreamExchange};
use crate::account::escape::quoted;
use crate::account::number::{address, decimal, seconds, three_digits};

/// `client - - [date] "METHOD target VERSION" status bytes "referer" "user agent"`.
///
/// The date is in UTC. A request whose client left before a status was sent is logged as 499, nginx's number for it.
pub(super) fn combined(entry: &Entry, date: &str, out: &mut Vec<u8>) {
    address(out, entry.client);
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(date.as_bytes());
    out.extend_from_slice(b"] \"");
    out.extend_from_slice(entry.method.as_str().as_bytes());
    out.push(b' ');
    quoted(out, &entry.target);
    out.push(b' ');
    out.extend_from_slice(entry.version_word().as_bytes());
    out.extend_from_slice(b"\" ");
    let status = if entry.status == 0 && entry.aborted { 499 } else { entry.status };
    three_digits(out, u64::from(status));
    out.push(b' ');
    decimal(out, entry.bytes);
    out.push(b' ');
    value(out, entry.referer.as_ref().map(HeaderValue::as_bytes));
    out.push(b' ');
    value(out, entry.user_agent.as_ref().map(HeaderValue::as_bytes));
}

/// ` WORD fwd=… detail=… rt=… up=… us=… uc=… uh=… ur=… tls=… aborted=… site="…" host="…"`: what the cache did, why it was
/// forwarded and the reason behind it, seconds in all, the AP server, its status, seconds to connect, to its first byte
/// and to its last, TLS version, whether the answer was cut. `-` where there is nothing to tell.
pub(super) fn cache(entry: &Entry, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(entry.cache.word().as_bytes());
    word(out, b" fwd=", entry.forward_reason);
    word(out, b" detail=", entry.detail);
    out.extend_from_slice(b" rt=");
    seconds(out, entry.duration);
    match &entry.upstream {
        None => out.extend_from_slice(b" up=- us=- uc=- uh=-"),
        Some(exchange) => upstream(out, exchange),
    }
    word(out, b" tls=", entry.tls);
    out.extend_from_slice(if entry.aborted { b" aborted=1 site=" } else { b" aborted=0 site=" });
    value(out, Some(entry.site.label().as_bytes()));
    out.extend_from_slice(b" host=");
    value(out, entry.host.as_deref());
}

fn upstream(out: &mut Vec<u8>, exchange: &UpstreamExchange) {
    out.extend_from_slice(b" up=");
    out.extend_from_slice(exchange.address.to_string().as_bytes());
    out.extend_from_slice(b" us=");
    match exchange.status {
        Some(status) => three_digits(out, u64::from(status)),
        None => out.push(b'-'),
    }
    time(out, b" uc=", exchange.connect);
    time(out, b" uh=", exchange.first_byte);
}

fn time(out: &mut Vec<u8>, name: &[u8], time: Option<Duration>) {
    out.extend_from_slice(name);
    match time {
        Some(time) => seconds(out, time),
        None => out.push(b'-'),
    }
}

fn word(out: &mut Vec<u8>, name: &[u8], word: Option<&'static str>) {
    out.extend_from_slice(name);
    out.extend_from_slice(word.unwrap_or("-").as_bytes());
}

fn value(out: &mut Vec<u8>, text: Option<&[u8]>) {
    out.push(b'"');
    match text {
        Some(text) => quoted(out, text),
        None => out.push(b'-'),
    }
    out.push(b'"');
}
