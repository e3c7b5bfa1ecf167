//! Freshness, age and reuse against a reference that spells the rules out naively, on random exchanges.
//!
//! The seed is printed when a case fails; `FOREBAY_SEED` repeats it.

use std::time::Duration;

use super::directives::RequestDirectives;
use super::reuse::{Reuse, reuse, stale_if_error};
use super::status::ForwardReason;
use super::testing::{Case, at, date, fields};
use crate::stored::StoredResponse;

const CASES: u64 = 5000;

/// xorshift64*: enough randomness for tests, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    fn below(&mut self, end: u64) -> i64 {
        (self.next() % end) as i64
    }

    /// One time in `of`, a number of seconds.
    fn sometimes(&mut self, of: u64, end: u64) -> Option<i64> {
        (self.below(of) == 0).then(|| self.below(end))
    }

    fn flag(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// One exchange and one later request, in plain numbers: seconds relative to the arrival of the response.
#[derive(Debug, Clone)]
struct Model {
    max_age: Option<i64>,
    s_maxage: Option<i64>,
    expires: Option<i64>,
    date: Option<i64>,
    age: Option<i64>,
    last_modified: Option<i64>,
    delay: i64,
    swr: Option<i64>,
    sie: Option<i64>,
    must_revalidate: bool,
    proxy_revalidate: bool,
    no_cache: bool,
    later: i64,
    asked_no_cache: bool,
    asked_max_age: Option<i64>,
    asked_min_fresh: Option<i64>,
    asked_max_stale: Option<Option<i64>>,
    asked_sie: Option<i64>,
}

impl Model {
    fn random(random: &mut Random) -> Self {
        Self {
            max_age: random.sometimes(2, 60),
            s_maxage: random.sometimes(8, 60),
            expires: random.sometimes(2, 80).map(|at| at - 30),
            date: random.sometimes(2, 20).map(|at| at - 10),
            age: random.sometimes(3, 20),
            last_modified: random.sometimes(3, 2000).map(|ago| -ago),
            delay: random.below(4),
            swr: random.sometimes(2, 40),
            sie: random.sometimes(2, 40),
            must_revalidate: random.flag(12),
            proxy_revalidate: random.flag(12),
            no_cache: random.flag(10),
            later: random.below(50),
            asked_no_cache: random.flag(12),
            asked_max_age: random.sometimes(6, 40),
            asked_min_fresh: random.sometimes(6, 20),
            asked_max_stale: random.flag(5).then(|| random.sometimes(2, 40)),
            asked_sie: random.sometimes(6, 40),
        }
    }

    fn stored(&self) -> StoredResponse {
        let mut control = Vec::new();
        let mut say = |name: &str, value: Option<i64>| control.extend(value.map(|value| format!("{name}={value}")));
        say("max-age", self.max_age);
        say("s-maxage", self.s_maxage);
        say("stale-while-revalidate", self.swr);
        say("stale-if-error", self.sie);
        let flags = [
            ("must-revalidate", self.must_revalidate),
            ("proxy-revalidate", self.proxy_revalidate),
            ("no-cache", self.no_cache),
        ];
        control.extend(flags.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned()));
        let mut lines = vec![("Cache-Control", control.join(", "))];
        lines.extend(self.expires.map(|at| ("Expires", date(at))));
        lines.extend(self.date.map(|at| ("Date", date(at))));
        lines.extend(self.last_modified.map(|at| ("Last-Modified", date(at))));
        lines.extend(self.age.map(|age| ("Age", age.to_string())));
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let case = Case::response(&lines);
        let mut exchange = case.exchange();
        exchange.request_time = at(-self.delay);
        StoredResponse::new(&exchange, "".into(), &case.policy)
    }

    fn asked(&self) -> RequestDirectives {
        let mut control = Vec::new();
        let mut say = |name: &str, value: Option<i64>| control.extend(value.map(|value| format!("{name}={value}")));
        say("max-age", self.asked_max_age);
        say("min-fresh", self.asked_min_fresh);
        say("stale-if-error", self.asked_sie);
        control.extend(
            self.asked_max_stale
                .map(|limit| limit.map_or_else(|| "max-stale".into(), |limit| format!("max-stale={limit}"))),
        );
        control.extend(self.asked_no_cache.then(|| "no-cache".to_owned()));
        RequestDirectives::parse(&fields(&[("Cache-Control", &control.join(","))]))
    }

    // The reference. Milliseconds, as the heuristic is a tenth of whole seconds.

    fn lifetime(&self) -> i64 {
        let date = self.date.unwrap_or(0);
        if let Some(seconds) = self.s_maxage {
            seconds * 1000
        } else if let Some(seconds) = self.max_age {
            seconds * 1000
        } else if let Some(expires) = self.expires {
            if expires > date { (expires - date) * 1000 } else { 0 }
        } else if let Some(modified) = self.last_modified {
            if modified < date { (date - modified) * 100 } else { 0 }
        } else {
            0
        }
    }

    fn age(&self) -> i64 {
        let mut apparent = 0;
        if let Some(date) = self.date
            && date < 0
        {
            apparent = -date;
        }
        let corrected = self.age.unwrap_or(0) + self.delay;
        let initial = if apparent > corrected { apparent } else { corrected };
        (initial + self.later) * 1000
    }

    fn stale_forbidden(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage.is_some()
    }

    fn reuse(&self) -> Reuse {
        let fresh = self.lifetime() > self.age();
        let staleness = self.age() - self.lifetime();
        let refusal =
            Reuse::MustValidate(if fresh && !self.no_cache { ForwardReason::Request } else { ForwardReason::Stale });
        if self.no_cache || self.asked_no_cache {
            return refusal;
        }
        if let Some(limit) = self.asked_max_age
            && self.age() > limit * 1000
        {
            return refusal;
        }
        if let Some(least) = self.asked_min_fresh {
            let left = if fresh { self.lifetime() - self.age() } else { 0 };
            if left < least * 1000 {
                return refusal;
            }
        }
        if fresh {
            return Reuse::Fresh;
        }
        if self.stale_forbidden() {
            return refusal;
        }
        match self.asked_max_stale {
            Some(None) => return Reuse::StaleAllowed,
            Some(Some(limit)) if staleness <= limit * 1000 => return Reuse::StaleAllowed,
            _ => {}
        }
        if self.asked_max_age.is_some() || self.asked_min_fresh.is_some() {
            return refusal;
        }
        if staleness < self.swr.unwrap_or(0) * 1000 { Reuse::StaleWhileRevalidate } else { refusal }
    }

    fn stale_if_error(&self) -> bool {
        if self.no_cache || self.asked_no_cache {
            return false;
        }
        if self.lifetime() > self.age() {
            return true;
        }
        let window = self.asked_sie.or(self.sie).unwrap_or(0) * 1000;
        !self.stale_forbidden() && self.age() - self.lifetime() < window
    }
}

#[test]
fn freshness_age_and_reuse_agree_with_the_naive_reference() {
    let seed = std::env::var("FOREBAY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x9111_5861_9213_9211);
    let mut random = Random(seed);
    let mut outcomes = std::collections::BTreeMap::<String, u64>::new();
    for number in 0..CASES {
        let model = Model::random(&mut random);
        let (stored, now) = (model.stored(), at(model.later));
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap();
        let got = (
            millis(stored.metadata().lifetime),
            millis(stored.current_age(now)),
            reuse(&stored, &model.asked(), now),
            stale_if_error(&stored, &model.asked(), now),
        );
        let expected = (model.lifetime(), model.age(), model.reuse(), model.stale_if_error());
        assert_eq!(got, expected, "seed {seed}, case {number}: {model:?}");
        *outcomes.entry(format!("{:?} {}", got.2, got.3)).or_default() += 1;
    }
    println!("seed {seed}: {outcomes:?}");
    assert!(outcomes.len() >= 9 && outcomes.values().all(|&count| count >= 20), "every outcome is met: {outcomes:?}");
}
