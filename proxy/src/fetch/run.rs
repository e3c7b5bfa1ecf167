//! One fetch from its first byte to its last: forward, judge, store or hand over. It runs as a task of its own, so that
//! neither a client that leaves nor one that reads slowly has any say in it.

use std::sync::Arc;

use bytes::Bytes;
use forebay_cache::body::{Body, BodyReader, BodyWriter, Limits, Retention};
use forebay_cache::clock::{Clock as _, Timestamp};
use forebay_cache::fill::{Flight, Leader, Verdict};
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::groups::{groups as groups_of, invalidated_groups};
use forebay_cache::semantics::validation::{Preconditions, freshened_by_304};
use forebay_cache::semantics::{
    Exchange as Exchanged, RequestDirectives, Storability, TargetUri, hop_by_hop, invalidated, stale_if_error,
    storability,
};
use forebay_cache::store::Variant;
use forebay_cache::store::disk::LargeWriter;
use forebay_cache::stored::StoredResponse;
use http::header::{DATE, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::FetchError;
use super::forward::{self, Event, Exchange, Outbound};
use super::keep::{self, content_length};
use super::partial::{self, Completion, Keeping};
use crate::account::entry::UpstreamExchange;
use crate::http::{RequestBody, date};
use crate::runtime::Lasting;
use crate::site::{Route, Site};
use crate::stages;
use crate::upstream::Pool;

/// What is to be fetched, and what for.
pub(crate) struct Job {
    pub(crate) lasting: Arc<Lasting>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) outbound: Outbound,
    /// How the response may be stored; `None` for a pass.
    pub(crate) store: Option<StorePlan>,
    /// What a successful unsafe request makes invalid (RFC 9111 section 4.4).
    pub(crate) invalidates: Option<Invalidates>,
    /// Interim responses for the client that asked.
    pub(crate) interim: Option<mpsc::Sender<(StatusCode, HeaderMap)>>,
}

/// The target of an unsafe request, and the site whose rules make keys of URIs.
pub(crate) struct Invalidates {
    pub(crate) target: TargetUri,
    pub(crate) site: Arc<Site>,
}

/// How a response may be stored.
pub(crate) struct StorePlan {
    pub(crate) key: CacheKey,
    /// Absolute URL, for `refresh_pattern`.
    pub(crate) url: String,
    pub(crate) route: Arc<Route>,
    pub(crate) leader: Leader<FetchError>,
    /// Stored responses of the key: the upstream is asked whether one of them is still good.
    pub(crate) candidates: Vec<Variant>,
    /// It is for one request, of a kind of its own (credentials, POST): what comes of it says nothing about others.
    pub(crate) of_one: bool,
    /// Parts are stored, and this is missing: it is asked for instead of the whole.
    pub(crate) completion: Option<Completion>,
}

/// What the one who asked gets.
pub(crate) enum Arrived {
    /// A storable response on its way, and fields that are not stored but are for the client that caused the fill.
    Flight(Arc<Flight>, HeaderMap),
    /// A stored response that is good again.
    Freshened(Variant),
    /// A response that another fill stored since the look-up.
    Stored(Variant),
    /// A response for this client alone.
    Private(Private),
}

/// A response that is not stored.
pub(crate) struct Private {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) reader: BodyReader,
    /// Length of its content, where the upstream told.
    pub(crate) length: Option<u64>,
    /// Why it is not stored; `None` for a pass.
    pub(crate) reason: Option<&'static str>,
}

/// Kept connections tried that turn out to be dead.
const REPEATS: usize = 4;

/// Interim responses taken from an upstream before its final one.
const INTERIMS: usize = 16;

/// The exchange as the log tells it, whatever came of it.
pub(crate) type UpstreamReport = Option<UpstreamExchange>;

/// Where the answer goes.
pub(crate) type Answer = oneshot::Sender<(Result<Arrived, FetchError>, UpstreamReport)>;

/// Runs the fetch to its end.
pub(crate) async fn run(mut job: Job, answer: Answer) {
    let lasting = Arc::clone(&job.lasting);
    lasting.metrics.fills_in_flight.inc();
    let mut report = None;
    if let Err((error, answer)) = fetch(&mut job, answer, &mut report).await {
        if let Some(plan) = &mut job.store {
            plan.leader.settle_and_leave(Verdict::Failed(error));
        }
        if let Some(answer) = answer {
            let _ = answer.send((Err(error), report));
        }
    }
    lasting.metrics.fills_in_flight.dec();
}

type Failed = (FetchError, Option<Answer>);

async fn fetch(job: &mut Job, answer: Answer, report: &mut UpstreamReport) -> Result<(), Failed> {
    let Job { lasting, pool, .. } = &*job;
    let (lasting, pool) = (Arc::clone(lasting), Arc::clone(pool));
    let mut outbound = take(&mut job.outbound);
    let mut candidates = job.store.as_ref().map(|plan| plan.candidates.clone()).unwrap_or_default();
    let preconditions = Preconditions::for_stored(&responses(&candidates));
    if !candidates.is_empty() {
        preconditions.apply(&mut outbound.fields);
    }
    if let Some(completion) = job.store.as_ref().and_then(|plan| plan.completion.as_ref()) {
        completion.ask(&mut outbound.fields);
    }
    let mut answer = answer;
    loop {
        let sent = Sent {
            method: outbound.method.clone(),
            fields: outbound.fields.clone(),
            has_content: !outbound.body.is_empty(),
            at: lasting.clock.now(),
        };
        let again = Outbound { body: RequestBody::Empty, ..clone_head(&outbound) };
        let begun = {
            let begun = begin(&lasting, &pool, job.interim.as_ref(), outbound, report);
            match &job.store {
                Some(plan) if !plan.of_one => begun.await,
                // What is for one client is not fetched for nobody.
                _ => tokio::select! {
                    begun = begun => begun,
                    () = answer.closed() => return Ok(()),
                },
            }
        };
        let (exchange, head) = match begun {
            Ok(begun) => begun,
            Err(error) => return Err((error, Some(answer))),
        };
        if let Some(invalidates) = &job.invalidates {
            invalidate(&lasting, &sent.method, invalidates, &head).await;
        }
        let Some(plan) = &mut job.store else {
            return hand_over(&lasting, &pool, exchange, head, None, None, answer, *report).await;
        };
        if job.invalidates.is_some() && plan.leader.fill().is_doomed() {
            // By its own request: what it brings is newer than that.
            plan.leader = lasting.fills.alone(&plan.key);
        }
        let exchanged = Exchanged::new(
            &sent.method,
            &sent.fields,
            head.status,
            &head.fields,
            sent.at,
            head.at,
            &plan.route.rules.policy.targets,
        )
        .url(&plan.url)
        .request_has_content(sent.has_content);
        if head.status == StatusCode::NOT_MODIFIED && !preconditions.is_empty() && !candidates.is_empty() {
            if let Some(fresh) = freshen(&lasting, plan, &exchanged, &candidates) {
                // Invalidated while it was stored: see `invalidate`.
                if plan.leader.fill().is_doomed() {
                    lasting.store.remove(&plan.key).await;
                }
                plan.leader.settle_and_leave(Verdict::Freshened(fresh.clone()));
                let _ = answer.send((Ok(Arrived::Freshened(fresh)), *report));
                exchange.release(&lasting, &pool).await;
                return Ok(());
            }
            // A 304 about something we do not have: ask for the whole.
            candidates.clear();
            outbound = again;
            outbound.fields.remove(http::header::IF_NONE_MATCH);
            outbound.fields.remove(http::header::IF_MODIFIED_SINCE);
            exchange.release(&lasting, &pool).await;
            continue;
        }
        if is_failure(head.status) && stale_stands_in(&candidates, &exchanged.request_directives, lasting.clock.now()) {
            exchange.release(&lasting, &pool).await;
            return Err((FetchError::new(head.status, "upstream-error-status"), Some(answer)));
        }
        if let Some(completion) = plan.completion.take() {
            let policy = &plan.route.rules.policy;
            match completion.complete(&exchanged, policy).filter(|_| head.status == StatusCode::PARTIAL_CONTENT) {
                Some((whole, before, behind)) => {
                    let frame = Frame { before, behind, length: Some(completion.parts.complete()) };
                    return fill(&lasting, &pool, plan, exchange, head, (whole, None), frame, answer, *report).await;
                }
                // Not what is missing, or not of the same representation: ask for the whole.
                None if matches!(head.status, StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) => {
                    outbound = again;
                    outbound.fields.remove(http::header::RANGE);
                    outbound.fields.remove(http::header::IF_RANGE);
                    exchange.release(&lasting, &pool).await;
                    continue;
                }
                None => {}
            }
        }
        let keeping = Keeping::of(&exchanged, &plan.route.rules.policy, lasting.store.max_in_memory());
        let length = content_length(&head.fields).filter(|_| head.content).unwrap_or(0);
        let verdict = match storability(&exchanged, &plan.route.rules.policy) {
            Storability::No(reason) => Err(reason.as_str()),
            Storability::Yes => match keep::place(&lasting, plan, length).await {
                Ok(file) => Ok((StoredResponse::new(&exchanged, Bytes::new(), &plan.route.rules.policy), file)),
                Err(reason) => Err(reason),
            },
        };
        return match verdict {
            Ok((response, file)) => {
                let frame = Frame::of(&head);
                fill(&lasting, &pool, plan, exchange, head, (response, file), frame, answer, *report).await
            }
            Err(reason) => {
                // Neither an error that passes nor one client's wish says anything about the next response.
                let telling = !head.status.is_server_error() && !exchanged.request_directives.no_store;
                if telling && !plan.of_one && keeping.is_none() {
                    lasting.not_shared.insert(plan.key.clone(), reason);
                }
                if keeping.is_some() {
                    // It stays where an invalidation finds it.
                    plan.leader.fill().settle(Verdict::NotShared(reason));
                } else {
                    plan.leader.settle_and_leave(Verdict::NotShared(reason));
                }
                let keeping = keeping.map(|keeping| (keeping, &*plan));
                hand_over(&lasting, &pool, exchange, head, Some(reason), keeping, answer, *report).await
            }
        };
    }
}

/// The request as it was sent; `Vary` and the directives are about this one.
struct Sent {
    method: Method,
    fields: HeaderMap,
    has_content: bool,
    at: Timestamp,
}

/// A response head.
struct Head {
    status: StatusCode,
    fields: HeaderMap,
    at: Timestamp,
    /// Whether content follows.
    content: bool,
}

fn take(outbound: &mut Outbound) -> Outbound {
    let empty = Outbound {
        method: Method::GET,
        path_query: String::new(),
        fields: HeaderMap::new(),
        body: RequestBody::Empty,
        upgrade: false,
        expects_continue: false,
    };
    std::mem::replace(outbound, empty)
}

fn clone_head(outbound: &Outbound) -> Outbound {
    Outbound {
        method: outbound.method.clone(),
        path_query: outbound.path_query.clone(),
        fields: outbound.fields.clone(),
        body: RequestBody::Empty,
        upgrade: false,
        expects_continue: false,
    }
}

/// Connects, sends, and reads up to the final head. A kept connection that turns out to be dead is no failure: what can
/// be repeated is repeated on another.
async fn begin(
    lasting: &Lasting,
    pool: &Pool,
    interim: Option<&mpsc::Sender<(StatusCode, HeaderMap)>>,
    outbound: Outbound,
    report: &mut UpstreamReport,
) -> Result<(Exchange, Head), FetchError> {
    let repeatable = outbound.is_repeatable().then(|| clone_head(&outbound));
    let mut outbound = outbound;
    let mut repeats = 0;
    loop {
        let mut exchange = forward::connect(lasting, pool, outbound).await?;
        match read_head(lasting, &mut exchange, interim, report).await {
            Ok(head) => return Ok((exchange, head)),
            Err(error) => match &repeatable {
                Some(again) if exchange.reused && error.is_closed() && repeats < REPEATS => {
                    repeats += 1;
                    outbound = clone_head(again);
                }
                _ => {
                    exchange.server.metrics.failed();
                    return Err(error);
                }
            },
        }
    }
}

async fn read_head(
    lasting: &Lasting,
    exchange: &mut Exchange,
    interim: Option<&mpsc::Sender<(StatusCode, HeaderMap)>>,
    report: &mut UpstreamReport,
) -> Result<Head, FetchError> {
    let connected = exchange.started.elapsed();
    let told = UpstreamExchange {
        address: exchange.server.address,
        status: None,
        connect: Some(connected),
        first_byte: None,
        total: None,
    };
    *report = Some(told);
    let mut interims = 0;
    loop {
        match exchange.event().await? {
            Event::Interim(..) if interims == INTERIMS => {
                return Err(FetchError::bad_gateway("upstream-interim-flood"));
            }
            Event::Interim(status, fields) => {
                interims += 1;
                // 100 is for the hop it was sent on; the others are for the client.
                if let Some(interim) = interim.filter(|_| status != StatusCode::CONTINUE) {
                    let _ = interim.try_send((status, fields));
                }
            }
            Event::Head(status, fields, content) => {
                let first_byte = exchange.started.elapsed();
                exchange.server.metrics.response(status.as_u16(), first_byte);
                let first_byte = Some(first_byte.saturating_sub(connected));
                *report = Some(UpstreamExchange { status: Some(status.as_u16()), first_byte, ..told });
                return Ok(Head { status, fields, at: lasting.clock.now(), content });
            }
            Event::Chunk(_) | Event::End => return Err(FetchError::UNEXPECTED),
        }
    }
}

/// Statuses a stale response may stand in for (RFC 5861 section 4).
fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

fn stale_stands_in(candidates: &[Variant], request: &RequestDirectives, now: Timestamp) -> bool {
    candidates.iter().any(|stored| stale_if_error(&stored.response, request, now))
}

fn responses(candidates: &[Variant]) -> Vec<&StoredResponse> {
    candidates.iter().map(|candidate| candidate.response.as_ref()).collect()
}

/// RFC 9111 section 4.3.4. `None` when the 304 is about none of the candidates.
fn freshen(lasting: &Lasting, plan: &StorePlan, exchanged: &Exchanged<'_>, candidates: &[Variant]) -> Option<Variant> {
    let selected = freshened_by_304(exchanged.response, &responses(candidates));
    let mut answer = None;
    for old in selected.into_iter().filter_map(|index| candidates.get(index)) {
        let (response, storability) = old.response.freshen(exchanged, &plan.route.rules.policy);
        let matches = response.variance().matches(exchanged.request);
        let mut fresh = old.freshened(Arc::new(response));
        if storability.is_yes() && !plan.leader.fill().is_doomed() {
            fresh = lasting.store.freshen(&plan.key, old, fresh.response);
            // Content in a file belongs to one variant.
            if !matches && fresh.large.is_none() {
                lasting.store.insert(&plan.key, Arc::new(fresh.response.for_request(exchanged.request)));
            }
        }
        answer.get_or_insert(fresh);
    }
    answer
}

/// A fill looks whether it is doomed after it has stored: dooming first, then removing, leaves it no gap.
async fn invalidate(lasting: &Lasting, method: &Method, invalidates: &Invalidates, head: &Head) {
    let mut groups = invalidated_groups(method, head.status, &head.fields);
    for uri in invalidated(method, head.status, &invalidates.target, &head.fields) {
        if let Some(key) = stages::key::of_uri(&invalidates.site, &uri) {
            // RFC 9875 section 2.2.1: the groups of what is invalidated go with it. They do not cascade.
            let stored = lasting.store.get(&key, |_| false).await.map(|found| found.variants);
            let fields = stored.iter().flat_map(|stored| stored.iter()).map(|variant| variant.response.fields());
            groups.extend(fields.flat_map(groups_of));
            lasting.fills.doom(&key);
            lasting.store.remove(&key).await;
        }
    }
    if !groups.is_empty()
        && let Some(key) = stages::key::of_uri(&invalidates.site, &invalidates.target)
    {
        lasting.groups.invalidate(&key, &groups, lasting.clock.now());
    }
}

/// What is known of a whole beyond the content that arrives: bytes before and behind it that were stored, and its length.
struct Frame {
    before: Vec<Bytes>,
    behind: Vec<Bytes>,
    length: Option<u64>,
}

impl Frame {
    /// Everything arrives.
    fn of(head: &Head) -> Self {
        let length = if head.content { content_length(&head.fields) } else { Some(0) };
        Self { before: Vec::new(), behind: Vec::new(), length }
    }
}

/// Streams a storable response into the store and to everybody who asked for it.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each used once")]
async fn fill(
    lasting: &Lasting,
    pool: &Pool,
    plan: &mut StorePlan,
    mut exchange: Exchange,
    head: Head,
    (response, file): (StoredResponse, Option<LargeWriter>),
    frame: Frame,
    answer: Answer,
    report: UpstreamReport,
) -> Result<(), Failed> {
    let (mut writer, body) = Body::new(Retention::Keep, Limits::default(), Arc::clone(&lasting.spool));
    if let Some(file) = file
        && writer.move_to(file).await.is_err()
    {
        return Err((FetchError::UNEXPECTED, Some(answer)));
    }
    let response = Arc::new(response);
    let Frame { before, behind, length } = frame;
    let is_completed = !before.is_empty() || !behind.is_empty();
    let flight = Arc::new(Flight::new(Arc::clone(&response), body, length));
    lasting.not_shared.invalidate(&plan.key);
    plan.leader.fill().settle(Verdict::Streaming(Arc::clone(&flight)));
    let _ = answer.send((Ok(Arrived::Flight(flight, own_fields(&head, &response))), report));
    let mut received = before.iter().chain(&behind).map(|piece| piece.len() as u64).sum::<u64>();
    let mut keeps = true;
    for piece in before {
        if writer.push(piece).await.is_err() {
            return Ok(());
        }
    }
    while head.content && !exchange.has_ended() {
        match exchange.event().await {
            Ok(Event::Chunk(chunk)) => {
                received += chunk.len() as u64;
                let in_file = writer.is_in_file();
                if keeps && !in_file && received > lasting.store.max_in_memory() {
                    keeps = keep::outgrow(lasting, plan, &mut writer).await;
                    if !keeps {
                        writer.stop_retaining();
                    }
                }
                if writer.push(chunk).await.is_err() {
                    break;
                }
                if in_file && !writer.is_in_file() {
                    keeps = false;
                    keep::give_up(lasting, plan, "no-room");
                }
            }
            Ok(Event::End) => break,
            Ok(_) => return abort(exchange, writer, "unexpected"),
            Err(error) => {
                if keeps && behind.is_empty() {
                    partial::keep_beginning(lasting, plan, &response, length, writer.content());
                }
                return abort(exchange, writer, error.reason);
            }
        }
    }
    if is_completed && Some(received) != length {
        return abort(exchange, writer, "part-too-short");
    }
    for piece in behind {
        if writer.push(piece).await.is_err() {
            return Ok(());
        }
    }
    // The AP server is done: its worker is free before anything else happens.
    exchange.release(lasting, pool).await;
    if keeps && !plan.leader.fill().is_doomed() {
        if let Some(file) = writer.take_file() {
            lasting.store.commit_large(&plan.key, response, file).await;
        } else if let Some(content) = writer.content() {
            lasting.store.insert(&plan.key, Arc::new(response.as_ref().clone().with_content(content)));
        }
        // Invalidated while it was stored: see `invalidate`.
        if plan.leader.fill().is_doomed() {
            lasting.store.remove(&plan.key).await;
        }
    }
    writer.finish();
    Ok(())
}

/// `Set-Cookie` that was stripped for the store (`set_cookie = "strip"`).
fn own_fields(head: &Head, stored: &StoredResponse) -> HeaderMap {
    let mut own = HeaderMap::new();
    if !stored.fields().contains_key(SET_COOKIE) {
        for cookie in head.fields.get_all(SET_COOKIE) {
            own.append(SET_COOKIE, cookie.clone());
        }
    }
    own
}

/// The upstream broke off: readers see an error, nothing is stored.
#[expect(clippy::unnecessary_wraps, reason = "the one who asked has the head already; there is nothing left to report")]
fn abort(exchange: Exchange, writer: BodyWriter, reason: &'static str) -> Result<(), Failed> {
    exchange.server.metrics.failed();
    tracing::warn!(server = %exchange.server.label, reason, "response broken off");
    writer.abort(reason);
    Ok(())
}

/// Streams a response to the one client it is for, and keeps a copy of a part that may be stored.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each used once")]
async fn hand_over(
    lasting: &Lasting,
    pool: &Pool,
    mut exchange: Exchange,
    head: Head,
    reason: Option<&'static str>,
    mut keeping: Option<(Keeping, &StorePlan)>,
    answer: Answer,
    report: UpstreamReport,
) -> Result<(), Failed> {
    let (mut writer, body) = Body::new(Retention::Release, Limits::default(), Arc::clone(&lasting.spool));
    let Some(reader) = body.reader() else { return Err((FetchError::UNEXPECTED, Some(answer))) };
    drop(body);
    let Head { status, mut fields, content, .. } = head;
    let length = if content { content_length(&fields) } else { Some(content_length(&fields).unwrap_or(0)) };
    if status != StatusCode::SWITCHING_PROTOCOLS {
        hop_by_hop::strip(&mut fields);
    }
    if !fields.contains_key(DATE) {
        fields.insert(DATE, date::field(std::time::SystemTime::now()));
    }
    let private = Private { status, fields, reader, length, reason };
    if answer.send((Ok(Arrived::Private(private)), report)).is_err() {
        // The client left while its answer was made; an AP server need not go on for nobody.
        return Ok(());
    }
    let mut keep = |chunk: &Bytes| {
        if let Some((keeping, _)) = &mut keeping {
            keeping.add(chunk);
        }
    };
    let broken = loop {
        if !content || exchange.has_ended() {
            break None;
        }
        match exchange.event().await {
            Ok(Event::Chunk(chunk)) => {
                keep(&chunk);
                if writer.push(chunk).await.is_err() {
                    break Some("client-left");
                }
            }
            Ok(Event::End) => break None,
            Ok(_) => break Some("unexpected"),
            Err(error) => break Some(error.reason),
        }
    };
    if let Some((keeping, plan)) = keeping {
        keeping.store(lasting, plan);
    }
    match broken {
        None => {
            exchange.release(lasting, pool).await;
            writer.finish();
            Ok(())
        }
        Some("client-left") => Ok(()),
        Some(reason) => abort(exchange, writer, reason),
    }
}
