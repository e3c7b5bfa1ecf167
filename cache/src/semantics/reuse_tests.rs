use super::super::testing::{Case, at, date, fields};
use super::*;

const STALE: Reuse = Reuse::MustValidate(ForwardReason::Stale);
const REQUEST: Reuse = Reuse::MustValidate(ForwardReason::Request);

fn stored(control: &str) -> StoredResponse {
    Case::response(&[("Cache-Control", control), ("Date", &date(0)), ("ETag", "\"a\"")]).stored()
}

fn request(control: &str) -> RequestDirectives {
    RequestDirectives::parse(&fields(&[("Cache-Control", control)]))
}

/// Reuse of a response with these directives, so many seconds after it came, for a request with those directives.
fn after(seconds: i64, response: &str, asked: &str) -> Reuse {
    reuse(&stored(response), &request(asked), at(seconds))
}

fn error_after(seconds: i64, response: &str, asked: &str) -> bool {
    stale_if_error(&stored(response), &request(asked), at(seconds))
}

#[test]
fn rfc9111_4_2_a_response_is_fresh_while_its_lifetime_is_above_its_age() {
    assert_eq!(after(59, "max-age=60", ""), Reuse::Fresh);
    assert_eq!(after(60, "max-age=60", ""), STALE);
    let aged = Case::response(&[("Cache-Control", "max-age=3600"), ("Age", "7200")]).stored();
    assert_eq!(reuse(&aged, &request(""), at(0)), STALE);
}

#[test]
fn rfc9111_5_2_2_4_no_cache_is_validated_at_every_use() {
    assert_eq!(after(0, "max-age=60, no-cache", ""), STALE);
    assert_eq!(after(0, "max-age=60, no-cache", "max-stale"), STALE);
    assert_eq!(after(0, r#"max-age=60, no-cache="a""#, ""), Reuse::Fresh);
}

#[test]
fn rfc9111_5_2_1_1_max_age_bounds_the_age_and_refuses_stale() {
    assert_eq!(after(5, "max-age=60", "max-age=5"), Reuse::Fresh);
    assert_eq!(after(6, "max-age=60", "max-age=5"), REQUEST);
    assert_eq!(after(1, "max-age=60", "max-age=0"), REQUEST);
    assert_eq!(after(65, "max-age=60, stale-while-revalidate=60", "max-age=600"), STALE);
    assert_eq!(after(65, "max-age=60", "max-age=600, max-stale=10"), Reuse::StaleAllowed);
    assert_eq!(after(65, "max-age=60", "max-age=61, max-stale=10"), STALE);
}

#[test]
fn rfc9111_5_2_1_2_max_stale_accepts_staleness_up_to_its_value() {
    assert_eq!(after(70, "max-age=60", "max-stale=10"), Reuse::StaleAllowed);
    assert_eq!(after(71, "max-age=60", "max-stale=10"), STALE);
    assert_eq!(after(9999, "max-age=60", "max-stale"), Reuse::StaleAllowed);
}

#[test]
fn rfc9111_4_2_4_max_stale_does_not_override_what_forbids_stale() {
    for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=60"] {
        assert_eq!(after(61, &format!("max-age=60, {forbidding}"), "max-stale"), STALE, "{forbidding}");
    }
}

#[test]
fn rfc9111_5_2_1_3_min_fresh_asks_for_remaining_freshness() {
    assert_eq!(after(50, "max-age=60", "min-fresh=10"), Reuse::Fresh);
    assert_eq!(after(51, "max-age=60", "min-fresh=10"), REQUEST);
    assert_eq!(after(61, "max-age=60, stale-while-revalidate=60", "min-fresh=0"), STALE);
    assert_eq!(after(61, "max-age=60", "min-fresh=1, max-stale"), STALE);
}

#[test]
fn rfc9111_5_2_1_4_no_cache_in_the_request_asks_for_validation() {
    assert_eq!(after(0, "max-age=60", "no-cache"), REQUEST);
    let pragma = RequestDirectives::parse(&fields(&[("Pragma", "no-cache")]));
    assert_eq!(reuse(&stored("max-age=60"), &pragma, at(0)), REQUEST);
    assert_eq!(after(61, "max-age=60, stale-while-revalidate=60", "no-cache"), STALE);
}

#[test]
fn rfc9111_5_2_1_7_only_if_cached_changes_nothing_about_what_may_be_used() {
    assert_eq!(after(0, "max-age=60", "only-if-cached"), Reuse::Fresh);
    assert_eq!(after(60, "max-age=60", "only-if-cached"), STALE);
}

#[test]
fn rfc9111_4_2_4_stale_is_not_served_unless_something_permits_it() {
    assert_eq!(after(61, "max-age=60", ""), STALE);
    assert!(!error_after(61, "max-age=60", ""));
}

#[test]
fn rfc5861_3_stale_while_revalidate_has_an_end() {
    let control = "max-age=60, stale-while-revalidate=30";
    assert_eq!(after(59, control, ""), Reuse::Fresh);
    assert_eq!(after(60, control, ""), Reuse::StaleWhileRevalidate);
    assert_eq!(after(89, control, ""), Reuse::StaleWhileRevalidate);
    assert_eq!(after(90, control, ""), STALE);
}

#[test]
fn rfc9111_5_2_2_2_must_revalidate_is_never_used_stale() {
    for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"] {
        let control = format!("max-age=60, stale-while-revalidate=99, stale-if-error=99, {forbidding}");
        assert_eq!(after(61, &control, ""), STALE, "{forbidding}");
        assert!(!error_after(61, &control, "stale-if-error=99"), "{forbidding}");
    }
}

#[test]
fn rfc5861_4_stale_if_error_has_an_end_and_the_requests_own_comes_first() {
    let control = "max-age=60, stale-if-error=30";
    assert!(error_after(0, control, ""));
    assert!(error_after(89, control, ""));
    assert!(!error_after(90, control, ""));
    assert!(error_after(95, control, "stale-if-error=40"));
    assert!(!error_after(61, control, "stale-if-error=0"));
    assert!(error_after(61, control, "max-age=0"), "a reload is better served stale than with an error");
    assert!(!error_after(61, control, "no-cache"));
    assert!(!error_after(0, "max-age=60, no-cache", ""));
}

fn disconnected_after(seconds: i64, response: &str, asked: &str) -> bool {
    stale_if_disconnected(&stored(response), &request(asked), &StorePolicy::default(), at(seconds))
}

#[test]
fn rfc9111_4_2_4_a_disconnected_cache_may_use_a_stale_response_unless_that_is_forbidden() {
    assert!(disconnected_after(100, "max-age=60", ""));
    assert!(!error_after(100, "max-age=60", ""), "an error response is not a disconnection");
    for response in ["must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"] {
        assert!(!disconnected_after(100, &format!("max-age=60, {response}"), ""), "{response}");
    }
    assert!(!disconnected_after(100, "max-age=60", "no-cache"));
    assert!(!disconnected_after(100, "max-age=60", "stale-if-error=30"));
    assert!(disconnected_after(100, "max-age=60", "stale-if-error=60"));
}

#[test]
fn rfc5861_4_an_own_stale_if_error_bounds_what_a_disconnected_cache_uses() {
    assert!(disconnected_after(89, "max-age=60, stale-if-error=30", ""));
    assert!(!disconnected_after(90, "max-age=60, stale-if-error=30", ""));
    assert!(!disconnected_after(60, "max-age=60, stale-if-error=0", ""));
    assert!(disconnected_after(60 + 86399, "max-age=60", "") && !disconnected_after(60 + 86400, "max-age=60", ""));
}
