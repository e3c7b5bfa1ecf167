//! Fills in flight, and the collapsing of requests onto them (RFC 9111 section 4: a cache may use one response for
//! several requests that wait for it).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::body::Body;
use crate::key::CacheKey;
use crate::purge::{Purges, Standing};
use crate::semantics::coding::Coding;
use crate::store::Variant;
use crate::stored::StoredResponse;

/// Locks the registry is split into; each is held for a look-up in a small map.
const SHARDS: usize = 16;

/// What became of a fill, as far as those who wait for it are concerned.
#[derive(Debug, Clone)]
pub enum Verdict<E> {
    /// The response may be shared while it arrives.
    Streaming(Arc<Flight>),
    /// A stored response was freshened.
    Freshened(Variant),
    /// The response is for the one client that caused the fill, for this reason.
    NotShared(&'static str),
    /// There is no response.
    Failed(E),
}

/// A storable response while it arrives.
#[derive(Debug)]
pub struct Flight {
    /// Its head; the content in it is empty.
    pub response: Arc<StoredResponse>,
    /// Its content.
    pub body: Arc<Body>,
    /// Length of its content, where the origin told.
    pub length: Option<u64>,
    /// Why it is shared with those who wait for it but not stored, where it is not.
    pub unkept: Option<&'static str>,
    /// Its content in other codings, each made once for all who want it.
    coded: Mutex<Vec<(Coding, Arc<Body>)>>,
}

impl Flight {
    /// A response whose head has arrived.
    #[must_use]
    pub fn new(response: Arc<StoredResponse>, body: Arc<Body>, length: Option<u64>) -> Self {
        Self { response, body, length, unkept: None, coded: Mutex::default() }
    }

    /// The same, if it will not be stored, for this reason.
    #[must_use]
    pub const fn unkept(mut self, reason: Option<&'static str>) -> Self {
        self.unkept = reason;
        self
    }

    /// The content in `coding`; the first who asks has `make` start making it.
    pub fn coded(&self, coding: Coding, make: impl FnOnce() -> Option<Arc<Body>>) -> Option<Arc<Body>> {
        let mut coded = self.coded.lock();
        if let Some((_, body)) = coded.iter().find(|(made, _)| *made == coding) {
            return Some(Arc::clone(body));
        }
        let body = make()?;
        coded.push((coding, Arc::clone(&body)));
        Some(body)
    }
}

/// A fill in flight.
#[derive(Debug)]
pub struct Fill<E> {
    verdict: watch::Sender<Option<Verdict<E>>>,
    /// The key was invalidated or purged meanwhile: what arrives must not be stored.
    doomed: AtomicBool,
    /// Whether others may wait for it.
    joinable: bool,
    /// Number of the last purge that had been issued when it began.
    stamp: u64,
}

impl<E> Fill<E> {
    fn new(joinable: bool, stamp: u64) -> Self {
        Self { verdict: watch::Sender::new(None), doomed: AtomicBool::new(false), joinable, stamp }
    }

    /// Number of the last purge that had been issued when it began: what it brings is stamped with it.
    #[must_use]
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Waits for the verdict.
    pub async fn verdict(&self) -> Verdict<E>
    where
        E: Clone,
    {
        let mut verdict = self.verdict.subscribe();
        match verdict.wait_for(Option::is_some).await {
            Ok(settled) => settled.clone().unwrap_or(Verdict::NotShared("fill-dropped")),
            Err(_) => Verdict::NotShared("fill-dropped"),
        }
    }

    /// Tells everybody who waits. The first verdict stands.
    pub fn settle(&self, verdict: Verdict<E>) {
        self.verdict.send_if_modified(|settled| {
            let first = settled.is_none();
            if first {
                *settled = Some(verdict);
            }
            first
        });
    }

    /// Whether what arrives may still be stored.
    #[must_use]
    pub fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire)
    }
}

/// One key's fills: usually one, more when variants are fetched at the same time.
type OfKey<E> = Vec<(Box<[u8]>, Arc<Fill<E>>)>;

/// All fills in flight.
#[derive(Debug)]
pub struct Fills<E> {
    shards: Vec<Mutex<AHashMap<CacheKey, OfKey<E>>>>,
    hasher: RandomState,
    purges: Arc<Purges>,
}

/// What a request that found nothing stored is to do.
#[derive(Debug)]
pub enum Joined<E> {
    /// Nobody fetches this yet: this request does.
    Lead(Leader<E>),
    /// Wait for the verdict of this fill.
    Follow(Arc<Fill<E>>),
}

impl<E> Default for Fills<E> {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl<E> Fills<E> {
    /// No fills yet. Who comes after a purge does not join a fill that began before it.
    #[must_use]
    pub fn new(purges: Arc<Purges>) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new(), purges }
    }

    /// Joins the fill of `key` and `variance` (empty while none is known), or starts one. `stored` is asked again
    /// under the lock: a fill that ended between the caller's look-up and this one must not be repeated.
    pub fn join<S>(
        self: &Arc<Self>,
        key: &CacheKey,
        variance: &[u8],
        stored: impl FnOnce() -> Option<S>,
    ) -> Result<Joined<E>, S> {
        let Some(shard) = self.shard(key) else { return Ok(Joined::Lead(self.alone(key))) };
        let mut shard = shard.lock();
        if shard.get_mut(key).is_some_and(|fills| self.let_go(key, fills)) {
            shard.remove(key);
        }
        if let Some(fills) = shard.get(key)
            && let Some((_, fill)) = fills.iter().find(|(other, fill)| fill.joinable && **other == *variance)
        {
            return Ok(Joined::Follow(Arc::clone(fill)));
        }
        if let Some(stored) = stored() {
            return Err(stored);
        }
        let fill = Arc::new(Fill::new(true, self.purges.last()));
        shard.entry(key.clone()).or_default().push((variance.into(), Arc::clone(&fill)));
        Ok(Joined::Lead(Leader { fill, place: Some((Arc::clone(self), key.clone())) }))
    }

    /// A fill that nobody can join: for keys whose responses are known not to be shared. It is doomed like any other.
    #[must_use]
    pub fn alone(self: &Arc<Self>, key: &CacheKey) -> Leader<E> {
        self.alone_since(key, self.purges.last())
    }

    /// A fill that goes on in place of `leader`'s, which was doomed by its own request. It began when that one did.
    #[must_use]
    pub fn instead_of(self: &Arc<Self>, leader: &Leader<E>, key: &CacheKey) -> Leader<E> {
        let stamp = leader.fill.stamp;
        let other = self.alone_since(key, stamp);
        if self.purges.standing_of_fill(key, stamp) != Standing::Current {
            self.doom_one(key, &other.fill);
        }
        other
    }

    fn alone_since(self: &Arc<Self>, key: &CacheKey, stamp: u64) -> Leader<E> {
        let fill = Arc::new(Fill::new(false, stamp));
        let Some(shard) = self.shard(key) else { return Leader { fill, place: None } };
        shard.lock().entry(key.clone()).or_default().push((Box::default(), Arc::clone(&fill)));
        Leader { fill, place: Some((Arc::clone(self), key.clone())) }
    }

    /// Dooms those of `fills` that a purge came after; whether none is left.
    fn let_go(&self, key: &CacheKey, fills: &mut OfKey<E>) -> bool {
        fills.retain(|(_, fill)| {
            let current = self.purges.standing_of_fill(key, fill.stamp) == Standing::Current;
            if !current {
                fill.doomed.store(true, Ordering::Release);
            }
            current
        });
        fills.is_empty()
    }

    /// Whether a fill of `key` is in flight that can be joined.
    #[must_use]
    pub fn is_in_flight(&self, key: &CacheKey) -> bool {
        self.shard(key)
            .is_some_and(|shard| shard.lock().get(key).is_some_and(|fills| fills.iter().any(|(_, fill)| fill.joinable)))
    }

    /// What is being fetched for `key` must not be stored: it was invalidated or purged.
    pub fn doom(&self, key: &CacheKey) {
        let Some(shard) = self.shard(key) else { return };
        if let Some(fills) = shard.lock().remove(key) {
            for (_, fill) in fills {
                fill.doomed.store(true, Ordering::Release);
            }
        }
    }

    /// What this fill brings must not be stored, and nobody else joins it: its response turned out to have been purged.
    pub fn doom_one(&self, key: &CacheKey, fill: &Arc<Fill<E>>) {
        fill.doomed.store(true, Ordering::Release);
        self.leave(key, fill);
    }

    /// The least stamp of all fills in flight; what will be stored from now on has no older one. The number of the last
    /// purge, when there are none.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        // First: a fill that begins now is not older than this.
        let last = self.purges.last();
        let of = |fills: &OfKey<E>| fills.iter().map(|(_, fill)| fill.stamp).min();
        let stamps = self.shards.iter().filter_map(|shard| shard.lock().values().filter_map(of).min());
        stamps.min().map_or(last, |oldest| oldest.min(last))
    }

    /// Fills in flight that can be joined.
    #[must_use]
    pub fn count(&self) -> usize {
        let joinable = |fills: &OfKey<E>| fills.iter().filter(|(_, fill)| fill.joinable).count();
        self.shards.iter().map(|shard| shard.lock().values().map(joinable).sum::<usize>()).sum()
    }

    fn shard(&self, key: &CacheKey) -> Option<&Mutex<AHashMap<CacheKey, OfKey<E>>>> {
        let index = usize::try_from(self.hasher.hash_one(key)).unwrap_or(0) % self.shards.len();
        self.shards.get(index)
    }

    fn leave(&self, key: &CacheKey, fill: &Arc<Fill<E>>) {
        let Some(shard) = self.shard(key) else { return };
        let mut shard = shard.lock();
        if let Some(fills) = shard.get_mut(key) {
            fills.retain(|(_, other)| !Arc::ptr_eq(other, fill));
            if fills.is_empty() {
                shard.remove(key);
            }
        }
    }
}

/// The one who fetches. Dropping it ends the fill: it can no longer be joined, and those who still wait are let go.
#[derive(Debug)]
pub struct Leader<E> {
    fill: Arc<Fill<E>>,
    place: Option<(Arc<Fills<E>>, CacheKey)>,
}

impl<E> Leader<E> {
    /// The fill that is led.
    #[must_use]
    pub fn fill(&self) -> &Arc<Fill<E>> {
        &self.fill
    }

    /// Nobody can join from here on; those who wait get `verdict`.
    pub fn settle_and_leave(&mut self, verdict: Verdict<E>) {
        self.leave();
        self.fill.settle(verdict);
    }

    fn leave(&mut self) {
        if let Some((fills, key)) = self.place.take() {
            fills.leave(&key, &self.fill);
        }
    }
}

impl<E> Drop for Leader<E> {
    fn drop(&mut self) {
        self.leave();
        self.fill.settle(Verdict::NotShared("fill-dropped"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fills() -> Arc<Fills<u8>> {
        Arc::new(Fills::default())
    }

    fn key(path: &str) -> CacheKey {
        CacheKey::new("http", "x", path, None)
    }

    fn join(fills: &Arc<Fills<u8>>, path: &str, variance: &[u8]) -> Joined<u8> {
        fills.join(&key(path), variance, || None::<()>).unwrap()
    }

    #[tokio::test]
    async fn the_first_leads_and_the_others_follow() {
        let fills = fills();
        let Joined::Lead(leader) = join(&fills, "/a", b"") else { panic!("the first leads") };
        let Joined::Follow(fill) = join(&fills, "/a", b"") else { panic!("the second follows") };
        assert!(matches!(join(&fills, "/b", b""), Joined::Lead(_)));
        assert!(matches!(join(&fills, "/a", b"gzip"), Joined::Lead(_)), "another variant is another fill");
        leader.fill().settle(Verdict::Failed(7));
        assert!(matches!(fill.verdict().await, Verdict::Failed(7)));
        drop(leader);
        assert_eq!(fills.count(), 0);
    }

    #[tokio::test]
    async fn a_leader_that_disappears_lets_the_others_go() {
        let fills = fills();
        let Joined::Lead(leader) = join(&fills, "/a", b"") else { panic!("the first leads") };
        let Joined::Follow(fill) = join(&fills, "/a", b"") else { panic!("the second follows") };
        drop(leader);
        assert!(matches!(fill.verdict().await, Verdict::NotShared(_)));
        assert!(matches!(join(&fills, "/a", b""), Joined::Lead(_)));
    }

    #[test]
    fn what_was_stored_meanwhile_is_not_fetched_again() {
        assert_eq!(fills().join(&key("/a"), b"", || Some("stored")).err(), Some("stored"));
    }

    #[test]
    fn a_fill_alone_is_not_joined_and_yet_doomed() {
        let fills = fills();
        let alone = fills.alone(&key("/a"));
        assert_eq!((fills.count(), fills.is_in_flight(&key("/a"))), (0, false));
        let Joined::Lead(leader) = join(&fills, "/a", b"") else { panic!("nobody can be followed") };
        assert!(fills.is_in_flight(&key("/a")));
        fills.doom(&key("/a"));
        assert!(alone.fill().is_doomed() && leader.fill().is_doomed());
    }

    #[test]
    fn a_doomed_fill_knows_it_and_is_not_joined() {
        let fills = fills();
        let Joined::Lead(leader) = join(&fills, "/a", b"") else { panic!("the first leads") };
        fills.doom(&key("/a"));
        assert!(leader.fill().is_doomed());
        assert!(matches!(join(&fills, "/a", b""), Joined::Lead(_)));
    }
}
