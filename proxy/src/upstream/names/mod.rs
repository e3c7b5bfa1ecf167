//! Names of servers, looked up again and again in the background.
//!
//! A name lives as long as a pool holds it, and is looked up by one task however many pools it stands in. What was found last
//! holds until something else is: a name server that fails, or does not know the name any more, takes no server away.

mod lookup;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use forebay_config::model::{Resolver, ServerName};
use parking_lot::Mutex;

use self::lookup::{Failure, Found, look_up};
use super::members::Members;
use super::upkeep::Upkeep;
use crate::account::metrics::NameMetrics;

pub(super) use self::lookup::Target;

/// The pause after a failure doubles so many times at most.
const DOUBLINGS: u32 = 6;

/// All names there are.
#[derive(Debug, Default)]
pub(super) struct Directory {
    names: Mutex<HashMap<(ServerName, Resolver), Weak<Name>>>,
}

/// A name, and what is known of it.
#[derive(Debug)]
pub(crate) struct Name {
    words: ServerName,
    settings: Resolver,
    /// As the configuration writes it.
    label: String,
    known: Mutex<Known>,
    watchers: Mutex<Vec<Weak<Members>>>,
    metrics: NameMetrics,
}

#[derive(Debug, Default)]
struct Known {
    targets: Vec<Target>,
    /// Addresses of a service's hosts.
    hosts: HashMap<String, Vec<IpAddr>>,
    /// Look-ups that failed one after the other.
    failures: u32,
    complaint: Option<String>,
    ttl: Duration,
    /// Whether it was ever looked up.
    asked: bool,
}

/// What an operator is told of a name.
#[derive(Debug, Clone)]
pub(crate) struct NameStatus {
    pub(crate) name: String,
    /// `fresh`; `kept`: the last look-up failed, what was found before holds; `unknown`: nothing was ever found.
    pub(crate) state: &'static str,
    pub(crate) addresses: usize,
    /// What the last answer said it is good for.
    pub(crate) ttl: Duration,
    pub(crate) complaint: Option<String>,
}

impl Directory {
    /// The name for these words, new or as it was. `resolved` is what the system said of it, if it was asked.
    pub(super) fn name(
        &self,
        words: &ServerName,
        label: &str,
        settings: &Resolver,
        resolved: &[SocketAddr],
        metrics: NameMetrics,
        upkeep: &Upkeep,
    ) -> Arc<Name> {
        let mut names = self.names.lock();
        names.retain(|_, name| name.strong_count() > 0);
        let key = (words.clone(), settings.clone());
        if let Some(name) = names.get(&key).and_then(Weak::upgrade) {
            return name;
        }
        let host = match words {
            ServerName::Host { host, .. } => host.as_str(),
            ServerName::Service(service) => service.as_str(),
        };
        let target = |address: &SocketAddr| Target { address: *address, host: host.to_owned(), of_service: None };
        let targets: Vec<Target> = resolved.iter().map(target).collect();
        metrics.found(targets.len());
        let name = Arc::new(Name {
            words: words.clone(),
            settings: settings.clone(),
            label: label.to_owned(),
            known: Mutex::new(Known { targets, ..Known::default() }),
            watchers: Mutex::default(),
            metrics,
        });
        names.insert(key, Arc::downgrade(&name));
        upkeep.spawn(run(Arc::downgrade(&name)));
        name
    }
}

impl Name {
    /// The servers it stands for.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.known.lock().targets.clone()
    }

    /// Tells `members` when there are others.
    pub(super) fn watch(&self, members: &Arc<Members>) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|known| known.strong_count() > 0);
        watchers.push(Arc::downgrade(members));
    }

    /// Whether nothing is known, and nobody was asked yet.
    pub(super) fn is_new(&self) -> bool {
        let known = self.known.lock();
        known.targets.is_empty() && !known.asked
    }

    pub(super) fn status(&self) -> NameStatus {
        let known = self.known.lock();
        let state = match (known.targets.is_empty(), &known.complaint) {
            (true, _) => "unknown",
            (false, Some(_)) => "kept",
            (false, None) => "fresh",
        };
        NameStatus {
            name: self.label.clone(),
            state,
            addresses: known.targets.len(),
            ttl: known.ttl,
            complaint: known.complaint.clone(),
        }
    }

    /// Looks it up once, and tells who watches; the time until it is to be looked up again.
    pub(super) async fn refresh(&self) -> Duration {
        let mut hosts = self.known.lock().hosts.clone();
        let found = look_up(&self.words, &self.settings, &mut hosts).await;
        self.known.lock().hosts = hosts;
        let (pause, changed) = self.record(found);
        if changed {
            let watchers = self.watchers.lock().clone();
            for members in watchers.iter().filter_map(Weak::upgrade) {
                members.gather();
            }
        }
        pause
    }

    /// Takes note of a look-up: when the next is due, and whether something is different now.
    fn record(&self, found: Result<Found, Failure>) -> (Duration, bool) {
        let mut known = self.known.lock();
        let is_first = !std::mem::replace(&mut known.asked, true);
        let Resolver { min_ttl, max_ttl, .. } = self.settings;
        let found = match found {
            Ok(found) => found,
            Err(failure) => {
                let (result, reason) = match failure {
                    Failure::Empty(reason) => ("empty", reason),
                    Failure::Failed(reason) => ("failed", reason),
                };
                self.metrics.looked_up(result);
                if known.complaint.is_none() {
                    tracing::warn!(name = %self.label, %reason, "name cannot be looked up: what was known of it holds");
                }
                known.complaint = Some(reason);
                let doublings = known.failures.min(DOUBLINGS);
                known.failures = known.failures.saturating_add(1);
                return (min_ttl.saturating_mul(1 << doublings).min(max_ttl.max(min_ttl)), is_first);
            }
        };
        self.metrics.looked_up("good");
        (known.failures, known.ttl) = (0, found.ttl);
        if known.complaint.take().is_some() {
            tracing::info!(name = %self.label, "name is found again");
        }
        let changed = known.targets != found.targets;
        if changed {
            let shown: Vec<String> = found.targets.iter().map(|target| target.address.to_string()).collect();
            tracing::info!(name = %self.label, servers = shown.join(" "), "name stands for other servers now");
            known.targets = found.targets;
        }
        self.metrics.found(known.targets.len());
        (found.ttl.clamp(min_ttl, max_ttl), changed)
    }
}

/// Looks up those of `names` of which nothing is known, before the first request wants to know. One after the other's time is
/// all it takes: they are asked at the same time.
pub(super) fn begin(names: &[Arc<Name>]) {
    let new: Vec<Arc<Name>> = names.iter().filter(|name| name.is_new()).cloned().collect();
    if new.is_empty() {
        return;
    }
    // A thread, for this may be called within a runtime that serves.
    let work = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let mut all = tokio::task::JoinSet::new();
            for name in new {
                all.spawn(async move { name.refresh().await });
            }
            while all.join_next().await.is_some() {}
        });
    };
    let _ = std::thread::spawn(work).join();
}

async fn run(name: Weak<Name>) {
    loop {
        let Some(present) = name.upgrade() else { return };
        let pause = present.refresh().await;
        drop(present);
        tokio::time::sleep(pause).await;
    }
}
