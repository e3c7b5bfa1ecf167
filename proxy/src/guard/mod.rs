//! Guard: who may do what, and how often. The words of a site or route, compiled; [`crate::stages::guard`] asks them.
//!
//! What is remembered of clients ([`State`]) is shared by all sites and outlives reloads. It is of fixed size for what was
//! done ([`Buckets`]), and no larger than what is going on for what is done now ([`InFlight`]).

mod access;
mod buckets;
mod in_flight;
mod limit;
mod pace;
mod password;
mod suspect;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;

use forebay_config::model;
use http::{HeaderMap, Method};
use tokio::sync::Semaphore;

use self::access::Access;
use self::buckets::Buckets;
pub(crate) use self::in_flight::{Held, InFlight};
pub(crate) use self::limit::cookie;
use self::limit::{Limit, Passed};
pub(crate) use self::password::{Credentials, Users};
pub(crate) use self::suspect::Standing;
use self::suspect::Suspects;
use crate::route::PathRules;

/// What is remembered of clients.
#[derive(Debug)]
pub(crate) struct State {
    buckets: Buckets,
    pub(crate) in_flight: InFlight,
    /// Requests that are held in a tarpit.
    pub(crate) tarpit: Semaphore,
    /// Passwords that are verified at the same time: hashing is made to be expensive.
    pub(crate) verifying: Semaphore,
    /// Passwords that are, or wait to be.
    pub(crate) waiting: AtomicUsize,
    hasher: RandomState,
}

impl State {
    /// `connections` is how many there may be at all: a quarter of them may be held in the tarpit.
    pub(crate) fn new(connections: usize, evicted: prometheus::IntCounter) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            buckets: Buckets::new(evicted),
            in_flight: InFlight::default(),
            tarpit: Semaphore::new((connections / 4).clamp(1, Semaphore::MAX_PERMITS)),
            verifying: Semaphore::new((cores / 2).max(1)),
            waiting: AtomicUsize::new(0),
            hasher: RandomState::new(),
        }
    }

    /// The name a key goes by: nobody outside can find two keys of the same name, or the name of a key.
    fn name(&self, zone: u64, key: impl std::hash::Hash) -> u64 {
        // 0 marks an empty place.
        self.hasher.hash_one((zone, key)).max(1)
    }

    /// One more connection of `client`, unless it has `most` already.
    pub(crate) fn connect(&self, client: IpAddr, most: usize) -> Option<Held> {
        self.in_flight.enter(self.name(0, network(client)), u32::try_from(most).unwrap_or(u32::MAX))
    }
}

/// Who is one client: an IPv4 address, or a /64 of IPv6, which is what one household or host gets.
fn network(client: IpAddr) -> u128 {
    match client.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & (u128::MAX << 64),
    }
}

/// A request, as far as it is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) client: IpAddr,
    pub(crate) method: &'a Method,
    /// In comparison form, slashes merged.
    pub(crate) path: &'a str,
    pub(crate) fields: &'a HeaderMap,
}

/// The protection of a site or route.
#[derive(Debug)]
pub(crate) struct Guard {
    access: Vec<Access>,
    limits: Vec<Limit>,
    suspects: Option<Suspects>,
    pub(crate) users: Option<Users>,
    /// Whether every request has to be looked at, whatever its path.
    always: bool,
    /// Otherwise those for these.
    paths: PathRules,
}

/// What a request may do.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// Held until the request is done.
    pub(crate) held: Vec<Held>,
    /// To be waited for first, nanoseconds.
    pub(crate) wait: u64,
}

/// Why a request may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objection {
    /// By address and path.
    Denied,
    /// Too many in a time; another may come after so many nanoseconds.
    Rate(u64),
    /// Too many at the same time.
    Concurrent,
}

impl Guard {
    /// Compiles the words of `protection`; `None` when it has none. `site` tells the state of sites apart.
    ///
    /// # Errors
    ///
    /// The file of users cannot be used, in words.
    pub(crate) fn new(site: &str, protection: &model::Protection, state: &State) -> Result<Option<Self>, String> {
        let access = protection.access.iter().map(|rule| rule.path.as_ref());
        let paths: Vec<_> = access.chain(protection.limits.iter().map(|limit| limit.path.as_ref())).collect();
        let guard = Self {
            access: protection.access.iter().map(Access::new).collect(),
            limits: protection.limits.iter().map(|limit| Limit::new(site, limit, state)).collect(),
            suspects: protection.suspect.as_ref().map(|suspect| Suspects::new(site, suspect, state)),
            users: protection.auth.as_ref().map(Users::load).transpose()?,
            always: false,
            paths: PathRules::new(paths.iter().copied().flatten()),
        };
        let everywhere = paths.iter().any(Option::is_none);
        let always = guard.suspects.is_some() || guard.users.is_some() || everywhere;
        let nothing = !always && paths.is_empty();
        Ok((!nothing).then_some(Self { always, ..guard }))
    }

    /// Whether there is anything to ask about requests for this path.
    pub(crate) fn concerns(&self, path: &str) -> bool {
        self.always || self.paths.matches(path)
    }

    /// Whether the client may ask for this at all: the first rule that matches decides.
    pub(crate) fn access(&self, asking: &Asking<'_>) -> Result<(), Objection> {
        let rule = self.access.iter().find(|rule| rule.matches(asking));
        if rule.is_none_or(|rule| rule.allow) { Ok(()) } else { Err(Objection::Denied) }
    }

    /// Counts the request, and says whether its client is suspect.
    pub(crate) fn standing(&self, asking: &Asking<'_>, state: &State) -> Standing {
        let Some(suspects) = &self.suspects else { return Standing::Unsuspected };
        suspects.standing(asking, state, state.buckets.now())
    }

    /// Counts the request in every limit it is subject to.
    pub(crate) fn limits(&self, asking: &Asking<'_>, state: &State) -> Result<Admitted, Objection> {
        let now = state.buckets.now();
        let mut admitted = Admitted { held: Vec::new(), wait: 0 };
        for limit in self.limits.iter().filter(|limit| limit.is_for(asking)) {
            let Passed { held, wait } = limit.pass(asking, state, now)?;
            admitted.held.extend(held);
            admitted.wait = admitted.wait.max(wait);
        }
        Ok(admitted)
    }
}

#[cfg(test)]
mod tests;
