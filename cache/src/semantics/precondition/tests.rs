use super::*;
use Precondition::{Failed, NotModified, Proceed};

/// Mon, 02 Feb 2026 10:00:00 GMT
const MODIFIED: u64 = 1_770_026_400;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn http(seconds: u64) -> String {
    httpdate::fmt_http_date(at(seconds))
}

fn request(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn current(etag: &str) -> Validators<'_> {
    Validators {
        etag: EntityTag::parse(etag.as_bytes()),
        last_modified: Some(at(MODIFIED) + Duration::from_millis(700)),
        date: Some(at(MODIFIED + 60)),
    }
}

fn get(fields: &[(&'static str, &str)]) -> Precondition {
    evaluate(&Method::GET, &request(fields), &current("\"a\""))
}

#[test]
fn no_precondition_proceeds() {
    assert_eq!(get(&[]), Proceed);
}

#[test]
fn rfc9110_13_1_1_if_match_compares_strongly() {
    assert_eq!(get(&[("if-match", "\"a\"")]), Proceed);
    assert_eq!(get(&[("if-match", "\"b\"")]), Failed);
    assert_eq!(get(&[("if-match", "W/\"a\"")]), Failed);
    let weak = evaluate(&Method::GET, &request(&[("if-match", "W/\"a\"")]), &current("W/\"a\""));
    assert_eq!(weak, Failed);
}

#[test]
fn rfc9110_13_1_1_if_match_asterisk_is_true_for_any_current_representation() {
    assert_eq!(get(&[("if-match", "*")]), Proceed);
    assert_eq!(evaluate(&Method::PUT, &request(&[("if-match", " * ")]), &Validators::default()), Proceed);
}

#[test]
fn rfc9110_13_1_1_if_match_without_a_current_etag_fails() {
    assert_eq!(evaluate(&Method::GET, &request(&[("if-match", "\"a\"")]), &Validators::default()), Failed);
}

#[test]
fn rfc9110_13_1_1_malformed_if_match_fails() {
    for field in ["a", "w/\"a\"", "\"a", "\"a\" x", "", "*, \"b\""] {
        assert_eq!(get(&[("if-match", field)]), Failed, "{field}");
    }
}

#[test]
fn rfc9110_13_1_2_if_none_match_compares_weakly() {
    for field in ["\"a\"", "W/\"a\"", "\"x\", \"a\"", "\"x\" ,, W/\"a\" ,"] {
        assert_eq!(get(&[("if-none-match", field)]), NotModified, "{field}");
    }
    let weak = evaluate(&Method::GET, &request(&[("if-none-match", "\"a\"")]), &current("W/\"a\""));
    assert_eq!(weak, NotModified);
    assert_eq!(get(&[("if-none-match", "\"A\"")]), Proceed);
}

#[test]
fn rfc9110_13_1_2_if_none_match_asterisk_matches_any_representation() {
    assert_eq!(get(&[("if-none-match", "*")]), NotModified);
    assert_eq!(evaluate(&Method::PUT, &request(&[("if-none-match", "*")]), &current("\"a\"")), Failed);
}

#[test]
fn rfc9110_13_1_2_matching_if_none_match_is_304_for_get_and_head_and_412_for_others() {
    let fields = request(&[("if-none-match", "\"a\"")]);
    assert_eq!(evaluate(&Method::HEAD, &fields, &current("\"a\"")), NotModified);
    assert_eq!(evaluate(&Method::POST, &fields, &current("\"a\"")), Failed);
}

#[test]
fn rfc9110_13_1_2_asterisk_within_a_list_matches_nothing() {
    assert_eq!(get(&[("if-none-match", "*, \"b\"")]), Proceed);
}

#[test]
fn rfc9110_13_1_3_if_modified_since_is_304_when_not_later() {
    assert_eq!(get(&[("if-modified-since", &http(MODIFIED))]), NotModified);
    assert_eq!(get(&[("if-modified-since", &http(MODIFIED + 1))]), NotModified);
    assert_eq!(get(&[("if-modified-since", &http(MODIFIED - 1))]), Proceed);
}

#[test]
fn rfc9110_13_1_3_if_modified_since_is_ignored_when_if_none_match_is_present() {
    assert_eq!(get(&[("if-none-match", "\"b\""), ("if-modified-since", &http(MODIFIED))]), Proceed);
    assert_eq!(get(&[("if-none-match", ""), ("if-modified-since", &http(MODIFIED))]), Proceed);
}

#[test]
fn rfc9110_13_1_3_if_modified_since_is_ignored_when_malformed_or_several() {
    assert_eq!(get(&[("if-modified-since", "yesterday")]), Proceed);
    assert_eq!(get(&[("if-modified-since", &http(MODIFIED)), ("if-modified-since", &http(MODIFIED))]), Proceed);
}

#[test]
fn rfc9110_13_1_3_if_modified_since_is_ignored_for_other_methods_and_without_a_date() {
    let fields = request(&[("if-modified-since", &http(MODIFIED))]);
    assert_eq!(evaluate(&Method::POST, &fields, &current("\"a\"")), Proceed);
    assert_eq!(evaluate(&Method::GET, &fields, &Validators::default()), Proceed);
}

#[test]
fn rfc9110_13_1_4_if_unmodified_since_fails_when_modified_later() {
    assert_eq!(get(&[("if-unmodified-since", &http(MODIFIED))]), Proceed);
    assert_eq!(get(&[("if-unmodified-since", &http(MODIFIED - 1))]), Failed);
}

#[test]
fn rfc9110_13_1_4_if_unmodified_since_is_ignored_with_if_match_when_malformed_or_without_a_date() {
    let old = http(MODIFIED - 1);
    assert_eq!(get(&[("if-match", "\"a\""), ("if-unmodified-since", &old)]), Proceed);
    assert_eq!(get(&[("if-unmodified-since", "x")]), Proceed);
    let fields = request(&[("if-unmodified-since", &old)]);
    assert_eq!(evaluate(&Method::GET, &fields, &Validators::default()), Proceed);
}

#[test]
fn rfc9110_13_2_2_if_match_is_evaluated_before_if_none_match() {
    assert_eq!(get(&[("if-match", "\"b\""), ("if-none-match", "\"a\"")]), Failed);
    assert_eq!(get(&[("if-match", "\"a\""), ("if-none-match", "\"a\"")]), NotModified);
    assert_eq!(get(&[("if-unmodified-since", &http(MODIFIED - 1)), ("if-none-match", "\"a\"")]), Failed);
}

#[test]
fn rfc9110_13_2_1_methods_without_a_selected_representation_ignore_preconditions() {
    for method in [Method::OPTIONS, Method::TRACE, Method::CONNECT] {
        assert_eq!(evaluate(&method, &request(&[("if-match", "\"b\"")]), &current("\"a\"")), Proceed);
    }
}

#[test]
fn rfc9111_4_3_2_a_cache_does_not_evaluate_if_match_nor_if_unmodified_since() {
    let fields = request(&[("if-match", "\"b\""), ("if-unmodified-since", &http(1))]);
    assert_eq!(evaluate_stored(&Method::GET, &fields, &current("\"a\"")), Proceed);
}

#[test]
fn rfc9110_5_6_7_obsolete_date_forms_are_understood() {
    for date in ["Monday, 02-Feb-26 10:00:00 GMT", "Mon Feb  2 10:00:00 2026"] {
        assert_eq!(get(&[("if-modified-since", date)]), NotModified, "{date}");
    }
}

#[test]
fn rfc9110_13_1_5_if_range_with_an_etag_compares_strongly() {
    assert!(if_range(&request(&[]), &current("\"a\"")));
    assert!(if_range(&request(&[("if-range", "\"a\"")]), &current("\"a\"")));
    assert!(!if_range(&request(&[("if-range", "\"b\"")]), &current("\"a\"")));
    assert!(!if_range(&request(&[("if-range", "W/\"a\"")]), &current("W/\"a\"")));
    assert!(!if_range(&request(&[("if-range", "\"a\"")]), &Validators::default()));
}

#[test]
fn rfc9110_13_1_5_if_range_with_a_date_must_equal_exactly() {
    assert!(if_range(&request(&[("if-range", &http(MODIFIED))]), &current("\"a\"")));
    assert!(!if_range(&request(&[("if-range", &http(MODIFIED + 1))]), &current("\"a\"")));
    assert!(!if_range(&request(&[("if-range", &http(MODIFIED - 1))]), &current("\"a\"")));
}

#[test]
fn rfc9110_8_8_2_2_date_is_strong_only_a_second_after_the_modification() {
    let fields = request(&[("if-range", &http(MODIFIED))]);
    let made = |date| if_range(&fields, &Validators { date, ..current("\"a\"") });
    assert!(made(Some(at(MODIFIED + 1))));
    assert!(!made(Some(at(MODIFIED))));
    assert!(!made(None));
}

#[test]
fn rfc9110_13_1_5_malformed_or_several_if_range_forbids_the_range() {
    assert!(!if_range(&request(&[("if-range", "a")]), &current("\"a\"")));
    assert!(!if_range(&request(&[("if-range", "\"a\", \"b\"")]), &current("\"a\"")));
    assert!(!if_range(&request(&[("if-range", "\"a\""), ("if-range", "\"a\"")]), &current("\"a\"")));
}

#[test]
fn rfc9110_8_8_3_entity_tag_grammar() {
    for text in ["\"\"", "\"a,b\"", "W/\"a\"", "\"\u{e9}\"", "\"!#~\""] {
        assert!(EntityTag::parse(text.as_bytes()).is_some(), "{text}");
    }
    for text in ["a", "\"a", "a\"", "w/\"a\"", "W/ \"a\"", "\"a b\"", "\"a\"b", "\"\u{7f}\"", "", "W/"] {
        assert!(EntityTag::parse(text.as_bytes()).is_none(), "{text}");
    }
    assert!(EntityTag::parse(b"W/\"a\"").unwrap().is_weak());
}

#[test]
fn rfc9110_8_8_3_comma_within_the_quotes_belongs_to_the_tag() {
    let tagged = current("\"a,b\"");
    let ask = |field| evaluate(&Method::GET, &request(&[("if-none-match", field)]), &tagged);
    assert_eq!(ask("\"x\",\"a,b\""), NotModified);
    assert_eq!(ask("\"a\", \"b\""), Proceed);
}

#[test]
fn rfc9110_5_3_several_lines_of_if_none_match_are_one_list() {
    assert_eq!(get(&[("if-none-match", "\"x\""), ("if-none-match", "\"a\"")]), NotModified);
}

#[test]
fn malformed_members_do_not_hide_the_others() {
    assert_eq!(get(&[("if-none-match", "junk, \"a\"")]), NotModified);
    assert_eq!(get(&[("if-none-match", "\"a\" junk")]), Proceed);
}

#[test]
fn rfc9111_4_3_2_a_stored_response_without_last_modified_counts_as_modified_at_its_date() {
    let stored = Validators { etag: None, last_modified: None, date: Some(at(MODIFIED)) };
    let asked = |seconds: u64| request(&[("if-modified-since", http(seconds).as_str())]);
    assert_eq!(evaluate_stored(&Method::GET, &asked(MODIFIED), &stored), NotModified);
    assert_eq!(evaluate_stored(&Method::HEAD, &asked(MODIFIED + 1), &stored), NotModified);
    assert_eq!(evaluate_stored(&Method::GET, &asked(MODIFIED - 1), &stored), Proceed);
    assert_eq!(evaluate(&Method::GET, &asked(MODIFIED), &stored), Proceed, "an origin server knows better");
}
