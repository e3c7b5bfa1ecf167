//! Age of a stored response (RFC 9111 section 4.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, DATE, HeaderName};

use super::directives::parse_delta_seconds;
use super::member::split_list;
use crate::clock::Timestamp;

/// Age a response had when it arrived: `corrected_initial_age`, the greater of what its `Date` says and of what its
/// `Age` says plus the time it was under way.
#[must_use]
pub fn initial_age(response: &HeaderMap, request_time: Timestamp, response_time: Timestamp) -> Duration {
    let apparent_age = date_field(response, &DATE).map_or(Duration::ZERO, |date| response_time.since(date));
    let response_delay = response_time.since(request_time);
    let corrected_age_value = age_value(response).saturating_add(response_delay);
    apparent_age.max(corrected_age_value)
}

/// Age at `now` of a response that arrived at `response_time` with `initial_age`: `current_age`.
#[must_use]
pub fn current_age(initial_age: Duration, response_time: Timestamp, now: Timestamp) -> Duration {
    initial_age.saturating_add(now.since(response_time))
}

/// The `Age` field (RFC 9111 section 5.1): its first member counts, an invalid one counts as none, and values beyond
/// 2^31 count as 2^31.
#[must_use]
pub fn age_value(response: &HeaderMap) -> Duration {
    let first = response.get_all(AGE).iter().flat_map(|line| split_list(line.as_bytes())).next();
    first.and_then(parse_delta_seconds).unwrap_or_default()
}

/// A field whose value is an HTTP-date: of its first line; `None` if there is none or it is malformed.
#[must_use]
pub fn date_field(fields: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    Timestamp::parse_http_date(fields.get(name)?.as_bytes())
}

#[cfg(test)]
#[path = "age_tests.rs"]
mod tests;
