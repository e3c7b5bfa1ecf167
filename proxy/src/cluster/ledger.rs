//! What the cluster has purged, by its place in the stream: whether something that another node has stored may be used.
//!
//! A node that fills the shared tier notes how far it had come in the stream before it asked the AP server: the response
//! is newer than every purge up to there. Whoever takes it asks whether a later one concerns it. That holds while this
//! node knows every purge that it has acknowledged or asked for itself, so there is no [`Term`] and nothing is taken
//! - while it is not connected, or has not caught up;
//! - while a purge that was carried out here has not come back in the stream;
//! - of another *history*: a number that is drawn with the stream, and again by whoever finds that Redis has lost of it
//!   what he had acknowledged.
//!
//! Records are widened, never forgotten ([`Purges`]): with too many of them everything older is purged.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use forebay_cache::clock::{Clock as _, SystemClock, Timestamp};
use forebay_cache::key::CacheKey;
use forebay_cache::purge::{Purge, Purges, Scope, Standing, What, host};

use super::position::Position;

/// How much later than it seems something may have been invalidated: the clock of Redis is known to within one exchange.
const BLUR: i64 = 2500;

/// How far a node had come in which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) history: u64,
    pub(crate) at: u64,
}

/// A purge that was carried out here and is not back in the stream yet. Dropped when it is.
#[derive(Debug)]
pub(crate) struct Claim(Arc<AtomicUsize>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Purges by their place in the stream.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    purges: Purges,
    /// What unsafe requests made invalid here, by the clock of Redis.
    invalidated: Purges,
    /// How far this node has come.
    at: AtomicU64,
    /// What was stored before this may have been purged by what Redis does not remember.
    floor: AtomicU64,
    /// 0: not connected.
    history: AtomicU64,
    claims: Arc<AtomicUsize>,
    /// How far the clock of Redis is ahead of ours, milliseconds.
    ahead: AtomicI64,
}

impl Ledger {
    /// Before a purge is carried out here.
    pub(crate) fn claim(&self) -> Claim {
        self.claims.fetch_add(1, Ordering::AcqRel);
        Claim(Arc::clone(&self.claims))
    }

    /// Where this node stands; `None`: nothing may be taken and nothing offered.
    pub(crate) fn term(&self) -> Option<Term> {
        let history = self.history.load(Ordering::Acquire);
        let at = self.at.load(Ordering::Acquire);
        (history != 0 && self.claims.load(Ordering::Acquire) == 0).then_some(Term { history, at })
    }

    /// Notes the purge at this place. Before it is carried out here, and in the order of the stream.
    pub(super) fn note(&self, at: Position, purge: &Purge) {
        self.purges.adopt(&[(number(at), purge.clone())]);
    }

    /// All up to this place has been carried out here.
    pub(super) fn reached(&self, at: Position) {
        self.at.fetch_max(since(at), Ordering::AcqRel);
    }

    /// Only what was stored after this place is known about.
    pub(super) fn begin_at(&self, at: Position) {
        self.floor.fetch_max(since(at), Ordering::AcqRel);
    }

    /// This node is connected and has caught up.
    pub(super) fn open(&self, history: u64) {
        self.history.store(history, Ordering::Release);
    }

    /// It is not any more.
    pub(super) fn close(&self) {
        self.history.store(0, Ordering::Release);
    }

    /// Redis' clock says `now`.
    pub(super) fn set_clock(&self, now: i64) {
        self.ahead.store(now.saturating_sub(SystemClock.now().millis()), Ordering::Relaxed);
    }

    /// The clock that all nodes go by, milliseconds ahead of ours.
    pub(crate) fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// An unsafe request made `key` invalid, now.
    pub(crate) fn invalidate(&self, key: &CacheKey, now: Timestamp) {
        let target = match key.query() {
            Some(query) => format!("{}?{}", key.path(), String::from_utf8_lossy(query)),
            None => key.path().to_owned(),
        };
        let scope = Scope::Host(host(key.authority()).to_owned());
        let now = self.common(now).saturating_add(BLUR);
        let url = Purge { scope: scope.clone(), what: What::Url(target), soft: false };
        let whole = Purge { scope, what: What::Everything, soft: false };
        let now = Timestamp::from_millis(now);
        if self.invalidated.issue(&url, now).is_err() {
            // More than was asked for rather than less.
            let _ = self.invalidated.issue(&whole, now);
        }
    }

    /// A time of ours by the clock of Redis, milliseconds.
    pub(crate) fn common(&self, time: Timestamp) -> i64 {
        time.millis().saturating_add(self.ahead())
    }

    /// Whether what was stored in `term` may be used here, now. `asked`: when it was asked for, by the clock of Redis.
    pub(crate) fn allows(&self, key: &CacheKey, tags: &[Box<str>], term: Term, asked: i64) -> bool {
        let Some(here) = self.term() else { return false };
        let asked = u64::try_from(asked).unwrap_or(0).saturating_mul(1000);
        here.history == term.history
            && term.at >= self.floor.load(Ordering::Acquire)
            && self.purges.standing_as_of(key, term.at, tags) == Standing::Current
            && self.invalidated.standing_as_of(key, asked, tags) == Standing::Current
    }
}

/// The number of the purge at this place: unique and in order up to 998 in a millisecond; beyond that they count as later
/// than whatever was stored in between.
fn number(at: Position) -> u64 {
    at.0.saturating_mul(1000).saturating_add(at.1.saturating_add(1).min(999))
}

/// The number that what is stored after the purge at this place is stamped with.
fn since(at: Position) -> u64 {
    at.0.saturating_mul(1000).saturating_add(at.1.saturating_add(1).min(998))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> CacheKey {
        CacheKey::new("http", "a.test", path, None)
    }

    fn tags() -> [Box<str>; 1] {
        ["page-1".into()]
    }

    fn purge(what: What) -> Purge {
        Purge { scope: Scope::Host("a.test".to_owned()), what, soft: false }
    }

    fn allows(ledger: &Ledger, at: Position) -> bool {
        let term = Term { history: 7, at: since(at) };
        ledger.allows(&key("/a"), &tags(), term, ledger.common(SystemClock.now()))
    }

    fn open() -> Ledger {
        let ledger = Ledger::default();
        ledger.open(7);
        ledger
    }

    #[test]
    fn what_was_stored_before_a_purge_that_concerns_it_is_not_taken() {
        for what in [
            What::Url("/a".to_owned()),
            What::Prefix("/".to_owned()),
            What::Tags(vec!["page-1".to_owned()]),
            What::Everything,
        ] {
            let ledger = open();
            ledger.note(Position(100, 0), &purge(what.clone()));
            ledger.note(Position(200, 0), &purge(What::Url("/other".to_owned())));
            assert!(!allows(&ledger, Position(99, 5)), "{what:?}");
            assert!(!allows(&ledger, Position::default()), "{what:?}");
            assert!(allows(&ledger, Position(100, 0)), "{what:?}");
            assert!(allows(&ledger, Position(300, 0)), "{what:?}");
        }
        let ledger = open();
        ledger.note(Position(100, 0), &Purge { soft: true, ..purge(What::Url("/a".to_owned())) });
        assert!(!allows(&ledger, Position(99, 0)), "soft");
    }

    #[test]
    fn purges_of_one_millisecond_are_told_apart_or_count_as_later() {
        let ledger = open();
        ledger.note(Position(100, 3), &purge(What::Everything));
        assert!(!allows(&ledger, Position(100, 2)));
        assert!(allows(&ledger, Position(100, 3)));
        ledger.note(Position(200, 5000), &purge(What::Everything));
        for before in [0, 4999] {
            assert!(!allows(&ledger, Position(200, before)));
        }
        assert!(!allows(&ledger, Position(200, 5000)), "rather a miss");
        assert!(allows(&ledger, Position(201, 0)));
    }

    #[test]
    fn nothing_is_taken_while_purges_may_be_unknown() {
        let ledger = open();
        assert!(allows(&ledger, Position(1, 0)));
        let claim = ledger.claim();
        assert!(!allows(&ledger, Position(1, 0)), "one of our own is on its way");
        drop(claim);
        assert!(allows(&ledger, Position(1, 0)));
        ledger.begin_at(Position(50, 0));
        assert!(!allows(&ledger, Position(49, 0)), "before what is remembered");
        assert!(allows(&ledger, Position(50, 0)));
        ledger.open(8);
        assert!(!allows(&ledger, Position(60, 0)), "of another history");
        ledger.close();
        assert_eq!(ledger.term(), None);
    }

    #[test]
    fn what_an_unsafe_request_made_invalid_is_taken_when_it_was_asked_for_later() {
        let ledger = open();
        let now = SystemClock.now();
        ledger.invalidate(&key("/a"), now);
        let allowed = |path, asked| {
            let term = Term { history: 7, at: 0 };
            ledger.allows(&key(path), &tags(), term, ledger.common(now) + asked)
        };
        assert!(!allowed("/a", 0));
        assert!(!allowed("/a", BLUR - 1));
        assert!(allowed("/a", BLUR + 1));
        assert!(allowed("/b", 0));
    }
}
