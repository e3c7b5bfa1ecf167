//! Which cache groups were invalidated when (RFC 9875). One record a group, however many responses belong to it: a
//! stored response is looked up in it when it is used, not when the group is invalidated.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use ahash::AHashMap;
use parking_lot::RwLock;

use crate::clock::Timestamp;
use crate::key::CacheKey;
use crate::semantics::groups::{CACHE_GROUPS, groups};
use crate::stored::StoredResponse;

/// Records kept; with one more, all responses with groups are taken for invalidated, and the records start anew.
const MOST: usize = 1 << 16;

/// When each group of each origin was last invalidated.
#[derive(Debug)]
pub struct CacheGroups {
    records: RwLock<AHashMap<Box<str>, Timestamp>>,
    /// How many records there are, for those who need not look.
    count: AtomicUsize,
    /// Every response with a group that was asked for before this is invalid (milliseconds).
    floor: AtomicI64,
}

impl CacheGroups {
    /// Nothing was invalidated since `now`; what was before is not known, so responses with groups that are older than
    /// that are not used (a disk may bring some along).
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { records: RwLock::default(), count: AtomicUsize::new(0), floor: AtomicI64::new(now.millis()) }
    }

    /// Invalidates `groups` of the origin that `key` belongs to (RFC 9875 section 2.1: a group ends at its origin).
    pub fn invalidate(&self, key: &CacheKey, groups: &[String], now: Timestamp) {
        if groups.is_empty() {
            return;
        }
        let mut records = self.records.write();
        if records.len() + groups.len() > MOST {
            records.clear();
            self.floor.store(now.millis(), Ordering::Release);
        }
        for group in groups {
            records.insert(record(key, group), now);
        }
        self.count.store(records.len(), Ordering::Release);
    }

    /// Whether `response`, stored under `key`, belongs to a group that was invalidated after it was asked for. The
    /// millisecond of the invalidation counts as before it.
    #[must_use]
    pub fn is_invalidated(&self, key: &CacheKey, response: &StoredResponse) -> bool {
        if !response.fields().contains_key(CACHE_GROUPS) {
            return false;
        }
        let names = groups(response.fields());
        let asked = response.metadata().request_time;
        if !names.is_empty() && asked.millis() < self.floor.load(Ordering::Acquire) {
            return true;
        }
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let records = self.records.read();
        names.iter().any(|group| records.get(&record(key, group)).is_some_and(|at| asked <= *at))
    }
}

/// Neither scheme nor authority holds a space.
fn record(key: &CacheKey, group: &str) -> Box<str> {
    format!("{} {} {group}", key.scheme(), key.authority()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::testing::{Case, T0, at};

    fn key(authority: &str) -> CacheKey {
        CacheKey::new("http", authority, "/x", None)
    }

    fn stored(groups: &str) -> StoredResponse {
        Case::response(&[("Cache-Control", "max-age=60"), ("Cache-Groups", groups)]).stored()
    }

    fn invalidated(groups: &str, at_seconds: i64) -> CacheGroups {
        let all = CacheGroups::new(at(-100));
        all.invalidate(&key("a.test"), &[groups.to_owned()], at(at_seconds));
        all
    }

    #[test]
    fn rfc9875_2_2_1_a_response_of_an_invalidated_group_is_not_used() {
        let all = invalidated("posts", 1);
        assert!(all.is_invalidated(&key("a.test"), &stored(r#""home", "posts""#)));
        assert!(!all.is_invalidated(&key("a.test"), &stored(r#""home", "Posts""#)), "names are case-sensitive");
        let plain = Case::response(&[("Cache-Control", "max-age=60")]).stored();
        assert!(!all.is_invalidated(&key("a.test"), &plain));
    }

    #[test]
    fn rfc9875_2_1_a_group_ends_at_its_origin() {
        let all = invalidated("posts", 1);
        assert!(!all.is_invalidated(&key("b.test"), &stored("\"posts\"")));
        assert!(!all.is_invalidated(&CacheKey::new("https", "a.test", "/x", None), &stored("\"posts\"")));
    }

    #[test]
    fn what_was_asked_for_after_the_invalidation_is_used() {
        assert!(!invalidated("posts", -1).is_invalidated(&key("a.test"), &stored("\"posts\"")));
        assert!(invalidated("posts", 0).is_invalidated(&key("a.test"), &stored("\"posts\"")), "the same millisecond");
    }

    #[test]
    fn what_is_older_than_the_records_is_not_used() {
        let all = CacheGroups::new(at(1));
        assert!(all.is_invalidated(&key("a.test"), &stored("\"posts\"")));
        assert!(!all.is_invalidated(&key("a.test"), &stored("nonsense")));
    }

    #[test]
    fn a_flood_of_groups_costs_bounded_memory_and_forgets_no_invalidation() {
        let all = invalidated("posts", 1);
        let many: Vec<String> = (0..MOST).map(|n| n.to_string()).collect();
        all.invalidate(&key("a.test"), &many, T0.saturating_add(std::time::Duration::from_secs(2)));
        assert!(all.records.read().len() <= MOST);
        assert!(all.is_invalidated(&key("a.test"), &stored("\"posts\"")));
    }
}
