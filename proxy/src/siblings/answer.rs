//! Answer: what a peer is told that asks for a URL. HIT is a promise, so it is given only where a plain GET of any client
//! would be answered by what is stored, fresh, whatever fields it has.

use forebay_cache::clock::Clock as _;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::{RequestDirectives, Reuse, reuse};
use forebay_cache::store::Variants;
use http::header::{ACCEPT_ENCODING, COOKIE};

use super::packet::Opcode;
use crate::http::Request;
use crate::runtime::Runtime;
use crate::site::{Route, Site};
use crate::stages::admit::Form;
use crate::stages::key::{self, Plan};
use crate::stages::normalize::normalize;
use crate::stages::offload;
use crate::stages::route::route;

/// What is said about `url`. The disk tier may be read for it.
pub(super) async fn answer(runtime: &Runtime, url: &[u8]) -> Opcode {
    let Some((scheme, authority, path_query)) = split(url) else { return Opcode::Err };
    let form = Form::Origin { authority: Some(authority), path_query };
    let Ok(target) = normalize(&form, scheme) else { return Opcode::Err };
    let Ok((site, route)) = route(&runtime.routes, &target) else { return Opcode::Denied };
    let is_file = |root| !offload::leaves(root, target.path.as_bytes());
    // Nobody who fetches it from here could show a certificate.
    if route.certified || route.root.as_ref().is_some_and(is_file) {
        return Opcode::Miss;
    }
    let Plan::Cache { key, .. } = key::plan(&Request::plain(), false, &target, &route) else { return Opcode::Miss };
    let lasting = &runtime.lasting;
    let found = lasting.store.get(&key, |variants| answers(runtime, &key, variants, &site, &route)).await;
    match found {
        Some(found) if answers(runtime, &key, &found.variants, &site, &route) => Opcode::Hit,
        _ => Opcode::Miss,
    }
}

/// Whether every request that is sent for this key would be answered by it.
fn answers(runtime: &Runtime, key: &CacheKey, variants: &Variants, site: &Site, route: &Route) -> bool {
    let is_for_all = variants.iter().all(|variant| {
        let variance = variant.response.variance();
        !variance.is_star()
            && variance.nominated().all(|(name, value)| value.is_none() && is_dropped(name, site, route))
    });
    let Some(newest) = variants.iter().next().filter(|_| is_for_all) else { return false };
    let lasting = &runtime.lasting;
    let now = lasting.clock.now();
    !lasting.groups.is_invalidated(key, &newest.response)
        && reuse(&newest.response, &RequestDirectives::default(), now) == Reuse::Fresh
}

/// Whether a fill never sends this field, so that it makes no difference.
fn is_dropped(name: &http::HeaderName, site: &Site, route: &Route) -> bool {
    (*name == ACCEPT_ENCODING && !site.compress.is_empty()) || (*name == COOKIE && route.rules.drop_cookies)
}

/// Scheme, authority, path and query of an absolute URL.
fn split(url: &[u8]) -> Option<(&'static str, &[u8], &[u8])> {
    let at = memchr::memmem::find(url, b"://")?;
    let (scheme, rest) = (url.get(..at)?, url.get(at + 3..)?);
    let scheme = match scheme.to_ascii_lowercase().as_slice() {
        b"http" => "http",
        b"https" => "https",
        _ => return None,
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path_query) = rest.split_at_checked(end)?;
    (!authority.is_empty()).then_some((scheme, authority, path_query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_absolute_or_nothing() {
        assert_eq!(split(b"HTTP://a.test/x?y"), Some(("http", b"a.test".as_slice(), b"/x?y".as_slice())));
        assert_eq!(split(b"https://a.test"), Some(("https", b"a.test".as_slice(), b"".as_slice())));
        assert_eq!(split(b"http://a.test?x"), Some(("http", b"a.test".as_slice(), b"?x".as_slice())));
        for bad in ["", "/x", "a.test/x", "ftp://a.test/", "http:///x", "http:/a.test/", "\u{ff}://a/"] {
            assert_eq!(split(bad.as_bytes()), None, "{bad}");
        }
    }
}
