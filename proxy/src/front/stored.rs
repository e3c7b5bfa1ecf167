//! A stored response, in memory or where the page cache holds it ([`disk`]).

use std::cell::RefCell;
use std::sync::Arc;

use forebay_cache::clock::Clock as _;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::coding::{Coding, Negotiated, negotiate_lines};
use forebay_cache::semantics::groups::CACHE_GROUPS;
use forebay_cache::semantics::{RequestDirectives, Reuse, Variance, reuse};
use forebay_cache::store::disk::OnDisk;
use forebay_cache::store::{Made, Variant, Variants};
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, HeaderName};

use super::request::{Plain, Seen};
use super::{Content, Found, Of, Way, conditional, disk};
use crate::listen::Connection;
use crate::runtime::Runtime;
use crate::site::{Route, Site};
use crate::stages::deliver::is_codable;
use crate::stages::key::names_cookie;
use crate::stages::offload;

thread_local! {
    /// Bytes of the key that is looked up.
    static KEY: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(256));
}

/// The answer that is stored for `target`.
#[expect(clippy::too_many_arguments, reason = "a request, and where it came from")]
pub(super) fn find(
    runtime: &Runtime,
    connection: &Connection,
    way: &Way,
    site: &Site,
    route: &Route,
    target: &Plain<'_>,
    seen: &Seen<'_>,
    lines: &[httparse::Header<'_>],
) -> Option<Found> {
    if !may_use_cache(route, target, seen) || has_bypass_field(route, lines) {
        return None;
    }
    let lasting = &runtime.lasting;
    if lasting.cluster.as_ref().is_some_and(|cluster| cluster.is_behind()) {
        return None;
    }
    let place = KEY.with_borrow_mut(|key| {
        key.clear();
        CacheKey::write(connection.scheme(), target.authority, target.path, target.query.map(str::as_bytes), key);
        let on_disk = || lasting.store.on_disk_by_bytes(key).map(Place::OnDisk);
        lasting.store.in_memory_by_bytes(key).map(Place::InMemory).or_else(on_disk)
    })?;
    let variant = place.first().filter(|variant| is_for_all(site, variant.response.variance()))?;
    // Whether the last purge concerns it is for the long way to find out.
    if !variant.is_checked(lasting.store.purges().last()) {
        return None;
    }
    let now = lasting.clock.now();
    if reuse(&variant.response, &RequestDirectives::default(), now) != Reuse::Fresh {
        return None;
    }
    let age = variant.response.current_age(now).as_secs().min(1 << 31);
    let of = Of::Stored { age, ttl: variant.response.ttl(now) };
    match &place {
        Place::InMemory(_) => {
            let made = variant.prepared.made(runtime.generation)?;
            let coding = coding(site, &made, seen.accept_encoding);
            let (head, status) = conditional(made.form(coding)?, way, seen)?;
            let content = match (status, coding) {
                (StatusCode::NOT_MODIFIED, _) => None,
                (_, None) => Some(variant.response.content()),
                (_, Some(coding)) => Some(variant.coded(coding)?),
            };
            let content = content.cloned().map(Content::Memory);
            if content.as_ref().is_some_and(|content| !way.carries(content)) {
                return None;
            }
            lasting.metrics.memory.hits.inc();
            Some(Found { head: head.clone(), status, of, content })
        }
        Place::OnDisk(stored) => {
            // And so is whether its group was invalidated; of what is in memory that keeps no head.
            if variant.response.fields().contains_key(CACHE_GROUPS) {
                return None;
            }
            let is_codable = || is_codable(site, &variant.response, stored.length());
            let made = variant.prepared.begin(runtime.generation, is_codable);
            let coding = coding(site, &made, seen.accept_encoding);
            let (head, status) = conditional(disk::form(site, variant, &made, coding)?, way, seen)?;
            let content = match status {
                StatusCode::NOT_MODIFIED => None,
                _ => Some(Content::Memory(stored.content(coding)?)),
            };
            if content.as_ref().is_some_and(|content| !way.carries(content)) {
                return None;
            }
            lasting.store.note_found(stored);
            lasting.metrics.disk.hits.inc();
            lasting.metrics.memory.misses.inc();
            Some(Found { head: head.clone(), status, of, content })
        }
    }
}

/// Where the stored responses of a key were found.
enum Place<'a> {
    InMemory(Arc<Variants>),
    OnDisk(OnDisk<'a>),
}

impl Place<'_> {
    fn first(&self) -> Option<&Variant> {
        match self {
            Self::InMemory(variants) => variants.iter().next(),
            Self::OnDisk(found) => Some(found.variant()),
        }
    }
}

/// Whether the long way would look into the cache, under the key that the target is as it stands.
fn may_use_cache(route: &Route, target: &Plain<'_>, seen: &Seen<'_>) -> bool {
    let rules = &route.rules;
    let shapes_query = !rules.bypass_params.is_empty() || !rules.ignore_params.is_empty() || rules.sort_query;
    if !rules.enabled || (target.query.is_some() && shapes_query) {
        return false;
    }
    if rules.bypass_paths.matches(target.path) {
        return false;
    }
    let bypasses = seen.cookie.is_some_and(|cookie| names_cookie(cookie, &rules.bypass_cookies));
    let is_file = route.root.as_ref().is_some_and(|root| !offload::leaves(root, target.path.as_bytes()));
    !bypasses && !is_file
}

/// Whether what was stored is for every client: it does not vary, or only by what no AP server is told (`Accept-Encoding`, where
/// content is coded here).
fn is_for_all(site: &Site, variance: &Variance) -> bool {
    let is_withheld = |name: &HeaderName| *name == ACCEPT_ENCODING && !site.compress.is_empty();
    !variance.is_star() && variance.nominated().all(|(name, value)| is_withheld(name) && value.is_none())
}

/// Lengths are compared first: with the preset's four names that is all that happens to most lines.
fn has_bypass_field(route: &Route, lines: &[httparse::Header<'_>]) -> bool {
    let names = &route.rules.bypass_fields;
    !names.is_empty() && lines.iter().any(|line| names.iter().any(|name| line.name.eq_ignore_ascii_case(name.as_str())))
}

/// The coding the long way would choose.
pub(super) fn coding(site: &Site, made: &Made, accepted: Option<&[u8]>) -> Option<Coding> {
    let accepted = accepted.filter(|_| made.is_codable())?;
    match negotiate_lines([accepted], &site.compress) {
        Negotiated::Coding(coding) => Some(coding),
        Negotiated::Identity | Negotiated::NotAcceptable => None,
    }
}
