//! The `Date` field of responses Forebay makes, formatted once a second.

use std::cell::RefCell;
use std::time::SystemTime;

use http::HeaderValue;

thread_local! {
    static NOW: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
}

/// IMF-fixdate of `now` (RFC 9110 section 5.6.7).
pub(crate) fn field(now: SystemTime) -> HeaderValue {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    NOW.with_borrow_mut(|(cached, value)| {
        if *cached != seconds {
            *cached = seconds;
            *value =
                HeaderValue::from_str(&httpdate::fmt_http_date(now)).unwrap_or_else(|_| HeaderValue::from_static(""));
        }
        value.clone()
    })
}
