//! A request that is not served: which status the client gets, and the reason for the log.

use http::StatusCode;

/// Why a request is refused. The reason is for operators; clients see the status alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// 4xx or 5xx.
    pub(crate) status: StatusCode,
    /// Kebab-case code for Cache-Status `detail` and the log.
    pub(crate) reason: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// 400
    pub(crate) const fn bad(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}
