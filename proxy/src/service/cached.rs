//! Stages 7 to 9: from what is stored, else from a fill.

use std::sync::Arc;

use forebay_cache::key::CacheKey;
use forebay_cache::semantics::{ForwardReason, RequestDirectives};
use forebay_cache::store::Variant;
use http::header::RANGE;
use http::{HeaderMap, Method, StatusCode};

use super::pass::{NO_UPSTREAM, by_itself, of_one, pass};
use super::{Visit, forwarded};
use crate::account::entry::{CacheOutcome, StaleReason};
use crate::context::Context;
use crate::fetch::outbound::Purpose;
use crate::fetch::{Arrived, FetchError};
use crate::front::Preparing;
use crate::http::{Answer, Refusal, Sink};
use crate::stages::collapse::{self, Wanted};
use crate::stages::deliver::{self, Source};
use crate::stages::lookup::{Lookup, lookup};
use crate::stages::partial;
use crate::stages::rescue::{Failure, stands_in, synthetic};
use crate::stages::session;

/// Stages 7 to 9.
pub(super) async fn cached(
    context: &mut Context,
    visit: Visit,
    key: CacheKey,
    path_query: String,
    sink: &mut Sink<'_>,
) -> Result<Answer, Failure> {
    let directives = RequestDirectives::parse(&context.request.fields);
    let forwarded = || forwarded(context, &visit, Purpose::Fill);
    let (reason, selected, candidates) = match lookup(context, &key, &directives, forwarded).await {
        Lookup::Usable(variant) => {
            context.outcome = CacheOutcome::Hit;
            return stored(context, &visit, &key, variant).await;
        }
        Lookup::Stale(variant, reason) => {
            if reason == StaleReason::Revalidate {
                let candidates = vec![variant.clone()];
                if let Some(wanted) = wanted(context, &visit, &key, path_query, candidates) {
                    collapse::refresh(context, &wanted);
                }
            }
            context.outcome = CacheOutcome::Stale(reason);
            return stored(context, &visit, &key, variant).await;
        }
        Lookup::Ask { reason, selected, candidates } => (reason, selected, candidates),
    };
    context.forward = Some(reason);
    let in_parts = reason == ForwardReason::UriMiss && !directives.no_store;
    let for_part = in_parts && partial::asks_for_part(context);
    if for_part && let Some(answer) = partial::answer(context, &key, &self::forwarded(context, &visit, Purpose::Fill)) {
        (context.outcome, context.forward) = (CacheOutcome::Hit, None);
        return Ok(answer);
    }
    if directives.only_if_cached {
        return Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "only-if-cached").into());
    }
    let mut wanted = wanted(context, &visit, &key, path_query, candidates).ok_or(NO_UPSTREAM)?;
    if for_part && !context.lasting().fills.is_in_flight(&key) {
        return part(context, &visit, wanted, sink).await;
    }
    if in_parts && !for_part {
        wanted.completion = partial::completion(context, &key, &wanted.forwarded);
    }
    if wanted.completion.is_some() {
        context.forward = Some(ForwardReason::Partial);
    }
    context.outcome = CacheOutcome::Miss;
    context.asked_for_whole = true;
    // Without a validator the whole would come again, only to be thrown away (RFC 9111 section 4.3.5).
    let head_tells = context.request.method == Method::HEAD
        && selected.as_ref().is_some_and(|variant| variant.response.validators().is_empty());
    let arrived = if head_tells {
        wanted.method = Method::HEAD;
        collapse::alone(context, &wanted, sink).await
    } else {
        collapse::obtain(context, &wanted, &directives, sink).await
    };
    let must_validate = selected.as_ref().is_some_and(|variant| variant.response.metadata().forbids_stale);
    match arrived {
        Ok(arrived) => arrive(context, &visit, &wanted, arrived, sink).await,
        Err(error) => {
            match selected.filter(|variant| stands_in(context, &visit.route, &key, variant, &directives, error)) {
                Some(variant) => {
                    context.outcome = CacheOutcome::Stale(StaleReason::Error);
                    context.detail = Some(error.reason);
                    stored(context, &visit, &key, variant).await
                }
                // RFC 9111 section 5.2.2.2.
                None if must_validate && error.is_disconnection() => {
                    Err(FetchError::new(StatusCode::GATEWAY_TIMEOUT, error.reason).into())
                }
                None => Err(error.into()),
            }
        }
    }
}

/// A client that is suspect gets what is stored and fresh; all else is for the AP server to decide, which is told.
pub(super) async fn marked(
    context: &mut Context,
    visit: Visit,
    key: CacheKey,
    sink: &mut Sink<'_>,
) -> Result<Answer, Failure> {
    let directives = RequestDirectives::parse(&context.request.fields);
    let found = lookup(context, &key, &directives, || forwarded(context, &visit, Purpose::Fill)).await;
    if let Lookup::Usable(variant) = found {
        context.outcome = CacheOutcome::Hit;
        return stored(context, &visit, &key, variant).await;
    }
    if directives.only_if_cached {
        return Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "only-if-cached").into());
    }
    pass(context, visit, ForwardReason::Bypass, "suspect", None, sink).await
}

/// Asks the origin for a range as the client does, and keeps it.
async fn part(
    context: &mut Context,
    visit: &Visit,
    mut wanted: Wanted,
    sink: &mut Sink<'_>,
) -> Result<Answer, Failure> {
    context.outcome = CacheOutcome::Miss;
    if let Some(range) = context.request.fields.get(RANGE) {
        wanted.forwarded.insert(RANGE, range.clone());
    }
    let arrived = collapse::alone(context, &wanted, sink).await?;
    arrive(context, visit, &wanted, arrived, sink).await
}

fn wanted(
    context: &Context,
    visit: &Visit,
    key: &CacheKey,
    path_query: String,
    candidates: Vec<Variant>,
) -> Option<Wanted> {
    let pool = Arc::clone(visit.route.pool.as_ref()?);
    let path_query = visit.toward_upstream(path_query);
    Some(Wanted {
        asker: session::asker(context, &pool, &path_query),
        key: key.clone(),
        // HEAD is answered from the response to GET.
        method: Method::GET,
        path_query,
        url: visit.target.url(),
        forwarded: forwarded(context, visit, Purpose::Fill),
        litespeed: visit.site.litespeed,
        route: Arc::clone(&visit.route),
        pool,
        candidates,
        completion: None,
    })
}

/// A stored response answers.
pub(super) async fn stored(
    context: &mut Context,
    visit: &Visit,
    key: &CacheKey,
    variant: Variant,
) -> Result<Answer, Failure> {
    context.age = Some(variant.response.current_age(context.now));
    context.ttl = Some(variant.response.ttl(context.now));
    let is_hit = context.outcome == CacheOutcome::Hit;
    context.preparing = is_hit.then(|| Preparing::Stored(variant.clone(), Arc::clone(&visit.site)));
    let answer = deliver::represent(context, &visit.site, key, &Source::Stored(variant)).await;
    Ok(answer.unwrap_or_else(|| synthetic(StatusCode::INTERNAL_SERVER_ERROR)))
}

/// What a fill brought answers.
async fn arrive(
    context: &mut Context,
    visit: &Visit,
    wanted: &Wanted,
    arrived: Arrived,
    sink: &mut Sink<'_>,
) -> Result<Answer, Failure> {
    let mut own = HeaderMap::new();
    match &arrived {
        Arrived::Freshened(_) => context.outcome = CacheOutcome::Revalidated,
        Arrived::Stored(_) => (context.outcome, context.forward) = (CacheOutcome::Hit, None),
        Arrived::Shared(_) => {
            (context.outcome, context.forward) = (CacheOutcome::Hit, None);
            context.detail = Some("shared-tier");
        }
        Arrived::Private(_) | Arrived::Flight(..) => {}
    }
    let source = match arrived {
        Arrived::Private(private) => {
            context.detail = private.reason;
            return Ok(of_one(context, visit, private));
        }
        Arrived::Freshened(variant) | Arrived::Stored(variant) | Arrived::Shared(variant) => Source::Stored(variant),
        Arrived::Flight(flight, fields) => {
            context.stored = flight.unkept.is_none();
            context.detail = flight.unkept;
            own = fields;
            Source::Flight(flight)
        }
    };
    if context.collapsed {
        context.outcome = CacheOutcome::Collapsed;
        context.stored = false;
    }
    let response = match &source {
        Source::Stored(variant) => &variant.response,
        Source::Flight(flight) => &flight.response,
    };
    let now = forebay_cache::clock::Clock::now(&context.lasting().clock);
    let age = response.current_age(now);
    context.ttl = Some(response.ttl(now));
    context.age = Some(age).filter(|age| context.collapsed || context.forward.is_none() || age.as_secs() > 0);
    if let Some(mut answer) = deliver::represent(context, &visit.site, &wanted.key, &source).await {
        answer.fields.extend(own);
        return Ok(answer);
    }
    // The flight outgrew the store before this request could board: it goes by itself.
    context.stored = false;
    by_itself(context, visit, Purpose::Fill, wanted.path_query.clone(), sink).await
}
