//! Requests in a time, and at the same time.

use forebay_config::model::{self, LimitKey, Over};
use http::header::COOKIE;
use http::{HeaderMap, Method};
use ipnet::IpNet;

use super::pace::{Pace, nanos};
use super::{Asking, Held, Objection, State, network};
use crate::site::PathRule;

/// `[[site.limit]]`
#[derive(Debug)]
pub(super) struct Limit {
    /// Tells what is counted here from what is counted elsewhere. The same words of the same site have the same zone, in all
    /// of its routes and after a reload.
    zone: u64,
    pub(super) path: Option<PathRule>,
    methods: Vec<Method>,
    key: LimitKey,
    pace: Option<Pace>,
    /// How long a request may wait for its turn, nanoseconds.
    patience: u64,
    concurrent: Option<u32>,
    except: Vec<IpNet>,
}

/// A request within its limits.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) held: Option<Held>,
    /// To be waited for first, nanoseconds.
    pub(super) wait: u64,
}

impl Limit {
    pub(super) fn new(site: &str, limit: &model::RequestLimit, state: &State) -> Self {
        Self {
            zone: state.name(1, (site, format!("{limit:?}"))),
            path: limit.path.as_deref().map(PathRule::new),
            methods: limit.methods.iter().filter_map(|method| method.parse().ok()).collect(),
            key: limit.key.clone(),
            pace: limit.rate.map(|rate| Pace::new(rate.requests, rate.period, limit.burst)),
            patience: if limit.over == Over::Delay { nanos(limit.delay) } else { 0 },
            concurrent: limit.concurrent,
            except: limit.except.clone(),
        }
    }

    pub(super) fn is_for(&self, asking: &Asking<'_>) -> bool {
        self.path.as_ref().is_none_or(|path| path.matches(asking.path))
            && (self.methods.is_empty() || self.methods.contains(asking.method))
            && !self.except.iter().any(|network| network.contains(&asking.client))
    }

    /// Counts the request.
    pub(super) fn pass(&self, asking: &Asking<'_>, state: &State, now: u64) -> Result<Passed, Objection> {
        let key = self.name(asking, state);
        let held = match self.concurrent {
            Some(most) => Some(state.in_flight.enter(key, most).ok_or(Objection::Concurrent)?),
            None => None,
        };
        let Some(pace) = &self.pace else { return Ok(Passed { held, wait: 0 }) };
        let taken = state.buckets.update(key, now, |until| match pace.take(until, now, self.patience) {
            Ok((full, wait)) => (full, Ok(wait)),
            Err(early) => (until, Err(early)),
        });
        taken.map(|wait| Passed { held, wait }).map_err(Objection::Rate)
    }

    /// Who is counted. A client that leaves out what it is counted by is counted by its address.
    fn name(&self, asking: &Asking<'_>, state: &State) -> u64 {
        let value = match &self.key {
            LimitKey::All => return state.name(self.zone, ()),
            LimitKey::Address => None,
            LimitKey::Header(name) => asking.fields.get(name).map(|value| value.as_bytes()),
            LimitKey::Cookie(name) => cookie(asking.fields, name),
        };
        match value {
            Some(value) => state.name(self.zone, ("value", value)),
            None => state.name(self.zone, ("address", network(asking.client))),
        }
    }
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lines = fields.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at_checked(at)?;
        (key.trim_ascii() == name.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}
