//! Simulate: a log against a configuration and sizes of cache. What would be a hit, what the AP servers would have to do,
//! and what keeps requests from the cache.
//!
//! Each line becomes a request that goes through the stages of the server ([`service::decide`]), so routes, bypasses and
//! keys are the server's own; storability and lifetimes are those of [`forebay_cache`]. What a log does not tell (cookies,
//! the response's own fields) is assumed to be absent, or what the options say. Memory is bounded whatever the log holds.

pub(crate) mod cache;
mod gains;
pub(crate) mod line;
mod summary;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use forebay_cache::clock::Timestamp;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::{Exchange, Freshness, Storability, freshness, storability};
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use self::cache::{Found, Simulated, hash};
use self::gains::Gains;
use self::line::Record;
pub(crate) use self::summary::Summary;
use self::summary::{Count, Curve, Unread};
use crate::account::entry::CacheOutcome;
use crate::context::Context;
use crate::http::{Request, RequestBody};
use crate::listen::Connection;
use crate::reason::{self, Kind};
use crate::runtime::Runtime;
use crate::service::{self, Decision};
use crate::stages::key::Plan;
use crate::top::Heavy;

/// Paths that are told, all reasons together.
const PATHS: usize = 256;
/// Lines that are no log lines, told with their numbers.
const UNREAD: usize = 5;

/// What is not in the log.
#[derive(Debug, Clone)]
pub(crate) struct Assumed {
    /// Host of lines that tell none.
    pub(crate) host: String,
    /// Whether lines that do not tell came by https.
    pub(crate) https: bool,
    /// Fields of every response.
    pub(crate) response: HeaderMap,
}

/// A simulation under way.
pub(crate) struct Simulation {
    runtime: Arc<Runtime>,
    assumed: Assumed,
    sizes: Vec<Size>,
    gains: Gains,
    totals: Totals,
    /// By reason and path.
    paths: Heavy<()>,
}

/// One size of cache, and what it did so far.
struct Size {
    bytes: u64,
    cache: Simulated,
    curve: Curve,
    minute: u64,
    this_minute: u64,
}

/// What is the same for all sizes.
#[derive(Debug, Default)]
struct Totals {
    lines: u64,
    requests: u64,
    bytes: u64,
    cacheable: u64,
    files: u64,
    passed: u64,
    first: Option<u64>,
    last: u64,
    reasons: std::collections::BTreeMap<(Kind, String), u64>,
    origin: (u64, f64),
    unread: u64,
    examples: Vec<Unread>,
}

// === impl Simulation ===

impl Simulation {
    pub(crate) fn new(runtime: Arc<Runtime>, assumed: Assumed, sizes: &[u64]) -> Self {
        let max_object =
            runtime.config.memory.max_object.max(runtime.config.disk.as_ref().map_or(0, |disk| disk.max_object));
        let size = |bytes: &u64| Size {
            bytes: *bytes,
            cache: Simulated::new(*bytes, max_object),
            curve: Curve::default(),
            minute: 0,
            this_minute: 0,
        };
        let sizes = sizes.iter().map(size).collect();
        Self { runtime, assumed, sizes, gains: Gains::new(), totals: Totals::default(), paths: Heavy::new(PATHS) }
    }

    /// Takes one line of the log.
    pub(crate) async fn line(&mut self, line: &str) {
        self.totals.lines += 1;
        if line.is_empty() {
            return;
        }
        match line::parse(line) {
            Some(record) => self.record(&record).await,
            None => {
                self.totals.unread += 1;
                if self.totals.examples.len() < UNREAD {
                    let text = line.chars().take(120).map(|c| if c.is_control() { '?' } else { c }).collect();
                    self.totals.examples.push(Unread { line: self.totals.lines, text });
                }
            }
        }
    }

    async fn record(&mut self, record: &Record) {
        let totals = &mut self.totals;
        totals.requests += 1;
        totals.bytes = totals.bytes.saturating_add(record.bytes);
        totals.first.get_or_insert(record.at);
        totals.last = totals.last.max(record.at);
        if let Some(millis) = record.origin_ms {
            totals.origin = (totals.origin.0 + 1, totals.origin.1 + millis);
        }
        let Some((connection, request)) = self.request(record) else {
            return self.count(Kind::Refused, "target", &record.target);
        };
        let mut context = Context::new(&self.runtime, &connection, request);
        match service::decide(&mut context, None).await {
            Err(refusal) => self.count(Kind::Refused, refusal.reason, &record.target),
            Ok(Decision::Answered(_)) => self.totals.files += u64::from(context.outcome == CacheOutcome::Offload),
            Ok(Decision::Planned(visit, plan)) => {
                let known = record.detail.as_deref().and_then(fields_decided);
                match plan {
                    Plan::Cache { key, .. } if known.is_none() => {
                        let url = visit.target.url();
                        match self.storing(record, &visit.route.rules.policy, &url) {
                            Ok(fresh) => self.cacheable(record, &key, fresh),
                            Err(code) => self.forwarded(record, Kind::NotStored, &code),
                        }
                    }
                    Plan::Pass(_, code) => self.forwarded(record, Kind::Pass, code),
                    Plan::Post { .. } => self.forwarded(record, Kind::Pass, "method"),
                    Plan::Cache { .. } | Plan::Authorized { .. } => {
                        self.forwarded(record, Kind::Pass, known.unwrap_or("authorization"));
                    }
                }
            }
        }
    }

    fn request(&self, record: &Record) -> Option<(Arc<Connection>, Request)> {
        let https = record.https.unwrap_or(self.assumed.https);
        let client = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let host = record.host.as_deref().unwrap_or(&self.assumed.host);
        let mut fields = HeaderMap::new();
        fields.insert(HOST, HeaderValue::from_str(host).ok()?);
        let request = Request {
            method: record.method.clone(),
            target: Bytes::copy_from_slice(record.target.as_bytes()),
            version: Version::HTTP_11,
            fields,
            body: RequestBody::Empty,
            continue_wanted: None,
        };
        Some((Arc::new(Connection { client, tls: https.then_some("TLSv1.3"), visitor: None }), request))
    }

    /// Whether the response may be stored and for how long, as far as the log tells.
    fn storing(
        &self,
        record: &Record,
        policy: &forebay_cache::semantics::StorePolicy,
        url: &str,
    ) -> Result<Freshness, String> {
        if let Some(code) = record.detail.as_deref().filter(|code| response_decided(code)) {
            return Err(code.to_owned());
        }
        // What a client had already, or wanted a part of, was an ordinary response once.
        let status = if matches!(record.status, 206 | 304 | 499) { 200 } else { record.status };
        let status = StatusCode::from_u16(status).map_err(|_| "answers-request".to_owned())?;
        let (method, none, at) = (Method::GET, HeaderMap::new(), Timestamp::from_millis(millis(record.at)));
        let response = &self.assumed.response;
        let exchange = Exchange::new(&method, &none, status, response, at, at, &policy.targets).url(url);
        match storability(&exchange, policy) {
            Storability::Yes => Ok(freshness(&exchange, &policy.freshness)),
            Storability::No(reason) => Err(reason.as_str().to_owned()),
        }
    }

    fn cacheable(&mut self, record: &Record, key: &CacheKey, fresh: Freshness) {
        self.totals.cacheable += 1;
        let number = hash(key.as_bytes());
        for (index, size) in self.sizes.iter_mut().enumerate() {
            if !size.cache.samples(number) {
                continue;
            }
            let found = size.cache.find(number, record.at);
            size.note(record, found);
            if index == 0 {
                self.gains.note(key, found, &mut size.cache, record.at, fresh.lifetime);
            }
            if found != Found::Fresh {
                size.cache.store(number, record.at, fresh.lifetime, fresh.stale_while_revalidate, record.bytes);
            }
        }
    }

    /// A request that every cache forwards.
    fn forwarded(&mut self, record: &Record, kind: Kind, code: &str) {
        self.totals.passed += 1;
        self.count(kind, code, &record.target);
        for size in &mut self.sizes {
            size.origin(record.at);
        }
    }

    fn count(&mut self, kind: Kind, code: &str, target: &str) {
        *self.totals.reasons.entry((kind, code.to_owned())).or_default() += 1;
        let path: String = target.split('?').next().unwrap_or_default().chars().take(200).collect();
        self.paths.note(&format!("{code} {path}"), 1);
    }

    /// What came of it.
    pub(crate) fn finish(mut self) -> Summary {
        for size in &mut self.sizes {
            size.turn();
        }
        let Totals { reasons, .. } = &self.totals;
        let count = |((kind, code), requests): (&(Kind, String), &u64)| {
            let mut paths: Vec<(u64, &str)> = self
                .paths
                .iter()
                .filter_map(|(key, slot)| Some((slot.weight, key.strip_prefix(code.as_str())?.strip_prefix(' ')?)))
                .collect();
            paths.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
            Count {
                kind: kind.word(),
                code: code.clone(),
                requests: *requests,
                sentence: reason::find(*kind, code).map_or("", |reason| reason.sentence),
                paths: paths.into_iter().take(3).map(|(_, path)| path.to_owned()).collect(),
            }
        };
        let mut reasons: Vec<Count> = reasons.iter().map(count).collect();
        reasons.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.code.cmp(&b.code)));
        let totals = self.totals;
        let seconds = totals.last.saturating_sub(totals.first.unwrap_or(totals.last)).max(1);
        Summary {
            lines: totals.lines,
            unread: totals.unread,
            examples: totals.examples,
            requests: totals.requests,
            bytes: totals.bytes,
            seconds,
            files: totals.files,
            cacheable: totals.cacheable,
            passed: totals.passed,
            origin_ms: (totals.origin.0 > 0).then(|| summary::mean(totals.origin.1, totals.origin.0)),
            sizes: self
                .sizes
                .into_iter()
                .map(|size| size.curve.told(size.bytes, totals.passed, totals.cacheable, seconds))
                .collect(),
            reasons,
            parameters: self.gains.list(),
        }
    }
}

fn millis(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
}

/// A reason that fields of the request gave, which no log holds: it is taken over as it stands.
fn fields_decided(code: &str) -> Option<&'static str> {
    ["bypass-cookie", "bypass-field", "authorization"].into_iter().find(|known| *known == code)
}

/// A reason that the response itself gave.
fn response_decided(code: &str) -> bool {
    ["set-cookie", "no-store", "private", "vary-star", "stale-on-arrival"].contains(&code)
}

// === impl Size ===

impl Size {
    fn note(&mut self, record: &Record, found: Found) {
        self.curve.seen += 1;
        self.curve.seen_bytes = self.curve.seen_bytes.saturating_add(record.bytes);
        match found {
            Found::Fresh => self.curve.hits += 1,
            Found::Stale => {
                self.curve.stale += 1;
                self.origin(record.at);
            }
            Found::Nothing => {
                self.curve.missed_bytes = self.curve.missed_bytes.saturating_add(record.bytes);
                self.origin(record.at);
            }
        }
    }

    /// A request for an AP server.
    fn origin(&mut self, at: u64) {
        if at / 60 != self.minute {
            self.turn();
            self.minute = at / 60;
        }
        self.this_minute += 1;
    }

    fn turn(&mut self) {
        self.curve.busiest_minute = self.curve.busiest_minute.max(self.this_minute);
        self.this_minute = 0;
    }
}

#[cfg(test)]
mod tests;
