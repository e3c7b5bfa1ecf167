//! The fields an AP server gets: the client's end-to-end fields, and ours in place of what a client could forge.

use std::net::IpAddr;

use bytes::Bytes;
use forebay_cache::semantics::hop_by_hop;
use http::header::{FORWARDED, HOST, HeaderName, VIA};
use http::{HeaderMap, HeaderValue, Version};

use crate::account::number;
use crate::compress;
use crate::site::{Route, Site};
use crate::stages::client::{Client, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use crate::stages::normalize::Target;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// What a plugin looks for before it tags its responses.
const SURROGATE_CAPABILITY: HeaderName = HeaderName::from_static("surrogate-capability");
/// What LSCache's plugin looks for before it drives a cache.
const X_LSCACHE: HeaderName = HeaderName::from_static("x-lscache");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields by which applications let a request say that it is another one, or comes from elsewhere. They are no part of
/// the cache key, so a client's copies never reach an AP server (cache poisoning; httpoxy for `proxy`).
const FORGEABLE: [&str; 34] = [
    "surrogate-capability",
    "x-lscache",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-host",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "front-end-https",
    "x-url-scheme",
    "proxy",
    "x-sendfile",
    "suspectdos",
    "client-cert",
    "client-cert-chain",
    "x-ssl-client-verify",
    "x-ssl-client-subject-dn",
    "x-ssl-client-issuer-dn",
    "x-ssl-client-serial",
    "x-ssl-client-fingerprint",
];

/// So many fields are ours at most.
const OURS: usize = 16;

/// Tells an AP server that a client asks for too much, in the word of mod_dosdetector.
pub(crate) const SUSPECT_DOS: HeaderName = HeaderName::from_static("suspectdos");

/// What the fields are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A response to be stored: nothing of the client may shape it but what the key or `Vary` knows.
    Fill,
    /// A response for this client alone.
    Pass,
}

/// The request as it is forwarded.
pub(crate) struct Forwarding<'a> {
    pub(crate) fields: &'a HeaderMap,
    pub(crate) version: Version,
    pub(crate) target: &'a Target,
    pub(crate) client: Client,
    /// The other end of the connection: the client itself, or a trusted proxy.
    pub(crate) peer: IpAddr,
    pub(crate) pseudonym: &'a str,
}

/// The fields to be sent for `purpose`.
pub(crate) fn fields(request: &Forwarding<'_>, site: &Site, route: &Route, purpose: Purpose) -> HeaderMap {
    let is_fill = purpose == Purpose::Fill;
    let is_withheld = |name: &str| match name {
        // Trailer sections are not forwarded, so none is announced.
        "host" | "expect" | "trailer" | "content-length" => true,
        // Content is compressed here, once, rather than by each AP server for each request.
        "accept-encoding" => !site.compress.is_empty(),
        // The whole response is fetched, whatever part or condition this client asked for.
        "range" | "if-range" | "if-match" | "if-unmodified-since" | "if-none-match" | "if-modified-since" => is_fill,
        "cookie" => is_fill && route.rules.drop_cookies,
        name => is_forgeable(name),
    };
    let mut fields = HeaderMap::with_capacity(request.fields.len() + OURS);
    for (name, value) in hop_by_hop::end_to_end(request.fields).filter(|(name, _)| !is_withheld(name.as_str())) {
        fields.append(name.clone(), value.clone());
    }
    if let Some(pool) = &route.pool {
        pool.hide_cookie(&mut fields);
    }
    let chain = if request.client.trusted { joined(request.fields, &X_FORWARDED_FOR) } else { None };
    if purpose == Purpose::Pass {
        compress::fields::restore_conditions(&mut fields);
    }
    say_who_asks(&mut fields, request, chain.as_deref());
    if site.surrogate_capability {
        fields.insert(SURROGATE_CAPABILITY, HeaderValue::from_static("forebay=\"Surrogate/1.0 tags/1\""));
    }
    if site.litespeed {
        fields.insert(X_LSCACHE, HeaderValue::from_static("on"));
    }
    fields
}

/// Names with `_` go too: CGI cannot tell `X_Real_IP` from `X-Real-IP`.
fn is_forgeable(name: &str) -> bool {
    memchr::memchr(b'_', name.as_bytes()).is_some() || FORGEABLE.contains(&name)
}

fn joined(fields: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<&str> = fields.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn say_who_asks(fields: &mut HeaderMap, request: &Forwarding<'_>, chain: Option<&str>) {
    let Forwarding { target, client, peer, .. } = request;
    if let Some(host) = host(request) {
        fields.insert(HOST, host.clone());
        fields.insert(X_FORWARDED_HOST, host);
    }
    let mut text = Vec::with_capacity(48);
    number::address(&mut text, client.address);
    let forwarded = forwarded(client.address, &text, target);
    let address = value(text);
    let behind = match chain {
        Some(chain) => value(format!("{chain}, {peer}").into()),
        None if *peer == client.address => address.clone(),
        None => value(peer.to_string().into()),
    };
    // The port of the authority, which the cache key has, rather than that of the listener, which it has not.
    let port = match target.authority.get(target.host().len() + 1..) {
        Some(port) => HeaderValue::from_str(port).ok(),
        None => Some(HeaderValue::from_static(if target.scheme == "https" { "443" } else { "80" })),
    };
    let version = match request.version {
        Version::HTTP_2 => "2.0",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    let via = match joined(request.fields, &VIA) {
        Some(before) => [&before, ", ", version, " ", request.pseudonym].concat(),
        None => [version, " ", request.pseudonym].concat(),
    };
    for (name, value) in [
        (X_FORWARDED_FOR, behind),
        (X_REAL_IP, address),
        (X_FORWARDED_PROTO, Some(HeaderValue::from_static(target.scheme))),
        (X_FORWARDED_PORT, port),
        (FORWARDED, value(forwarded)),
        (VIA, value(via.into())),
    ] {
        if let Some(value) = value {
            fields.insert(name, value);
        }
    }
}

/// The host that is asked for, as the client wrote it where that is the form that all others have.
fn host(request: &Forwarding<'_>) -> Option<HeaderValue> {
    let authority = &request.target.authority;
    if authority.is_empty() {
        return None;
    }
    let written = request.fields.get(HOST).filter(|host| host.as_bytes() == authority.as_bytes());
    written.cloned().or_else(|| HeaderValue::from_str(authority).ok())
}

/// `text`, which is not copied once more.
fn value(text: Vec<u8>) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

/// RFC 7239 section 4; `text` is the address.
fn forwarded(address: IpAddr, text: &[u8], target: &Target) -> Vec<u8> {
    let mut forwarded = Vec::with_capacity(48 + text.len() + target.authority.len());
    let host = if target.authority.is_empty() { "" } else { ";host=\"" };
    let end = if target.authority.is_empty() { "" } else { "\"" };
    let (before, behind) = if address.is_ipv4() { ("for=", "") } else { ("for=\"[", "]\"") };
    let [before, behind, proto] = [before, behind, ";proto="].map(str::as_bytes);
    let [scheme, host, authority, end] = [target.scheme, host, &target.authority, end].map(str::as_bytes);
    for part in [before, text, behind, proto, scheme, host, authority, end] {
        forwarded.extend_from_slice(part);
    }
    forwarded
}
