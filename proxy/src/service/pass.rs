//! A request that goes on to an AP server for its client alone.

use std::sync::Arc;

use forebay_cache::key::CacheKey;
use forebay_cache::semantics::invalidation::is_safe;
use forebay_cache::semantics::{ForwardReason, TargetUri};
use http::{Method, StatusCode};

use super::{Visit, forwarded};
use crate::account::entry::CacheOutcome;
use crate::context::Context;
use crate::fetch::outbound::Purpose;
use crate::fetch::{Arrived, FetchError, Invalidates, Job, Outbound, Private, StorePlan};
use crate::http::{Answer, Refusal, RequestBody, Sink};
use crate::stages::collapse;
use crate::stages::deliver::{self, Source};
use crate::stages::normalize::Target;
use crate::stages::rescue::Failure;
use crate::stages::session;

pub(super) const NO_UPSTREAM: Refusal = Refusal::new(StatusCode::NOT_FOUND, "no-upstream");

/// A request that is not answered from the cache. With `place` (a key, and the path and query it stands for) the response
/// may be stored all the same.
pub(super) async fn pass(
    context: &mut Context,
    visit: Visit,
    reason: ForwardReason,
    detail: &'static str,
    place: Option<(CacheKey, String)>,
    sink: &mut Sink<'_>,
) -> Result<Answer, Failure> {
    context.outcome = CacheOutcome::Pass;
    context.forward = Some(reason);
    context.detail = Some(detail);
    let Some((key, path_query)) = place else {
        let path_query = visit.toward_upstream(visit.target.raw.clone());
        return by_itself(context, &visit, Purpose::Pass, path_query, sink).await;
    };
    let store = StorePlan {
        leader: context.lasting().fills.alone(&key),
        key: key.clone(),
        url: visit.target.url(),
        route: Arc::clone(&visit.route),
        candidates: Vec::new(),
        of_one: true,
        is_alone: true,
        completion: None,
        unkept: None,
        shared: None,
    };
    let path_query = visit.toward_upstream(path_query);
    let job = Job { store: Some(store), ..pass_job(context, &visit, Purpose::Pass, path_query)? };
    match collapse::wait(context, job, sink).await? {
        Arrived::Private(private) => Ok(of_one(context, &visit, private)),
        Arrived::Flight(flight, own) => {
            context.stored = flight.unkept.is_none();
            let answer = deliver::represent(context, &visit.site, &key, &Source::Flight(flight)).await;
            let mut answer = answer.ok_or(FetchError::UNEXPECTED)?;
            answer.fields.extend(own);
            Ok(answer)
        }
        Arrived::Freshened(_) | Arrived::Stored(_) | Arrived::Shared(_) => Err(FetchError::UNEXPECTED.into()),
    }
}

/// Asks an AP server for this client alone; nothing that comes of it is stored.
pub(super) async fn by_itself(
    context: &mut Context,
    visit: &Visit,
    purpose: Purpose,
    path_query: String,
    sink: &mut Sink<'_>,
) -> Result<Answer, Failure> {
    let job = pass_job(context, visit, purpose, path_query)?;
    match collapse::wait(context, job, sink).await? {
        Arrived::Private(private) => Ok(of_one(context, visit, private)),
        Arrived::Flight(..) | Arrived::Freshened(_) | Arrived::Stored(_) | Arrived::Shared(_) => {
            Err(FetchError::UNEXPECTED.into())
        }
    }
}

/// What came for this client alone.
pub(super) fn of_one(context: &Context, visit: &Visit, private: Private) -> Answer {
    session::answer(context, &visit.site, &visit.route, visit.client.scheme, private)
}

fn pass_job(context: &mut Context, visit: &Visit, purpose: Purpose, path_query: String) -> Result<Job, Refusal> {
    let pool = Arc::clone(visit.route.pool.as_ref().ok_or(NO_UPSTREAM)?);
    let fields = forwarded(context, visit, purpose);
    let body = std::mem::replace(&mut context.request.body, RequestBody::Empty);
    let expects_continue = context.request.continue_wanted.is_some();
    let upgrade = matches!(&body, RequestBody::H1(body) if body.is_tunnel());
    let method = if purpose == Purpose::Fill { Method::GET } else { context.request.method.clone() };
    let invalidates = (!is_safe(&method)).then(|| {
        let Target { scheme, authority, path, query, .. } = &visit.target;
        let (scheme, authority) = ((*scheme).to_owned(), authority.clone());
        let target = TargetUri { scheme, authority, path: path.clone(), query: query.clone() };
        Invalidates { target, site: Arc::clone(&visit.site) }
    });
    Ok(Job {
        lasting: Arc::clone(context.lasting()),
        asker: session::asker(context, &pool, &path_query),
        pool,
        outbound: Outbound {
            method,
            path_query,
            fields,
            upgrade,
            expects_continue,
            withholds_authorization: visit.route.withholds_authorization(),
        },
        body,
        store: None,
        drives: collapse::drives(context, visit.site.litespeed, &visit.target.authority),
        invalidates,
        background: false,
    })
}
