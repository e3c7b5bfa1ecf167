//! A request after its head was read.

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use tokio::sync::oneshot;

use crate::listen::h1::H1Body;
use crate::listen::h2::H2Body;

/// A request, its content still to be read.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The request target as it came: origin-form, absolute-form or `*`. For h2 always origin-form or `*`.
    pub(crate) target: Bytes,
    pub(crate) version: Version,
    /// Field lines as they came. For h2, `:authority` stands here as `host`.
    pub(crate) fields: HeaderMap,
    pub(crate) body: RequestBody,
    /// Rung when the content is wanted and the client waits to hear so (`Expect: 100-continue`).
    pub(crate) continue_wanted: Option<oneshot::Receiver<()>>,
}

impl Request {
    /// A GET without anything special: in place of one that cannot be trusted, or that was only told of.
    pub(crate) fn plain() -> Self {
        Self {
            method: Method::GET,
            target: Bytes::new(),
            version: Version::HTTP_11,
            fields: HeaderMap::new(),
            body: RequestBody::Empty,
            continue_wanted: None,
        }
    }
}

/// Request content.
#[derive(Debug, Default)]
pub(crate) enum RequestBody {
    /// None, by framing.
    #[default]
    Empty,
    /// Of an HTTP/1 connection; boxed, most requests have none.
    H1(Box<H1Body>),
    /// Of an HTTP/2 stream.
    H2(Box<H2Body>),
}

/// Why request content ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyReadError {
    /// Its framing is broken.
    #[error("malformed request content")]
    Malformed,
    /// The client stopped sending.
    #[error("request content came too slowly")]
    TimedOut,
    /// The client left.
    #[error("the client left while sending")]
    Disconnected,
    /// More than `body_size`.
    #[error("request content is too large")]
    TooLarge,
}

impl RequestBody {
    /// Whether there is content to be sent on (a tunnel has none until it is opened). It does not change when that comes: how
    /// content is framed on the way to a server depends on it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::H1(body) => body.is_tunnel(),
            Self::H2(_) => false,
        }
    }

    /// Declared length, where there is one.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::H1(body) => body.length(),
            Self::H2(body) => body.length(),
        }
    }

    /// Next bytes of the content; `None` at its end. Safe to drop before it is ready.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyReadError> {
        match self {
            Self::Empty => Ok(None),
            Self::H1(body) => body.next().await,
            Self::H2(body) => body.next().await,
        }
    }

    /// Largest content, bytes; 0: no limit. To be said before the first of it is read.
    pub(crate) fn hold_to(&mut self, largest: u64) {
        let largest = if largest == 0 { u64::MAX } else { largest };
        match self {
            Self::Empty => {}
            Self::H1(body) => body.hold_to(largest),
            Self::H2(body) => body.hold_to(largest),
        }
    }

    /// The upgrade was accepted: what the client sends from here on belongs to the tunnel.
    pub(crate) fn open_tunnel(&mut self) {
        if let Self::H1(body) = self {
            body.open_tunnel();
        }
    }
}
