//! The front: the short way of a request that a stored response in memory answers, or a file that is open. It decides
//! nothing that the long way ([`crate::service`]) would decide otherwise; whatever it is not sure of, it leaves to that,
//! with the bytes as they came. What is in memory goes out with heads that the long way made ([`mod@prepare`]), and nothing is allocated.
//!
//! What it takes: HTTP/1.1 or HTTP/2, GET or HEAD, a target in comparison form already, no content, no conditions but
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

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf as _, Bytes, BytesMut};
use forebay_cache::semantics::precondition::Precondition;
use forebay_cache::store::{Form, Head};
use http::{HeaderValue, Method, StatusCode, Version};

use crate::account::entry::{CacheOutcome, Entry};
use crate::account::metrics::SiteMetrics;
use crate::http::{SinkError, date};
use crate::listen::Connection;
use crate::listen::h1::ends_lines;
use crate::listen::h2;
use crate::runtime::Runtime;
use crate::stages::offload::FileSlice;
pub(crate) use prepare::{Preparing, prepare};
use request::{Plain, Seen};

/// Field lines looked at; a request with more takes the long way.
const LINES: usize = 32;

/// Lines of a hit and of a file, up to what changes. The name is that of the long way.
const HIT: &str = "cache-status: Forebay; hit; ttl=";
const OFFLOAD: &str = "cache-status: Forebay";

/// A request whose answer was found.
pub(crate) struct Hit {
    found: Found,
    is_head: bool,
    /// The client wants the connection closed behind it.
    is_last: bool,
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
        let length = self.found.content.as_ref().map_or(0, Content::length);
        let joined = usize::try_from(length).unwrap_or(usize::MAX).min(16 * 1024);
        out.reserve(self.found.head.len() + 128 + joined);
        out.extend_from_slice(&self.found.head);
        self.late_lines(|line, rest| {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(rest);
            out.extend_from_slice(b"\r\n");
        });
        out.extend_from_slice(if closing { b"connection: close\r\n\r\n" } else { b"\r\n" });
    }

    /// The head as it was made before, for the version that was asked in.
    pub(crate) fn head(&self) -> &Bytes {
        &self.found.head
    }

    /// The lines that change with the time: how each begins, and what is new in it.
    #[inline]
    pub(crate) fn late_lines(&self, mut add: impl FnMut(&'static str, &[u8])) {
        let Found { of, content, .. } = &self.found;
        let mut digits = itoa::Buffer::new();
        match *of {
            Of::Stored { age, ttl } => {
                add("age: ", digits.format(age).as_bytes());
                add(HIT, digits.format(ttl).as_bytes());
            }
            Of::File => {
                add("date: ", date::field(self.entry.start).as_bytes());
                add(OFFLOAD, b"");
            }
        }
        if let Some(content) = content {
            add("content-length: ", digits.format(content.length()).as_bytes());
        }
    }

    /// Whether the client sends no request behind it.
    pub(crate) fn is_last(&self) -> bool {
        self.is_last
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
    if !ends_lines(raw.get(..length)?, request.headers.len() + 2) || request.version? != 1 {
        return None;
    }
    let seen = Seen::read(request.headers)?;
    let way = Way { version: Version::HTTP_11, room: u64::MAX };
    let hit = answer(runtime, connection, &way, request.method?, request.path?, &seen, request.headers)?;
    buffer.advance(length);
    Some(hit)
}

/// A request in HTTP/2, which came without content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) authority: &'a str,
    /// Content bytes that can be sent at once: what is larger is for the long way, and so is a file.
    pub(crate) room: u64,
}

/// Finds the answer of a request of these `fields`, with its head as HTTP/2 sends it. `None`: the long way.
pub(crate) fn find_coded<'a>(
    runtime: &Runtime,
    connection: &Connection,
    asked: &Asked<'a>,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Option<Hit> {
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut free = lines.iter_mut();
    // `te` says no more than that trailers are taken (RFC 9113 section 8.2.2), of which we send none.
    for (name, value) in fields.filter(|(name, _)| *name != "te") {
        *free.next()? = httparse::Header { name, value };
    }
    let unused = free.len();
    let lines = lines.get(..LINES - unused)?;
    let authority = asked.authority.as_bytes();
    let mut seen = Seen::read(lines)?;
    if seen.host.replace(authority).is_some_and(|host| host != authority) {
        return None;
    }
    let way = Way { version: Version::HTTP_2, room: asked.room };
    answer(runtime, connection, &way, asked.method, asked.target, &seen, lines)
}

/// How an answer goes out.
struct Way {
    version: Version,
    /// Content bytes that may go at once.
    room: u64,
}

impl Way {
    /// The head in the version's form.
    fn head<'a>(&self, head: &'a Head) -> Option<&'a Bytes> {
        if self.version == Version::HTTP_2 { head.coded(h2::coded) } else { head.lines() }
    }

    /// Whether content can go out this way.
    fn carries(&self, content: &Content) -> bool {
        self.version != Version::HTTP_2 || matches!(content, Content::Memory(bytes) if bytes.len() as u64 <= self.room)
    }
}

fn answer(
    runtime: &Runtime,
    connection: &Connection,
    way: &Way,
    method: &str,
    path: &str,
    seen: &Seen<'_>,
    lines: &[httparse::Header<'_>],
) -> Option<Hit> {
    let limits = &runtime.config.limits;
    let is_head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return None,
    };
    let target = Plain::read(path, seen.host?, connection.scheme())?;
    let is_too_large = path.len() > limits.target_size || lines.len() > limits.fields;
    if is_too_large || is_trusted_proxy(runtime, connection) {
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
    let found = match files::find(runtime, way, route, &target, seen) {
        Some(found) => found,
        None => stored::find(runtime, connection, way, site, route, &target, seen, lines)?,
    };
    let entry = entry(runtime, &site.metrics, connection, way, path, is_head, seen, &found);
    Some(Hit { found, is_head, is_last: seen.is_last, entry, started: Instant::now() })
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
fn conditional<'a>(form: &'a Form, way: &Way, seen: &Seen<'_>) -> Option<(&'a Bytes, StatusCode)> {
    if seen.if_none_match.is_none() && seen.if_modified_since.is_none() {
        return Some((way.head(form.whole())?, StatusCode::OK));
    }
    match form.evaluate(seen.if_none_match, seen.if_modified_since) {
        Precondition::Proceed => Some((way.head(form.whole())?, StatusCode::OK)),
        Precondition::NotModified => Some((way.head(form.not_modified())?, StatusCode::NOT_MODIFIED)),
        Precondition::Failed => None,
    }
}

#[expect(clippy::too_many_arguments, reason = "an entry is what is known from everywhere")]
fn entry(
    runtime: &Runtime,
    site: &Arc<SiteMetrics>,
    connection: &Connection,
    way: &Way,
    path: &str,
    is_head: bool,
    seen: &Seen<'_>,
    found: &Found,
) -> Entry {
    // Copies are made for the log alone.
    let logs = runtime.lasting.account.logs();
    let value = |text: Option<&[u8]>| text.filter(|_| logs).and_then(|text| HeaderValue::from_bytes(text).ok());
    let target = if logs { Bytes::copy_from_slice(path.as_bytes()) } else { Bytes::new() };
    Entry {
        start: SystemTime::now(),
        duration: Duration::ZERO,
        client: connection.client.ip(),
        tls: connection.tls,
        method: if is_head { Method::HEAD } else { Method::GET },
        target,
        version: way.version,
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
