//! Collapse: join the fill in flight or start one. A thousand clients that want the same cold page cost one forward;
//! pages that turn out not to be shared never make anybody wait twice.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use forebay_cache::fill::{Joined, Leader, Verdict};
use forebay_cache::key::CacheKey;
use forebay_cache::purge::Standing;
use forebay_cache::semantics::RequestDirectives;
use forebay_cache::store::{Variant, Variants};
use forebay_cache::stored::StoredResponse;
use http::{HeaderMap, Method, StatusCode};

use crate::context::Context;
use crate::fetch::{self, Arrived, Completion, FetchError, Heard, Job, Outbound, StorePlan};
use crate::http::{RequestBody, Sink};
use crate::purge::litespeed::Drives;
use crate::site::Route;
use crate::upstream::{Asker, Pool};

/// Longest wait for somebody else's fill before a request goes by itself. An upstream that is merely slow answers within
/// this; one that is stuck must not hold everybody.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rounds of joining: a variant that is not ours sends us on to the fill of ours.
const ROUNDS: usize = 3;

/// What a fill needs to know, beyond the request it is for.
pub(crate) struct Wanted {
    pub(crate) key: CacheKey,
    /// GET, or HEAD for what is stored and has no validator.
    pub(crate) method: Method,
    pub(crate) path_query: String,
    /// Absolute URL.
    pub(crate) url: String,
    /// Fields of the request as it is forwarded, without preconditions.
    pub(crate) forwarded: HeaderMap,
    /// Whether responses of the site drive the cache.
    pub(crate) litespeed: bool,
    pub(crate) route: Arc<Route>,
    pub(crate) pool: Arc<Pool>,
    /// What the choice of a server depends on.
    pub(crate) asker: Asker,
    pub(crate) candidates: Vec<Variant>,
    /// Parts are stored, and this is missing.
    pub(crate) completion: Option<Completion>,
}

/// Gets a response for `wanted` from a fill in flight or a new one.
pub(crate) async fn obtain(
    context: &mut Context,
    wanted: &Wanted,
    directives: &RequestDirectives,
    sink: &mut Sink<'_>,
) -> Result<Arrived, FetchError> {
    let lasting = Arc::clone(context.lasting());
    // What is known not to be shared is fetched for each by itself, and stored should that have changed. A request that
    // forbids storing must not lead others.
    // Nor must a bot's that will have to wait: people would wait with it.
    let is_held_up = || !lasting.fills.is_in_flight(&wanted.key) && wanted.pool.is_shut_to_bot(&wanted.forwarded);
    if directives.no_store || lasting.not_shared.contains_key(&wanted.key) || is_held_up() {
        return by_itself(context, wanted, false, sink).await;
    }
    let mut variance = Vec::new();
    for _ in 0..ROUNDS {
        // Only a fill that ended a moment ago can have stored something that a look-up just missed.
        let stored = || newer(wanted, context);
        let fill = match lasting.fills.join(&wanted.key, &variance, stored) {
            Err(stored) => return Ok(Arrived::Stored(stored)),
            Ok(Joined::Lead(leader)) => {
                // Nobody else fills from here on. What ended a moment ago and is too large for memory is on disk.
                if let Some(stored) = newer_on_disk(wanted, context).await {
                    leader.fill().settle(Verdict::Freshened(stored.clone()));
                    return Ok(Arrived::Stored(stored));
                }
                return lead(context, wanted, leader, sink).await;
            }
            Ok(Joined::Follow(fill)) => fill,
        };
        context.collapsed = true;
        lasting.metrics.coalesced.inc();
        let Ok(verdict) = tokio::time::timeout(PATIENCE, fill.verdict()).await else { break };
        match verdict {
            // Its tags were not known when it was joined. The next fill began after all purges this request knows of.
            Verdict::Streaming(flight) if is_purged(context, &wanted.key, &flight.response) => {
                lasting.fills.doom_one(&wanted.key, &fill);
            }
            Verdict::Freshened(stored) if is_purged(context, &wanted.key, &stored.response) => {
                lasting.fills.doom_one(&wanted.key, &fill);
            }
            Verdict::Streaming(flight) if lasting.groups.is_invalidated(&wanted.key, &flight.response) => break,
            Verdict::Streaming(flight) if flight.response.variance().matches(&wanted.forwarded) => {
                return Ok(Arrived::Flight(flight, HeaderMap::new()));
            }
            Verdict::Freshened(stored) if stored.response.variance().matches(&wanted.forwarded) => {
                return Ok(Arrived::Freshened(stored));
            }
            Verdict::Streaming(flight) => variance = flight.response.variance().suffix_for(&wanted.forwarded),
            Verdict::Freshened(stored) => variance = stored.response.variance().suffix_for(&wanted.forwarded),
            Verdict::NotShared(_) => break,
            Verdict::Failed(error) => return Err(error),
        }
    }
    context.collapsed = false;
    by_itself(context, wanted, false, sink).await
}

/// Whether a purge that was issued before this request came concerns a response whose fill began before that purge.
fn is_purged(context: &Context, key: &CacheKey, response: &StoredResponse) -> bool {
    let purges = context.lasting().store.purges();
    response.metadata().stamp < context.purges && purges.standing(key, response, 0) != Standing::Current
}

/// A fresh response stored since the look-up: not one that the look-up saw.
fn newer(wanted: &Wanted, context: &Context) -> Option<Variant> {
    let variants = context.lasting().store.in_memory(&wanted.key)?;
    unseen(wanted, context, &variants)
}

/// The same, of what memory does not hold.
async fn newer_on_disk(wanted: &Wanted, context: &Context) -> Option<Variant> {
    let store = &context.lasting().store;
    if store.in_memory(&wanted.key).is_some() || !store.is_on_disk(&wanted.key) {
        return None;
    }
    let found = store.get(&wanted.key, |variants| variants.select(&wanted.forwarded).is_some()).await?;
    unseen(wanted, context, &found.variants)
}

fn unseen(wanted: &Wanted, context: &Context, variants: &Variants) -> Option<Variant> {
    let lasting = context.lasting();
    let variant = variants.select(&wanted.forwarded)?;
    let response = &variant.response;
    // What is read from disk is another copy each time.
    let same = |candidate: &Variant| candidate.response.metadata() == response.metadata();
    let seen = wanted.candidates.iter().any(same);
    let is_hidden = lasting.cluster.as_ref().is_some_and(|cluster| cluster.hides(response));
    let usable = !is_hidden
        && response.is_fresh(context.now)
        && !response.metadata().validate_always
        && !lasting.groups.is_invalidated(&wanted.key, response);
    (!seen && usable).then(|| variant.clone())
}

/// Starts the fill and waits for what it brings.
async fn lead(
    context: &mut Context,
    wanted: &Wanted,
    leader: Leader<FetchError>,
    sink: &mut Sink<'_>,
) -> Result<Arrived, FetchError> {
    wait(context, job(context, wanted, leader, false), sink).await
}

/// Gets a response for `wanted` that is for one client: it says nothing about others.
pub(crate) async fn alone(context: &mut Context, wanted: &Wanted, sink: &mut Sink<'_>) -> Result<Arrived, FetchError> {
    by_itself(context, wanted, true, sink).await
}

/// The same by a fill that nobody joins, whether it is of one client or not.
async fn by_itself(
    context: &mut Context,
    wanted: &Wanted,
    of_one: bool,
    sink: &mut Sink<'_>,
) -> Result<Arrived, FetchError> {
    let leader = context.lasting().fills.alone(&wanted.key);
    let mut job = job(context, wanted, leader, false);
    if let Some(plan) = &mut job.store {
        (plan.of_one, plan.is_alone) = (of_one, true);
    }
    wait(context, job, sink).await
}

/// Starts a fill that nobody waits for, unless one is in flight: the background half of stale-while-revalidate.
pub(crate) fn refresh(context: &Context, wanted: &Wanted) {
    let joined = context.lasting().fills.join(&wanted.key, b"", || newer(wanted, context));
    if let Ok(Joined::Lead(leader)) = joined {
        let (answer, _) = fetch::channel();
        tokio::spawn(Box::pin(fetch::run(job(context, wanted, leader, true), answer)));
    }
}

/// What lets a response of a LiteSpeed site purge its host.
pub(crate) fn drives(context: &Context, litespeed: bool, authority: &str) -> Option<Drives> {
    litespeed.then(|| Drives { runtime: Arc::clone(&context.runtime), authority: authority.to_owned() })
}

fn job(context: &Context, wanted: &Wanted, leader: Leader<FetchError>, background: bool) -> Job {
    Job {
        lasting: Arc::clone(context.lasting()),
        pool: Arc::clone(&wanted.pool),
        asker: wanted.asker,
        outbound: Outbound {
            method: wanted.method.clone(),
            path_query: wanted.path_query.clone(),
            fields: wanted.forwarded.clone(),
            upgrade: false,
            expects_continue: false,
            withholds_authorization: wanted.route.withholds_authorization(),
        },
        body: RequestBody::Empty,
        store: Some(StorePlan {
            key: wanted.key.clone(),
            url: wanted.url.clone(),
            route: Arc::clone(&wanted.route),
            leader,
            candidates: wanted.candidates.clone(),
            of_one: false,
            is_alone: false,
            completion: wanted.completion.clone(),
            unkept: None,
            shared: None,
        }),
        drives: drives(context, wanted.litespeed, wanted.key.authority()),
        invalidates: None,
        background,
    }
}

/// Runs `job` and waits for its head, passing interim responses and `100 Continue` on meanwhile. A pass and a fill that nobody
/// can join end when their client leaves; other fills go on, for the next one.
pub(crate) async fn wait(context: &mut Context, job: Job, sink: &mut Sink<'_>) -> Result<Arrived, FetchError> {
    let (answer, listener) = fetch::channel();
    let is_alone = job.store.as_ref().is_none_or(|plan| plan.is_alone);
    // Boxed: a task's future is moved about while it is spawned, and this one is large.
    let mut running = Running(Some(Box::pin(fetch::run(job, answer))));
    if !is_alone {
        running.go_on_alone();
    }
    let mut continue_wanted = context.request.continue_wanted.take();
    loop {
        let turn = {
            let mut gone = pin!(sink.gone());
            poll_fn(|cx| {
                if let Some(wanted) = &mut continue_wanted
                    && let Poll::Ready(wanted) = Pin::new(wanted).poll(cx)
                {
                    continue_wanted = None;
                    if wanted.is_ok() {
                        return Poll::Ready(Turn::ContinueWanted);
                    }
                }
                running.poll(cx);
                if let Poll::Ready(heard) = listener.poll_heard(cx, running.0.is_none()) {
                    return Poll::Ready(Turn::Heard(heard));
                }
                if is_alone { gone.as_mut().poll(cx).map(|()| Turn::Gone) } else { Poll::Pending }
            })
            .await
        };
        match turn {
            Turn::ContinueWanted => drop(sink.informational(StatusCode::CONTINUE, &HeaderMap::new()).await),
            Turn::Heard(Heard::Interim(status, fields)) => drop(sink.informational(status, &fields).await),
            Turn::Heard(Heard::Answer((result, report))) => {
                context.upstream = report;
                return result;
            }
            Turn::Heard(Heard::Nothing) => return Err(FetchError::UNEXPECTED),
            Turn::Gone => return Err(FetchError::CLIENT_LEFT),
        }
    }
}

/// What has happened while a fetch was waited for.
#[expect(clippy::large_enum_variant, reason = "looked at at once")]
enum Turn {
    Heard(Heard),
    /// The AP server wants the content of the request.
    ContinueWanted,
    /// The client left.
    Gone,
}

/// A fetch that is for one client. It runs within that one's task until its head is there: a small response is there as a
/// whole by then, and nobody had to be woken for it. What is left after that goes on in a task of its own, so that neither
/// a client that leaves nor one that reads slowly has any say in it.
struct Running(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Running {
    fn poll(&mut self, cx: &mut task::Context<'_>) {
        if let Some(fetch) = &mut self.0
            && fetch.as_mut().poll(cx).is_ready()
        {
            self.0 = None;
        }
    }

    fn go_on_alone(&mut self) {
        if let Some(fetch) = self.0.take() {
            tokio::spawn(fetch);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing goes on in a process that ends.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.go_on_alone();
        }
    }
}
