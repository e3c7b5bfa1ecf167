//! What is known of a finished request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Version};

use super::metrics::SiteMetrics;

/// One finished request, as the log and the metrics see it.
///
/// Every part is a number or a reference count: making and dropping one copies no text.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// When the first byte of the request was read.
    pub(crate) start: SystemTime,
    /// From `start` until the last byte was handed to the socket, or the request was given up.
    pub(crate) duration: Duration,
    /// The client, after the PROXY protocol and trusted `X-Forwarded-For`.
    pub(crate) client: IpAddr,
    /// Whether the client spoke TLS to us: `TLSv1.2`, `TLSv1.3`; `None` for plain HTTP.
    pub(crate) tls: Option<&'static str>,
    /// The method; [`Method`] admits tokens only, so it needs no escaping.
    pub(crate) method: Method,
    /// The request target as received. Any byte may be in it.
    pub(crate) target: Bytes,
    /// The protocol the client spoke.
    pub(crate) version: Version,
    /// `Host` or `:authority` as received. Any byte may be in it.
    pub(crate) host: Option<Bytes>,
    /// Final status sent to the client; 0 when none was sent.
    pub(crate) status: u16,
    /// Content bytes sent, after compression, without fields and chunk framing.
    pub(crate) bytes: u64,
    /// `Referer` as received.
    pub(crate) referer: Option<HeaderValue>,
    /// `User-Agent` as received.
    pub(crate) user_agent: Option<HeaderValue>,
    /// `Content-Type` of the response.
    pub(crate) content_type: Option<HeaderValue>,
    /// What the cache did.
    pub(crate) cache: CacheOutcome,
    /// Why the request was forwarded, in the words of RFC 9211 section 2.2 (`miss`, `stale`, `bypass`, …).
    pub(crate) forward_reason: Option<&'static str>,
    /// The reason behind the decision, as `detail` of `Cache-Status` has it (`set-cookie`, `bypass-cookie`, …).
    pub(crate) detail: Option<&'static str>,
    /// The exchange with the AP server that answered last, if one was asked for this request.
    pub(crate) upstream: Option<UpstreamExchange>,
    /// The site that answered, and its counters; [`Metrics::unrouted`](super::metrics::Metrics::unrouted) when none did.
    pub(crate) site: Arc<SiteMetrics>,
    /// The response was cut short: the client left, was too slow, or the upstream broke off.
    pub(crate) aborted: bool,
}

impl Entry {
    /// `https` or `http`, as the client spoke to us.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The protocol as a request line names it.
    pub(crate) fn version_word(&self) -> &'static str {
        match self.version {
            Version::HTTP_09 => "HTTP/0.9",
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_3 => "HTTP/3.0",
            _ => "HTTP/1.1",
        }
    }
}

/// The exchange with an AP server that a request caused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpstreamExchange {
    /// The server.
    pub(crate) address: SocketAddr,
    /// What it is to us, in Squid's words: `HIER_DIRECT` is an AP server, `SIBLING_HIT` a sibling that had it.
    pub(crate) hierarchy: &'static str,
    /// Its status; `None` when it did not answer.
    pub(crate) status: Option<u16>,
    /// Until the connection stood.
    pub(crate) connect: Option<Duration>,
    /// From the request sent to the first byte of the answer.
    pub(crate) first_byte: Option<Duration>,
}

/// What the cache did for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheOutcome {
    /// Answered by a fresh stored response.
    Hit,
    /// Forwarded, for nothing usable was stored.
    Miss,
    /// Answered by a stale stored response.
    Stale(StaleReason),
    /// Answered by a stored response the upstream confirmed (304).
    Revalidated,
    /// Answered by a fill another request had started.
    Collapsed,
    /// Forwarded without looking into the cache.
    Pass,
    /// Answered by a file beneath `root`.
    Offload,
    /// Answered by Forebay itself, for want of a usable answer (5xx) or request (4xx).
    Error,
    /// Answered by Forebay itself where the cache has no part: redirects, the demo pages.
    None,
}

/// Why a stale stored response was used (RFC 9111 section 4.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StaleReason {
    /// `stale-while-revalidate` (RFC 5861 section 3).
    Revalidate,
    /// `stale-if-error` (RFC 5861 section 4), or the upstream cannot be reached.
    Error,
    /// The request's `max-stale`.
    Request,
}

impl StaleReason {
    /// Every reason, in the order of [`Self::index`].
    pub(crate) const ALL: [Self; 3] = [Self::Revalidate, Self::Error, Self::Request];

    /// Position in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Label value.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Revalidate => "revalidate",
            Self::Error => "error",
            Self::Request => "request",
        }
    }
}

impl CacheOutcome {
    /// How many there are.
    pub(crate) const COUNT: usize = 9;

    /// A number from 0 to `COUNT - 1`; the reason of a stale answer makes no difference.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Hit => 0,
            Self::Miss => 1,
            Self::Stale(_) => 2,
            Self::Revalidated => 3,
            Self::Collapsed => 4,
            Self::Pass => 5,
            Self::Offload => 6,
            Self::Error => 7,
            Self::None => 8,
        }
    }

    /// The word of `X-Cache` and the access log.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::Stale(_) => "STALE",
            Self::Revalidated => "REVALIDATED",
            Self::Collapsed => "COLLAPSED",
            Self::Pass => "PASS",
            Self::Offload => "OFFLOAD",
            Self::Error => "ERROR",
            Self::None => "NONE",
        }
    }

    /// The value of the label `cache`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale(_) => "stale",
            Self::Revalidated => "revalidated",
            Self::Collapsed => "collapsed",
            Self::Pass => "pass",
            Self::Offload => "offload",
            Self::Error => "error",
            Self::None => "none",
        }
    }
}
