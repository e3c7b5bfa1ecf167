//! The front: the short way of a request that a stored response answers at once. It decides nothing that the long way
//! ([`crate::service`]) would decide otherwise; whatever it is not sure of, it leaves to that, with the bytes as they came.
//! What is in memory goes out with a head that the long way made, and nothing is allocated.
//!
//! What it takes: HTTP/1.1, GET or HEAD, a target in comparison form already, no content, no conditions, ranges, request
//! directives or credentials; no file of that name (asked of the kernel without waiting); a fresh response that does not
//! vary, in memory or where the page cache holds it ([`disk`]).

mod disk;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use forebay_cache::clock::Clock as _;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::coding::{Coding, Negotiated, negotiate_lines};
use forebay_cache::semantics::groups::CACHE_GROUPS;
use forebay_cache::semantics::{RequestDirectives, Reuse, reuse};
use forebay_cache::store::disk::OnDisk;
use forebay_cache::store::{Variant, Variants};
use http::header::{AGE, CACHE_STATUS, CONTENT_ENCODING, CONTENT_RANGE};
use http::{HeaderValue, Method, StatusCode, Version};

use crate::account::entry::{CacheOutcome, Entry};
use crate::context::Context;
use crate::http::{Answer, Content, SinkError};
use crate::listen::Connection;
use crate::listen::h1::{start, whole_head};
use crate::runtime::Runtime;
use crate::site::{Route, Site};
use crate::stages::deliver::{NAME, is_codable};
use crate::stages::key::names_cookie;
use crate::stages::offload;

thread_local! {
    /// Bytes of the key that is looked up.
    static KEY: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(256));
}

/// Field lines looked at; a request with more takes the long way.
const LINES: usize = 32;

/// A request whose answer was found.
pub(crate) struct Hit {
    head: Bytes,
    content: Bytes,
    is_head: bool,
    age: u64,
    ttl: i64,
    entry: Entry,
    started: Instant,
}

impl Hit {
    /// Status line and fields: the head as it was made before, then what changes with the time.
    pub(crate) fn write_head(&self, out: &mut BytesMut, closing: bool) {
        let mut digits = itoa::Buffer::new();
        out.reserve(self.head.len() + 128 + self.content.len().min(16 * 1024));
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"age: ");
        out.extend_from_slice(digits.format(self.age).as_bytes());
        out.extend_from_slice(b"\r\ncache-status: ");
        out.extend_from_slice(NAME.as_bytes());
        out.extend_from_slice(b"; hit; ttl=");
        out.extend_from_slice(digits.format(self.ttl).as_bytes());
        out.extend_from_slice(b"\r\ncontent-length: ");
        out.extend_from_slice(digits.format(self.content.len()).as_bytes());
        out.extend_from_slice(if closing { b"\r\nconnection: close\r\n\r\n" } else { b"\r\n\r\n" });
    }

    /// The content to be sent; `None` for HEAD.
    pub(crate) fn content(&self) -> Option<&Bytes> {
        (!self.is_head).then_some(&self.content)
    }
}

/// What is stored under the key of a request.
enum Found<'a> {
    InMemory(Arc<Variants>),
    OnDisk(OnDisk<'a>),
}

impl Found<'_> {
    fn first(&self) -> Option<&Variant> {
        match self {
            Self::InMemory(variants) => variants.iter().next(),
            Self::OnDisk(found) => Some(found.variant()),
        }
    }

    /// Bytes of the content as the origin sent it.
    fn length(&self) -> u64 {
        match self {
            Self::InMemory(_) => self.first().map_or(0, Variant::length),
            Self::OnDisk(found) => found.length(),
        }
    }
}

/// Finds the answer of the request at the front of `buffer`, and takes the request off it. `None`: the long way.
pub(crate) fn find(runtime: &Runtime, connection: &Connection, buffer: &mut BytesMut) -> Option<Hit> {
    let raw = whole_head(buffer, &runtime.config.limits)?;
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut request = httparse::Request::new(&mut lines);
    let httparse::Status::Complete(length) = request.parse(raw).ok()? else { return None };
    let is_head = match (request.version?, request.method?) {
        (1, "GET") => false,
        (1, "HEAD") => true,
        _ => return None,
    };
    let seen = Seen::read(request.headers)?;
    let target = Plain::read(request.path?, seen.host?, connection.scheme())?;
    let config = &runtime.config;
    if request.headers.len() > config.limits.fields || is_trusted_proxy(runtime, connection) {
        return None;
    }
    let site = runtime.routes.site(target.host)?;
    if site.elsewhere(connection.scheme(), target.host).is_some() {
        return None;
    }
    let route = site.plain_route(target.path)?;
    if !may_use_cache(route, &target, &seen) || has_bypass_field(route, request.headers) {
        return None;
    }
    let lasting = &runtime.lasting;
    if lasting.cluster.as_ref().is_some_and(|cluster| cluster.is_behind()) {
        return None;
    }
    let found = KEY.with_borrow_mut(|key| {
        key.clear();
        CacheKey::write(connection.scheme(), target.authority, target.path, target.query.map(str::as_bytes), key);
        let on_disk = || lasting.store.on_disk_by_bytes(key).map(Found::OnDisk);
        lasting.store.in_memory_by_bytes(key).map(Found::InMemory).or_else(on_disk)
    })?;
    let variant = found.first().filter(|variant| variant.response.variance().is_empty())?;
    // Whether the last purge concerns it, and whether its group was invalidated, is for the long way to find out.
    if !variant.is_checked(lasting.store.purges().last()) || variant.response.fields().contains_key(CACHE_GROUPS) {
        return None;
    }
    let now = lasting.clock.now();
    if reuse(&variant.response, &RequestDirectives::default(), now) != Reuse::Fresh {
        return None;
    }
    let codable = is_codable(site, &variant.response, found.length());
    let coding = if codable { coding(site, &seen)? } else { None };
    let (head, content) = match &found {
        Found::InMemory(_) => {
            let content = match coding {
                None => variant.response.content(),
                Some(coding) => variant.coded(coding)?,
            };
            (variant.prepared.head(coding)?.clone(), content.clone())
        }
        Found::OnDisk(found) => (disk::head(site, variant, codable, coding)?, found.content(coding)?),
    };
    match &found {
        Found::InMemory(_) => lasting.metrics.memory.hits.inc(),
        Found::OnDisk(found) => {
            lasting.store.note_found(found);
            lasting.metrics.disk.hits.inc();
            lasting.metrics.memory.misses.inc();
        }
    }
    let hit = Hit {
        head,
        content,
        is_head,
        age: variant.response.current_age(now).as_secs().min(1 << 31),
        ttl: variant.response.ttl(now),
        entry: entry(runtime, connection, site, &request, &seen),
        started: Instant::now(),
    };
    bytes::Buf::advance(buffer, length);
    Some(hit)
}

/// Counts and logs a request that was answered here.
pub(crate) fn account(runtime: &Runtime, hit: Hit, sent: Result<(), SinkError>) {
    let Hit { content, is_head, entry, started, .. } = hit;
    let bytes = if is_head { 0 } else { content.len() as u64 };
    runtime.lasting.account.finish(Entry { bytes, duration: started.elapsed(), aborted: sent.is_err(), ..entry });
}

/// Keeps the head of `answer`, which the long way made of a stored response, for requests to come.
pub(crate) fn prepare(context: &mut Context, answer: &Answer) {
    let Some(variant) = context.preparing.take() else { return };
    let Answer { status, fields, content, .. } = answer;
    let is_whole = *status == StatusCode::OK && matches!(content, Content::Memory(parts) if parts.len() == 1);
    if !is_whole || [AGE, CACHE_STATUS, CONTENT_RANGE].iter().any(|name| fields.contains_key(name)) {
        return;
    }
    let coding = match fields.get(CONTENT_ENCODING) {
        // The origin's own coding is part of what is stored.
        Some(token) if !variant.response.fields().contains_key(CONTENT_ENCODING) => {
            let Some(coding) = token.to_str().ok().and_then(Coding::from_token) else { return };
            Some(coding)
        }
        _ => None,
    };
    if variant.prepared.head(coding).is_none() {
        let mut head = BytesMut::with_capacity(512);
        start(&mut head, *status, fields);
        variant.prepared.keep(coding, head.freeze());
    }
}

/// What the field lines say, of those that matter.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    cookie: Option<&'a [u8]>,
    accept_encoding: Option<&'a [u8]>,
    referer: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
}

impl<'a> Seen<'a> {
    /// `None` when there is a field that makes a difference, or one twice that must not be.
    fn read(lines: &[httparse::Header<'a>]) -> Option<Self> {
        let mut seen = Self::default();
        for line in lines {
            let name = line.name.as_bytes();
            let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
            let slot = match name.first()?.to_ascii_lowercase() {
                b'h' if is("host") => &mut seen.host,
                b'c' if is("cookie") => &mut seen.cookie,
                b'c' if is("connection") => {
                    if line.value.eq_ignore_ascii_case(b"keep-alive") {
                        continue;
                    } else {
                        return None;
                    }
                }
                b'c' if is("cache-control") || is("content-length") => return None,
                b'a' if is("accept-encoding") => &mut seen.accept_encoding,
                b'a' if is("authorization") => return None,
                b'r' if is("referer") => &mut seen.referer,
                b'r' if is("range") => return None,
                b'u' if is("user-agent") => &mut seen.user_agent,
                b'u' if is("upgrade") => return None,
                b'e' if is("expect") => return None,
                b'i' if name.len() > 3 && is_condition(name) => return None,
                b'p' if is("pragma") => return None,
                b't' if is("transfer-encoding") || is("te") || is("trailer") => return None,
                b'v' if is("via") => return None,
                _ => continue,
            };
            if slot.replace(line.value).is_some() {
                return None;
            }
        }
        Some(seen)
    }
}

fn is_condition(name: &[u8]) -> bool {
    name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"if-"))
}

/// A target that is in comparison form as it came.
struct Plain<'a> {
    authority: &'a str,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Plain<'a> {
    fn read(target: &'a str, host: &'a [u8], scheme: &str) -> Option<Self> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~');
        let mut before = 0;
        for byte in path.bytes() {
            // What begins with a dot may be a dot segment; several slashes are one to those who match paths.
            if !plain(byte) || (matches!(byte, b'.' | b'/') && before == b'/') {
                return None;
            }
            before = byte;
        }
        if !path.starts_with('/')
            || query.is_some_and(|query| !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'))
        {
            return None;
        }
        let authority = std::str::from_utf8(host).ok()?;
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        };
        let default = if scheme == "https" { "443" } else { "80" };
        let is_port = |port: &str| {
            port.len() < 6
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && !port.starts_with('0')
                && port != default
        };
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let sound = !name.is_empty() && name.bytes().all(is_name) && !name.starts_with('.') && !name.ends_with('.');
        if !sound || name.contains("..") || port.is_some_and(|port| port.is_empty() || !is_port(port)) {
            return None;
        }
        Some(Self { authority, host: name, path, query })
    }
}

/// Who comes from a trusted proxy may have another address and scheme than its connection.
fn is_trusted_proxy(runtime: &Runtime, connection: &Connection) -> bool {
    let trusted = &runtime.config.server.trusted_proxies;
    !trusted.is_empty() && trusted.iter().any(|net| net.contains(&connection.client.ip()))
}

/// Whether the long way would look into the cache, under the key that the target is as it stands.
fn may_use_cache(route: &Route, target: &Plain<'_>, seen: &Seen<'_>) -> bool {
    let rules = &route.rules;
    let shapes_query = !rules.bypass_params.is_empty() || !rules.ignore_params.is_empty() || rules.sort_query;
    if !rules.enabled || (target.query.is_some() && shapes_query) {
        return false;
    }
    if rules.bypass_paths.iter().any(|rule| rule.matches(target.path)) {
        return false;
    }
    if route.guard.as_ref().is_some_and(|guard| guard.concerns(target.path)) {
        return false;
    }
    let bypasses = seen.cookie.is_some_and(|cookie| names_cookie(cookie, &rules.bypass_cookies));
    let is_file = route.root.as_ref().is_some_and(|root| !offload::leaves(root, target.path.as_bytes()));
    !bypasses && !is_file
}

/// Lengths are compared first: with the preset's four names that is all that happens to most lines.
fn has_bypass_field(route: &Route, lines: &[httparse::Header<'_>]) -> bool {
    let names = &route.rules.bypass_fields;
    !names.is_empty() && lines.iter().any(|line| names.iter().any(|name| line.name.eq_ignore_ascii_case(name.as_str())))
}

/// The coding the long way would choose of what can be coded: `None` when only it can tell, `Some(None)` for no coding.
fn coding(site: &Site, seen: &Seen<'_>) -> Option<Option<Coding>> {
    let Some(accepted) = seen.accept_encoding else { return Some(None) };
    Some(match negotiate_lines([accepted], &site.compress) {
        Negotiated::Coding(coding) => Some(coding),
        Negotiated::Identity | Negotiated::NotAcceptable => None,
    })
}

fn entry(
    runtime: &Runtime,
    connection: &Connection,
    site: &Site,
    request: &httparse::Request<'_, '_>,
    seen: &Seen<'_>,
) -> Entry {
    // Copies are made for the log alone.
    let logs = runtime.lasting.account.logs();
    let value = |text: Option<&[u8]>| text.filter(|_| logs).and_then(|text| HeaderValue::from_bytes(text).ok());
    let target = request.path.filter(|_| logs).map(|path| Bytes::copy_from_slice(path.as_bytes()));
    Entry {
        start: SystemTime::now(),
        duration: std::time::Duration::ZERO,
        client: connection.client.ip(),
        tls: connection.tls,
        method: if request.method == Some("HEAD") { Method::HEAD } else { Method::GET },
        target: target.unwrap_or_default(),
        version: Version::HTTP_11,
        host: seen.host.filter(|_| logs).map(Bytes::copy_from_slice),
        status: StatusCode::OK.as_u16(),
        bytes: 0,
        referer: value(seen.referer),
        user_agent: value(seen.user_agent),
        content_type: None,
        cache: CacheOutcome::Hit,
        forward_reason: None,
        detail: None,
        upstream: None,
        site: Arc::clone(&site.metrics),
        aborted: false,
    }
}
