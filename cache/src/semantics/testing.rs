//! What the tests of this folder share.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

use super::exchange::Exchange;
use super::storability::StorePolicy;
use crate::clock::Timestamp;
use crate::stored::StoredResponse;

/// The time at which the exchanges of tests happen: Sun, 06 Nov 1994 08:49:37 GMT.
pub(crate) const T0: Timestamp = Timestamp::from_secs(784_111_777);

/// Fields from names and values.
pub(crate) fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    fields
}

/// The HTTP-date `seconds` after [`T0`].
pub(crate) fn date(seconds: i64) -> String {
    Timestamp::from_secs(T0.secs() + seconds).http_date()
}

/// [`T0`] and so many seconds.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(T0.secs() + seconds)
}

/// A request and its response, both at [`T0`], with owned parts.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) method: Method,
    pub(crate) request: HeaderMap,
    pub(crate) status: u16,
    pub(crate) response: HeaderMap,
    pub(crate) url: &'static str,
    pub(crate) policy: StorePolicy,
}

impl Case {
    /// A GET of `http://a.test/x` that is answered 200 with these fields.
    pub(crate) fn response(lines: &[(&str, &str)]) -> Self {
        Self {
            method: Method::GET,
            request: HeaderMap::new(),
            status: 200,
            response: fields(lines),
            url: "http://a.test/x",
            policy: StorePolicy::default(),
        }
    }

    /// With these request fields.
    pub(crate) fn request(mut self, lines: &[(&str, &str)]) -> Self {
        self.request = fields(lines);
        self
    }

    /// With this status.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With a changed policy.
    pub(crate) fn policy(mut self, change: impl FnOnce(&mut StorePolicy)) -> Self {
        change(&mut self.policy);
        self
    }

    pub(crate) fn exchange(&self) -> Exchange<'_> {
        let status = StatusCode::from_u16(self.status).unwrap();
        Exchange::new(&self.method, &self.request, status, &self.response, T0, T0, &self.policy.targets).url(self.url)
    }

    pub(crate) fn stored(&self) -> StoredResponse {
        StoredResponse::new(&self.exchange(), "content".into(), &self.policy)
    }
}
