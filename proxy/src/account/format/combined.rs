//! `combined`, as Apache and nginx write it (fail2ban, GoAccess and AWStats read it), and what `combined+cache` adds.

use std::io::Write as _;

use http::HeaderValue;

use crate::account::entry::Entry;
use crate::account::escape::{quoted, seconds};

/// `client - - [date] "METHOD target VERSION" status bytes "referer" "user agent"`.
///
/// The date is in UTC. A request whose client left before a status was sent is logged as 499, nginx's number for it.
pub(super) fn combined(entry: &Entry, date: &str, out: &mut Vec<u8>) {
    let _ = write!(out, "{} - - [{date}] \"{} ", entry.client, entry.method);
    quoted(out, &entry.target);
    let status = match (entry.status, entry.aborted) {
        (0, true) => 499,
        (status, _) => status,
    };
    let _ = write!(out, " {}\" {status:03} {} ", entry.version_word(), entry.bytes);
    value(out, entry.referer.as_ref().map(HeaderValue::as_bytes));
    out.push(b' ');
    value(out, entry.user_agent.as_ref().map(HeaderValue::as_bytes));
}

/// ` WORD fwd=… detail=… rt=… up=… us=… uc=… uh=… ur=… tls=… aborted=… site="…" host="…"`: what the cache did, why it was
/// forwarded and the reason behind it, seconds in all, the AP server, its status, seconds to connect, to its first byte
/// and to its last, TLS version, whether the answer was cut. `-` where there is nothing to tell.
pub(super) fn cache(entry: &Entry, out: &mut Vec<u8>) {
    let dash = "-";
    let _ = write!(
        out,
        " {} fwd={} detail={} rt=",
        entry.cache.word(),
        entry.forward_reason.unwrap_or(dash),
        entry.detail.unwrap_or(dash)
    );
    seconds(out, entry.duration);
    match &entry.upstream {
        None => out.extend_from_slice(b" up=- us=- uc=- uh=- ur=-"),
        Some(upstream) => {
            let _ = write!(out, " up={} us=", upstream.address);
            match upstream.status {
                Some(status) => drop(write!(out, "{status:03}")),
                None => out.push(b'-'),
            }
            for (name, time) in [("uc", upstream.connect), ("uh", upstream.first_byte), ("ur", upstream.total)] {
                let _ = write!(out, " {name}=");
                match time {
                    Some(time) => seconds(out, time),
                    None => out.push(b'-'),
                }
            }
        }
    }
    let _ = write!(out, " tls={} aborted={} site=", entry.tls.unwrap_or(dash), u8::from(entry.aborted));
    value(out, Some(entry.site.label().as_bytes()));
    out.extend_from_slice(b" host=");
    value(out, entry.host.as_deref());
}

fn value(out: &mut Vec<u8>, text: Option<&[u8]>) {
    out.push(b'"');
    match text {
        Some(text) => quoted(out, text),
        None => out.push(b'-'),
    }
    out.push(b'"');
}
