use std::time::Duration;

use super::super::testing::{Case, date};
use super::*;

fn reason(case: &Case) -> Option<Reason> {
    storability(&case.exchange(), &case.policy).reason()
}

/// A response that is storable until something is changed.
fn fresh() -> Case {
    with("max-age=60")
}

fn with(control: &str) -> Case {
    Case::response(&[("Cache-Control", control)])
}

#[test]
fn rfc9111_3_a_fresh_response_to_get_is_storable() {
    assert_eq!(reason(&fresh()), None);
}

#[test]
fn rfc9111_3_methods_not_understood_are_not_stored() {
    for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "M-SEARCH", "get"] {
        let mut case = fresh();
        case.method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(reason(&case), Some(Reason::Method), "{method}");
    }
}

#[test]
fn rfc9110_9_3_3_post_is_stored_with_explicit_freshness_and_matching_content_location() {
    let post = |lines: &[(&str, &str)]| {
        let mut case = Case::response(lines);
        case.method = Method::POST;
        storability(&case.exchange().request_has_content(true), &case.policy).reason()
    };
    let fresh = ("Cache-Control", "max-age=60");
    assert_eq!(post(&[fresh, ("Content-Location", "/x")]), None);
    assert_eq!(post(&[fresh, ("Content-Location", "http://a.test:80/x")]), None);
    assert_eq!(post(&[fresh]), Some(Reason::Method));
    let mut created = Case::response(&[fresh, ("Content-Location", "/x")]).status(201);
    created.method = Method::POST;
    assert_eq!(reason(&created), Some(Reason::Method), "200 alone is the answer a GET would get");
    assert_eq!(post(&[fresh, ("Content-Location", "/y")]), Some(Reason::Method));
    assert_eq!(post(&[("Content-Location", "/x"), ("Last-Modified", &date(-9999))]), Some(Reason::Method));
}

#[test]
fn a_get_with_content_is_not_stored() {
    let case = fresh();
    let exchange = case.exchange().request_has_content(true);
    assert_eq!(storability(&exchange, &case.policy).reason(), Some(Reason::RequestContent));
}

#[test]
fn rfc9111_3_only_final_statuses_are_stored() {
    for (status, expected) in [
        (100, Reason::Interim),
        (103, Reason::Interim),
        (304, Reason::NotModified),
        (206, Reason::PartialContent),
        (412, Reason::AnswersRequest),
        (416, Reason::AnswersRequest),
        (417, Reason::AnswersRequest),
    ] {
        assert_eq!(reason(&fresh().status(status)), Some(expected), "{status}");
    }
    assert_eq!(reason(&fresh().status(206).policy(|policy| policy.partial = true)), None);
}

#[test]
fn rfc9111_3_any_final_status_is_stored_with_explicit_freshness() {
    for status in [200, 204, 299, 302, 307, 400, 404, 499, 500, 503, 599, 999] {
        assert_eq!(reason(&fresh().status(status)), None, "{status}");
    }
}

#[test]
fn rfc9111_3_3_incomplete_responses_are_not_stored() {
    let case = fresh();
    let exchange = case.exchange().incomplete(true);
    assert_eq!(storability(&exchange, &case.policy).reason(), Some(Reason::Incomplete));
}

#[test]
fn rfc9111_5_2_1_5_a_request_with_no_store_leaves_nothing() {
    let case = fresh().request(&[("Cache-Control", "No-Store")]);
    assert_eq!(reason(&case), Some(Reason::RequestNoStore));
}

#[test]
fn rfc9111_5_2_2_5_no_store_is_not_stored_however_fresh() {
    assert_eq!(reason(&with("max-age=10000, no-store")), Some(Reason::NoStore));
    assert_eq!(reason(&with("No-StOrE")), Some(Reason::NoStore));
}

#[test]
fn rfc9111_5_2_2_3_must_understand_needs_an_understood_status_and_then_overrides_no_store() {
    assert_eq!(reason(&with("max-age=3600, must-understand").status(599)), Some(Reason::StatusNotUnderstood));
    assert_eq!(reason(&with("max-age=3600, must-understand, no-store").status(599)), Some(Reason::StatusNotUnderstood));
    assert_eq!(reason(&with("max-age=3600, must-understand, no-store")), None);
    assert_eq!(reason(&with("max-age=3600, must-understand").status(404)), None);
}

#[test]
fn rfc9111_5_2_2_7_private_is_not_stored_unless_it_names_fields() {
    assert_eq!(reason(&with("private, max-age=3600")), Some(Reason::Private));
    assert_eq!(reason(&with(r#"private="x-user", max-age=3600"#)), None);
}

#[test]
fn rfc9111_3_5_answers_to_authorization_are_stored_only_where_the_response_allows() {
    let case = |control| reason(&with(control).request(&[("Authorization", "FOO")]));
    assert_eq!(case("max-age=60"), Some(Reason::Authorization));
    for control in ["max-age=60, public", "max-age=60, must-revalidate", "s-maxage=60"] {
        assert_eq!(case(control), None, "{control}");
    }
}

#[test]
fn rfc9111_7_3_set_cookie_is_as_the_policy_says() {
    for name in ["Set-Cookie", "Set-Cookie2"] {
        let case = Case::response(&[("Cache-Control", "max-age=60"), (name, "a=b")]);
        assert_eq!(reason(&case), Some(Reason::SetCookie));
        for allowed in [SetCookie::Strip, SetCookie::Rfc] {
            assert_eq!(reason(&case.clone().policy(|policy| policy.set_cookie = allowed)), None, "{allowed:?}");
        }
    }
}

#[test]
fn cookies_to_ignore_refuse_nothing_and_no_other_hides_behind_them() {
    let ignoring = |lines: &[&str]| {
        let fields = lines.iter().map(|line| ("Set-Cookie", *line)).chain([("Cache-Control", "max-age=60")]);
        let case = Case::response(&fields.collect::<Vec<_>>());
        reason(&case.policy(|policy| policy.ignored_cookies = ParamMatcher::new(["_ga*", "seen"])))
    };
    for lines in [&["_ga=1; Path=/"] as &[_], &["_ga_X=1", "seen=2"], &[" seen =; HttpOnly"], &["seen=a=b"]] {
        assert_eq!(ignoring(lines), None, "{lines:?}");
    }
    for lines in [
        &["session=1"] as &[_],
        &["_ga=1", "session=1"],
        &["session=_ga=1"],
        &["Seen=1"],
        &["seen"],
        &["; seen=1"],
        &["x; seen=1"],
        &[""],
    ] {
        assert_eq!(ignoring(lines), Some(Reason::SetCookie), "{lines:?}");
    }
}

#[test]
fn a_page_under_the_name_of_a_file_is_not_stored() {
    let asked = |url: &'static str, kind: &str, status: u16| {
        let mut case = Case::response(&[("Cache-Control", "max-age=60"), ("Content-Type", kind)]).status(status);
        case.url = url;
        reason(&case)
    };
    for url in [
        "http://a.test/account/x.css",
        "http://a.test/account;x.JS?y=1",
        "http://a.test/account%3Fx.png",
        "http://a.test/x.woff2?a=/b",
    ] {
        assert_eq!(asked(url, "text/html; charset=UTF-8", 200), Some(Reason::PageUnderFileName), "{url}");
        assert_eq!(asked(url, "application/xhtml+xml", 200), Some(Reason::PageUnderFileName), "{url}");
        assert_eq!(asked(url, "text/css", 200), None, "{url}");
        assert_eq!(asked(url, "text/html", 404), None, "the page that says so: {url}");
    }
    for url in ["http://a.test/x.html", "http://a.test/x.css/", "http://a.test/x?y=z.css", "http://a.css"] {
        assert_eq!(asked(url, "text/html", 200), None, "{url}");
    }
    let mut case = Case::response(&[("Cache-Control", "max-age=60"), ("Content-Type", "text/html")]);
    case.url = "http://a.test/x.css";
    assert_eq!(reason(&case.policy(|policy| policy.pages_under_file_names = true)), None);
}

#[test]
fn rfc9111_4_1_vary_star_anywhere_is_not_stored() {
    for vary in ["*", "*, *", ", *", "*, Foo", "Foo, *", "not a name"] {
        let case = Case::response(&[("Cache-Control", "max-age=60"), ("Vary", ""), ("Vary", vary)]);
        assert_eq!(reason(&case), Some(Reason::VaryStar), "{vary}");
    }
}

#[test]
fn rfc9111_3_nothing_that_allows_reuse_is_not_stored() {
    assert_eq!(reason(&Case::response(&[])), Some(Reason::NoFreshness));
    assert_eq!(reason(&Case::response(&[]).status(201)), Some(Reason::NoFreshness));
    assert_eq!(reason(&Case::response(&[("ETag", "\"a\"")]).status(202)), Some(Reason::NoFreshness));
}

#[test]
fn rfc9111_3_a_validator_makes_a_heuristically_cacheable_status_storable() {
    assert_eq!(reason(&Case::response(&[("ETag", "\"a\"")])), None);
    assert_eq!(reason(&Case::response(&[("ETag", "\"a\""), ("Cache-Control", "no-cache")])), None);
    assert_eq!(reason(&Case::response(&[("ETag", "\"a\""), ("Cache-Control", "max-age=0")])), None);
    let no_cache = Case::response(&[("ETag", "\"a\""), ("Cache-Control", "no-cache")]);
    assert_eq!(reason(&no_cache.clone().request(&[("Cookie", "a=b")])), None, "validated at every use");
    assert_eq!(reason(&no_cache.status(503)), Some(Reason::ErrorWithoutExplicitFreshness));
}

#[test]
fn what_is_stale_at_once_and_cannot_be_validated_is_not_stored() {
    assert_eq!(reason(&with("max-age=0")), Some(Reason::StaleOnArrival));
    assert_eq!(reason(&with("no-cache, max-age=60")), Some(Reason::StaleOnArrival));
    let aged = Case::response(&[("Cache-Control", "max-age=60"), ("Age", "60")]);
    assert_eq!(reason(&aged), Some(Reason::StaleOnArrival));
    assert_eq!(reason(&with("max-age=0, stale-while-revalidate=5")), None);
}

#[test]
fn errors_are_stored_only_with_freshness_of_their_own() {
    let everything = |policy: &mut StorePolicy| {
        policy.freshness.lifetimes = (200..600).map(|status| (status, Duration::from_secs(60))).collect();
    };
    for status in [400, 403, 429, 500, 502, 503, 504] {
        let case = Case::response(&[("ETag", "\"a\"")]).status(status).policy(everything);
        assert_eq!(reason(&case), Some(Reason::ErrorWithoutExplicitFreshness), "{status}");
    }
    assert_eq!(reason(&Case::response(&[]).status(404).policy(everything)), None);
    for (status, control) in [(501, ""), (503, "public")] {
        let case = Case::response(&[("ETag", "\"a\""), ("Cache-Control", control)]).status(status);
        assert_eq!(reason(&case), Some(Reason::ErrorWithoutExplicitFreshness), "{status}: a validator is not enough");
    }
}

#[test]
fn a_forwarded_cookie_bars_every_lifetime_the_response_does_not_give() {
    let lifetimes = |policy: &mut StorePolicy| policy.freshness.lifetimes = vec![(200, Duration::from_secs(60))];
    let cookie = [("Cookie", "a=b")];
    let expected = Some(Reason::CookieWithoutExplicitFreshness);
    assert_eq!(reason(&Case::response(&[]).request(&cookie).policy(lifetimes)), expected);
    assert_eq!(reason(&Case::response(&[("Last-Modified", &date(-9999))]).request(&cookie)), expected);
    assert_eq!(reason(&Case::response(&[("ETag", "\"a\"")]).request(&cookie)), expected);
    assert_eq!(reason(&fresh().request(&cookie)), None);
    assert_eq!(reason(&Case::response(&[]).policy(lifetimes)), None);
}

#[test]
fn rfc9213_2_2_a_targeted_field_decides_alone() {
    let case = |target, control| reason(&Case::response(&[("CDN-Cache-Control", target), ("Cache-Control", control)]));
    assert_eq!(case("max-age=10000", "no-store"), None);
    assert_eq!(case("no-store", "max-age=10000"), Some(Reason::NoStore));
    assert_eq!(case("private", "max-age=10000"), Some(Reason::Private));
    assert_eq!(case("max-age=10000, &&&&&", "no-store"), Some(Reason::NoStore));
}

#[test]
fn every_reason_has_its_own_code_in_kebab_case() {
    let codes = [
        Reason::Method,
        Reason::RequestContent,
        Reason::RequestNoStore,
        Reason::Interim,
        Reason::NotModified,
        Reason::PartialContent,
        Reason::AnswersRequest,
        Reason::Incomplete,
        Reason::NoStore,
        Reason::Private,
        Reason::StatusNotUnderstood,
        Reason::Authorization,
        Reason::SetCookie,
        Reason::VaryStar,
        Reason::CookieWithoutExplicitFreshness,
        Reason::ErrorWithoutExplicitFreshness,
        Reason::NoFreshness,
        Reason::StaleOnArrival,
    ]
    .map(Reason::as_str);
    let distinct: std::collections::BTreeSet<_> = codes.into_iter().collect();
    assert_eq!(distinct.len(), codes.len());
    assert!(codes.iter().all(|code| code.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())));
}

#[test]
fn litespeed_vary_is_stored_only_where_its_cookies_keep_requests_apart() {
    let of = |vary: &str, apart: Option<&[&str]>| {
        let mut case = Case::response(&[("Cache-Control", "max-age=60"), ("X-LiteSpeed-Vary", vary)]);
        case.policy.litespeed_cookies = apart.map(ParamMatcher::new);
        storability(&case.exchange(), &case.policy).reason()
    };
    assert_eq!(of("cookie=_lscache_vary", Some(&["_lscache_vary"])), None);
    assert_eq!(of("cookie=_lscache_vary,cookie=other", Some(&["_lscache_vary"])), Some(Reason::LitespeedVary));
    assert_eq!(of("value=mobile", Some(&["_lscache_vary"])), Some(Reason::LitespeedVary));
    assert_eq!(of("value=mobile", None), None);
}
