//! The life of a request, top to bottom: each stage is one call, and the order here is the order in which they run.
//!
//! | # | stage | may answer |
//! |---|---|---|
//! | 2 | admit: one Host, a target that is one, sizes | 400 405 414 431 |
//! | 3 | normalize: one form of host and path for all that follows | 400 |
//! | 4 | route: site, then route | 421 |
//! | | guard: addresses, suspects, limits, passwords | 401 403 413 429 |
//! | 5 | offload: a file beneath the root | 200 206 304 400 404 416 |
//! | 6 | key: does it use the cache; no: **pass** | |
//! | 7 | lookup: what is stored, may it answer | 200 206 304 504 |
//! | 8 | collapse: join the fill in flight or start one | |
//! | 9 | deliver: coding, preconditions, ranges, `Cache-Status` | 200 206 304 416 |
//! | 10 | rescue: stale if that is allowed, else an error response | 5xx |
//! | 11 | account: one log line, the metrics | |
//!
//! Stages 0 and 1 are in [`crate::listen`].

use std::sync::Arc;

use bytes::Bytes;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::{ForwardReason, RequestDirectives, TargetUri};
use forebay_cache::store::Variant;
use http::header::{IF_MATCH, LOCATION, RANGE, VIA};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use tokio::sync::mpsc;

use crate::account::entry::{CacheOutcome, StaleReason, UpstreamExchange};
use crate::compress;
use crate::context::Context;
use crate::fetch::outbound::{self, Forwarding, Purpose};
use crate::fetch::{Arrived, FetchError, Invalidates, Job, Outbound, StorePlan};
use crate::front;
use crate::http::{Answer, Refusal, Request, RequestBody, Sink};
use crate::listen::Connection;
use crate::purge;
use crate::route::{Asked, Rewritten};
use crate::runtime::Runtime;
use crate::site::{Route, Site};
use crate::stages::admit::{self, Form, admit};
use crate::stages::client::{self, Client};
use crate::stages::collapse::{self, Wanted};
use crate::stages::deliver::{self, Source};
use crate::stages::guard::guard;
use crate::stages::key::{self, Plan};
use crate::stages::lookup::{Lookup, lookup, shared};
use crate::stages::normalize::{Target, normalize};
use crate::stages::offload::{Offload, offload};
use crate::stages::partial;
use crate::stages::rescue::{Failure, rescue, stands_in, synthetic};
use crate::stages::route::{elsewhere, site};
use crate::stages::session;

/// Serves one request.
pub(crate) async fn serve(runtime: &Arc<Runtime>, connection: &Arc<Connection>, request: Request, mut sink: Sink<'_>) {
    let mut context = Context::new(runtime, connection, request);
    let answer = answered(&mut context, &mut sink).await;
    finish(context, answer, sink).await;
}

/// Serves one request like any other, and tells what became of it.
pub(crate) async fn observe(
    runtime: &Arc<Runtime>,
    connection: &Arc<Connection>,
    request: Request,
    mut sink: Sink<'_>,
) -> Observed {
    let mut context = Context::new(runtime, connection, request);
    let answer = answered(&mut context, &mut sink).await;
    let observed = Observed {
        outcome: context.outcome,
        forward: context.forward,
        detail: context.detail,
        upstream: context.upstream,
        stored: context.stored,
    };
    finish(context, answer, sink).await;
    observed
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) outcome: CacheOutcome,
    pub(crate) forward: Option<ForwardReason>,
    pub(crate) detail: Option<&'static str>,
    pub(crate) upstream: Option<UpstreamExchange>,
    pub(crate) stored: bool,
}

async fn answered(context: &mut Context, sink: &mut Sink<'_>) -> Answer {
    match answer(context, sink).await {
        Ok(answer) => answer,
        Err(failure) => rescue(context, failure),
    }
}

/// Answers a request whose head or framing cannot be trusted; the connection is closed afterwards.
pub(crate) async fn refuse(runtime: &Arc<Runtime>, connection: &Arc<Connection>, refusal: Refusal, sink: Sink<'_>) {
    let request = Request {
        method: Method::GET,
        target: Bytes::new(),
        version: Version::HTTP_11,
        fields: HeaderMap::new(),
        body: RequestBody::Empty,
        continue_wanted: None,
    };
    let mut context = Context::new(runtime, connection, request);
    let answer = rescue(&mut context, refusal.into());
    finish(context, answer, sink).await;
}

/// Sends the answer and accounts for the request.
async fn finish(mut context: Context, mut answer: Answer, mut sink: Sink<'_>) {
    // Content nobody read would be taken for the next request.
    if context.close || !matches!(context.request.body, RequestBody::Empty) {
        sink.close_after();
    }
    if answer.status != StatusCode::SWITCHING_PROTOCOLS {
        deliver::conceal(&context, &mut answer.fields);
        deliver::tell_of_itself(&context, &mut answer.fields);
        if let Some(edits) = &context.response_edits {
            edits.apply(&mut answer.fields);
            context.preparing = None; // It would be kept for others with these words in it.
        }
        front::prepare(&mut context, &answer);
        deliver::tell_of_now(&context, &mut answer.fields);
    }
    let (status, content_type) = (answer.status, answer.fields.get(http::header::CONTENT_TYPE).cloned());
    let sent = deliver::send(&mut sink, answer, &context.request.method).await;
    let lasting = Arc::clone(context.lasting());
    lasting.account.finish(context.into_entry(status, content_type, sink.sent(), sent.is_err()));
}

/// What stages 2 to 6 make of a request.
pub(crate) enum Decision {
    /// It is answered already: a file, or a request that is for this server.
    Answered(Answer),
    /// It goes on, to the cache or the upstream.
    Planned(Visit, Plan),
}

/// Stages 2 to 6. They change nothing but the context and what is known of the client; `forebay explain`, which has no
/// `sink`, leaves that and the limits out.
pub(crate) async fn decide(context: &mut Context, sink: Option<&mut Sink<'_>>) -> Result<Decision, Refusal> {
    let runtime = Arc::clone(&context.runtime);
    let form = admit(&context.request, &runtime.config.limits)?;
    if form == Form::Asterisk {
        return Ok(Decision::Answered(Answer::empty(StatusCode::NO_CONTENT, HeaderMap::new())));
    }
    let mut client = client::find(&context.connection, &context.request.fields, &runtime.config.server);
    if runtime.lasting.siblings.as_ref().is_some_and(|siblings| siblings.is_peer(context.connection.client.ip())) {
        client.believe_scheme(&context.request.fields);
    }
    context.client = client.address;
    let target = normalize(&form, client.scheme)?;
    refuse_loop(context)?;
    let site = site(&runtime.routes, &target)?;
    context.site = Arc::clone(&site.metrics);
    (context.shows_tags, context.litespeed) = (site.keep_tags, site.litespeed);
    if let Some(answer) = elsewhere(&site, &target, &context.request.method) {
        return Ok(Decision::Answered(answer));
    }
    let asked = Asked {
        method: &context.request.method,
        path: &target.path,
        query: target.query.as_deref(),
        fields: &context.request.fields,
        client: client.address,
    };
    let route = Arc::clone(site.route_of(&asked));
    context.response_edits = route.response_edits.clone();
    admit::content(&mut context.request, route.body_size.unwrap_or(runtime.config.limits.body_size))?;
    if let (Some(words), Some(sink)) = (&route.guard, sink) {
        guard(context, words, &target.path, sink).await?;
    }
    if let Some(action) = &route.action {
        return Ok(Decision::Answered(action.answer(&target, &route.matcher)));
    }
    let rewriting = route.rewriting.as_ref();
    let rewritten = rewriting.map(|rewriting| rewriting.apply(&target, &route.matcher)).transpose()?;
    let visit = Visit { site, route, target, client, rewritten };
    if let Some(answer) = offloaded(context, &visit).await? {
        return Ok(Decision::Answered(answer));
    }
    let plan = key::plan(&context.request, &visit.target, &visit.route);
    Ok(Decision::Planned(visit, plan))
}

/// Stages 2 to 9.
async fn answer(context: &mut Context, sink: &mut Sink<'_>) -> Result<Answer, Failure> {
    if purge::dialect::is_purge(context.request.method.as_str()) {
        return Ok(purge::site::answer(context).await?);
    }
    let (visit, plan) = match decide(context, Some(sink)).await? {
        Decision::Answered(answer) => return Ok(answer),
        Decision::Planned(visit, plan) => (visit, plan),
    };
    if let Some(answer) = purge::site::answer_get(context, &visit.site, &visit.target.authority).await? {
        return Ok(answer);
    }
    match plan {
        Plan::Cache { key, .. } if context.suspect => marked(context, visit, key, sink).await,
        Plan::Cache { key, path_query } => cached(context, visit, key, path_query, sink).await,
        Plan::Authorized { key, path_query } => {
            if let Some(variant) =
                shared(context, &key, &visit.route, || forwarded(context, &visit, Purpose::Fill)).await
            {
                context.outcome = CacheOutcome::Hit;
                return stored(context, &visit, &key, variant).await;
            }
            if RequestDirectives::parse(&context.request.fields).only_if_cached {
                return Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "only-if-cached").into());
            }
            let place = place(context, &visit, key, path_query);
            pass(context, visit, ForwardReason::Bypass, "authorization", place, sink).await
        }
        Plan::Post { .. } | Plan::Pass(..) if RequestDirectives::parse(&context.request.fields).only_if_cached => {
            Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "only-if-cached").into())
        }
        Plan::Post { key, path_query } => {
            let place = place(context, &visit, key, path_query);
            pass(context, visit, ForwardReason::Method, "method", place, sink).await
        }
        Plan::Pass(reason, detail) => pass(context, visit, reason, detail, None, sink).await,
    }
}

/// Where the response to a request that is passed on as it came may be stored: nowhere, unless the key stands for just that.
/// Nor what an AP server says to a client it was told to be suspect.
fn place(context: &Context, visit: &Visit, key: CacheKey, path_query: String) -> Option<(CacheKey, String)> {
    (path_query == visit.target.raw && !context.suspect).then_some((key, path_query))
}

/// What a request is for, and who from.
pub(crate) struct Visit {
    pub(crate) site: Arc<Site>,
    pub(crate) route: Arc<Route>,
    pub(crate) target: Target,
    pub(crate) client: Client,
    /// What upstream and root see in place of the target's path.
    pub(crate) rewritten: Option<Rewritten>,
}

impl Visit {
    /// What the upstream is asked for, where the client asks for `path_query`.
    fn toward_upstream(&self, path_query: String) -> String {
        match &self.rewritten {
            Some(rewritten) => rewritten.with_query_of(&path_query),
            None => path_query,
        }
    }
}

/// A request that has been here already comes from an upstream that leads back to us (RFC 9110 section 7.6.3).
fn refuse_loop(context: &Context) -> Result<(), Refusal> {
    let ours = context.lasting().pseudonym.as_bytes();
    let seen =
        context.request.fields.get_all(VIA).iter().any(|via| memchr::memmem::find(via.as_bytes(), ours).is_some());
    if seen { Err(Refusal::new(StatusCode::LOOP_DETECTED, "loop")) } else { Ok(()) }
}

/// Stage 5.
async fn offloaded(context: &mut Context, visit: &Visit) -> Result<Option<Answer>, Refusal> {
    let Visit { site, route, target, rewritten, .. } = visit;
    let Some(root) = &route.root else { return Ok(None) };
    let path = rewritten.as_ref().map_or(&target.path, |rewritten| &rewritten.path);
    let request = &context.request;
    let alone = route.pool.is_none();
    // A client that holds a file in a coding of ours names it by our tag; the file itself has another.
    let restored = request.fields.contains_key(IF_MATCH).then(|| {
        let mut fields = request.fields.clone();
        compress::fields::restore_conditions(&mut fields);
        fields
    });
    let fields = restored.as_ref().unwrap_or(&request.fields);
    match offload(root, &request.method, path.as_bytes(), fields, alone).await {
        Offload::NotMine => Ok(None),
        Offload::Refused(status) => Err(Refusal::new(status, "offload-refused")),
        Offload::Answer(mut file) => {
            context.outcome = CacheOutcome::Offload;
            if let (Some(location), Some(query)) = (file.fields.get(LOCATION), &target.query)
                && let Ok(location) = HeaderValue::try_from(format!("{}?{query}", location.to_str().unwrap_or("/")))
            {
                file.fields.insert(LOCATION, location);
            }
            Ok(Some(deliver::file(context, site, target, file).await))
        }
    }
}

/// Stages 7 to 9.
async fn cached(
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
async fn marked(context: &mut Context, visit: Visit, key: CacheKey, sink: &mut Sink<'_>) -> Result<Answer, Failure> {
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

const NO_UPSTREAM: Refusal = Refusal::new(StatusCode::NOT_FOUND, "no-upstream");

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

/// The request's fields as they are forwarded.
pub(crate) fn forwarded(context: &Context, visit: &Visit, purpose: Purpose) -> HeaderMap {
    let forwarding = Forwarding {
        fields: &context.request.fields,
        version: context.request.version,
        target: &visit.target,
        client: visit.client,
        peer: context.connection.client.ip(),
        pseudonym: &context.lasting().pseudonym,
    };
    let mut fields = outbound::fields(&forwarding, &visit.site, &visit.route, purpose);
    if context.suspect && purpose == Purpose::Pass {
        fields.insert(outbound::SUSPECT_DOS, HeaderValue::from_static("1"));
    }
    visit.route.request_edits.apply(&mut fields);
    fields
}

/// A stored response answers.
async fn stored(context: &mut Context, visit: &Visit, key: &CacheKey, variant: Variant) -> Result<Answer, Failure> {
    context.age = Some(variant.response.current_age(context.now));
    context.ttl = Some(variant.response.ttl(context.now));
    context.preparing = Some(variant.clone()).filter(|_| context.outcome == CacheOutcome::Hit);
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
        Arrived::Private(_) | Arrived::Flight(..) => {}
    }
    let source = match arrived {
        Arrived::Private(private) => {
            context.detail = private.reason;
            return Ok(session::answer(context, &visit.site, &visit.route, visit.client.scheme, private));
        }
        Arrived::Freshened(variant) | Arrived::Stored(variant) => Source::Stored(variant),
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
    let (interim, receiver) = mpsc::channel(4);
    let job = pass_job(context, visit, Purpose::Fill, wanted.path_query.clone(), interim)?;
    context.stored = false;
    match collapse::wait(context, job, receiver, sink).await? {
        Arrived::Private(private) => {
            Ok(session::answer(context, &visit.site, &visit.route, visit.client.scheme, private))
        }
        Arrived::Flight(..) | Arrived::Freshened(_) | Arrived::Stored(_) => Err(FetchError::UNEXPECTED.into()),
    }
}

/// A request that is not answered from the cache. With `place` (a key, and the path and query it stands for) the response
/// may be stored all the same.
async fn pass(
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
    let (interim, receiver) = mpsc::channel(4);
    let Some((key, path_query)) = place else {
        let path_query = visit.toward_upstream(visit.target.raw.clone());
        let job = pass_job(context, &visit, Purpose::Pass, path_query, interim)?;
        return match collapse::wait(context, job, receiver, sink).await? {
            Arrived::Private(private) => {
                Ok(session::answer(context, &visit.site, &visit.route, visit.client.scheme, private))
            }
            Arrived::Flight(..) | Arrived::Freshened(_) | Arrived::Stored(_) => Err(FetchError::UNEXPECTED.into()),
        };
    };
    let store = StorePlan {
        leader: context.lasting().fills.alone(&key),
        key: key.clone(),
        url: visit.target.url(),
        route: Arc::clone(&visit.route),
        candidates: Vec::new(),
        of_one: true,
        completion: None,
        unkept: None,
    };
    let path_query = visit.toward_upstream(path_query);
    let job = Job { store: Some(store), ..pass_job(context, &visit, Purpose::Pass, path_query, interim)? };
    match collapse::wait(context, job, receiver, sink).await? {
        Arrived::Private(private) => {
            Ok(session::answer(context, &visit.site, &visit.route, visit.client.scheme, private))
        }
        Arrived::Flight(flight, own) => {
            context.stored = flight.unkept.is_none();
            let answer = deliver::represent(context, &visit.site, &key, &Source::Flight(flight)).await;
            let mut answer = answer.ok_or(FetchError::UNEXPECTED)?;
            answer.fields.extend(own);
            Ok(answer)
        }
        Arrived::Freshened(_) | Arrived::Stored(_) => Err(FetchError::UNEXPECTED.into()),
    }
}

fn pass_job(
    context: &mut Context,
    visit: &Visit,
    purpose: Purpose,
    path_query: String,
    interim: mpsc::Sender<(StatusCode, HeaderMap)>,
) -> Result<Job, Refusal> {
    let pool = Arc::clone(visit.route.pool.as_ref().ok_or(NO_UPSTREAM)?);
    let fields = forwarded(context, visit, purpose);
    let body = std::mem::replace(&mut context.request.body, RequestBody::Empty);
    let expects_continue = context.request.continue_wanted.is_some();
    let upgrade = matches!(&body, RequestBody::H1(body) if body.is_tunnel());
    let method = if purpose == Purpose::Fill { Method::GET } else { context.request.method.clone() };
    let target = TargetUri {
        scheme: visit.target.scheme.to_owned(),
        authority: visit.target.authority.clone(),
        path: visit.target.path.clone(),
        query: visit.target.query.clone(),
    };
    Ok(Job {
        lasting: Arc::clone(context.lasting()),
        asker: session::asker(context, &pool, &path_query),
        pool,
        outbound: Outbound {
            method,
            path_query,
            fields,
            body,
            upgrade,
            expects_continue,
            withholds_authorization: visit.route.withholds_authorization(),
        },
        store: None,
        drives: collapse::drives(context, visit.site.litespeed, &visit.target.authority),
        invalidates: Some(Invalidates { target, site: Arc::clone(&visit.site) }),
        interim: Some(interim),
        background: false,
    })
}
