//! A fill from another cache: from the sibling that has it, else from a parent. Whatever goes wrong there, the AP servers
//! are asked, and the client does not notice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_cache::clock::{Clock as _, Timestamp};
use forebay_cache::semantics::RequestDirectives;
use forebay_cache::semantics::directives::parse_delta_seconds;
use http::header::{AGE, CACHE_CONTROL, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::forward::{Exchange, Outbound};
use super::receive::{Head, begin};
use super::run::{StorePlan, UpstreamReport};
use crate::http::RequestBody;
use crate::runtime::Lasting;
use crate::siblings::{Kind, Peer};
use crate::upstream::{Asker, Pool};

/// A request that has passed so many caches is on its way in a circle.
const HOPS: usize = 10;

/// Oldest response that is taken from a sibling where the site sets no ceiling: a year, which is what RFC 9111's times go
/// up to in practice.
const MAX_AGE: Duration = Duration::from_secs(365 * 86_400);

/// What another cache says of itself: it would be taken for what we say.
const OF_ANOTHER_CACHE: [HeaderName; 3] = [
    HeaderName::from_static("cache-status"),
    HeaderName::from_static("x-cache"),
    HeaderName::from_static("x-cache-lookup"),
];

/// A response on its way from another cache.
pub(super) struct Brought {
    pub(super) pool: Arc<Pool>,
    pub(super) exchange: Exchange,
    pub(super) head: Head,
    /// When the request was sent.
    pub(super) at: Timestamp,
    /// It is not stored here.
    pub(super) proxy_only: bool,
    /// As of which purge it is: the other cache may have stored it before one that it has not heard of.
    pub(super) stamp: u64,
}

/// Gets a response for `plan` from another cache; `None`: ask the AP servers. Other caches are asked where nothing is stored
/// at all: whether what is stored here is still good is for its origin to say.
pub(super) async fn bring(
    lasting: &Lasting,
    plan: &StorePlan,
    outbound: &Outbound,
    report: &mut UpstreamReport,
) -> Option<Brought> {
    let siblings = lasting.siblings.as_ref()?;
    if plan.of_one || plan.completion.is_some() || !plan.candidates.is_empty() {
        return None;
    }
    // What other caches have goes by the URL that clients ask for.
    if plan.route.rewriting.is_some() {
        return None;
    }
    if outbound.method != Method::GET
        || wants_the_origin(&outbound.fields)
        || lasting.not_shared.contains_key(&plan.key)
    {
        return None;
    }
    let key = &plan.key;
    let url = format!("{}://{}{}", key.scheme(), key.authority(), outbound.path_query);
    let now = lasting.clock.now();
    let asked = siblings.ask(&url, now).await;
    if let Some(peer) = &asked.hit {
        let mut wanted = outbound.clone();
        let way = match peer.kind {
            Kind::Parent => "PARENT_HIT",
            Kind::Sibling => {
                let max_age = plan.route.rules.policy.freshness.max_lifetime.unwrap_or(MAX_AGE);
                let directives = format!("only-if-cached, max-age={}", max_age.as_secs());
                wanted.fields.insert(CACHE_CONTROL, HeaderValue::try_from(directives).ok()?);
                "SIBLING_HIT"
            }
        };
        let patience = (peer.kind == Kind::Sibling).then(|| siblings.timeout());
        if let Some(brought) = fetch(lasting, peer, &wanted, patience, way, report).await {
            return Some(brought);
        }
    }
    let was_tried = |parent: &Arc<Peer>| asked.hit.iter().chain(&asked.unwilling).any(|peer| Arc::ptr_eq(peer, parent));
    for parent in siblings.parents(&url, now).iter().filter(|parent| !was_tried(parent)) {
        let way = siblings.parent_choice(asked.timed_out);
        if let Some(brought) = fetch(lasting, parent, outbound, None, way, report).await {
            return Some(brought);
        }
    }
    *report = None;
    None
}

/// The client does not want what a cache has, or the request has been through too many of them.
pub(super) fn wants_the_origin(fields: &HeaderMap) -> bool {
    let said = RequestDirectives::parse(fields);
    let hops = fields.get_all(VIA).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).count();
    said.no_cache || said.no_store || said.max_age.is_some() || said.min_fresh.is_some() || hops > HOPS
}

/// The head of what `peer` has, when that is something to go on with.
async fn fetch(
    lasting: &Lasting,
    peer: &Peer,
    wanted: &Outbound,
    patience: Option<Duration>,
    way: &'static str,
    report: &mut UpstreamReport,
) -> Option<Brought> {
    let (at, started) = (lasting.clock.now(), Instant::now());
    let begun = begin(lasting, &peer.pool, Asker::default(), None, wanted, RequestBody::Empty, report);
    let begun = match patience {
        Some(patience) => tokio::time::timeout(patience, begun).await.ok(),
        None => Some(begun.await),
    };
    let Some(Ok((exchange, mut head))) = begun else {
        peer.metrics.fetched("failed", started.elapsed());
        peer.fetch_failed(lasting.clock.now());
        return None;
    };
    if !is_of_use(head.status) {
        peer.metrics.fetched("refused", started.elapsed());
        exchange.release(lasting, &peer.pool).await;
        return None;
    }
    peer.metrics.fetched("used", started.elapsed());
    for name in OF_ANOTHER_CACHE {
        head.fields.remove(name);
    }
    if let Some(report) = report {
        report.hierarchy = way;
    }
    let age = head.fields.get(AGE).and_then(|value| parse_delta_seconds(value.as_bytes())).unwrap_or_default();
    // Ages are of whole seconds, rounded down.
    let since = at.saturating_sub(age).saturating_sub(Duration::from_secs(1));
    let stamp = u64::try_from(since.millis()).unwrap_or(0).saturating_mul(1000);
    Some(Brought { pool: Arc::clone(&peer.pool), exchange, head, at, proxy_only: peer.proxy_only, stamp })
}

/// Whether this is the response, and not what another cache has to say about being asked: 504 for `only-if-cached`, 403
/// where we may not fetch, 508 in a circle.
fn is_of_use(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection() || matches!(status.as_u16(), 404 | 410)
}
