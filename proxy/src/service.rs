//! The life of a request, top to bottom: each stage is one call, and the order here is the order in which they run.
//!
//! | # | stage | may answer |
//! |---|---|---|
//! | 2 | admit: one Host, a target that is one, sizes | 400 405 414 431 |
//! | 3 | normalize: one form of host and path for all that follows | 400 |
//! | 4 | route: site, then route; certificates of visitors | 403 421 |
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

mod cached;
mod pass;

use std::sync::Arc;

use forebay_cache::key::CacheKey;
use forebay_cache::semantics::{ForwardReason, RequestDirectives};
use http::header::{IF_MATCH, LOCATION, VIA};
use http::{HeaderMap, HeaderValue, StatusCode};

use self::cached::{cached, marked, stored};
use self::pass::pass;
use crate::account::entry::{CacheOutcome, UpstreamExchange};
use crate::compress;
use crate::context::Context;
use crate::fetch::outbound::{self, Forwarding, Purpose};
use crate::front::files::Watched;
use crate::front::{self, Preparing};
use crate::http::{Answer, Refusal, Request, RequestBody, Sink};
use crate::listen::Connection;
use crate::listen::visitor::Visitor;
use crate::purge;
use crate::route::{Asked, Rewritten};
use crate::runtime::Runtime;
use crate::site::{Route, Site};
use crate::stages::admit::{self, Form, admit};
use crate::stages::certificate;
use crate::stages::client::{self, Client};
use crate::stages::deliver::{self, Told};
use crate::stages::guard::guard;
use crate::stages::key::{self, Plan};
use crate::stages::lookup::shared;
use crate::stages::normalize::{Target, normalize};
use crate::stages::offload::{Offload, offload};
use crate::stages::rescue::{Failure, rescue};
use crate::stages::route::{elsewhere, site};

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
    let mut context = Context::new(runtime, connection, Request::plain());
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
        deliver::conceal(context.shows_tags, &mut answer.fields);
        let told = Told { outcome: context.outcome, litespeed: context.litespeed, at: context.began };
        deliver::tell_of_itself(&told, &mut answer.fields);
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
    if sink.is_some() {
        certificate::admit(context, &site, &route)?;
    }
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
    let known = certificate::is_known(context, &visit.site);
    let plan = key::plan(&context.request, known, &visit.target, &visit.route);
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
            let detail = key::credentials(&context.request);
            pass(context, visit, ForwardReason::Bypass, detail, place, sink).await
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
            let watched = Watched::new(context, route, path, std::mem::take(&mut file.files));
            context.preparing = watched.map(Preparing::File);
            Ok(Some(deliver::file(context, site, target, file).await))
        }
    }
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
    if visit.site.demands.is_some() {
        Visitor::introduce(context.connection.visitor.as_deref(), &mut fields);
    }
    visit.route.request_edits.apply(&mut fields);
    fields
}
