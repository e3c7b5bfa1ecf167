//! Purges by requests to a site itself: for those who have the right alone. Everybody else gets 405, is counted, and
//! changes nothing.

use std::sync::Arc;

use forebay_config::model::{PurgeMode, SitePurge};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::dialect::{self, Asked, Spoken, Wish};
use super::reply::Reply;
use super::rights::may_purge;
use super::target::{self, Reach};
use super::{Order, Origin, carry_out};
use crate::context::Context;
use crate::http::{Answer, Refusal};
use crate::site::Site;
use crate::stages::admit::{Form, admit};
use crate::stages::client;

const CACHE_PURGE_RESULT: HeaderName = HeaderName::from_static("cache-purge-result");
const DENIED: Refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed");

/// Answers a request whose method is one of purges.
///
/// # Errors
///
/// 405 for who may not.
pub(crate) async fn answer(context: &mut Context) -> Result<Answer, Refusal> {
    let runtime = Arc::clone(&context.runtime);
    let request = &context.request;
    let (authority, target, absolute) = match admit(request, &runtime.config.limits)? {
        Form::Origin { authority, path_query } => (authority.unwrap_or_default().to_vec(), path_query.to_vec(), false),
        Form::Absolute { authority, path_query, .. } => (authority.to_vec(), path_query.to_vec(), true),
        Form::Asterisk => return Err(denied(context)),
    };
    let client = client::find(&context.connection, &context.request.fields, &runtime.config.server);
    context.client = client.address;
    let Ok(reach) = Reach::of_authority(&authority) else { return Err(denied(context)) };
    let site = reach.site(&runtime.routes).cloned();
    let Some(site) = site else { return Err(denied(context)) };
    context.site = Arc::clone(&site.metrics);
    let Some(words) = site.purge.as_ref().filter(|words| may(context, words)) else { return Err(denied(context)) };
    let Ok(target) = String::from_utf8(target) else { return Ok(refused(context, "the target is no text")) };
    let target = if target.is_empty() { "/" } else { &target };
    let method = context.request.method.as_str();
    let spoken = Spoken { method, target, absolute, fields: &context.request.fields, slash: words.slash };
    match dialect::read(&spoken) {
        Ok(asked) => Ok(obey(context, &site, words, reach, asked).await),
        Err(reason) => Ok(refused(context, &reason)),
    }
}

/// Answers `GET /purge/path`, where the site has such a path; `None` when the request is another one.
///
/// # Errors
///
/// 405 for who may not.
pub(crate) async fn answer_get(context: &mut Context, site: &Arc<Site>, host: &str) -> Result<Option<Answer>, Refusal> {
    let Some(words) = &site.purge else { return Ok(None) };
    let Some(path) = &words.get_path else { return Ok(None) };
    let target = context.request.target.clone();
    let rest = std::str::from_utf8(&target).ok().and_then(|target| target.strip_prefix(path.as_str()));
    let Some(rest) = rest.filter(|_| context.request.method == Method::GET) else { return Ok(None) };
    if !may(context, words) {
        return Err(denied(context));
    }
    let Ok(reach) = Reach::of_authority(host.as_bytes()) else { return Err(denied(context)) };
    Ok(Some(obey(context, site, words, reach, dialect::read_get(rest)).await))
}

fn may(context: &Context, words: &SitePurge) -> bool {
    may_purge(words, context.client, &context.request.fields)
}

fn denied(context: &Context) -> Refusal {
    context.lasting().metrics.purges.denied(Origin::Site);
    DENIED
}

async fn obey(context: &mut Context, site: &Arc<Site>, words: &SitePurge, reach: Reach, asked: Asked) -> Answer {
    let runtime = Arc::clone(&context.runtime);
    let Asked { wish, dialect, soft, host, not_cached } = asked;
    // Another host is within the same right only if it is of the same site.
    let reach = match host.map(|host| Reach::of_authority(host.as_bytes())) {
        None => reach,
        Some(Ok(other)) if other.site(&runtime.routes).is_some_and(|of| Arc::ptr_eq(of, site)) => other,
        Some(_) => return refused(context, "that host is not one of this site"),
    };
    let is_url = matches!(wish, Wish::Url(_) | Wish::Page(_));
    let soft = soft.unwrap_or(words.mode == PurgeMode::Soft && !is_url);
    let (purge, keys) = match target::purge(&runtime, &reach, wish, soft) {
        Ok(found) => found,
        Err(refusal) => return refused(context, refusal.reason),
    };
    let order = Order { purge, keys, dry_run: false, origin: Origin::Site, dialect };
    // A task of its own: it is carried out though its client hangs up at once, as some do.
    let task = tokio::spawn(async move {
        let outcome = carry_out(&runtime.lasting, &order).await;
        (order, outcome)
    });
    let not_cached = not_cached.unwrap_or(words.not_cached as u16);
    let reply = match task.await {
        Ok((order, Ok(outcome))) => Reply::done(&order.purge, outcome, false, not_cached),
        Ok((_, Err(error))) => return refused(context, &error.to_string()),
        Err(_) => Reply::refused(StatusCode::INTERNAL_SERVER_ERROR, "the purge did not come to its end"),
    };
    written(context, reply)
}

/// 400: nothing was purged.
fn refused(context: &mut Context, reason: &str) -> Answer {
    context.detail = Some("purge-malformed");
    context.lasting().metrics.purges.refused(Origin::Site);
    written(context, Reply::refused(StatusCode::BAD_REQUEST, reason))
}

fn written(context: &mut Context, reply: Reply) -> Answer {
    // Some clients read until the connection is closed, whatever the length says.
    context.close = true;
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(result) = reply.result.and_then(|result| HeaderValue::try_from(result).ok()) {
        fields.insert(CACHE_PURGE_RESULT, result);
    }
    Answer::whole(reply.status, fields, reply.content.into())
}
