//! The dialects in which caches are purged: what a request of a plugin, a tool or another cache's client asks for.
//!
//! Decided in this order: the method, a field that names the way, fields with tags, then the target itself, which may be
//! an expression or a prefix. `docs/purge.md` tells who sends what.

use forebay_cache::purge::What;
use forebay_config::model::PurgeSlash;
use http::HeaderMap;

/// Methods by which caches are purged. They are never passed on: an AP server would not know what to do with them, and a
/// cache behind us must not be purged by strangers.
const METHODS: [&str; 7] = ["PURGE", "PURGEALL", "PURGETAG", "URLPURGE", "BAN", "BANALL", "BANDIR"];

/// Fields that name tags, each with the word it is counted by. `x-cache-tags-pattern` is an expression.
const TAG_FIELDS: [(&str, &str); 10] = [
    ("x-cache-tags-pattern", "cache-tags"),
    ("surrogate-key", "surrogate-key"),
    ("cache-tag", "cache-tags"),
    ("cache-tags", "cache-tags"),
    ("xkey", "xkey"),
    ("xkey-purge", "xkey"),
    ("xkey-softpurge", "xkey"),
    ("purgetag-list", "purgetag"),
    ("x-cache-tags", "cache-tags"),
    ("x-litespeed-tag", "cache-tags"),
];

/// Where Souin's clients purge.
const SOUIN: &str = "/souin-api/souin";

/// Whether requests with this method are purges.
pub(crate) fn is_purge(method: &str) -> bool {
    METHODS.contains(&method)
}

/// What a request asks for, with the target as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// This path and query.
    Url(String),
    /// This path with any query.
    Page(String),
    /// What begins so.
    Prefix(String),
    /// This, as it is to be recorded already.
    As(What),
}

/// A purge as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) wish: Wish,
    /// The dialect, as metrics name it.
    pub(crate) dialect: &'static str,
    /// What the request says about soft or hard; `None`: nothing.
    pub(crate) soft: Option<bool>,
    /// The host that is meant, if it is another one than the request's own.
    pub(crate) host: Option<String>,
    /// Answer to a URL that is not cached, where the dialect has one of its own.
    pub(crate) not_cached: Option<u16>,
}

/// A request, as far as dialects go.
pub(crate) struct Spoken<'a> {
    pub(crate) method: &'a str,
    /// Path and query, as they came.
    pub(crate) target: &'a str,
    /// The target came in absolute form.
    pub(crate) absolute: bool,
    pub(crate) fields: &'a HeaderMap,
    pub(crate) slash: PurgeSlash,
}

/// Reads the purge in a request. `Err`: why it cannot be done, in the words of its sender.
pub(crate) fn read(spoken: &Spoken<'_>) -> Result<Asked, String> {
    let (wish, dialect) = wish(spoken)?;
    let host = field(spoken.fields, "x-vc-purge-host").map(ToOwned::to_owned);
    let not_cached = spoken.absolute.then_some(404);
    Ok(Asked { wish, dialect, soft: soft(spoken.fields), host, not_cached })
}

/// Reads `GET /purge/path`, of which `rest` is what follows the configured part.
pub(crate) fn read_get(rest: &str) -> Asked {
    let target = format!("/{}", rest.trim_start_matches('/'));
    let wish = match target.strip_suffix('*') {
        Some(prefix) => Wish::Prefix(prefix.to_owned()),
        None => Wish::Url(target),
    };
    Asked { wish, dialect: "get", soft: None, host: None, not_cached: Some(404) }
}

fn wish(spoken: &Spoken<'_>) -> Result<(Wish, &'static str), String> {
    let Spoken { method, target, fields, .. } = spoken;
    let all = || Wish::As(What::Everything);
    match *method {
        "PURGEALL" | "BANALL" => return Ok((all(), "toolbox")),
        "BANDIR" => return Ok((prefix(target), "toolbox")),
        "URLPURGE" => return Ok((Wish::Url((*target).to_owned()), "breeze")),
        "PURGETAG" => {
            let tags = tags(fields)?.ok_or("PURGETAG without purgetag-list")?;
            return Ok((tags.0, "toolbox"));
        }
        _ => {}
    }
    if let Some(way) = field(fields, "x-purge-method") {
        return Ok((by_way(way, spoken, Wish::Url((*target).to_owned()))?, "x-purge-method"));
    }
    if let Some(way) = field(fields, "x-vc-purge-method") {
        let (page, _) = target.split_once('?').unwrap_or((target, ""));
        return Ok((by_way(way, spoken, Wish::Page(page.to_owned()))?, "vcaching"));
    }
    if let Some(tags) = tags(fields)? {
        return Ok(tags);
    }
    if let Some(rest) = target.strip_prefix(SOUIN) {
        return match rest.trim_matches('/') {
            "flush" => Ok((all(), "souin")),
            "" => Err("this path purges by Surrogate-Key".to_owned()),
            other => Ok((expression(&format!("/{other}"))?, "souin")),
        };
    }
    if let Some(expression) = field(fields, "x-purge-regex") {
        let begins = target.trim_end_matches(expression);
        return Ok((self::expression(&format!("{begins}{expression}"))?, "x-purge-regex"));
    }
    if *target == "/purgeall" {
        return Ok((all(), "purgeall"));
    }
    if *target == "/" && spoken.slash == PurgeSlash::Host {
        return Ok((all(), "bare"));
    }
    let dialect = if *method == "BAN" { "ban" } else { "bare" };
    // Of vcaching's clients without a method: without a query, a page whatever its query.
    let is_vcaching = ["x-vc-purge-host", "x-vc-purge-key"].iter().any(|name| fields.contains_key(*name));
    if is_vcaching && !target.contains('?') && !is_expression(target) {
        return Ok((Wish::Page((*target).to_owned()), "vcaching"));
    }
    Ok((by_target(target)?, dialect))
}

/// A field that names the way: `default`, `exact`, `regex`, `tags`.
fn by_way(way: &str, spoken: &Spoken<'_>, default: Wish) -> Result<Wish, String> {
    let target = spoken.target;
    match way.to_ascii_lowercase().as_str() {
        "default" if target.ends_with('*') => by_target(target),
        "default" => Ok(default),
        "exact" => Ok(Wish::Url(target.to_owned())),
        "regex" => expression(target),
        "tags" => Ok(tags(spoken.fields)?.ok_or("a purge by tags names none")?.0),
        _ => Err(format!("unknown way to purge: {way:?}")),
    }
}

/// What a target says by itself.
fn by_target(target: &str) -> Result<Wish, String> {
    if is_expression(target) {
        return expression(target);
    }
    match target.strip_suffix('*') {
        Some("/" | "") => Ok(Wish::As(What::Everything)),
        Some(prefix) => Ok(Wish::Prefix(prefix.to_owned())),
        None => Ok(Wish::Url(target.to_owned())),
    }
}

/// Whether a target has what no URL has and expressions do.
fn is_expression(target: &str) -> bool {
    target.contains(['\\', '^', '|', '[', '{'])
        || target.ends_with('$')
        || [".*", ".+", "(?", ")?", ")*", ")+"].iter().any(|part| target.contains(part))
}

fn expression(text: &str) -> Result<Wish, String> {
    What::of_regex(text).map(Wish::As).map_err(|error| error.to_string())
}

fn prefix(target: &str) -> Wish {
    let target = target.trim_end_matches('*');
    if target == "/" { Wish::As(What::Everything) } else { Wish::Prefix(target.to_owned()) }
}

/// Tags that fields name; `None` when there is no such field.
fn tags(fields: &HeaderMap) -> Result<Option<(Wish, &'static str)>, String> {
    for (name, dialect) in TAG_FIELDS {
        if !fields.contains_key(name) {
            continue;
        }
        let mut tags: Vec<String> = Vec::new();
        for line in fields.get_all(name) {
            let line = line.to_str().map_err(|_| format!("{name} is no text"))?;
            tags.extend(if name.ends_with("-pattern") { of_pattern(line) } else { of_list(line) });
        }
        tags.sort_unstable();
        tags.dedup();
        if tags.is_empty() {
            return Err(format!("{name} names no tag"));
        }
        return Ok(Some((Wish::As(What::Tags(tags)), dialect)));
    }
    Ok(None)
}

fn of_list(line: &str) -> Vec<String> {
    line.split([' ', '\t', ',']).filter(|tag| !tag.is_empty()).map(ToOwned::to_owned).collect()
}

/// `a|b|c`, each a whole tag, however the plugin fences it: `\ba\b`, `(^|,)a(,|$)`, `(^|,)(a|b)(,|$)`.
fn of_pattern(line: &str) -> Vec<String> {
    let bare = line.replace("(^|,)", "").replace("(,|$)", "").replace("\\b", "");
    let tags = bare.split(['|', ',', ' ', '\t']);
    let tags = tags.map(|tag| tag.trim_start_matches("(?:").trim_matches(['(', ')', '^', '$']).replace('\\', ""));
    tags.filter(|tag| !tag.is_empty()).collect()
}

/// `Fastly-Soft-Purge: 1`, `X-Purge: invalidate` (Ledge), `xkey-softpurge`.
fn soft(fields: &HeaderMap) -> Option<bool> {
    if fields.contains_key("xkey-softpurge") {
        return Some(true);
    }
    if let Some(value) = field(fields, "fastly-soft-purge") {
        return Some(value == "1" || value.eq_ignore_ascii_case("true"));
    }
    match field(fields, "x-purge")?.to_ascii_lowercase().as_str() {
        "invalidate" | "revalidate" | "soft" => Some(true),
        "delete" | "hard" => Some(false),
        _ => None,
    }
}

pub(crate) fn field<'f>(fields: &'f HeaderMap, name: &str) -> Option<&'f str> {
    fields.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
