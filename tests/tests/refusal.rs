//! What it means that a request is refused.

use std::time::Duration;

use forebay_tests::{Origin, Proxy, Reply};

/// An origin whose every answer may be stored, and the proxy before it.
pub(crate) struct Pair {
    pub(crate) origin: Origin,
    pub(crate) proxy: Proxy,
}

impl Pair {
    pub(crate) fn start() -> Self {
        let origin = Origin::answering(|request| Reply::cacheable(format!("{} {}", request.method, request.target)));
        let proxy = Proxy::before(&origin);
        Self { origin, proxy }
    }

    /// The request is answered with one of these statuses within a second, the connection is closed after it, and the
    /// origin never saw a request.
    pub(crate) fn refuses(&self, bytes: impl AsRef<[u8]>, statuses: &[u16]) {
        let bytes = bytes.as_ref();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let mut client = self.proxy.connect();
        client.set_patience(Duration::from_secs(1));
        // A proxy that refuses early may close before it has taken everything.
        let _ = client.try_send(bytes);
        let answer = client.read_response_to("GET").unwrap_or_else(|error| panic!("{shown:?}: {error:?}"));
        assert!(statuses.contains(&answer.status), "{shown:?}: {answer}");
        assert!(client.is_closed(), "{shown:?}: the connection is open after {answer}");
        assert_eq!(self.origin.total(), 0, "{shown:?}: forwarded {:?}", self.origin.requests());
    }

    /// The request head reaches nobody either.
    pub(crate) fn refuses_unseen(&self, bytes: impl AsRef<[u8]>, statuses: &[u16]) {
        self.refuses(bytes, statuses);
        let seen = self.origin.received();
        assert!(seen.is_empty(), "forwarded {:?}", String::from_utf8_lossy(&seen));
    }

    /// Nothing of what came before was stored for this target.
    pub(crate) fn has_not_stored(&self, target: &str) {
        assert_eq!(self.proxy.get(target).cache(), "MISS", "{target} was stored");
    }
}
