//! One request as it was forwarded and the response to it: what the decisions of a fill are about.

use http::{HeaderMap, Method, StatusCode};

use super::directives::{RequestDirectives, ResponseDirectives};
use super::targeted::TargetList;
use crate::clock::Timestamp;

/// A forwarded request and the head of its response. The directives are parsed once, when it is made.
#[derive(Debug, Clone)]
pub struct Exchange<'a> {
    /// Method of the forwarded request.
    pub method: &'a Method,
    /// Fields of the request as it was forwarded: after hop-by-hop fields and dropped cookies were taken out, for the
    /// response answers to that and nothing else.
    pub request: &'a HeaderMap,
    /// Whether the request had content.
    pub request_has_content: bool,
    /// Absolute target URI (`http://host/path?query`) for `refresh_pattern` and `Content-Location`; empty if unknown.
    pub url: &'a str,
    /// Status of the response.
    pub status: StatusCode,
    /// Fields of the response as they were received.
    pub response: &'a HeaderMap,
    /// When the request was sent (RFC 9111 section 4.2.3 `request_time`).
    pub request_time: Timestamp,
    /// When the response's head arrived (`response_time`).
    pub response_time: Timestamp,
    /// Whether the content is known to have ended before it was complete (RFC 9111 section 3.3).
    pub incomplete: bool,
    /// Directives of the request.
    pub request_directives: RequestDirectives,
    /// Directives of the response: of the targeted field that applies, else of `Cache-Control`.
    pub directives: ResponseDirectives,
}

impl<'a> Exchange<'a> {
    /// An exchange whose request had no content and whose response is not known to be incomplete.
    #[must_use]
    pub fn new(
        method: &'a Method,
        request: &'a HeaderMap,
        status: StatusCode,
        response: &'a HeaderMap,
        request_time: Timestamp,
        response_time: Timestamp,
        targets: &TargetList,
    ) -> Self {
        Self {
            method,
            request,
            request_has_content: false,
            url: "",
            status,
            response,
            request_time,
            response_time,
            incomplete: false,
            request_directives: RequestDirectives::parse(request),
            directives: ResponseDirectives::effective(response, targets),
        }
    }

    /// With the absolute target URI.
    #[must_use]
    pub const fn url(mut self, url: &'a str) -> Self {
        self.url = url;
        self
    }

    /// With what is known of the request's content.
    #[must_use]
    pub const fn request_has_content(mut self, has_content: bool) -> Self {
        self.request_has_content = has_content;
        self
    }

    /// With what is known of the completeness of the response's content.
    #[must_use]
    pub const fn incomplete(mut self, incomplete: bool) -> Self {
        self.incomplete = incomplete;
        self
    }

    /// The origin's `Date`, or the time the response arrived where that is missing or malformed (RFC 9110 section
    /// 6.6.1: a recipient with a clock that receives no Date records the time of receipt).
    #[must_use]
    pub fn date(&self) -> Timestamp {
        super::age::date_field(self.response, &http::header::DATE).unwrap_or(self.response_time)
    }
}
