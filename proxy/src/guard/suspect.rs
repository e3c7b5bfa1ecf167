//! What mod_dosdetector does: a client that asks for more than a threshold within a period is suspect for a while.

use std::time::Duration;

use forebay_config::model::{self, Suspicion};
use ipnet::IpNet;

use super::pace::{Pace, nanos};
use super::{Asking, State, network};
use crate::site::PathRule;

/// `[site.suspect]`
#[derive(Debug)]
pub(super) struct Suspects {
    zone: u64,
    pace: Pace,
    /// Nanoseconds.
    ban: u64,
    action: Suspicion,
    tarpit: Duration,
    ignore: Vec<PathRule>,
    except: Vec<IpNet>,
}

/// What is thought of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Unsuspected,
    /// Its requests are served, and marked.
    Marked,
    /// They are refused for so many nanoseconds to come.
    Refused(u64),
    /// They are refused as well, but not at once.
    Tarpitted(u64, Duration),
}

impl Suspects {
    pub(super) fn new(site: &str, suspect: &model::Suspect, state: &State) -> Self {
        Self {
            zone: state.name(2, (site, suspect.threshold, suspect.period)),
            pace: Pace::new(suspect.threshold, suspect.period, suspect.threshold),
            ban: nanos(suspect.ban),
            action: suspect.action,
            tarpit: suspect.tarpit,
            ignore: suspect.ignore.iter().map(|path| PathRule::new(path)).collect(),
            except: suspect.except.clone(),
        }
    }

    /// Counts a request, unless its client is suspect already.
    pub(super) fn standing(&self, asking: &Asking<'_>, state: &State, now: u64) -> Standing {
        if self.except.iter().any(|network| network.contains(&asking.client)) {
            return Standing::Unsuspected;
        }
        let client = network(asking.client);
        let banned = state.name(self.zone, ("banned", client));
        let until = state.buckets.until(banned);
        if until > now {
            return self.suspicion(until - now);
        }
        if self.ignore.iter().any(|path| path.matches(asking.path)) {
            return Standing::Unsuspected;
        }
        let counted = state.name(self.zone, ("counted", client));
        let too_many = state.buckets.update(counted, now, |until| match self.pace.take(until, now, 0) {
            Ok((full, _)) => (full, false),
            Err(_) => (until, true),
        });
        if !too_many {
            return Standing::Unsuspected;
        }
        state.buckets.update(banned, now, |_| (now.saturating_add(self.ban), ()));
        self.suspicion(self.ban)
    }

    fn suspicion(&self, left: u64) -> Standing {
        match self.action {
            Suspicion::Mark => Standing::Marked,
            Suspicion::Refuse => Standing::Refused(left),
            Suspicion::Tarpit => Standing::Tarpitted(left, self.tarpit),
        }
    }
}
