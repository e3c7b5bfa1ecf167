//! Purges by requests to the admin listener: every dialect of the sites' own, Fastly's API, and a JSON document for
//! `POST /purge`, which is what `forebay purge` sends.
//!
//! Who reaches the listener may purge, unless `admin.token` is set. A browser that some web page makes speak to it may not:
//! pages cannot send these methods or a JSON document to another origin without asking first, and what names an origin is
//! refused.

use std::sync::Arc;

use forebay_cache::purge::What;
use forebay_config::model::{PurgeMode, PurgeSlash};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::dialect::{self, Asked, Spoken, Wish, field};
use super::reply::Reply;
use super::rights::carries;
use super::target::{self, Reach};
use super::{Order, Origin, carry_out};
use crate::runtime::Runtime;

/// A request to the admin listener.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    /// The target came in absolute form.
    pub(crate) absolute: bool,
    /// The authority of the target, or `Host`.
    pub(crate) authority: &'a str,
    /// Whether that is a name of the listener itself: then all hosts are meant.
    pub(crate) own_name: bool,
    pub(crate) fields: &'a HeaderMap,
    pub(crate) content: &'a [u8],
}

impl Call<'_> {
    /// Whether a request is for here.
    pub(crate) fn is_one(method: &str, path: &str) -> bool {
        dialect::is_purge(method) || path == "/purge" || path.starts_with("/service/")
    }
}

/// What is to be purged, and whether it is.
struct Plan {
    reach: Reach,
    asked: Asked,
    dry_run: bool,
}

type Refused = (StatusCode, String);

/// Answers a call.
pub(crate) async fn answer(runtime: &Arc<Runtime>, call: &Call<'_>) -> Reply {
    let metrics = &runtime.lasting.metrics.purges;
    if let Err(reason) = authorize(runtime, call) {
        metrics.denied(Origin::Admin);
        return Reply::refused(StatusCode::FORBIDDEN, reason);
    }
    let plan = match plan(runtime, call) {
        Ok(plan) => plan,
        Err((status, reason)) => {
            metrics.refused(Origin::Admin);
            return Reply::refused(status, &reason);
        }
    };
    let Plan { reach, asked, dry_run } = plan;
    let words = reach.site(&runtime.routes).and_then(|site| site.purge.as_ref());
    let is_url = matches!(asked.wish, Wish::Url(_) | Wish::Page(_));
    let soft = asked.soft.unwrap_or_else(|| !is_url && words.is_some_and(|words| words.mode == PurgeMode::Soft));
    let not_cached = asked.not_cached.or_else(|| words.map(|words| words.not_cached as u16)).unwrap_or(200);
    let refused = |reason: &str| {
        metrics.refused(Origin::Admin);
        Reply::refused(StatusCode::BAD_REQUEST, reason)
    };
    let (purge, keys) = match target::purge(runtime, &reach, asked.wish, soft) {
        Ok(found) => found,
        Err(refusal) => return refused(refusal.reason),
    };
    let order = Order { purge, keys, dry_run, origin: Origin::Admin, dialect: asked.dialect };
    let lasting = Arc::clone(&runtime.lasting);
    let task = tokio::spawn(async move {
        let outcome = carry_out(&lasting, &order).await;
        (order, outcome)
    });
    match task.await {
        Ok((order, Ok(outcome))) => Reply::done(&order.purge, outcome, dry_run, not_cached),
        Ok((_, Err(error))) => refused(&error.to_string()),
        Err(_) => Reply::refused(StatusCode::INTERNAL_SERVER_ERROR, "the purge did not come to its end"),
    }
}

fn authorize(runtime: &Runtime, call: &Call<'_>) -> Result<(), &'static str> {
    let fetch_site = field(call.fields, "sec-fetch-site");
    if call.fields.contains_key("origin") || fetch_site.is_some_and(|site| site != "none") {
        return Err("a web page may not purge");
    }
    match runtime.config.admin.as_ref().and_then(|admin| admin.token.as_ref()) {
        Some(token) if !carries(call.fields, token) => Err("the token is missing or wrong"),
        _ => Ok(()),
    }
}

fn plan(runtime: &Runtime, call: &Call<'_>) -> Result<Plan, Refused> {
    let bad = |reason: String| (StatusCode::BAD_REQUEST, reason);
    let path = call.target.split('?').next().unwrap_or_default();
    if dialect::is_purge(call.method) {
        let reach = reach(runtime, call)?;
        let words = reach.site(&runtime.routes).and_then(|site| site.purge.as_ref());
        let slash = words.map_or(PurgeSlash::Page, |words| words.slash);
        let Call { method, target, absolute, fields, .. } = *call;
        let spoken = Spoken { method, target, absolute, fields, slash };
        let asked = dialect::read(&spoken).map_err(bad)?;
        let reach = match &asked.host {
            Some(host) => self::reach_of(host)?,
            None => reach,
        };
        return Ok(Plan { reach, asked, dry_run: false });
    }
    if call.method != "POST" {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "POST it".to_owned()));
    }
    match path.strip_prefix("/service/") {
        Some(rest) => fastly(runtime, call, rest),
        None => document(call),
    }
}

/// The host a purge with a method of its own is for.
fn reach(runtime: &Runtime, call: &Call<'_>) -> Result<Reach, Refused> {
    let reach = reach_of(call.authority)?;
    let is_named = matches!(&reach, Reach::Host { name, .. } if runtime.routes.is_named(name));
    if call.own_name && !call.absolute && !is_named {
        return Ok(Reach::Everywhere);
    }
    match reach.site(&runtime.routes) {
        Some(_) => Ok(reach),
        None => Err((StatusCode::NOT_FOUND, "no site has that host".to_owned())),
    }
}

fn reach_of(authority: &str) -> Result<Reach, Refused> {
    let bad = |_| (StatusCode::BAD_REQUEST, format!("not a host: {authority:?}"));
    Reach::of_authority(authority.as_bytes()).map_err(bad)
}

/// `POST /service/ID/purge`, `…/purge/KEY` and `…/purge_all`. The id is the host, or anything else for all of them.
fn fastly(runtime: &Runtime, call: &Call<'_>, rest: &str) -> Result<Plan, Refused> {
    let (id, action) = rest.split_once('/').unwrap_or((rest, ""));
    let reach = reach_of(id).ok().filter(|reach| match reach {
        Reach::Host { name, .. } => runtime.routes.is_named(name),
        Reach::Everywhere => false,
    });
    let wish = match action.split_once('/').unwrap_or((action, "")) {
        ("purge_all", "") => Wish::As(What::Everything),
        ("purge", "") => Wish::As(What::Tags(fastly_keys(call)?)),
        ("purge", key) => Wish::As(What::Tags(vec![key.to_owned()])),
        _ => return Err((StatusCode::NOT_FOUND, "there is purge and purge_all".to_owned())),
    };
    let soft = Some(field(call.fields, "fastly-soft-purge").is_some_and(|value| value == "1"));
    let asked = Asked { wish, dialect: "fastly", soft, host: None, not_cached: None };
    // A form of another origin can be posted without asking; this field cannot be sent by one.
    if !["fastly-key", "authorization"].iter().any(|name| call.fields.contains_key(*name)) {
        return Err((StatusCode::FORBIDDEN, "Fastly-Key is missing".to_owned()));
    }
    Ok(Plan { reach: reach.unwrap_or(Reach::Everywhere), asked, dry_run: false })
}

fn fastly_keys(call: &Call<'_>) -> Result<Vec<String>, Refused> {
    let lines = call.fields.get_all("surrogate-key").iter().filter_map(|line| line.to_str().ok());
    let mut keys: Vec<String> = lines.flat_map(str::split_whitespace).map(ToOwned::to_owned).collect();
    if keys.is_empty()
        && let Ok(Value::Object(document)) = serde_json::from_slice(call.content)
        && let Some(Value::Array(listed)) = document.get("surrogate_keys")
    {
        keys = listed.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
    }
    if keys.is_empty() {
        return Err((StatusCode::BAD_REQUEST, "Surrogate-Key names no key".to_owned()));
    }
    Ok(keys)
}

/// `POST /purge` with one of `url`, `page`, `prefix`, `regex`, `tags`, `everything`; `host`, `soft`, `dry_run`.
fn document(call: &Call<'_>) -> Result<Plan, Refused> {
    let bad = |reason: &str| (StatusCode::BAD_REQUEST, reason.to_owned());
    let is_json = field(call.fields, "content-type")
        .is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json".to_owned()));
    }
    let Ok(Value::Object(document)) = serde_json::from_slice::<Value>(call.content) else {
        return Err(bad("not a JSON object"));
    };
    const WORDS: [&str; 9] = ["url", "page", "prefix", "regex", "tags", "everything", "host", "soft", "dry_run"];
    if let Some(unknown) = document.keys().find(|word| !WORDS.contains(&word.as_str())) {
        return Err(bad(&format!("unknown word {unknown:?}")));
    }
    let text = |word: &str| document.get(word).and_then(Value::as_str);
    let is = |word: &str| document.get(word).and_then(Value::as_bool).unwrap_or(false);
    let mut host = text("host").map(ToOwned::to_owned);
    let mut local = |text: &str| match absolute(text) {
        Some((authority, target)) => {
            host = Some(authority.to_owned());
            target
        }
        None => text.to_owned(),
    };
    let mut wishes = Vec::new();
    wishes.extend(text("url").map(|url| Wish::Url(local(url))));
    wishes.extend(text("page").map(|page| Wish::Page(local(page))));
    wishes.extend(text("prefix").map(|prefix| Wish::Prefix(local(prefix))));
    if let Some(regex) = text("regex") {
        wishes.push(Wish::As(What::of_regex(regex).map_err(|error| bad(&error.to_string()))?));
    }
    if let Some(tags) = document.get("tags").and_then(Value::as_array) {
        let tags = tags.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
        wishes.push(Wish::As(What::Tags(tags)));
    }
    if is("everything") {
        wishes.push(Wish::As(What::Everything));
    }
    let Some(wish) = wishes.pop().filter(|_| wishes.is_empty()) else {
        return Err(bad("name one of url, page, prefix, regex, tags, everything"));
    };
    let reach = match host {
        Some(host) => reach_of(&host)?,
        None => Reach::Everywhere,
    };
    let soft = document.get("soft").and_then(Value::as_bool);
    let asked = Asked { wish, dialect: "json", soft, host: None, not_cached: None };
    Ok(Plan { reach, asked, dry_run: is("dry_run") })
}

/// Authority, and path and query, of an absolute URL.
pub(crate) fn absolute(url: &str) -> Option<(&str, String)> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(end)?;
    let target = target.split('#').next().unwrap_or_default();
    Some((authority, if target.starts_with('/') { target.to_owned() } else { format!("/{target}") }))
}
