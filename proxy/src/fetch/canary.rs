//! The leak canary: one in `leak_canary` fills is followed by two clean ones of the same key, which carry nothing of any
//! client, and what was stored is [compared](forebay_cache::leak) with them. A page that was shaped by its client after
//! all (a plugin that reads a field nobody thought of, a page cache behind us that mixes its visitors up) is forgotten and
//! kept from being stored for a while, counted, and told to the log: which key and what kind of difference, never a word
//! of its content.
//!
//! It asks seldom: one comparison at a time and one a second at most, none while requests wait before the AP servers or a
//! fill took long, and what is not a page of moderate size is left alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ahash::RandomState;
use forebay_cache::key::CacheKey;
use forebay_cache::leak::{self, Judgement};
use forebay_cache::semantics::Variance;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, COOKIE, FORWARDED, HOST, USER_AGENT, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use parking_lot::Mutex;

use super::forward::{Event, Outbound};
use super::receive::begin;
use super::run::StorePlan;
use crate::http::RequestBody;
use crate::runtime::Lasting;
use crate::upstream::{Asker, Pool};

/// How long a key that leaked is not stored.
pub(crate) const QUARANTINE: Duration = Duration::from_secs(600);

/// Keys in quarantine at a time.
const QUARANTINED: u64 = 10_000;

/// Least time between two comparisons.
const PAUSE: Duration = Duration::from_secs(1);

/// A farm whose fills take longer has other worries.
const SLOW: Duration = Duration::from_secs(3);

/// Largest page that is compared, bytes.
const LARGEST: usize = 1 << 20;

/// Fields of a clean fill that the key stands for; the others say who asks.
const OF_THE_KEY: [&str; 4] = ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "via"];

/// Addresses for documentation (RFC 5737): two strangers from different places.
const STRANGERS: [&str; 2] = ["192.0.2.1", "198.51.100.1"];

/// What is remembered between comparisons.
#[derive(Debug)]
pub(crate) struct Canary {
    fills: AtomicU64,
    running: AtomicBool,
    last: Mutex<Option<Instant>>,
    quarantine: moka::sync::Cache<CacheKey, (), RandomState>,
}

/// A fill that was chosen.
pub(super) struct Watch {
    key: CacheKey,
    path_query: String,
    /// Of the request that was sent: what the key stands for, and what the response varies on.
    fields: HeaderMap,
    began: Instant,
}

// === impl Canary ===

impl Default for Canary {
    fn default() -> Self {
        let quarantine = moka::sync::Cache::builder()
            .max_capacity(QUARANTINED)
            .time_to_live(QUARANTINE)
            .build_with_hasher(RandomState::new());
        Self { fills: AtomicU64::new(0), running: AtomicBool::new(false), last: Mutex::new(None), quarantine }
    }
}

impl Canary {
    /// Whether the key leaked a while ago.
    pub(crate) fn is_quarantined(&self, key: &CacheKey) -> bool {
        self.quarantine.contains_key(key)
    }

    /// Whether this fill is the one in so many.
    pub(super) fn choose(
        &self,
        plan: &StorePlan,
        path_query: &str,
        sent: &HeaderMap,
        received: &HeaderMap,
    ) -> Option<Watch> {
        let one_in = plan.route.rules.leak_canary.filter(|_| !plan.of_one && plan.unkept.is_none())?;
        if !is_text(received) || !self.fills.fetch_add(1, Ordering::Relaxed).is_multiple_of(one_in) {
            return None;
        }
        let variance = Variance::new(received, sent);
        let varies_on: Vec<&HeaderName> = variance.nominated().map(|(name, _)| name).collect();
        // Then the response is for those who say the same, and told apart by it.
        if varies_on.contains(&&COOKIE) || varies_on.contains(&&AUTHORIZATION) {
            return None;
        }
        let mut fields = HeaderMap::new();
        for (name, value) in sent {
            let is_kept = *name == HOST || OF_THE_KEY.contains(&name.as_str()) || varies_on.contains(&name);
            if is_kept && *name != ACCEPT_ENCODING {
                fields.append(name.clone(), value.clone());
            }
        }
        Some(Watch { key: plan.key.clone(), path_query: path_query.to_owned(), fields, began: Instant::now() })
    }

    /// Whether a comparison may begin now; it is one then.
    fn begin(&self) -> bool {
        let mut last = self.last.lock();
        let early = last.is_some_and(|last| last.elapsed() < PAUSE);
        if early || self.running.swap(true, Ordering::AcqRel) {
            return false;
        }
        *last = Some(Instant::now());
        true
    }
}

/// Compares what `watch` was chosen for, beside everything else.
pub(super) fn spawn(lasting: &Arc<Lasting>, pool: &Arc<Pool>, watch: Watch) {
    if watch.began.elapsed() > SLOW || !lasting.canary.begin() {
        return;
    }
    let (lasting, pool) = (Arc::clone(lasting), Arc::clone(pool));
    tokio::spawn(Box::pin(async move {
        let found = compare(&lasting, &pool, &watch).await;
        lasting.canary.running.store(false, Ordering::Release);
        lasting.metrics.canary(found);
    }));
}

/// What came of it, in a word.
async fn compare(lasting: &Lasting, pool: &Pool, watch: &Watch) -> &'static str {
    let Some(first) = judge(lasting, pool, watch).await else { return "inconclusive" };
    if !first.is_leak() {
        return first.as_str();
    }
    // Two strangers may have drawn the same of a few sayings of the day: two more are asked.
    match judge(lasting, pool, watch).await {
        Some(second) if second.is_leak() => {
            quarantine(lasting, &watch.key, second).await;
            second.as_str()
        }
        Some(_) => "unstable",
        None => "inconclusive",
    }
}

async fn judge(lasting: &Lasting, pool: &Pool, watch: &Watch) -> Option<Judgement> {
    let mut pages = Vec::with_capacity(STRANGERS.len());
    for stranger in STRANGERS {
        pages.push(clean(lasting, pool, watch, stranger).await?);
    }
    let [one, other] = pages.as_slice() else { return None };
    let variants = lasting.store.in_memory(&watch.key)?;
    let variant = variants.select(&watch.fields)?;
    let stored = variant.response.content();
    Some(leak::judge(stored, one, other))
}

/// Fetches the page as a stranger; `None` when nothing can be said by what comes.
async fn clean(lasting: &Lasting, pool: &Pool, watch: &Watch, stranger: &'static str) -> Option<Vec<u8>> {
    let mut fields = watch.fields.clone();
    fields.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (compatible; Forebay leak canary)"));
    for name in ["x-forwarded-for", "x-real-ip"] {
        fields.insert(HeaderName::from_static(name), HeaderValue::from_static(stranger));
    }
    fields.insert(FORWARDED, HeaderValue::try_from(format!("for={stranger}")).ok()?);
    debug_assert!(!fields.contains_key(COOKIE) && !fields.contains_key(AUTHORIZATION) && fields.contains_key(VIA));
    let outbound =
        Outbound { method: Method::GET, path_query: watch.path_query.clone(), fields, ..Outbound::default() };
    let permit = pool.enter(&outbound.fields, true, false).await.ok()?;
    let begun = begin(lasting, pool, Asker::default(), None, &outbound, RequestBody::Empty, &mut None).await;
    let (mut exchange, head) = begun.ok()?;
    exchange.permit = permit;
    if head.status != StatusCode::OK || !is_text(&head.fields) {
        return None;
    }
    let mut page = Vec::new();
    while head.content && !exchange.has_ended() {
        match exchange.event().await.ok()? {
            Event::Chunk(chunk) if page.len() + chunk.len() <= LARGEST => page.extend_from_slice(&chunk),
            Event::End => break,
            _ => return None,
        }
    }
    exchange.release(lasting, pool).await;
    Some(page)
}

async fn quarantine(lasting: &Lasting, key: &CacheKey, found: Judgement) {
    lasting.canary.quarantine.insert(key.clone(), ());
    lasting.fills.doom(key);
    lasting.store.remove(key).await;
    let words = if let Judgement::Shaped { words } = found { words } else { 0 };
    tracing::warn!(
        %key,
        found = found.as_str(),
        words,
        "a stored page was not what strangers get: it is forgotten, and not stored for {} s",
        QUARANTINE.as_secs()
    );
}

fn is_text(fields: &HeaderMap) -> bool {
    let kind = fields.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let coded = fields.contains_key(http::header::CONTENT_ENCODING);
    !coded && (kind.starts_with("text/html") || kind == "application/xhtml+xml" || kind == "application/json")
}
