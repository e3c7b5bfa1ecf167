//! Explain: what would become of a request, why, and what to change; without sending it anywhere, unless that is asked for.
//!
//! No rule stands here. The request goes through the very stages that serve ([`service::decide`], [`crate::stages::lookup::look`]), and
//! what they decided is put into words: by the table of reasons, and by the place in the configuration of the word that
//! decided.

mod finding;
mod live;
pub(crate) mod question;
mod stored;
mod text;
mod words;

use std::sync::Arc;
use std::time::Duration;

use forebay_cache::key::CacheKey;
use forebay_cache::semantics::{ForwardReason, RequestDirectives};
use forebay_cache::store::Variant;
use http::Method;
use http::header::COOKIE;

pub(crate) use self::finding::Finding;
use self::finding::{Cookie, Key, Told};
pub(crate) use self::question::{Question, field};
use self::words::Words;
use crate::account::entry::CacheOutcome;
use crate::context::Context;
use crate::fetch::outbound::Purpose;
use crate::http::{Refusal, Request};
use crate::reason::Kind;
use crate::runtime::Runtime;
use crate::service::{self, Decision, Visit};
use crate::stages::key::Plan;
use crate::stages::lookup::{Lookup, is_for_authorized, look};

/// How often, and after which pause each, it is looked for what was sent through.
const STORED_ROUNDS: u32 = 50;
const STORED_PAUSE: Duration = Duration::from_millis(20);

/// Explains what `runtime` would do with the request of `question`. With `live` the request is sent through first.
///
/// # Errors
///
/// What is wrong with the question, in words.
pub(crate) async fn explain(runtime: &Arc<Runtime>, question: &Question) -> Result<Finding, String> {
    let (connection, request) = question.request()?;
    let connection = Arc::new(connection);
    let live = match question.live {
        true if !matches!(request.method, Method::GET | Method::HEAD) => {
            return Err(format!("{} is not sent by an explanation: only GET and HEAD are", request.method));
        }
        true => Some(live::send(runtime, &connection, question.request()?.1).await),
        false => None,
    };
    let mut context = Context::new(runtime, &connection, request);
    let mut finding = Finding::new(&question.url, &context.request.method);
    finding.live = live;
    match service::decide(&mut context, None).await {
        Err(refusal) => refused(&mut finding, refusal),
        Ok(Decision::Answered(answer)) => {
            finding.outcome = context.outcome;
            finding.status = Some(answer.status.as_u16());
        }
        Ok(Decision::Planned(visit, plan)) => planned(&mut finding, &context, &visit, plan).await,
    }
    finding.conclude();
    Ok(finding)
}

fn refused(finding: &mut Finding, refusal: Refusal) {
    finding.outcome = CacheOutcome::Error;
    finding.status = Some(refusal.status.as_u16());
    finding.reason = Some(Told::new(&[Kind::Refused, Kind::Upstream], refusal.reason));
}

async fn planned(finding: &mut Finding, context: &Context, visit: &Visit, plan: Plan) {
    let words = Words::of(&context.runtime, visit);
    finding.site = words.site();
    finding.route = words.route(visit);
    finding.upstream = visit.route.pool.as_ref().map(|pool| pool.name.to_string());
    let (key, authorized) = match plan {
        Plan::Pass(forward, code) => {
            passed(finding, forward, code);
            finding.rule = words.of_pass(code, &context.request, &visit.target);
            return;
        }
        Plan::Cache { key, .. } => (key, false),
        Plan::Authorized { key, .. } => (key, true),
        Plan::Post { key, .. } => {
            passed(finding, ForwardReason::Method, "method");
            finding.key = Some(key_told(&key, visit, &words));
            return;
        }
    };
    finding.key = Some(key_told(&key, visit, &words));
    finding.cookies = cookies(&context.request, visit);
    let selected = looked_up(finding, context, visit, &key, &words).await;
    let shared = selected.is_some_and(|variant| is_for_authorized(&variant, &visit.route));
    if authorized && !(shared && finding.outcome == CacheOutcome::Hit) {
        passed(finding, ForwardReason::Bypass, "authorization");
    }
}

fn passed(finding: &mut Finding, forward: ForwardReason, code: &'static str) {
    finding.outcome = CacheOutcome::Pass;
    finding.forward = Some(forward.as_str());
    finding.reason = Some(Told::new(&[Kind::Pass], code));
}

/// Stage 7, and what there is to tell of what is stored.
async fn looked_up(
    finding: &mut Finding,
    context: &Context,
    visit: &Visit,
    key: &CacheKey,
    words: &Words<'_>,
) -> Option<Variant> {
    let directives = RequestDirectives::parse(&context.request.fields);
    let forwarded = || service::forwarded(context, visit, Purpose::Fill);
    let mut lookup = look(context, key, &directives, forwarded).await.0;
    // What was sent through is stored when its last byte is: a moment after that was seen here.
    let expected = finding.live.as_ref().is_some_and(|live| live.stored);
    for _ in 0..STORED_ROUNDS {
        if !expected || !matches!(lookup, Lookup::Ask { selected: None, .. }) {
            break;
        }
        tokio::time::sleep(STORED_PAUSE).await;
        lookup = look(context, key, &directives, forwarded).await.0;
    }
    let lasting = context.lasting();
    if let Some(found) = lasting.store.get(key, |_| false).await {
        finding.variants = found.variants.len();
    }
    finding.in_flight = lasting.fills.is_in_flight(key);
    let selected = match lookup {
        Lookup::Usable(variant) => {
            finding.outcome = CacheOutcome::Hit;
            Some(variant)
        }
        Lookup::Stale(variant, reason) => {
            finding.outcome = CacheOutcome::Stale(reason);
            Some(variant)
        }
        Lookup::Ask { reason, selected, .. } => {
            finding.outcome = CacheOutcome::Miss;
            finding.forward = Some(reason.as_str());
            finding.reason = Some(Told::new(&[Kind::Forward], reason.as_str()));
            selected
        }
    };
    finding.not_stored = lasting.not_shared.get(key).map(|code| Told::new(&[Kind::NotStored], code));
    match &selected {
        Some(variant) => finding.stored = Some(stored::stored(context, visit, key, variant, words)),
        None => finding.would_be = Some(stored::would_be(context, visit, &forwarded(), words)),
    }
    selected
}

fn key_told(key: &CacheKey, visit: &Visit, words: &Words<'_>) -> Key {
    Key { key: key.to_string(), ignored: words.ignored(&visit.target), sorted: visit.route.rules.sort_query }
}

/// The cookies of a request that uses the cache, and what becomes of them.
fn cookies(request: &Request, visit: &Visit) -> Vec<Cookie> {
    let lines = request.fields.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let names = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split('=').next());
    let dropped = visit.route.rules.drop_cookies;
    names
        .map(|name| Cookie { name: name.trim().to_owned(), dropped })
        .filter(|cookie| !cookie.name.is_empty())
        .collect()
}
