use super::super::refresh_pattern::RefreshPattern;
use super::super::testing::{Case, T0, date};
use super::*;
use crate::semantics::storability::StorePolicy;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn of(case: &Case) -> (LifetimeSource, u64) {
    let freshness = freshness(&case.exchange(), &case.policy.freshness);
    (freshness.source, freshness.lifetime.as_secs())
}

fn lifetime(lines: &[(&str, &str)]) -> (LifetimeSource, u64) {
    of(&Case::response(lines))
}

fn hour_for_all(policy: &mut StorePolicy) {
    let rule = RefreshPattern::new(".", false, secs(3600), 0, secs(3600)).unwrap();
    policy.freshness.refresh_patterns = [rule].into_iter().collect();
}

#[test]
fn rfc9111_4_2_1_s_maxage_over_max_age_over_expires() {
    let expires = date(30);
    let all = [("Cache-Control", "max-age=20, s-maxage=10"), ("Expires", &expires), ("Date", &date(0))];
    assert_eq!(lifetime(&all), (LifetimeSource::SMaxAge, 10));
    assert_eq!(lifetime(&[("Cache-Control", "max-age=20"), all[1]]), (LifetimeSource::MaxAge, 20));
    assert_eq!(lifetime(&all[1..]), (LifetimeSource::Expires, 30));
}

#[test]
fn rfc9111_5_3_max_age_puts_expires_out_of_force_even_if_invalid() {
    assert_eq!(lifetime(&[("Cache-Control", "max-age=0"), ("Expires", &date(3600))]), (LifetimeSource::MaxAge, 0));
    assert_eq!(lifetime(&[("Cache-Control", "max-age=x"), ("Expires", &date(3600))]), (LifetimeSource::MaxAge, 0));
}

#[test]
fn rfc9111_4_2_1_expires_is_relative_to_the_origins_date() {
    assert_eq!(lifetime(&[("Expires", &date(20)), ("Date", &date(10))]), (LifetimeSource::Expires, 10));
    assert_eq!(lifetime(&[("Expires", &date(300)), ("Date", &date(400))]), (LifetimeSource::Expires, 0));
}

#[test]
fn rfc9110_6_6_1_without_a_valid_date_expires_is_relative_to_receipt() {
    assert_eq!(lifetime(&[("Expires", &date(10))]), (LifetimeSource::Expires, 10));
    assert_eq!(lifetime(&[("Expires", &date(10)), ("Date", "foo")]), (LifetimeSource::Expires, 10));
}

#[test]
fn rfc9111_5_3_an_invalid_expires_is_in_the_past() {
    for value in ["0", "-1", "", "now", "Thu, 18 Aug 2050 02:01:18 AEST"] {
        let case = Case::response(&[("Expires", value), ("Last-Modified", &date(-86400))]).policy(hour_for_all);
        assert_eq!(of(&case), (LifetimeSource::Expires, 0), "{value}");
    }
}

#[test]
fn rfc9111_4_2_1_the_first_of_several_expires_counts() {
    assert_eq!(lifetime(&[("Expires", &date(10)), ("Expires", &date(99))]), (LifetimeSource::Expires, 10));
}

#[test]
fn rfc9213_2_2_a_targeted_field_puts_cache_control_and_expires_out_of_force() {
    let rest = [("Cache-Control", "max-age=1"), ("Expires", &date(5))];
    let with = |value| lifetime(&[("CDN-Cache-Control", value), rest[0], rest[1]]);
    assert_eq!(with("max-age=3600"), (LifetimeSource::Targeted, 3600));
    assert_eq!(with("must-revalidate"), (LifetimeSource::None, 0));
    assert_eq!(with("&&"), (LifetimeSource::MaxAge, 1));
}

#[test]
fn the_operators_word_comes_after_the_responses_and_refresh_pattern_before_lifetimes() {
    let assigned = |policy: &mut StorePolicy| policy.freshness.lifetimes = vec![(200, secs(60)), (404, secs(5))];
    let bare = Case::response(&[]);
    assert_eq!(of(&bare.clone().policy(assigned)), (LifetimeSource::Assigned, 60));
    assert_eq!(of(&bare.clone().policy(assigned).policy(hour_for_all)), (LifetimeSource::RefreshPattern, 3600));
    assert_eq!(of(&bare.clone().policy(assigned).status(404)), (LifetimeSource::Assigned, 5));
    assert_eq!(of(&bare), (LifetimeSource::None, 0));
    let explicit = Case::response(&[("Cache-Control", "max-age=7")]).policy(assigned).policy(hour_for_all);
    assert_eq!(of(&explicit), (LifetimeSource::MaxAge, 7));
}

#[test]
fn assigned_lifetimes_are_never_for_server_errors_nor_for_most_client_errors() {
    let everything = |policy: &mut StorePolicy| {
        hour_for_all(policy);
        policy.freshness.lifetimes = (200..600).map(|status| (status, secs(60))).collect();
    };
    for status in [400, 401, 403, 408, 429, 451, 500, 501, 502, 503, 504] {
        assert_eq!(of(&Case::response(&[]).status(status).policy(everything)).0, LifetimeSource::None, "{status}");
    }
    assert_eq!(of(&Case::response(&[]).status(302).policy(everything)).0, LifetimeSource::Assigned);
    assert_eq!(of(&Case::response(&[]).status(410).policy(everything)).0, LifetimeSource::RefreshPattern);
}

#[test]
fn no_lifetime_is_assumed_where_the_forwarded_request_carried_a_cookie() {
    let modified = date(-86400);
    let case = Case::response(&[("Last-Modified", &modified)]).request(&[("Cookie", "a=b")]).policy(hour_for_all);
    assert_eq!(of(&case), (LifetimeSource::None, 0));
    let explicit = Case::response(&[("Cache-Control", "max-age=7")]).request(&[("Cookie", "a=b")]);
    assert_eq!(of(&explicit), (LifetimeSource::MaxAge, 7));
}

#[test]
fn rfc9111_4_2_2_a_tenth_of_the_age_of_last_modified_up_to_the_ceiling() {
    let heuristic = |ago: i64| lifetime(&[("Last-Modified", &date(-ago)), ("Date", &date(0))]);
    assert_eq!(heuristic(86400), (LifetimeSource::Heuristic, 8640));
    assert_eq!(heuristic(86400 * 365), (LifetimeSource::Heuristic, 86400));
    assert_eq!(heuristic(-5), (LifetimeSource::None, 0), "modified in the future");
    let off = Case::response(&[("Last-Modified", &date(-86400))]).policy(|policy| policy.freshness.heuristic = false);
    assert_eq!(of(&off), (LifetimeSource::None, 0));
}

#[test]
fn rfc9111_4_2_2_heuristics_need_a_status_that_allows_them_or_public() {
    let modified = date(-86400);
    let source = |status, control| {
        of(&Case::response(&[("Last-Modified", &modified), ("Cache-Control", control)]).status(status)).0
    };
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(source(status, ""), LifetimeSource::Heuristic, "{status}");
    }
    for status in [201, 202, 302, 307, 403, 500, 502, 503, 504, 599] {
        assert_eq!(source(status, ""), LifetimeSource::None, "{status}");
    }
    assert_eq!(source(599, "public"), LifetimeSource::Heuristic);
}

#[test]
fn rfc9111_4_2_2_heuristics_are_not_used_where_there_is_explicit_expiration() {
    assert_eq!(
        lifetime(&[("Last-Modified", &date(-86400)), ("Expires", &date(-5)), ("Date", &date(0))]),
        (LifetimeSource::Expires, 0)
    );
}

#[test]
fn max_lifetime_is_above_every_source() {
    let cap = |policy: &mut StorePolicy| policy.freshness.max_lifetime = Some(secs(100));
    assert_eq!(of(&Case::response(&[("Cache-Control", "s-maxage=99999999999")]).policy(cap)).1, 100);
    assert_eq!(of(&Case::response(&[]).policy(hour_for_all).policy(cap)).1, 100);
    assert_eq!(of(&Case::response(&[("Cache-Control", "max-age=9")]).policy(cap)).1, 9);
}

#[test]
fn rfc5861_stale_windows_are_the_responses_or_else_the_operators() {
    let defaults = |policy: &mut StorePolicy| {
        policy.freshness.stale_while_revalidate = secs(7);
        policy.freshness.stale_if_error = secs(8);
    };
    let windows = |control| {
        let case = Case::response(&[("Cache-Control", control)]).policy(defaults);
        let freshness = freshness(&case.exchange(), &case.policy.freshness);
        (freshness.stale_while_revalidate.as_secs(), freshness.stale_if_error.as_secs())
    };
    assert_eq!(windows("max-age=1"), (7, 8));
    assert_eq!(windows("max-age=1, stale-while-revalidate=2, stale-if-error=0"), (2, 0));
    assert_eq!(windows("max-age=0"), (0, 0), "the default is not for what was never fresh");
    assert_eq!(windows("max-age=0, stale-while-revalidate=2"), (2, 0));
}

#[test]
fn rfc9111_4_2_4_directives_that_forbid_stale_leave_no_window() {
    for control in ["must-revalidate", "proxy-revalidate", "s-maxage=9", "no-cache"] {
        let control = format!("max-age=1, stale-while-revalidate=60, stale-if-error=60, {control}");
        let case = Case::response(&[("Cache-Control", &control)]);
        let freshness = freshness(&case.exchange(), &case.policy.freshness);
        assert_eq!(freshness.stale_while_revalidate.max(freshness.stale_if_error), Duration::ZERO, "{control}");
    }
}

#[test]
fn a_lifetime_does_not_depend_on_when_it_is_asked() {
    let mut case = Case::response(&[("Expires", &date(60)), ("Date", &date(0))]);
    let first = of(&case);
    case.response.insert("age", http::HeaderValue::from_static("30"));
    assert_eq!(of(&case), first);
    assert_eq!(case.exchange().date(), T0);
}

/// A page with a nonce in it must not be handed out older than the nonce lives, fresh or stale.
#[test]
fn max_lifetime_bounds_the_age_of_what_is_used_while_it_is_validated() {
    let stale = |own: &str, ceiling: Option<u64>| {
        let case = Case::response(&[("Cache-Control", own)]).policy(|policy| {
            policy.freshness.max_lifetime = ceiling.map(secs);
            policy.freshness.stale_while_revalidate = secs(500);
            policy.freshness.stale_if_error = secs(500);
        });
        let freshness = freshness(&case.exchange(), &case.policy.freshness);
        (freshness.stale_while_revalidate.as_secs(), freshness.stale_if_error.as_secs())
    };
    assert_eq!(stale("max-age=60", None), (500, 500));
    assert_eq!(stale("max-age=60", Some(100)), (40, 500));
    assert_eq!(stale("max-age=60, stale-while-revalidate=900", Some(100)), (40, 500));
    assert_eq!(stale("max-age=600", Some(100)), (0, 500));
}
