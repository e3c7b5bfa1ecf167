//! What the stages found out about a request, for those that come after: `Cache-Status`, the log, the metrics.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use forebay_cache::clock::{Clock as _, Timestamp};
use forebay_cache::semantics::ForwardReason;
use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderValue, StatusCode};

use crate::account::entry::{CacheOutcome, Entry, UpstreamExchange};
use crate::account::metrics::SiteMetrics;
use crate::front::Preparing;
use crate::guard::Held;
use crate::http::Request;
use crate::listen::Connection;
use crate::route::Edits;
use crate::runtime::{Lasting, Runtime};

/// One request on its way.
pub(crate) struct Context {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) request: Request,
    pub(crate) began: SystemTime,
    pub(crate) started: Instant,
    /// The time all decisions about this request are made for.
    pub(crate) now: Timestamp,
    /// Number of the last purge when the request came: what is older than that one is not for it.
    pub(crate) purges: u64,
    /// The client, after trusted `X-Forwarded-For`.
    pub(crate) client: IpAddr,
    pub(crate) site: Arc<SiteMetrics>,
    pub(crate) outcome: CacheOutcome,
    pub(crate) forward: Option<ForwardReason>,
    /// Reason code of the decision that made the difference.
    pub(crate) detail: Option<&'static str>,
    pub(crate) upstream: Option<UpstreamExchange>,
    /// The response was, or is being, stored.
    pub(crate) stored: bool,
    /// The site's visitors see the fields that are meant for caches.
    pub(crate) shows_tags: bool,
    /// The site is driven by LSCache, whose clients look for a field of its own.
    pub(crate) litespeed: bool,
    /// The request waited for the response to another.
    pub(crate) collapsed: bool,
    /// What the answer is made of, if its head may be kept for the short way.
    pub(crate) preparing: Option<Preparing>,
    /// The connection ends with this response.
    pub(crate) close: bool,
    /// Age of the stored response that answers.
    pub(crate) age: Option<Duration>,
    /// The upstream was asked for the whole, whatever range the client wants.
    pub(crate) asked_for_whole: bool,
    /// What counts this request as being served; given back when it is done.
    pub(crate) held: Vec<Held>,
    /// Its client is suspect: an AP server that is asked is told so.
    pub(crate) suspect: bool,
    /// Seconds after which a refused request may come again.
    pub(crate) retry_after: Option<u64>,
    /// Changes of the answer's fields.
    pub(crate) response_edits: Option<Arc<Edits>>,
    /// What a request without the right password is asked for.
    pub(crate) challenge: Option<HeaderValue>,
    /// Seconds of freshness left of the stored response that answers.
    pub(crate) ttl: Option<i64>,
}

impl Context {
    pub(crate) fn new(runtime: &Arc<Runtime>, connection: &Arc<Connection>, request: Request) -> Self {
        Self {
            runtime: Arc::clone(runtime),
            connection: Arc::clone(connection),
            request,
            began: SystemTime::now(),
            started: Instant::now(),
            now: runtime.lasting.clock.now(),
            purges: runtime.lasting.store.purges().last(),
            client: connection.client.ip(),
            site: Arc::clone(runtime.lasting.metrics.unrouted()),
            outcome: CacheOutcome::None,
            forward: None,
            detail: None,
            upstream: None,
            stored: false,
            shows_tags: false,
            litespeed: false,
            collapsed: false,
            preparing: None,
            close: false,
            age: None,
            asked_for_whole: false,
            held: Vec::new(),
            suspect: false,
            retry_after: None,
            challenge: None,
            response_edits: None,
            ttl: None,
        }
    }

    pub(crate) fn lasting(&self) -> &Arc<Lasting> {
        &self.runtime.lasting
    }

    /// What is accounted for, once the answer is out.
    pub(crate) fn into_entry(
        self,
        status: StatusCode,
        content_type: Option<HeaderValue>,
        bytes: u64,
        aborted: bool,
    ) -> Entry {
        let request = self.request;
        Entry {
            start: self.began,
            duration: self.started.elapsed(),
            client: self.client,
            tls: self.connection.tls,
            method: request.method,
            target: request.target,
            version: request.version,
            host: request.fields.get(HOST).map(|host| Bytes::copy_from_slice(host.as_bytes())),
            status: status.as_u16(),
            bytes,
            referer: request.fields.get(REFERER).cloned(),
            user_agent: request.fields.get(USER_AGENT).cloned(),
            content_type,
            cache: self.outcome,
            forward_reason: self.forward.map(ForwardReason::as_str),
            detail: self.detail,
            upstream: self.upstream,
            site: self.site,
            aborted,
        }
    }
}
