//! Why there is no response from an upstream, and what the client is told.

use http::StatusCode;
use pingora_error::{Error, ErrorType};

use crate::http::BodyReadError;

/// A fetch that failed. The reason is for operators; clients see the status alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FetchError {
    /// 502, 503 or 504 for failures of the upstream, 4xx for those of the client's content.
    pub(crate) status: StatusCode,
    /// Kebab-case code for Cache-Status `detail` and the log.
    pub(crate) reason: &'static str,
}

impl FetchError {
    pub(crate) const NO_SERVER: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-upstream-server");
    pub(crate) const QUEUE_FULL: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "upstream-queue-full");
    pub(crate) const QUEUE_TIMEOUT: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "upstream-queue-timeout");
    pub(crate) const BUSY: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "upstream-busy");
    pub(crate) const FRAMING: Self = Self::bad_gateway("upstream-framing");
    pub(crate) const CONNECT_TIMEOUT: Self = Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream-connect-timeout");
    pub(crate) const READ_TIMEOUT: Self = Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream-read-timeout");
    pub(crate) const WRITE_TIMEOUT: Self = Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream-write-timeout");
    pub(crate) const CLOSED: Self = Self::bad_gateway("upstream-closed");
    pub(crate) const MALFORMED: Self = Self::bad_gateway("upstream-malformed");
    pub(crate) const UNEXPECTED: Self = Self::bad_gateway("upstream-response-unexpected");

    /// Nginx calls it 499; nobody is there to read it.
    pub(crate) const CLIENT_LEFT: Self = Self::new(StatusCode::BAD_REQUEST, "client-left");

    pub(crate) const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    pub(crate) const fn bad_gateway(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, reason)
    }

    /// Whether no response came at all: the cache is disconnected from the origin (RFC 9111 section 4.2.4).
    pub(crate) fn is_disconnection(self) -> bool {
        const REASONS: [&str; 9] = [
            "no-upstream-server",
            "upstream-closed",
            "upstream-connect-timeout",
            "upstream-queue-full",
            "upstream-queue-timeout",
            "upstream-read-timeout",
            "upstream-refused",
            "upstream-unreachable",
            "upstream-write-timeout",
        ];
        REASONS.contains(&self.reason)
    }

    /// Whether it was not let in, and had not waited for that.
    pub(crate) fn is_busy(self) -> bool {
        self == Self::BUSY
    }

    /// Whether the connection ended before there was a response.
    pub(crate) fn is_closed(self) -> bool {
        self.reason == "upstream-closed"
    }

    /// Whether the upstream is at fault, so that a stale response may stand in (RFC 5861 section 4).
    pub(crate) fn is_of_upstream(self) -> bool {
        self.status.is_server_error()
    }
}

impl From<&Error> for FetchError {
    fn from(error: &Error) -> Self {
        match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Self::CONNECT_TIMEOUT,
            ErrorType::ReadTimedout => Self::READ_TIMEOUT,
            ErrorType::WriteTimedout => Self::WRITE_TIMEOUT,
            ErrorType::ConnectRefused => Self::bad_gateway("upstream-refused"),
            ErrorType::ConnectNoRoute | ErrorType::ConnectError | ErrorType::SocketError => {
                Self::bad_gateway("upstream-unreachable")
            }
            ErrorType::InvalidHTTPHeader => Self::MALFORMED,
            _ => Self::CLOSED,
        }
    }
}

impl From<BodyReadError> for FetchError {
    fn from(error: BodyReadError) -> Self {
        match error {
            BodyReadError::Malformed => Self::new(StatusCode::BAD_REQUEST, "content-malformed"),
            BodyReadError::TimedOut => Self::new(StatusCode::REQUEST_TIMEOUT, "content-timeout"),
            BodyReadError::Disconnected => Self::new(StatusCode::BAD_REQUEST, "client-left"),
            BodyReadError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-size"),
        }
    }
}
