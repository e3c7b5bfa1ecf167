//! Sites and routes, compiled from the config's words into what the stages ask.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_cache::key::ParamMatcher;
use forebay_cache::semantics::coding::Coding;
use forebay_cache::semantics::{FreshnessPolicy, RefreshPattern, RefreshPatterns, SetCookie, StorePolicy, TargetList};
use forebay_config::model;
use http::HeaderName;

use crate::account::metrics::SiteMetrics;
use crate::guard::{self, Guard};
use crate::listen::visitor::Demands;
pub(crate) use crate::route::Route;
use crate::route::{Action, Asked, Edits, Matcher, PathRules, Rewriting};
use crate::stages::offload::Root;
use crate::upstream::Pool;

/// The cookie by which LSCache's plugin tells visitors apart that are to get pages of their own.
const LSCACHE_COOKIE: &str = "_lscache_vary";

/// A `[[site]]`.
pub(crate) struct Site {
    pub(crate) metrics: Arc<SiteMetrics>,
    /// Codings this site's responses are compressed with, best first.
    pub(crate) compress: Vec<Coding>,
    /// Smallest content that is compressed, bytes.
    pub(crate) compress_min: u64,
    /// Who may purge it by requests to it, and how.
    pub(crate) purge: Option<model::SitePurge>,
    /// Visitors see the fields that are meant for caches.
    pub(crate) keep_tags: bool,
    /// The upstream is told that responses can be purged by tag.
    pub(crate) surrogate_capability: bool,
    /// Responses of the upstream drive the cache, as LSCache's plugin has them do.
    pub(crate) litespeed: bool,
    /// In the order they are asked; the last one is `/` with the site's own words.
    routes: Vec<Arc<Route>>,
    /// The last of them.
    fallback: Arc<Route>,
    https_redirect: bool,
    canonical_host: Option<String>,
    /// What visitors have to show.
    pub(crate) demands: Option<Arc<Demands>>,
}

/// How the cache treats a route.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) enabled: bool,
    pub(crate) policy: StorePolicy,
    pub(crate) bypass_cookies: ParamMatcher,
    pub(crate) bypass_paths: PathRules,
    pub(crate) bypass_params: Vec<ParamRule>,
    pub(crate) bypass_fields: Vec<HeaderName>,
    pub(crate) ignore_params: ParamMatcher,
    pub(crate) sort_query: bool,
    pub(crate) drop_cookies: bool,
    /// How many queries of one path are stored at a time.
    pub(crate) max_queries: Option<usize>,
    /// One in so many fills is compared with clean ones.
    pub(crate) leak_canary: Option<u64>,
}

/// One of `bypass_paths`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathRule {
    Prefix(String),
    /// Written with a trailing `$`.
    Whole(String),
    /// Written with `*/` in front: beneath any directory.
    Anywhere(Box<Self>),
}

impl PathRule {
    pub(crate) fn new(pattern: &str) -> Self {
        if let Some(rest) = pattern.strip_prefix('*') {
            return Self::Anywhere(Box::new(Self::new(rest)));
        }
        pattern
            .strip_suffix('$')
            .map_or_else(|| Self::Prefix(pattern.to_owned()), |whole| Self::Whole(whole.to_owned()))
    }

    /// Without what says how it is meant.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Prefix(text) | Self::Whole(text) => text,
            Self::Anywhere(rule) => rule.text(),
        }
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Self::Whole(whole) => path == whole,
            Self::Anywhere(rule) => memchr::memchr_iter(b'/', path.as_bytes())
                .any(|at| path.get(at..).is_some_and(|rest| rule.matches(rest))),
        }
    }
}

/// One of `bypass_params`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParamRule {
    pub(crate) name: String,
    /// With `name=value`: the value it must have.
    pub(crate) value: Option<String>,
}

impl ParamRule {
    pub(crate) fn new(pattern: &str) -> Self {
        match pattern.split_once('=') {
            Some((name, value)) => Self { name: name.to_owned(), value: Some(value.to_owned()) },
            None => Self { name: pattern.to_owned(), value: None },
        }
    }
}

impl Site {
    /// Compiles `site`. `pools` are those of the config, in its order, `roots` the directories it and its routes name.
    ///
    /// # Errors
    ///
    /// A regular expression that does not compile, or a file of users that cannot be used, in words.
    pub(crate) fn new(
        site: &model::Site,
        roots: &[(&Path, Arc<Root>)],
        pools: &[Arc<Pool>],
        metrics: Arc<SiteMetrics>,
        clients: &guard::State,
    ) -> Result<Self, String> {
        let pool = |index: Option<usize>| index.and_then(|index| pools.get(index)).cloned();
        let root = |path: Option<&PathBuf>| {
            let found = path.and_then(|path| roots.iter().find(|(known, _)| *known == path));
            found.map(|(_, root)| Arc::clone(root))
        };
        let guard = |protection: &model::Protection| {
            Ok::<_, String>(Guard::new(metrics.label(), protection, clients)?.map(Arc::new))
        };
        let response_edits = |route: Option<&model::FieldEdits>| {
            let edits = Edits::new(&site.response_headers, route)?;
            Ok::<_, String>((!edits.is_empty()).then(|| Arc::new(edits)))
        };
        let own = guard(&site.protection)?;
        let demands = site.client_certificate.as_ref().map(Demands::load).transpose()?.map(Arc::new);
        let for_all = demands.as_ref().is_some_and(|demands| demands.are_for_all());
        let fallback = Arc::new(Route {
            prefix: "/".to_owned(),
            matcher: Matcher::any(),
            certified: for_all,
            pool: pool(site.upstream),
            root: root(site.root.as_ref()),
            rules: Rules::new(&site.cache, site)?,
            guard: own.clone(),
            body_size: site.protection.body_size,
            rewriting: None,
            action: None,
            request_edits: Edits::new(&site.request_headers, None)?,
            response_edits: response_edits(None)?,
        });
        let mut routes = Vec::with_capacity(site.routes.len() + 1);
        for route in &site.routes {
            routes.push(Arc::new(Route {
                prefix: route.path.clone(),
                matcher: Matcher::new(&route.path, &route.conditions)?,
                certified: for_all || route.client_certificate == Some(true),
                pool: pool(route.upstream.or(site.upstream)),
                root: root(route.root.as_ref()).filter(|_| route.offload),
                rules: Rules::new(&route.cache, site)?,
                guard: if route.protection == site.protection { own.clone() } else { guard(&route.protection)? },
                body_size: route.protection.body_size,
                rewriting: Rewriting::new(&route.rewriting),
                action: route.action.as_ref().map(Action::new).transpose()?,
                request_edits: Edits::new(&site.request_headers, Some(&route.request_headers))?,
                response_edits: response_edits(Some(&route.response_headers))?,
            }));
        }
        routes.sort_by_key(|route| route.matcher.rank());
        routes.push(Arc::clone(&fallback));
        let compress = site.compress.iter().map(|coding| self::coding(*coding)).collect();
        let purge = site.purge.clone();
        Ok(Self {
            metrics,
            compress,
            compress_min: site.compress_min,
            purge,
            keep_tags: site.keep_tags,
            surrogate_capability: site.surrogate_capability,
            litespeed: site.litespeed,
            routes,
            fallback,
            https_redirect: site.https_redirect,
            canonical_host: site.canonical_host.clone(),
            demands,
        })
    }

    /// The route of a request.
    pub(crate) fn route_of(&self, asked: &Asked<'_>) -> &Arc<Route> {
        let path = merge_slashes(asked.path);
        let is_it = |route: &&Arc<Route>| route.matcher.matches_path(&path) && route.matcher.matches_rest(asked);
        self.routes.iter().find(is_it).unwrap_or(&self.fallback)
    }

    /// The route of a path in comparison form, for whoever asks without more than that.
    pub(crate) fn route(&self, path: &str) -> &Arc<Route> {
        let path = merge_slashes(path);
        let is_it = |route: &&Arc<Route>| route.matcher.is_by_path() && route.matcher.matches_path(&path);
        self.routes.iter().find(is_it).unwrap_or(&self.fallback)
    }

    /// The route of a path whose slashes are merged; `None` where more has to be looked at than the path, or where what is
    /// stored is not what is sent, or who asks has to be looked at.
    pub(crate) fn plain_route(&self, path: &str) -> Option<&Arc<Route>> {
        let route = self.routes.iter().find(|route| route.matcher.matches_path(path)).unwrap_or(&self.fallback);
        let is_open = self.demands.is_none();
        (is_open && route.matcher.is_by_path() && route.is_plain()).then_some(route)
    }

    /// Where requests for this scheme and host are led instead: scheme and host.
    pub(crate) fn elsewhere<'a>(&'a self, scheme: &'a str, host: &'a str) -> Option<(&'a str, &'a str)> {
        let leads_to_https = self.https_redirect && scheme == "http";
        let canonical = self.canonical_host.as_deref().unwrap_or(host);
        let scheme = if leads_to_https { "https" } else { scheme };
        (leads_to_https || canonical != host).then_some((scheme, canonical))
    }
}

/// The path with each run of slashes as one. Servers look for files by it, so what holds beneath a directory must hold for
/// all its spellings.
pub(crate) fn merge_slashes(path: &str) -> Cow<'_, str> {
    if memchr::memmem::find(path.as_bytes(), b"//").is_none() {
        return Cow::Borrowed(path);
    }
    let mut merged = String::with_capacity(path.len());
    for part in path.split_inclusive('/') {
        if part != "/" || merged.is_empty() {
            merged.push_str(part);
        }
    }
    Cow::Owned(merged)
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("label", &self.metrics.label())
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl Rules {
    pub(crate) fn new(rules: &model::CacheRules, site: &model::Site) -> Result<Self, String> {
        let lscache = site.litespeed.then_some(LSCACHE_COOKIE);
        let bypass_cookies = ParamMatcher::new(rules.bypass_cookies.iter().map(String::as_str).chain(lscache));
        let mut patterns = Vec::with_capacity(rules.refresh_patterns.len());
        for rule in &rules.refresh_patterns {
            let pattern = RefreshPattern::new(&rule.pattern, rule.ignore_case, rule.min, rule.percent, rule.max);
            patterns.push(pattern.map_err(|error| format!("refresh_pattern {:?}: {error}", rule.pattern))?);
        }
        let freshness = FreshnessPolicy {
            refresh_patterns: patterns.into_iter().collect::<RefreshPatterns>(),
            lifetimes: rules.lifetimes.clone(),
            max_lifetime: rules.max_lifetime,
            stale_while_revalidate: rules.stale_while_revalidate,
            stale_if_error: rules.stale_if_error,
            ..FreshnessPolicy::default()
        };
        let set_cookie = match rules.set_cookie {
            model::SetCookie::Refuse => SetCookie::Refuse,
            model::SetCookie::Strip => SetCookie::Strip,
            model::SetCookie::Rfc => SetCookie::Rfc,
        };
        Ok(Self {
            enabled: rules.enabled,
            policy: StorePolicy {
                set_cookie,
                freshness,
                ignored_cookies: ParamMatcher::new(&rules.ignore_cookies),
                pages_under_file_names: !rules.deception_armor,
                targets: TargetList {
                    surrogate_control: rules.surrogate_control,
                    litespeed: site.litespeed,
                    ..TargetList::default()
                },
                keep_surrogate_keys: site.keep_tags,
                litespeed_cookies: site.litespeed.then(|| bypass_cookies.clone()),
                ..StorePolicy::default()
            },
            bypass_cookies,
            bypass_paths: PathRules::new(&rules.bypass_paths),
            bypass_params: rules.bypass_params.iter().map(|param| ParamRule::new(param)).collect(),
            bypass_fields: rules.bypass_fields.iter().filter_map(|name| name.parse().ok()).collect(),
            ignore_params: ParamMatcher::new(&rules.ignore_params),
            sort_query: rules.sort_query,
            drop_cookies: rules.drop_cookies,
            max_queries: rules.max_queries,
            leak_canary: rules.leak_canary,
        })
    }
}

/// The config's word for a coding as the cache's.
fn coding(coding: model::Coding) -> Coding {
    match coding {
        model::Coding::Zstd => Coding::Zstd,
        model::Coding::Brotli => Coding::Brotli,
        model::Coding::Gzip => Coding::Gzip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_one() {
        for (path, merged) in [
            ("/", "/"),
            ("//", "/"),
            ("/wp-admin/", "/wp-admin/"),
            ("//wp-admin///x", "/wp-admin/x"),
            ("///", "/"),
            ("/a//", "/a/"),
        ] {
            assert_eq!(merge_slashes(path), merged, "{path}");
        }
    }
}
