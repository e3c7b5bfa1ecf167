use super::super::testing::fields;
use super::*;

fn secs(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn response(lines: &[&str]) -> ResponseDirectives {
    let lines: Vec<_> = lines.iter().map(|line| ("Cache-Control", *line)).collect();
    ResponseDirectives::parse(&fields(&lines))
}

fn request(line: &str) -> RequestDirectives {
    RequestDirectives::parse(&fields(&[("Cache-Control", line)]))
}

#[test]
fn rfc9111_1_2_2_delta_seconds_are_digits_and_clamp_at_two_to_the_31() {
    assert_eq!(parse_delta_seconds(b"0"), secs(0));
    assert_eq!(parse_delta_seconds(b"003600"), secs(3600));
    for text in ["2147483648", "2147483649", "99999999999", "99999999999999999999999999999999999999"] {
        assert_eq!(parse_delta_seconds(text.as_bytes()), secs(1 << 31), "{text}");
    }
    for text in ["", "-1", "+1", "1.0", "1e3", " 1", "a1", "1a", "'1'", "٣"] {
        assert_eq!(parse_delta_seconds(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn rfc9111_5_2_directive_names_are_case_insensitive() {
    let directives = response(&["MaX-aGe=60, No-StOrE, S-MAXAGE=5, PUBLIC"]);
    assert_eq!((directives.max_age, directives.s_maxage), (secs(60), secs(5)));
    assert!(directives.no_store && directives.public);
}

#[test]
fn rfc9111_5_2_both_token_and_quoted_string_arguments_are_accepted() {
    assert_eq!(response(&[r#"max-age="3600""#]).max_age, secs(3600));
    assert_eq!(response(&[r#"max-age="36\00""#]).max_age, secs(3600));
}

#[test]
fn rfc9111_4_2_1_an_invalid_lifetime_is_stale_not_ignored() {
    for value in ["max-age", "max-age=", "max-age=-5", "max-age=3600.0", "max-age=a", "max-age=1a", "max-age='60'"] {
        assert_eq!(response(&[value]).max_age, secs(0), "{value}");
    }
    for value in ["max-age =60", "max-age= 60", r#"max-age="60"#, r#"max-age="60"x"#, "s-maxage=x, s-maxage=60"] {
        let directives = response(&[value]);
        assert_eq!(directives.max_age.or(directives.s_maxage), secs(0), "{value}");
    }
}

#[test]
fn rfc9111_4_2_1_the_first_of_several_occurrences_counts() {
    assert_eq!(response(&["max-age=1, max-age=1800"]).max_age, secs(1));
    assert_eq!(response(&["max-age=1800", "max-age=1"]).max_age, secs(1800));
}

#[test]
fn rfc9111_5_2_3_unknown_directives_and_their_arguments_are_ignored() {
    let directives = response(&[r#"extension="max-age=3600, no-store", max-age=1, foobar"#]);
    assert_eq!(directives, ResponseDirectives { max_age: secs(1), ..Default::default() });
}

#[test]
fn a_stray_quote_does_not_hide_no_store() {
    assert!(response(&[r#"ext="x, no-store"#]).no_store);
}

#[test]
fn all_lines_count_and_empty_members_are_skipped() {
    let directives = response(&[", ,no-transform,", "", "\tmust-revalidate , immutable,,stale-if-error=9"]);
    assert!(directives.no_transform && directives.must_revalidate && directives.immutable);
    assert_eq!(directives.stale_if_error, secs(9));
}

#[test]
fn rfc9111_5_2_2_4_no_cache_with_names_is_about_those_fields() {
    let directives = response(&[r#"no-cache="Set-Cookie, X-A""#, r#"no-cache="b""#]);
    let names: Vec<_> = directives.no_cache.fields().iter().map(HeaderName::as_str).collect();
    assert_eq!(names, ["set-cookie", "x-a", "b"]);
    assert!(!directives.no_cache.is_unqualified());
}

#[test]
fn rfc9111_5_2_2_7_private_that_is_no_list_of_names_is_about_the_whole_response() {
    for value in [
        "private",
        "private=",
        r#"private="""#,
        r#"private="a b""#,
        r#"private="a", private"#,
        r#"private, private="a""#,
        "private =a",
    ] {
        assert!(response(&[value]).private.is_unqualified(), "{value}");
    }
    assert_eq!(response(&["private=a"]).private.fields().len(), 1, "the token form is accepted");
}

#[test]
fn rfc9111_5_2_2_10_s_maxage_forbids_stale_like_proxy_revalidate() {
    for value in ["s-maxage=5", "proxy-revalidate", "must-revalidate", "no-cache"] {
        assert!(response(&[value]).forbids_stale(), "{value}");
    }
    assert!(!response(&[r#"max-age=5, no-cache="a", stale-while-revalidate=3"#]).forbids_stale());
}

#[test]
fn rfc5861_malformed_windows_are_ignored() {
    let directives = response(&["stale-while-revalidate, stale-if-error=x"]);
    assert_eq!((directives.stale_while_revalidate, directives.stale_if_error), (None, None));
}

#[test]
fn rfc9111_5_2_1_request_directives() {
    let directives = request(
        "no-cache, no-store, no-transform, only-if-cached, max-age=1, min-fresh=2, max-stale=3, stale-if-error=4",
    );
    let expected = RequestDirectives {
        no_cache: true,
        no_store: true,
        no_transform: true,
        only_if_cached: true,
        max_age: secs(1),
        min_fresh: secs(2),
        max_stale: Some(MaxStale::Within(Duration::from_secs(3))),
        stale_if_error: secs(4),
    };
    assert_eq!(directives, expected);
}

#[test]
fn rfc9111_5_2_1_2_max_stale_without_value_accepts_any_staleness() {
    assert_eq!(request("max-stale").max_stale, Some(MaxStale::Any));
    assert_eq!(request("max-stale=x").max_stale, None);
    assert_eq!(request("max-stale=").max_stale, None);
}

#[test]
fn malformed_arguments_of_request_directives_are_ignored() {
    assert_eq!(request("max-age=x, min-fresh, foo"), RequestDirectives::default());
}

#[test]
fn rfc9111_5_4_pragma_counts_only_without_cache_control() {
    let no_cache = |lines: &[(&str, &str)]| RequestDirectives::parse(&fields(lines)).no_cache;
    assert!(no_cache(&[("Pragma", "x, No-Cache")]));
    assert!(!no_cache(&[("Pragma", "no-cache"), ("Cache-Control", "max-age=9")]));
    assert!(!no_cache(&[("Pragma", "unrecognised-extension")]));
    let response = ResponseDirectives::parse(&fields(&[("Pragma", "no-cache")]));
    assert_eq!(response, ResponseDirectives::default(), "Pragma has no meaning in responses");
}
