//! Key: whether a request may use the cache, and under which key. Varnish's builtin.vcl is the model: small rules with
//! names, the first that objects decides.

use forebay_cache::key::{CacheKey, ParamMatcher, shape_query};
use forebay_cache::semantics::{ForwardReason, TargetUri};
use http::Method;
use http::header::{AUTHORIZATION, COOKIE, UPGRADE};

use super::admit::Form;
use super::normalize::{self, Target};
use crate::http::Request;
use crate::site::{ParamRule, Route, Rules, Site};

/// What a request does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It uses the cache, under this key; a fill asks the AP server for exactly what the key stands for.
    Cache { key: CacheKey, path_query: String },
    /// As `Cache`, but the request carries credentials: only what is meant for everybody may answer it, and its response
    /// is shared only if it says so (RFC 9111 section 3.5).
    Authorized { key: CacheKey, path_query: String },
    /// It is passed on; the response may be what a later GET of the same URI gets (RFC 9110 section 9.3.3).
    Post { key: CacheKey, path_query: String },
    /// It is passed on, for this reason and in these words.
    Pass(ForwardReason, &'static str),
}

/// Decides for a request in comparison form; `known`: a certificate says who asks.
pub(crate) fn plan(request: &Request, known: bool, target: &Target, route: &Route) -> Plan {
    if let Some((reason, detail)) = objection(request, known, target, &route.rules) {
        return Plan::Pass(reason, detail);
    }
    let query = target.query.as_deref().and_then(|query| shape(query, &route.rules));
    let key = CacheKey::new(target.scheme, &target.authority, &target.path, query.as_deref().map(str::as_bytes));
    let path_query = match &query {
        Some(query) => format!("{}?{query}", target.path),
        None => target.path.clone(),
    };
    match request.method {
        Method::POST => Plan::Post { key, path_query },
        _ if known || request.fields.contains_key(AUTHORIZATION) => Plan::Authorized { key, path_query },
        _ => Plan::Cache { key, path_query },
    }
}

/// By which a request with credentials is passed on.
pub(crate) fn credentials(request: &Request) -> &'static str {
    if request.fields.contains_key(AUTHORIZATION) { "authorization" } else { "client-certificate" }
}

/// The key of a URI found in a response, under the rules of its site.
pub(crate) fn of_uri(site: &Site, uri: &TargetUri) -> Option<CacheKey> {
    let path_query = match &uri.query {
        Some(query) => format!("{}?{query}", uri.path),
        None => uri.path.clone(),
    };
    let form = Form::Origin { authority: Some(uri.authority.as_bytes()), path_query: path_query.as_bytes() };
    let scheme = if uri.scheme == "https" { "https" } else { "http" };
    let target = normalize::normalize(&form, scheme).ok()?;
    let rules = &site.route(&target.path).rules;
    let query = target.query.as_deref().and_then(|query| shape(query, rules));
    Some(CacheKey::new(scheme, &target.authority, &target.path, query.as_deref().map(str::as_bytes)))
}

/// A query as the keys under these rules have it.
pub(crate) fn shape(query: &str, rules: &Rules) -> Option<String> {
    let shaped = shape_query(query.as_bytes(), &rules.ignore_params, rules.sort_query)?;
    String::from_utf8(shaped.into_owned()).ok()
}

fn objection(request: &Request, known: bool, target: &Target, rules: &Rules) -> Option<(ForwardReason, &'static str)> {
    let bypass = |detail| Some((ForwardReason::Bypass, detail));
    let post = request.method == Method::POST;
    if !matches!(request.method, Method::GET | Method::HEAD | Method::POST)
        || post && known
        || post && [AUTHORIZATION, COOKIE, UPGRADE].iter().any(|name| request.fields.contains_key(name))
    {
        return Some((ForwardReason::Method, "method"));
    }
    if !rules.enabled {
        return bypass("cache-off");
    }
    if request.fields.contains_key(UPGRADE) && !matches!(request.body, crate::http::RequestBody::Empty) {
        return bypass("upgrade");
    }
    // Content of a GET is not in the key and could shape the answer (a "fat GET").
    if !post && !request.body.is_empty() {
        return bypass("request-content");
    }
    if (known || request.fields.contains_key(AUTHORIZATION)) && request.fields.contains_key(COOKIE) {
        return bypass(credentials(request));
    }
    if is_bypassed(&target.path, rules) {
        return bypass("bypass-path");
    }
    if rules.bypass_fields.iter().any(|name| request.fields.contains_key(name)) {
        return bypass("bypass-field");
    }
    if has_cookie(request, &rules.bypass_cookies) {
        return bypass("bypass-cookie");
    }
    if target.query.as_deref().is_some_and(|query| has_param(query, &rules.bypass_params)) {
        return bypass("bypass-param");
    }
    None
}

/// Also as a server reads the path that decodes `%2F`.
fn is_bypassed(path: &str, rules: &Rules) -> bool {
    let is_bypassed = |path: &str| rules.bypass_paths.matches(path);
    is_bypassed(path) || (path.contains("%2F") && is_bypassed(&path.replace("%2F", "/")))
}

/// Whether a request carries a cookie of one of `names`.
pub(crate) fn has_cookie(request: &Request, names: &ParamMatcher) -> bool {
    if names.is_empty() {
        return false;
    }
    request.fields.get_all(COOKIE).iter().any(|line| names_cookie(line.as_bytes(), names))
}

/// Whether a `Cookie` line names one of `names`.
pub(crate) fn names_cookie(line: &[u8], names: &ParamMatcher) -> bool {
    !names.is_empty()
        && line.split(|byte| *byte == b';').any(|pair| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            names.matches(name)
        })
}

/// Whether a query holds a parameter of one of `rules`.
pub(crate) fn has_param(query: &str, rules: &[ParamRule]) -> bool {
    if rules.is_empty() {
        return false;
    }
    // Both separators are looked at: what an origin could take for the parameter must not slip by.
    query.split(['&', ';']).any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name);
        rules.iter().any(|rule| {
            rule.name.as_bytes() == name.as_slice()
                && rule.value.as_ref().is_none_or(|wanted| wanted.as_bytes() == decoded(value).as_slice())
        })
    })
}

/// Percent-decoded, with `+` for space; the name ends at `[` as PHP ends it.
fn decoded(text: &str) -> Vec<u8> {
    let plain = text.replace('+', " ");
    let mut bytes: Vec<u8> = percent_encoding::percent_decode_str(&plain).collect();
    if let Some(at) = bytes.iter().position(|byte| *byte == b'[') {
        bytes.truncate(at);
    }
    bytes
}
