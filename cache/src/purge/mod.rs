//! Purges: what was stored before one of them and is concerned by it is not used any more.
//!
//! A purge is numbered and leaves a record; nothing is searched and nothing is removed by it, so one of a single URL costs
//! what one of everything costs. A response remembers the number of the last purge that had been issued when its fill
//! *began* ([`crate::stored::Metadata::stamp`]). Before it is used, the records are asked whether a later one concerns it:
//! that covers what is stored, what is on its way, and what is read back from disk, for a fill that began before a purge
//! brings what that purge was about.
//!
//! What has been asked for once need not be asked again until another purge is issued: then the answer is one comparison.
//!
//! Records are few: a sweep (`store::sweep`) looks at every stored response, removes what is purged and retires the
//! records that concern nothing any more. Should there be too many all the same, they are widened: more is purged than was
//! asked for, never less.

mod order;
mod records;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::RwLock;

pub use order::{Purge, PurgeError, Scope, What, has_metacharacters};
use records::{Found, Records, Subject};

use crate::clock::Timestamp;
use crate::key::CacheKey;
use crate::stored::StoredResponse;

/// Records kept; with one more, everything is purged and they begin anew.
const MOST: usize = 1 << 16;

/// What a stored response is after all purges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No purge concerns it.
    Current,
    /// It became stale at this time, by a soft purge.
    Stale(Timestamp),
    /// It must not be used.
    Gone,
}

#[derive(Debug, Default)]
struct Tables {
    hosts: AHashMap<Box<str>, Records>,
    everywhere: Records,
}

impl Tables {
    fn len(&self) -> usize {
        self.everywhere.len() + self.hosts.values().map(Records::len).sum::<usize>()
    }

    fn of(&mut self, scope: &Scope) -> &mut Records {
        match scope {
            Scope::Host(host) => self.hosts.entry(host.as_str().into()).or_default(),
            Scope::Everywhere => &mut self.everywhere,
        }
    }
}

/// All purges that may still concern something.
#[derive(Debug, Default)]
pub struct Purges {
    /// Number of the last purge. Numbers are microseconds of the clock where that has moved on, so that those of two
    /// processes that share a disk (a takeover) are in order.
    last: AtomicU64,
    /// How many records there are, as of the last change.
    count: AtomicU64,
    widened: AtomicU64,
    tables: RwLock<Tables>,
}

impl Purges {
    /// Number of the last purge: what a response whose fill begins now is stamped with. 0: there was none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Records that are kept.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Purges that took more with them than was asked for, because there were too many records.
    #[must_use]
    pub fn widened(&self) -> u64 {
        self.widened.load(Ordering::Relaxed)
    }

    /// Issues a purge; its number. When this returns, nothing that it concerns is used any more.
    ///
    /// # Errors
    ///
    /// It cannot be done; nothing has changed.
    pub fn issue(&self, purge: &Purge, now: Timestamp) -> Result<u64, PurgeError> {
        let regex = purge.prepare()?;
        let mut tables = self.tables.write();
        let clock = u64::try_from(now.millis()).unwrap_or(0).saturating_mul(1000);
        let number = clock.max(self.last.load(Ordering::Relaxed) + 1);
        self.note(&mut tables, purge, regex, number);
        // Whoever sees the number finds the record.
        self.last.store(number, Ordering::Release);
        Ok(number)
    }

    /// Takes over purges of an earlier process.
    pub fn adopt(&self, purges: &[(u64, Purge)]) {
        let mut tables = self.tables.write();
        for (number, purge) in purges {
            // What was written was checked: should it be nonsense now, more is purged rather than less.
            match purge.prepare() {
                Ok(regex) => self.note(&mut tables, purge, regex, *number),
                Err(_) => tables.of(&purge.scope).widen(*number),
            }
            self.last.fetch_max(*number, Ordering::AcqRel);
        }
    }

    fn note(&self, tables: &mut Tables, purge: &Purge, regex: Option<regex::Regex>, number: u64) {
        let records = tables.of(&purge.scope);
        let before = records.len();
        let mut widened = records.note(&purge.what, regex, purge.soft, number);
        let added = records.len() as i64 - before as i64;
        let mut count = self.count.load(Ordering::Relaxed).saturating_add_signed(added);
        if count > MOST as u64 {
            tables.hosts.clear();
            tables.everywhere.widen(number);
            widened = true;
            count = 1;
        }
        self.count.store(count, Ordering::Relaxed);
        if widened {
            self.widened.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(kind = purge.kind(), "too many purges at once: more is purged than was asked for");
        }
    }

    /// What `response`, stored under `key`, is after the purges that were issued since number `checked` (or since its
    /// fill began, should that be later).
    #[must_use]
    pub fn standing(&self, key: &CacheKey, response: &StoredResponse, checked: u64) -> Standing {
        let metadata = response.metadata();
        self.judge(key, metadata.stamp.max(checked), &metadata.surrogate_keys)
    }

    /// What a response to be stored under `key` is, whose fill began at number `stamp` and whose tags are not known yet.
    #[must_use]
    pub fn standing_of_fill(&self, key: &CacheKey, stamp: u64) -> Standing {
        self.judge(key, stamp, &[])
    }

    /// What a response with these tags is, stored under `key` by a fill that began at number `stamp`.
    #[must_use]
    pub fn standing_as_of(&self, key: &CacheKey, stamp: u64, tags: &[Box<str>]) -> Standing {
        self.judge(key, stamp, tags)
    }

    fn judge(&self, key: &CacheKey, since: u64, tags: &[Box<str>]) -> Standing {
        if since >= self.last() {
            return Standing::Current;
        }
        let path = key.path();
        let target = match key.query() {
            Some(query) => format!("{path}?{}", String::from_utf8_lossy(query)),
            None => path.to_owned(),
        };
        let subject = Subject { since, path, target: &target, tags };
        let mut found = Found::default();
        let tables = self.tables.read();
        if let Some(records) = tables.hosts.get(host(key.authority())) {
            records.judge(&subject, &mut found);
        }
        tables.everywhere.judge(&subject, &mut found);
        match found {
            Found { hard: true, .. } => Standing::Gone,
            Found { soft: 0, .. } => Standing::Current,
            Found { soft, .. } => Standing::Stale(time(soft)),
        }
    }

    /// The records as purges again, with their numbers: what a process that takes over has to know.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(u64, Purge)> {
        let tables = self.tables.read();
        let mut all = Vec::new();
        tables.everywhere.purges(&Scope::Everywhere, &mut all);
        for (host, records) in &tables.hosts {
            records.purges(&Scope::Host(host.to_string()), &mut all);
        }
        all
    }

    /// Forgets hard purges up to number `hard` and soft ones up to `soft`: nothing is stored any more that they concern.
    pub fn retire(&self, hard: u64, soft: u64) {
        let mut tables = self.tables.write();
        tables.everywhere.retire(hard, soft);
        tables.hosts.retain(|_, records| records.retire(hard, soft));
        tables.hosts.shrink_to_fit();
        self.count.store(tables.len() as u64, Ordering::Relaxed);
    }
}

/// When the purge with this number was issued.
fn time(number: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(number / 1000).unwrap_or(i64::MAX))
}

/// The host of an authority in comparison form: without its port.
#[must_use]
pub fn host(authority: &str) -> &str {
    let from = authority.rfind(']').unwrap_or(0);
    match authority.get(from..).and_then(|rest| rest.find(':')) {
        Some(colon) => authority.get(..from + colon).unwrap_or(authority),
        None => authority,
    }
}
