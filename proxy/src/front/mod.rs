//! The front: the short way of a request that a stored response in memory answers, or a file that is open. It decides
//! nothing that the long way ([`crate::service`]) would decide otherwise; whatever it is not sure of, it leaves to that,
//! with the bytes as they came. What is in memory goes out with heads that the long way made ([`mod@prepare`]), and nothing is allocated.
//!
//! What it takes: HTTP/1.1, GET or HEAD, a target in comparison form already, no content, no conditions but
//! `If-None-Match` and `If-Modified-Since`, no ranges, request directives or credentials. Then, in this order:
//! 1. [`files`]: a file that was sent a moment ago and is still what it was.
//! 2. [`stored`]: no file of that name (asked of the kernel without waiting); a fresh response that does not vary.
//!    Of what is on disk, the page cache has to hold the content, and [`disk`] makes the head.

mod disk;
pub(crate) mod files;
#[cfg(test)]
mod instructions;
mod prepare;
mod request;
mod stored;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf as _, Bytes, BytesMut};
use forebay_cache::semantics::precondition::Precondition;
use forebay_cache::store::Form;
use http::{HeaderValue, Method, StatusCode, Version};

use crate::account::entry::{CacheOutcome, Entry};
use crate::account::metrics::SiteMetrics;
use crate::http::{SinkError, date};
use crate::listen::Connection;
use crate::listen::h1::ends_lines;
use crate::runtime::Runtime;
use crate::stages::deliver::NAME;
use crate::stages::offload::FileSlice;
pub(crate) use prepare::{Preparing, prepare};
use request::{Plain, Seen};

/// Field lines looked at; a request with more takes the long way.
const LINES: usize = 32;

/// A request whose answer was found.
pub(crate) struct Hit {
    found: Found,
    is_head: bool,
    entry: Entry,
    started: Instant,
}

/// An answer.
struct Found {
    /// As the long way made it, without what changes with the time.
    head: Bytes,
    status: StatusCode,
    of: Of,
    /// Nothing where the status has none.
    content: Option<Content>,
}

/// What an answer is made of, and so what its head lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Stored { age: u64, ttl: i64 },
    File,
}

/// Content of a hit.
pub(crate) enum Content {
    Memory(Bytes),
    File(FileSlice),
}

impl Content {
    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(slice) => slice.length(),
        }
    }
}

impl Hit {
    /// Status line and fields: the head as it was made before, then what changes with the time.
    pub(crate) fn write_head(&self, out: &mut BytesMut, closing: bool) {
        let Found { head, of, content, .. } = &self.found;
        let length = content.as_ref().map(Content::length);
        let joined = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX).min(16 * 1024);
        let mut digits = itoa::Buffer::new();
        out.reserve(head.len() + 128 + joined);
        out.extend_from_slice(head);
        match *of {
            Of::Stored { age, ttl } => {
                out.extend_from_slice(b"age: ");
                out.extend_from_slice(digits.format(age).as_bytes());
                out.extend_from_slice(b"\r\ncache-status: ");
                out.extend_from_slice(NAME.as_bytes());
                out.extend_from_slice(b"; hit; ttl=");
                out.extend_from_slice(digits.format(ttl).as_bytes());
            }
            Of::File => {
                out.extend_from_slice(b"date: ");
                out.extend_from_slice(date::field(self.entry.start).as_bytes());
                out.extend_from_slice(b"\r\ncache-status: ");
                out.extend_from_slice(NAME.as_bytes());
            }
        }
        if let Some(length) = length {
            out.extend_from_slice(b"\r\ncontent-length: ");
            out.extend_from_slice(digits.format(length).as_bytes());
        }
        out.extend_from_slice(if closing { b"\r\nconnection: close\r\n\r\n" } else { b"\r\n\r\n" });
    }

    /// The content to be sent; `None` for HEAD, and where there is none.
    pub(crate) fn content(&self) -> Option<&Content> {
        self.found.content.as_ref().filter(|_| !self.is_head)
    }
}

/// Finds the answer of the request at the front of `buffer`, and takes the request off it. `None`: the long way.
pub(crate) fn find(runtime: &Runtime, connection: &Connection, buffer: &mut BytesMut) -> Option<Hit> {
    let limits = &runtime.config.limits;
    let raw = buffer.get(..buffer.len().min(limits.head_size))?;
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut request = httparse::Request::new(&mut lines);
    let httparse::Status::Complete(length) = request.parse(raw).ok()? else { return None };
    if request.path?.len() > limits.target_size || !ends_lines(raw.get(..length)?, request.headers.len() + 2) {
        return None;
    }
    let is_head = match (request.version?, request.method?) {
        (1, "GET") => false,
        (1, "HEAD") => true,
        _ => return None,
    };
    let seen = Seen::read(request.headers)?;
    let target = Plain::read(request.path?, seen.host?, connection.scheme())?;
    if request.headers.len() > limits.fields || is_trusted_proxy(runtime, connection) {
        return None;
    }
    let site = runtime.routes.site(target.host)?;
    if site.elsewhere(connection.scheme(), target.host).is_some() {
        return None;
    }
    let route = site.plain_route(target.path)?;
    if route.guard.as_ref().is_some_and(|guard| guard.concerns(target.path)) {
        return None;
    }
    let found = match files::find(runtime, route, &target, &seen) {
        Some(found) => found,
        None => stored::find(runtime, connection, site, route, &target, &seen, request.headers)?,
    };
    let asked = Asked { target: request.path, is_head, client: connection.client.ip(), tls: connection.tls };
    let entry = entry(runtime, &site.metrics, &asked, &seen, &found);
    let hit = Hit { found, is_head, entry, started: Instant::now() };
    buffer.advance(length);
    Some(hit)
}

/// Counts and logs a request that was answered here; when that was.
pub(crate) fn account(runtime: &Runtime, hit: Hit, sent: Result<(), SinkError>) -> Instant {
    let bytes = hit.content().map_or(0, Content::length);
    let Hit { entry, started, .. } = hit;
    let now = Instant::now();
    runtime.lasting.account.finish(Entry { bytes, duration: now - started, aborted: sent.is_err(), ..entry });
    now
}

/// Who comes from a trusted proxy may have another address and scheme than its connection.
fn is_trusted_proxy(runtime: &Runtime, connection: &Connection) -> bool {
    let trusted = &runtime.config.server.trusted_proxies;
    !trusted.is_empty() && trusted.iter().any(|net| net.contains(&connection.client.ip()))
}

/// What the conditions of a request make of `form`: its head, and whether it is that of the 304. `None`: the long way has
/// not made it yet.
fn conditional<'a>(form: &'a Form, seen: &Seen<'_>) -> Option<(&'a Bytes, StatusCode)> {
    if seen.if_none_match.is_none() && seen.if_modified_since.is_none() {
        return Some((form.whole()?, StatusCode::OK));
    }
    match form.evaluate(seen.if_none_match, seen.if_modified_since) {
        Precondition::Proceed => Some((form.whole()?, StatusCode::OK)),
        Precondition::NotModified => Some((form.not_modified()?, StatusCode::NOT_MODIFIED)),
        Precondition::Failed => None,
    }
}

/// What is logged of a request beside its fields.
struct Asked<'a> {
    target: Option<&'a str>,
    is_head: bool,
    client: IpAddr,
    tls: Option<&'static str>,
}

fn entry(runtime: &Runtime, site: &Arc<SiteMetrics>, asked: &Asked<'_>, seen: &Seen<'_>, found: &Found) -> Entry {
    // Copies are made for the log alone.
    let logs = runtime.lasting.account.logs();
    let value = |text: Option<&[u8]>| text.filter(|_| logs).and_then(|text| HeaderValue::from_bytes(text).ok());
    let target = asked.target.filter(|_| logs).map(|path| Bytes::copy_from_slice(path.as_bytes()));
    Entry {
        start: SystemTime::now(),
        duration: Duration::ZERO,
        client: asked.client,
        tls: asked.tls,
        method: if asked.is_head { Method::HEAD } else { Method::GET },
        target: target.unwrap_or_default(),
        version: Version::HTTP_11,
        host: seen.host.filter(|_| logs).map(Bytes::copy_from_slice),
        status: found.status.as_u16(),
        bytes: 0,
        referer: value(seen.referer),
        user_agent: value(seen.user_agent),
        content_type: None,
        cache: if found.of == Of::File { CacheOutcome::Offload } else { CacheOutcome::Hit },
        forward_reason: None,
        detail: None,
        upstream: None,
        site: Arc::clone(site),
        aborted: false,
    }
}
