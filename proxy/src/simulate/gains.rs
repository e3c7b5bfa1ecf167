//! What it would gain to leave a query parameter out of the key.
//!
//! For each of the parameters that come most often a shadow cache holds the keys without it. A miss that the shadow (or
//! the cache itself) could have answered is a gain.

use std::time::Duration;

use ahash::RandomState;
use forebay_cache::key::{CacheKey, ParamMatcher, shape_query};
use moka::sync::Cache;

use super::cache::{Found, Seconds, Simulated, hash};
use crate::top::Heavy;

/// Parameters that are followed, and keys of each.
const PARAMETERS: usize = 16;
const KEYS: u64 = 50_000;
/// Bytes of a name.
const NAME: usize = 64;

/// The parameters of a log.
#[derive(Debug)]
pub(crate) struct Gains {
    shadows: Heavy<Shadow>,
}

#[derive(Debug)]
struct Shadow {
    /// When each is no longer fresh.
    keys: Cache<u64, Seconds, RandomState>,
    requests: u64,
    gained: u64,
}

impl Default for Shadow {
    fn default() -> Self {
        let keys = Cache::builder().max_capacity(KEYS).build_with_hasher(RandomState::with_seeds(5, 6, 7, 8));
        Self { keys, requests: 0, gained: 0 }
    }
}

impl Shadow {
    fn has(&self, key: u64, now: Seconds) -> bool {
        self.keys.get(&key).is_some_and(|until| now < until)
    }
}

/// A parameter, and what leaving it out would gain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Gain {
    pub(crate) name: String,
    /// Cacheable requests with it.
    pub(crate) requests: u64,
    /// Misses that would be hits.
    pub(crate) gained: u64,
}

// === impl Gains ===

impl Gains {
    pub(crate) fn new() -> Self {
        Self { shadows: Heavy::new(PARAMETERS) }
    }

    /// Notes a cacheable request that found `found` in `cache`.
    pub(crate) fn note(
        &mut self,
        key: &CacheKey,
        found: Found,
        cache: &mut Simulated,
        now: Seconds,
        lifetime: Duration,
    ) {
        let until = now.saturating_add(lifetime.as_secs());
        let missed = found == Found::Nothing;
        let query = key.query().unwrap_or_default();
        let params = query.split(|byte| *byte == b'&').filter(|param| !param.is_empty());
        let mut names: Vec<String> = params.map(name).collect();
        names.sort_unstable();
        names.dedup();
        if missed {
            let whole = hash(key.as_bytes());
            for (_, slot) in self.shadows.iter_mut().filter(|(other, _)| !names.iter().any(|name| name == other)) {
                slot.value.gained += u64::from(slot.value.has(whole, now));
            }
        }
        for name in names {
            let without = without(key, query, &name);
            let shadow = self.shadows.note(&name, 1);
            shadow.requests += 1;
            if missed && (shadow.has(without, now) || cache.find(without, now) != Found::Nothing) {
                shadow.gained += 1;
            }
            if !shadow.has(without, now) {
                shadow.keys.insert(without, until);
            }
        }
    }

    /// The most profitable first.
    pub(crate) fn list(&self) -> Vec<Gain> {
        let gain = |(name, slot): (&str, &crate::top::Slot<Shadow>)| Gain {
            name: name.to_owned(),
            requests: slot.value.requests,
            gained: slot.value.gained,
        };
        let mut list: Vec<Gain> = self.shadows.iter().map(gain).collect();
        list.sort_by(|a, b| {
            b.gained.cmp(&a.gained).then_with(|| b.requests.cmp(&a.requests)).then_with(|| a.name.cmp(&b.name))
        });
        list
    }
}

/// The decoded name of a parameter, as far as it is text of a sane length.
fn name(param: &[u8]) -> String {
    let name = param.split(|byte| *byte == b'=').next().unwrap_or(param);
    let text = percent_encoding::percent_decode(name).decode_utf8_lossy();
    text.chars().filter(|c| !c.is_control()).take(NAME).collect()
}

fn without(key: &CacheKey, query: &[u8], name: &str) -> u64 {
    let shaped = shape_query(query, &ParamMatcher::new([name]), false);
    hash(CacheKey::new(key.scheme(), key.authority(), key.path(), shaped.as_deref()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key(query: &str) -> CacheKey {
        CacheKey::new("http", "a.test", "/", (!query.is_empty()).then_some(query.as_bytes()))
    }

    /// Gains of requests with these queries, one a second.
    fn gains(queries: &[&str]) -> Vec<Gain> {
        let (mut gains, mut cache) = (Gains::new(), Simulated::new(1 << 20, 1 << 20));
        for (now, query) in (0..).zip(queries) {
            let key = key(query);
            let number = hash(key.as_bytes());
            let found = cache.find(number, now);
            gains.note(&key, found, &mut cache, now, HOUR);
            if found == Found::Nothing {
                cache.store(number, now, HOUR, Duration::ZERO, 10);
            }
        }
        gains.list()
    }

    fn gain(name: &str, requests: u64, gained: u64) -> Gain {
        Gain { name: name.to_owned(), requests, gained }
    }

    #[test]
    fn a_parameter_that_makes_no_difference_gains_all_but_the_first() {
        assert_eq!(gains(&["ref=1", "ref=2", "ref=3", "ref=1"]), [gain("ref", 4, 2)]);
        assert_eq!(gains(&["", "ref=2", "ref=3"]), [gain("ref", 2, 2)], "what is stored without it counts");
        assert_eq!(gains(&["ref=2", "", "x=1"]), [gain("ref", 1, 1), gain("x", 1, 1)], "and the other way round");
    }

    #[test]
    fn a_parameter_beside_another_gains_nothing_while_that_differs() {
        assert_eq!(gains(&["a=1&b=1", "a=2&b=2", "a=3&b=3"]), [gain("a", 3, 0), gain("b", 3, 0)]);
        assert_eq!(gains(&["a=1&b=1", "a=1&b=2"]), [gain("b", 2, 1), gain("a", 2, 0)]);
    }
}
