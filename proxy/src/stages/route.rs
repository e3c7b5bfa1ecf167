//! Route: which site a host belongs to, and which of its routes a path belongs to.

use std::sync::Arc;

use ahash::AHashMap;
use forebay_config::model::HostPattern;
use http::{Method, StatusCode};

use super::normalize::Target;
use crate::http::{Answer, Refusal};
use crate::route::redirect;
use crate::site::{Route, Site};

/// Sites by the hosts they serve.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    exact: AHashMap<String, Arc<Site>>,
    /// By the name beneath the asterisk.
    wildcard: AHashMap<String, Arc<Site>>,
    any: Option<Arc<Site>>,
}

impl Routes {
    /// From sites and the patterns they claim; a pattern is claimed once (the config sees to it).
    pub(crate) fn new(sites: impl IntoIterator<Item = (Vec<HostPattern>, Arc<Site>)>) -> Self {
        let mut routes = Self::default();
        for (hosts, site) in sites {
            for host in hosts {
                match host {
                    HostPattern::Exact(name) => drop(routes.exact.insert(name, Arc::clone(&site))),
                    HostPattern::Wildcard(name) => drop(routes.wildcard.insert(name, Arc::clone(&site))),
                    HostPattern::Any => routes.any = Some(Arc::clone(&site)),
                }
            }
        }
        routes
    }

    /// The site of a host in comparison form: an exact name, then the longest wildcard, then `"*"`.
    pub(crate) fn site(&self, host: &str) -> Option<&Arc<Site>> {
        if let Some(site) = self.exact.get(host) {
            return Some(site);
        }
        let mut rest = if self.wildcard.is_empty() { "" } else { host };
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(site) = self.wildcard.get(parent) {
                return Some(site);
            }
            rest = parent;
        }
        self.any.as_ref()
    }
}

impl Routes {
    /// Whether a site names this host, rather than serving any.
    pub(crate) fn is_named(&self, host: &str) -> bool {
        match (self.site(host), &self.any) {
            (Some(site), Some(any)) => !Arc::ptr_eq(site, any) || self.exact.contains_key(host),
            (found, None) => found.is_some(),
            (None, _) => false,
        }
    }
}

/// The site of a target, and the route of its path.
///
/// # Errors
///
/// 421 for a host that no site has (RFC 9110 section 15.5.20).
pub(crate) fn route(routes: &Routes, target: &Target) -> Result<(Arc<Site>, Arc<Route>), Refusal> {
    let site = site(routes, target)?;
    let route = Arc::clone(site.route(&target.path));
    Ok((site, route))
}

/// The site of a target.
///
/// # Errors
///
/// As [`route`].
pub(crate) fn site(routes: &Routes, target: &Target) -> Result<Arc<Site>, Refusal> {
    let unknown = Refusal::new(StatusCode::MISDIRECTED_REQUEST, "unknown-host");
    routes.site(target.host()).cloned().ok_or(unknown)
}

/// An answer that leads a request to where its site wants it: to https, to its canonical host.
pub(crate) fn elsewhere(site: &Site, target: &Target, method: &Method) -> Option<Answer> {
    let (scheme, host) = site.elsewhere(target.scheme, target.host())?;
    // Another method than these would become GET by 301.
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let status = if safe { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
    // Another scheme is on another port; which, only its default tells.
    let port = target.authority.get(target.host().len()..).filter(|_| scheme == target.scheme).unwrap_or_default();
    Some(redirect(status, &format!("{scheme}://{host}{port}{}", target.raw)))
}
