//! The request sent through, as any other; its answer is looked at and not delivered to anybody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};

use super::finding::{Live, Told};
use crate::account::entry::CacheOutcome;
use crate::http::{Request, Sink, Watched};
use crate::listen::Connection;
use crate::reason::Kind;
use crate::runtime::Runtime;
use crate::service;

/// An answer that takes longer is told as it stands: the explanation has to end some time.
const LIMIT: Duration = Duration::from_secs(60);

/// Fields that decide what caches may do.
const DECIDING: [&str; 15] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "content-encoding",
    "content-location",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "location",
    "pragma",
    "set-cookie",
    "surrogate-control",
    "vary",
];

pub(super) async fn send(runtime: &Arc<Runtime>, connection: &Arc<Connection>, request: Request) -> Live {
    let mut watched = Watched::default();
    let began = Instant::now();
    let serving = Box::pin(service::observe(runtime, connection, request, Sink::Watched(&mut watched)));
    let observed = tokio::time::timeout(LIMIT, serving).await.ok();
    let elapsed = began.elapsed();
    let mut live = Live {
        status: watched.status.as_u16(),
        outcome: CacheOutcome::None.word(),
        forward: None,
        reason: None,
        stored: false,
        server: None,
        milliseconds: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        bytes: watched.bytes,
        fields: lines(&watched.fields),
    };
    if let Some(observed) = observed {
        let kinds = match observed.outcome {
            CacheOutcome::Pass => &[Kind::Pass, Kind::Upstream][..],
            CacheOutcome::Error | CacheOutcome::Stale(_) => &[Kind::Upstream, Kind::Refused],
            _ => &[Kind::NotStored, Kind::Upstream],
        };
        live.outcome = observed.outcome.word();
        live.forward = observed.forward.map(forebay_cache::semantics::ForwardReason::as_str);
        live.reason = observed.detail.map(|code| Told::new(kinds, code));
        live.stored = observed.stored && !watched.cut;
        live.server = observed.upstream.map(|upstream| upstream.address.to_string());
    }
    live
}

/// The deciding fields of an answer; of cookies the names alone, for their values are somebody's.
fn lines(fields: &HeaderMap) -> Vec<String> {
    let line = |name: &HeaderName, value: &http::HeaderValue| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        match name.as_str() {
            "set-cookie" => format!("{name}: {}=…", value.split('=').next().unwrap_or_default()),
            _ => format!("{name}: {value}"),
        }
    };
    let told = fields.iter().filter(|(name, _)| DECIDING.contains(&name.as_str()));
    told.map(|(name, value)| line(name, value)).collect()
}
