//! Whether a response may be stored (RFC 9111 section 3), as a list of small named rules.
//!
//! Each rule answers one question with the reason to refuse, or nothing; the first refusal decides.

use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::age::initial_age;
use super::directives::ResponseDirectives;
use super::exchange::Exchange;
use super::freshness::{FreshnessPolicy, LifetimeSource, freshness, implicit_lifetime, is_heuristically_cacheable};
use super::invalidation::TargetUri;
use super::targeted::TargetList;
use super::{validation, vary};
use crate::key::ParamMatcher;

/// What the operator says about storing.
#[derive(Debug, Clone, Default)]
pub struct StorePolicy {
    /// What becomes of a response with `Set-Cookie`.
    pub set_cookie: SetCookie,
    /// Names of cookies that everybody is given: to set them refuses nothing, and they are not stored.
    pub ignored_cookies: ParamMatcher,
    /// Whether a page under the name of a file (`/account/x.css`) is stored. Default false.
    pub pages_under_file_names: bool,
    /// Whether the fields that carry surrogate keys stay among those stored. Default false: what they say is in the
    /// metadata, and it is nobody else's business.
    pub keep_surrogate_keys: bool,
    /// Of sites that LSCache drives: cookies that keep a request from the cache. `None`: `X-LiteSpeed-Vary` means nothing.
    pub litespeed_cookies: Option<ParamMatcher>,
    /// Whether 206 responses are stored (RFC 9111 section 3.3). Default false: only for a store that can combine them.
    pub partial: bool,
    /// Targeted fields this cache obeys.
    pub targets: TargetList,
    /// Lifetimes.
    pub freshness: FreshnessPolicy,
}

/// What becomes of a response with `Set-Cookie`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SetCookie {
    /// It is not stored.
    #[default]
    Refuse,
    /// It is stored without the field.
    Strip,
    /// It is stored with the field (RFC 9111 section 7.3 allows it).
    Rfc,
}

/// Whether a response may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storability {
    /// It may.
    Yes,
    /// It may not, for this reason.
    No(Reason),
}

impl Storability {
    /// Whether it may be stored.
    #[must_use]
    pub const fn is_yes(self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Why it may not be stored.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Yes => None,
            Self::No(reason) => Some(reason),
        }
    }
}

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request method is not one whose responses are stored here.
    Method,
    /// A GET or HEAD request had content, which the cache key does not cover.
    RequestContent,
    /// The request said `no-store`.
    RequestNoStore,
    /// An interim (1xx) response.
    Interim,
    /// A 304 response: it freshens what is stored and is nothing by itself.
    NotModified,
    /// A 206 response, where partial responses are not stored.
    PartialContent,
    /// A status that speaks of the request's preconditions, range or expectation rather than of the target.
    AnswersRequest,
    /// The content ended before it was complete.
    Incomplete,
    /// The response said `no-store`.
    NoStore,
    /// The response said `private`.
    Private,
    /// `must-understand` with a status this cache does not understand.
    StatusNotUnderstood,
    /// The request carried `Authorization` and the response does not allow to share what answers it.
    Authorization,
    /// The response sets a cookie.
    SetCookie,
    /// A page under the name of a style sheet, script, image or the like.
    PageUnderFileName,
    /// `Vary: *`
    VaryStar,
    /// `X-LiteSpeed-Vary` names something that requests are not kept apart by.
    LitespeedVary,
    /// Only the operator or the heuristic would give a lifetime, and the forwarded request carried a `Cookie`.
    CookieWithoutExplicitFreshness,
    /// An error status without a lifetime of its own.
    ErrorWithoutExplicitFreshness,
    /// Nothing gives the response a lifetime, and its status does not allow to store it without.
    NoFreshness,
    /// It is already stale, has no validator, and may not be used stale: storing it would serve nobody.
    StaleOnArrival,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 20] = [
        Self::Method,
        Self::RequestContent,
        Self::RequestNoStore,
        Self::Interim,
        Self::NotModified,
        Self::PartialContent,
        Self::AnswersRequest,
        Self::Incomplete,
        Self::NoStore,
        Self::Private,
        Self::StatusNotUnderstood,
        Self::Authorization,
        Self::SetCookie,
        Self::PageUnderFileName,
        Self::VaryStar,
        Self::LitespeedVary,
        Self::CookieWithoutExplicitFreshness,
        Self::ErrorWithoutExplicitFreshness,
        Self::NoFreshness,
        Self::StaleOnArrival,
    ];

    /// Kebab-case code for `Cache-Status` detail and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestContent => "request-content",
            Self::RequestNoStore => "request-no-store",
            Self::Interim => "interim",
            Self::NotModified => "not-modified",
            Self::PartialContent => "partial-content",
            Self::AnswersRequest => "answers-request",
            Self::Incomplete => "incomplete",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::StatusNotUnderstood => "status-not-understood",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::PageUnderFileName => "page-under-file-name",
            Self::VaryStar => "vary-star",
            Self::LitespeedVary => "litespeed-vary",
            Self::CookieWithoutExplicitFreshness => "cookie-without-explicit-freshness",
            Self::ErrorWithoutExplicitFreshness => "error-without-explicit-freshness",
            Self::NoFreshness => "no-freshness",
            Self::StaleOnArrival => "stale-on-arrival",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

type Rule = fn(&Exchange<'_>, &StorePolicy) -> Option<Reason>;

const RULES: [Rule; 14] = [
    method,
    request_content,
    request_no_store,
    status_kind,
    incomplete,
    must_understand,
    no_store,
    private,
    authorization,
    set_cookie,
    page_under_file_name,
    vary_star,
    litespeed_vary,
    reusable,
];

/// Whether the response of `exchange` may be stored by a shared cache, and if not, why.
#[must_use]
pub fn storability(exchange: &Exchange<'_>, policy: &StorePolicy) -> Storability {
    RULES.iter().find_map(|rule| rule(exchange, policy)).map_or(Storability::Yes, Storability::No)
}

/// GET is stored. POST is where it says itself that its response is what a GET of the same URI would get: explicit
/// freshness and a matching `Content-Location` (RFC 9110 section 9.3.3).
fn method(exchange: &Exchange<'_>, policy: &StorePolicy) -> Option<Reason> {
    let stored = match *exchange.method {
        Method::GET => true,
        Method::POST => {
            exchange.status == StatusCode::OK
                && (policy.set_cookie == SetCookie::Rfc || !sets_cookie(exchange.response, policy))
                && freshness(exchange, &policy.freshness).source.is_explicit()
                && TargetUri::parse(exchange.url).is_some_and(|uri| uri.is_content_location_of(exchange.response))
        }
        _ => false,
    };
    (!stored).then_some(Reason::Method)
}

/// A GET with content may be answered for that content, which no later request need share.
fn request_content(exchange: &Exchange<'_>, _: &StorePolicy) -> Option<Reason> {
    (exchange.request_has_content && *exchange.method != Method::POST).then_some(Reason::RequestContent)
}

/// RFC 9111 section 5.2.1.5.
fn request_no_store(exchange: &Exchange<'_>, _: &StorePolicy) -> Option<Reason> {
    exchange.request_directives.no_store.then_some(Reason::RequestNoStore)
}

/// Final statuses only (RFC 9111 section 3), and none that answers a condition, range or expectation of this request.
fn status_kind(exchange: &Exchange<'_>, policy: &StorePolicy) -> Option<Reason> {
    match exchange.status.as_u16() {
        100..=199 => Some(Reason::Interim),
        304 => Some(Reason::NotModified),
        206 if !policy.partial => Some(Reason::PartialContent),
        412 | 416 | 417 => Some(Reason::AnswersRequest),
        _ => None,
    }
}

/// RFC 9111 section 3.3: incomplete responses are not stored by this cache.
fn incomplete(exchange: &Exchange<'_>, _: &StorePolicy) -> Option<Reason> {
    exchange.incomplete.then_some(Reason::Incomplete)
}

/// RFC 9111 sections 3 and 5.2.2.3.
fn must_understand(exchange: &Exchange<'_>, _: &StorePolicy) -> Option<Reason> {
    (exchange.directives.must_understand && !is_understood(exchange.status)).then_some(Reason::StatusNotUnderstood)
}

/// RFC 9111 section 5.2.2.5. A status that is understood takes `no-store` out of force where `must-understand` stands
/// beside it (5.2.2.3).
fn no_store(exchange: &Exchange<'_>, _: &StorePolicy) -> Option<Reason> {
    (exchange.directives.no_store && !exchange.directives.must_understand).then_some(Reason::NoStore)
}

/// RFC 9111 section 5.2.2.7. With field names the response is stored without those fields.
fn private(exchange: &Exchange<'_>, _: &StorePolicy) -> Option<Reason> {
    exchange.directives.private.is_unqualified().then_some(Reason::Private)
}

/// RFC 9111 section 3.5.
fn authorization(exchange: &Exchange<'_>, _: &StorePolicy) -> Option<Reason> {
    let shared = is_shared_despite_authorization(&exchange.directives);
    // A certificate of the client's (RFC 9440) names it as a password does.
    let personal = exchange.request.contains_key(AUTHORIZATION) || exchange.request.contains_key("client-cert");
    (personal && !shared).then_some(Reason::Authorization)
}

/// Whether a response says that it is the same for those who authenticate and those who do not (RFC 9111 section 3.5).
///
/// Asked of what is stored, too: the RFC would let any stored response answer a request with `Authorization`, but an
/// origin that does not say so may well answer to it differently.
#[must_use]
pub const fn is_shared_despite_authorization(directives: &ResponseDirectives) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_some()
}

/// RFC 9111 section 7.3 leaves it to the origin; the default does not.
fn set_cookie(exchange: &Exchange<'_>, policy: &StorePolicy) -> Option<Reason> {
    (policy.set_cookie == SetCookie::Refuse && sets_cookie(exchange.response, policy)).then_some(Reason::SetCookie)
}

/// Whether a response sets a cookie that is not one of those to ignore.
fn sets_cookie(response: &HeaderMap, policy: &StorePolicy) -> bool {
    let is_ignored = |line: &HeaderValue| {
        let pair = line.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { return false };
        policy.ignored_cookies.matches(pair.get(..equals).unwrap_or_default().trim_ascii())
    };
    response.contains_key("set-cookie2") || !response.get_all(SET_COOKIE).iter().all(is_ignored)
}

/// Suffixes of files that are never pages: what caches and servers are told to keep by.
const FILE_SUFFIXES: [&str; 42] = [
    "7z", "avi", "avif", "bmp", "bz2", "class", "css", "csv", "doc", "docx", "eot", "gif", "gz", "ico", "jar", "jpeg",
    "jpg", "js", "map", "mjs", "mp3", "mp4", "ogg", "otf", "pdf", "png", "ppt", "pptx", "rar", "svg", "tar", "tif",
    "tiff", "ttf", "wasm", "webm", "webp", "woff", "woff2", "xls", "xlsx", "zip",
];

/// Web cache deception: a victim is lured to `/account/x.css`, the application answers with the account, and something
/// between gives it a lifetime for its suffix. What is a page and is called a file is one of the two by mistake.
fn page_under_file_name(exchange: &Exchange<'_>, policy: &StorePolicy) -> Option<Reason> {
    if policy.pages_under_file_names || !exchange.status.is_success() {
        return None;
    }
    let (_, path) = exchange.url.split_once("://")?.1.split_once('/')?;
    let name = path.split(['?', '#']).next()?.rsplit('/').next()?;
    let suffix = name.rsplit_once('.')?.1;
    let is_file = FILE_SUFFIXES.iter().any(|known| known.eq_ignore_ascii_case(suffix));
    (is_file && is_page(exchange.response)).then_some(Reason::PageUnderFileName)
}

fn is_page(response: &HeaderMap) -> bool {
    let Some(kind) = response.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else { return false };
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"text/html") || kind.eq_ignore_ascii_case(b"application/xhtml+xml")
}

/// RFC 9111 section 4.1: such a response would never be selected.
fn vary_star(exchange: &Exchange<'_>, _: &StorePolicy) -> Option<Reason> {
    vary::has_star(exchange.response).then_some(Reason::VaryStar)
}

/// LSCache: the response is for those who have no such cookie, or one of this value. Requests that carry a cookie which
/// keeps them from the cache are apart already.
fn litespeed_vary(exchange: &Exchange<'_>, policy: &StorePolicy) -> Option<Reason> {
    let apart = policy.litespeed_cookies.as_ref()?;
    let lines = exchange.response.get_all("x-litespeed-vary").iter();
    let mut items = lines.flat_map(|line| line.as_bytes().split(|byte| matches!(byte, b',' | b';')));
    let is_apart = |item: &[u8]| match item.trim_ascii().strip_prefix(b"cookie=") {
        Some(name) => apart.matches(name.trim_ascii()),
        None => item.trim_ascii().is_empty(),
    };
    items.any(|item| !is_apart(item)).then_some(Reason::LitespeedVary)
}

/// RFC 9111 section 3, last item: something must say that the response may be reused, fresh or after validation.
fn reusable(exchange: &Exchange<'_>, policy: &StorePolicy) -> Option<Reason> {
    let freshness = freshness(exchange, &policy.freshness);
    let validatable = validation::has_validator(exchange.response);
    if freshness.source == LifetimeSource::None {
        return without_freshness(exchange, policy, validatable);
    }
    let age = initial_age(exchange.response, exchange.request_time, exchange.response_time);
    let window = freshness.stale_while_revalidate.max(freshness.stale_if_error);
    let usable = freshness.lifetime.saturating_add(window) > age && !exchange.directives.no_cache.is_unqualified();
    (!usable && !validatable).then_some(Reason::StaleOnArrival)
}

/// Nothing gives a lifetime: what is left is validation at every use, for statuses that are heuristically cacheable.
fn without_freshness(exchange: &Exchange<'_>, policy: &StorePolicy, validatable: bool) -> Option<Reason> {
    let status = exchange.status;
    // `no-cache` says itself how the response may be reused, so the cookie need not be feared.
    let cookie = exchange.request.contains_key(COOKIE) && !exchange.directives.no_cache.is_unqualified();
    if cookie && (validatable || implicit_lifetime(exchange, &policy.freshness).is_some()) {
        return Some(Reason::CookieWithoutExplicitFreshness);
    }
    if validatable && !status.is_server_error() && (is_heuristically_cacheable(status) || exchange.directives.public) {
        return None;
    }
    let error = status.is_client_error() || status.is_server_error();
    Some(if error { Reason::ErrorWithoutExplicitFreshness } else { Reason::NoFreshness })
}

/// Whether this cache implements what RFC 9110 says of the status' caching: the registered final ones but 206 and 304
/// (which have rules of their own), and those that answer a condition, range or expectation.
#[must_use]
pub fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=411 | 413..=415 | 421 | 422 | 426 | 500..=505
    )
}

#[cfg(test)]
#[path = "storability_tests.rs"]
mod tests;
