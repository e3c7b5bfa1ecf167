//! One fetch from its first byte to its last: forward, judge, store or hand over. It ends by itself: neither a client that
//! leaves nor one that reads slowly has any say in it.

use std::sync::Arc;

use bytes::Bytes;
use forebay_cache::body::BodyReader;
use forebay_cache::clock::{Clock as _, Timestamp};
use forebay_cache::fill::{Flight, Leader, Verdict};
use forebay_cache::key::CacheKey;
use forebay_cache::purge::Standing;
use forebay_cache::semantics::validation::Preconditions;
use forebay_cache::semantics::{
    Exchange as Exchanged, RequestDirectives, Storability, TargetUri, stale_if_error, storability,
};
use forebay_cache::store::Variant;
use forebay_cache::stored::StoredResponse;
use http::{HeaderMap, Method, StatusCode};

use super::forward::{Exchange, Outbound};
use super::freshen::{freshen, invalidate, learn_from_head, responses};
use super::keep;
use super::partial::{Completion, Keeping};
use super::pass::pass;
use super::peer;
use super::receive::{Head, begin};
use super::shared;
use super::stream::{Frame, content_length, fill, hand_over};
use super::telling::Answer;
use super::{FetchError, canary};
use crate::account::entry::UpstreamExchange;
use crate::cluster::Term;
use crate::http::RequestBody;
use crate::purge::litespeed::Drives;
use crate::runtime::Lasting;
use crate::site::{Route, Site};
use crate::upstream::{Asker, Pool, ServerId};

/// What is to be fetched, and what for.
pub(crate) struct Job {
    pub(crate) lasting: Arc<Lasting>,
    pub(crate) pool: Arc<Pool>,
    /// What the choice of a server depends on.
    pub(crate) asker: Asker,
    pub(crate) outbound: Outbound,
    /// Its content.
    pub(crate) body: RequestBody,
    /// How the response may be stored; `None` for a pass.
    pub(crate) store: Option<StorePlan>,
    /// The response may purge its host by fields of its own (LSCache).
    pub(crate) drives: Option<Drives>,
    /// What a successful unsafe request makes invalid (RFC 9111 section 4.4).
    pub(crate) invalidates: Option<Invalidates>,
    /// Nobody waits for it.
    pub(crate) background: bool,
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
    /// Nobody can join it: it ends when its client leaves.
    pub(crate) is_alone: bool,
    /// Parts are stored, and this is missing: it is asked for instead of the whole.
    pub(crate) completion: Option<Completion>,
    /// Why what comes is shared while it arrives but not stored, where that was found out.
    pub(crate) unkept: Option<&'static str>,
    /// Where this node stood among purges when an AP server was asked; what it sends goes to the shared tier then.
    pub(crate) shared: Option<Term>,
}

/// What the one who asked gets.
pub(crate) enum Arrived {
    /// A storable response on its way, and fields that are not stored but are for the client that caused the fill.
    Flight(Arc<Flight>, HeaderMap),
    /// A stored response that is good again.
    Freshened(Variant),
    /// A response that another fill stored since the look-up.
    Stored(Variant),
    /// A response that another node has stored.
    Shared(Variant),
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
    /// Who sent it.
    pub(crate) server: ServerId,
    /// Why it is not stored; `None` for a pass.
    pub(crate) reason: Option<&'static str>,
}

/// The exchange as the log tells it, whatever came of it.
pub(crate) type UpstreamReport = Option<UpstreamExchange>;

/// Runs the fetch to its end.
pub(crate) async fn run(mut job: Job, answer: Answer) {
    let _in_flight = InFlight::new(&job.lasting);
    let mut report = None;
    let ended = match job.store.take() {
        None => pass(&mut job, answer, &mut report).await,
        // Boxed: a pass has no use for the room that all this needs.
        Some(mut plan) => {
            let ended = Box::pin(fetch(&mut job, &mut plan, answer, &mut report)).await;
            if let Err((error, _)) = &ended {
                // Who waits for it may go another way: into the queue, or with what is stale.
                let verdict = if error.is_busy() { Verdict::NotShared(error.reason) } else { Verdict::Failed(*error) };
                plan.leader.settle_and_leave(verdict);
            }
            ended
        }
    };
    if let Err((error, Some(answer))) = ended {
        answer.send((Err(error), report));
    }
}

/// Counts a fetch until it is dropped.
struct InFlight(Arc<Lasting>);

impl InFlight {
    fn new(lasting: &Arc<Lasting>) -> Self {
        lasting.metrics.fills_in_flight.inc();
        Self(Arc::clone(lasting))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.metrics.fills_in_flight.dec();
    }
}

impl Job {
    /// Asks the pool for `outbound`, up to the final head, when it is let in; `waits`: it may queue for that.
    pub(super) async fn begin(
        &self,
        outbound: &Outbound,
        body: RequestBody,
        waits: bool,
        answer: &Answer,
        report: &mut UpstreamReport,
    ) -> Result<(Exchange, Head), FetchError> {
        let Self { lasting, pool, asker, background, .. } = self;
        let permit = pool.enter(&outbound.fields, *background, waits).await?;
        let (mut exchange, head) = begin(lasting, pool, *asker, Some(answer), outbound, body, report).await?;
        exchange.permit = permit;
        Ok((exchange, head))
    }

    /// Does what `head` says about other responses.
    pub(super) async fn heed(&self, method: &Method, head: &Head) {
        if let Some(drives) = &self.drives {
            Box::pin(drives.obey(&head.fields)).await;
        }
        if let Some(invalidates) = &self.invalidates {
            invalidate(&self.lasting, method, invalidates, head).await;
        }
    }
}

pub(super) type Failed = (FetchError, Option<Answer>);

async fn fetch(job: &mut Job, plan: &mut StorePlan, answer: Answer, report: &mut UpstreamReport) -> Result<(), Failed> {
    let lasting = Arc::clone(&job.lasting);
    let mut outbound = std::mem::take(&mut job.outbound);
    let mut candidates = plan.candidates.clone();
    let preconditions = Preconditions::for_stored(&responses(&candidates));
    if !candidates.is_empty() {
        preconditions.apply(&mut outbound.fields);
    }
    if let Some(completion) = &plan.completion {
        completion.ask(&mut outbound.fields);
    }
    if let Some(variant) = shared::find(&lasting, plan, &outbound).await {
        answer.send((Ok(Arrived::Shared(variant)), *report));
        return Ok(());
    }
    let mut brought = peer::bring(&lasting, plan, &outbound, report).await;
    loop {
        let mut pool = Arc::clone(&job.pool);
        let mut unkept = None;
        let mut as_of = None;
        // What is asked for again has no content: only fills are.
        let body = std::mem::take(&mut job.body);
        let has_content = !body.is_empty();
        let mut sent_at = lasting.clock.now();
        let begun = if let Some(brought) = brought.take() {
            (pool, sent_at, as_of) = (brought.pool, brought.at, Some(brought.stamp));
            unkept = brought.proxy_only.then_some("proxy-only");
            Ok((brought.exchange, brought.head))
        } else {
            plan.shared = shared::term(&lasting, plan);
            // A stale page at once is better than a place in the queue.
            let waits = !stale_stands_in(&candidates, &RequestDirectives::parse(&outbound.fields), sent_at);
            // What is for one client is not fetched for nobody.
            tokio::select! {
                begun = job.begin(&outbound, body, waits, &answer, report) => begun,
                () = answer.abandoned(), if plan.is_alone => return Ok(()),
            }
        };
        let (exchange, head) = match begun {
            Ok(begun) => begun,
            Err(error) => return Err((error, Some(answer))),
        };
        job.heed(&outbound.method, &head).await;
        if job.invalidates.is_some() && plan.leader.fill().is_doomed() {
            // By its own request: what it brings is newer than that.
            plan.leader = lasting.fills.instead_of(&plan.leader, &plan.key);
        }
        let exchanged = Exchanged::new(
            &outbound.method,
            &outbound.fields,
            head.status,
            &head.fields,
            sent_at,
            head.at,
            &plan.route.rules.policy.targets,
        )
        .url(&plan.url)
        .request_has_content(has_content);
        if head.status == StatusCode::NOT_MODIFIED && !preconditions.is_empty() && !candidates.is_empty() {
            if let Some(fresh) = freshen(&lasting, plan, &exchanged, &candidates) {
                plan.leader.settle_and_leave(Verdict::Freshened(fresh.clone()));
                answer.send((Ok(Arrived::Freshened(fresh)), *report));
                exchange.release(&lasting, &pool).await;
                return Ok(());
            }
            // A 304 about something we do not have: ask for the whole.
            candidates.clear();
            outbound.fields.remove(http::header::IF_NONE_MATCH);
            outbound.fields.remove(http::header::IF_MODIFIED_SINCE);
            exchange.release(&lasting, &pool).await;
            continue;
        }
        if outbound.method == Method::HEAD
            && let Some(fresh) = learn_from_head(&lasting, plan, &exchanged, &candidates)
        {
            answer.send((Ok(Arrived::Freshened(fresh)), *report));
            exchange.release(&lasting, &pool).await;
            return Ok(());
        }
        if is_failure(head.status) && stale_stands_in(&candidates, &exchanged.request_directives, lasting.clock.now()) {
            exchange.release(&lasting, &pool).await;
            return Err((FetchError::new(head.status, "upstream-error-status"), Some(answer)));
        }
        if let Some(completion) = plan.completion.take() {
            let policy = &plan.route.rules.policy;
            let stamp = plan.leader.fill().stamp();
            match completion.complete(&exchanged, policy, stamp).filter(|_| head.status == StatusCode::PARTIAL_CONTENT)
            {
                Some((whole, before, behind)) => {
                    plan.unkept = keep::refused(&lasting, plan).await;
                    let frame = Frame { before, behind, length: Some(completion.parts.complete()) };
                    return fill(&lasting, &pool, plan, exchange, head, (whole, None), frame, answer, *report).await;
                }
                // Not what is missing, or not of the same representation: ask for the whole.
                None if matches!(head.status, StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) => {
                    outbound.fields.remove(http::header::RANGE);
                    outbound.fields.remove(http::header::IF_RANGE);
                    exchange.release(&lasting, &pool).await;
                    continue;
                }
                None => {}
            }
        }
        if let Some(as_of) = as_of.filter(|as_of| *as_of < lasting.store.purges().last()) {
            let response = StoredResponse::new(&exchanged, Bytes::new(), &plan.route.rules.policy).stamped(as_of);
            if lasting.store.purges().standing(&plan.key, &response, 0) != Standing::Current {
                // Purged here, and not yet where it came from.
                exchange.release(&lasting, &pool).await;
                continue;
            }
        }
        let stamp = plan.leader.fill().stamp();
        let keeping = Keeping::of(&exchanged, &plan.route.rules.policy, lasting.store.max_in_memory(), stamp);
        let length = content_length(&head.fields).filter(|_| head.content).unwrap_or(0);
        let verdict = match storability(&exchanged, &plan.route.rules.policy) {
            Storability::No(reason) => Err(reason.as_str()),
            Storability::Yes if lasting.canary.is_quarantined(&plan.key) => Err("quarantined"),
            Storability::Yes => {
                plan.unkept = match unkept {
                    Some(reason) => Some(reason),
                    None => keep::refused(&lasting, plan).await,
                };
                match keep::place(&lasting, plan, length).await {
                    Ok(file) => {
                        let response = StoredResponse::new(&exchanged, Bytes::new(), &plan.route.rules.policy);
                        Ok((response.stamped(plan.leader.fill().stamp()), file))
                    }
                    Err(reason) => Err(reason),
                }
            }
        };
        return match verdict {
            Ok((response, file)) => {
                let frame = Frame::of(&head);
                let watch = lasting.canary.choose(plan, &outbound.path_query, &outbound.fields, &head.fields);
                let filled =
                    fill(&lasting, &pool, plan, exchange, head, (response, file), frame, answer, *report).await;
                if let Some(watch) = watch {
                    canary::spawn(&lasting, &job.pool, watch);
                }
                filled
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

/// Statuses a stale response may stand in for (RFC 5861 section 4).
fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

fn stale_stands_in(candidates: &[Variant], request: &RequestDirectives, now: Timestamp) -> bool {
    candidates.iter().any(|stored| stale_if_error(&stored.response, request, now))
}
