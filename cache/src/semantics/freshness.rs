//! Freshness lifetime of a response (RFC 9111 section 4.2.1 and 4.2.2), and how long it may be used when stale.

use std::time::Duration;

use http::StatusCode;
use http::header::{COOKIE, EXPIRES, LAST_MODIFIED};

use super::age::date_field;
use super::exchange::Exchange;
use super::refresh_pattern::{RefreshPatterns, percent_of};
use crate::clock::Timestamp;

/// What the operator says about lifetimes.
#[derive(Debug, Clone)]
pub struct FreshnessPolicy {
    /// `refresh_pattern`, for responses that give no lifetime.
    pub refresh_patterns: RefreshPatterns,
    /// `lifetimes`: by status, for responses that give no lifetime and match no `refresh_pattern`.
    pub lifetimes: Vec<(u16, Duration)>,
    /// Whether a tenth of the age of `Last-Modified` is taken where nothing else says anything. Default true.
    pub heuristic: bool,
    /// Ceiling of that tenth. Default 24 h.
    pub heuristic_ceiling: Duration,
    /// Ceiling of any lifetime, the response's own included, and of the age at which a stale response is used while it is
    /// validated. Default none.
    pub max_lifetime: Option<Duration>,
    /// `stale-while-revalidate` where the response gives none and has a lifetime above zero. Default zero.
    pub stale_while_revalidate: Duration,
    /// `stale-if-error` where the response gives none and has a lifetime above zero. Default zero.
    pub stale_if_error: Duration,
    /// How long after it became stale a response may be used while the origin cannot be reached at all (RFC 9111 section
    /// 4.2.4), where it does not limit that by a `stale-if-error` of its own. Default 24 h.
    pub stale_if_disconnected: Duration,
}

impl Default for FreshnessPolicy {
    fn default() -> Self {
        Self {
            refresh_patterns: RefreshPatterns::default(),
            lifetimes: Vec::new(),
            heuristic: true,
            heuristic_ceiling: Duration::from_secs(24 * 60 * 60),
            max_lifetime: None,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_if_disconnected: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Where a freshness lifetime comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LifetimeSource {
    /// A targeted field (RFC 9213).
    Targeted,
    /// `s-maxage`
    SMaxAge,
    /// `max-age`
    MaxAge,
    /// `Expires`
    Expires,
    /// `refresh_pattern`
    RefreshPattern,
    /// `lifetimes` by status.
    Assigned,
    /// A share of the age of `Last-Modified`.
    Heuristic,
    /// Nothing gives one: the response is stale from the start.
    None,
}

impl LifetimeSource {
    /// Whether the origin itself said so.
    #[must_use]
    pub const fn is_explicit(self) -> bool {
        matches!(self, Self::Targeted | Self::SMaxAge | Self::MaxAge | Self::Expires)
    }

    /// Whether the operator said so.
    #[must_use]
    pub const fn is_assigned(self) -> bool {
        matches!(self, Self::RefreshPattern | Self::Assigned)
    }

    /// Kebab-case name for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Targeted => "targeted",
            Self::SMaxAge => "s-maxage",
            Self::MaxAge => "max-age",
            Self::Expires => "expires",
            Self::RefreshPattern => "refresh-pattern",
            Self::Assigned => "lifetimes",
            Self::Heuristic => "heuristic",
            Self::None => "none",
        }
    }
}

/// How long a response is fresh, and how long it may be used after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Freshness lifetime: the response is fresh while this is above its current age.
    pub lifetime: Duration,
    /// Where it comes from.
    pub source: LifetimeSource,
    /// How long after it became stale the response may be used while it is validated. Zero where that is forbidden.
    pub stale_while_revalidate: Duration,
    /// How long after it became stale the response may be used when the origin fails. Zero where that is forbidden.
    pub stale_if_error: Duration,
}

/// Freshness of the response of `exchange`: its own word first (targeted field, `s-maxage`, `max-age`, `Expires`), then
/// the operator's (`refresh_pattern`, `lifetimes`), then the heuristic of RFC 9111 section 4.2.2.
///
/// Lifetimes the response does not give itself are only for statuses it is safe to assume them for, and never for a
/// response to a forwarded request that carried a `Cookie`: an origin that says nothing may have answered to the cookie.
#[must_use]
pub fn freshness(exchange: &Exchange<'_>, policy: &FreshnessPolicy) -> Freshness {
    let implicit_allowed = !exchange.request.contains_key(COOKIE);
    let (source, lifetime) = explicit_lifetime(exchange)
        .or_else(|| implicit_allowed.then(|| implicit_lifetime(exchange, policy))?)
        .unwrap_or((LifetimeSource::None, Duration::ZERO));
    let lifetime = policy.max_lifetime.map_or(lifetime, |ceiling| lifetime.min(ceiling));
    let directives = &exchange.directives;
    // What was never fresh was not meant to be shared for any time, and the operator's default does not make it so.
    let stale_window = |own: Option<Duration>, default| match own {
        _ if directives.forbids_stale() => Duration::ZERO,
        Some(own) => own,
        None if lifetime.is_zero() => Duration::ZERO,
        None => default,
    };
    // A response older than the ceiling is not handed out while a new one could be had; when the origin fails it may be.
    let room = policy.max_lifetime.map_or(Duration::MAX, |ceiling| ceiling.saturating_sub(lifetime));
    let while_revalidating = stale_window(directives.stale_while_revalidate, policy.stale_while_revalidate);
    Freshness {
        lifetime,
        source,
        stale_while_revalidate: while_revalidating.min(room),
        stale_if_error: stale_window(directives.stale_if_error, policy.stale_if_error),
    }
}

/// The lifetime the response itself gives (RFC 9111 section 4.2.1).
fn explicit_lifetime(exchange: &Exchange<'_>) -> Option<(LifetimeSource, Duration)> {
    let directives = &exchange.directives;
    let named = |source| if directives.targeted { LifetimeSource::Targeted } else { source };
    if let Some(lifetime) = directives.s_maxage {
        return Some((named(LifetimeSource::SMaxAge), lifetime));
    }
    if let Some(lifetime) = directives.max_age {
        return Some((named(LifetimeSource::MaxAge), lifetime));
    }
    // RFC 9213 section 2.2: a targeted field puts Expires out of force.
    let expires = exchange.response.get(EXPIRES).filter(|_| !directives.targeted)?;
    // RFC 9111 section 5.3: an invalid date, "0" above all, is a time in the past.
    let expires = Timestamp::parse_http_date(expires.as_bytes());
    Some((LifetimeSource::Expires, expires.map_or(Duration::ZERO, |at| at.since(exchange.date()))))
}

/// The lifetime the operator or the heuristic gives to a response that gives none, cookies aside.
pub(super) fn implicit_lifetime(
    exchange: &Exchange<'_>,
    policy: &FreshnessPolicy,
) -> Option<(LifetimeSource, Duration)> {
    refresh_pattern_lifetime(exchange, policy)
        .or_else(|| assigned_lifetime(exchange, policy))
        .or_else(|| heuristic_lifetime(exchange, policy))
}

fn refresh_pattern_lifetime(exchange: &Exchange<'_>, policy: &FreshnessPolicy) -> Option<(LifetimeSource, Duration)> {
    if exchange.status.is_server_error() || !is_heuristically_cacheable(exchange.status) {
        return None;
    }
    let rule = policy.refresh_patterns.find(exchange.url)?;
    Some((LifetimeSource::RefreshPattern, rule.lifetime(modified_ago(exchange))))
}

fn assigned_lifetime(exchange: &Exchange<'_>, policy: &FreshnessPolicy) -> Option<(LifetimeSource, Duration)> {
    let status = exchange.status;
    if !(status.is_success() || status.is_redirection() || is_heuristically_cacheable(status))
        || status.is_server_error()
    {
        return None;
    }
    let (_, lifetime) = policy.lifetimes.iter().find(|(code, _)| *code == status.as_u16())?;
    Some((LifetimeSource::Assigned, *lifetime))
}

/// A tenth of the time since the response was modified (RFC 9111 section 4.2.2), for statuses defined as heuristically
/// cacheable and for responses that say `public`.
fn heuristic_lifetime(exchange: &Exchange<'_>, policy: &FreshnessPolicy) -> Option<(LifetimeSource, Duration)> {
    if !policy.heuristic || !(is_heuristically_cacheable(exchange.status) || exchange.directives.public) {
        return None;
    }
    let lifetime = percent_of(modified_ago(exchange)?, 10).min(policy.heuristic_ceiling);
    Some((LifetimeSource::Heuristic, lifetime))
}

/// How long before the response was made its representation was last modified; `None` if it does not say, or names a
/// time that was still to come.
fn modified_ago(exchange: &Exchange<'_>) -> Option<Duration> {
    let modified = date_field(exchange.response, &LAST_MODIFIED)?;
    let ago = exchange.date().since(modified);
    (!ago.is_zero()).then_some(ago)
}

/// Whether RFC 9110 section 15.1 defines the status as heuristically cacheable. 206 is left out: partial responses are
/// stored on their own terms.
#[must_use]
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
