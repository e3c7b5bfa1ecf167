use super::super::testing::fields;
use super::*;

fn variance(vary: &[&str], request: &[(&str, &str)]) -> Variance {
    let lines: Vec<_> = vary.iter().map(|line| ("Vary", *line)).collect();
    Variance::new(&fields(&lines), &fields(request))
}

/// Whether a response with this `Vary` to the first request may be selected for the second.
fn selects(vary: &str, first: &[(&str, &str)], second: &[(&str, &str)]) -> bool {
    let variance = variance(&[vary], first);
    let matches = variance.matches(&fields(second));
    assert_eq!(matches, variance.suffix() == variance.suffix_for(&fields(second)), "suffixes agree");
    matches
}

#[test]
fn rfc9111_4_1_nominated_fields_have_to_match() {
    assert!(selects("Foo", &[("Foo", "1")], &[("foo", "1"), ("Other", "2")]));
    assert!(!selects("Foo", &[("Foo", "1")], &[("Foo", "2")]));
    assert!(selects("Foo, Bar", &[("Foo", "1"), ("Bar", "abc")], &[("Bar", "abc"), ("Foo", "1")]));
    assert!(!selects("Foo, Bar", &[("Foo", "1"), ("Bar", "abc")], &[("Foo", "1"), ("Bar", "abd")]));
    assert!(selects("", &[("Foo", "1")], &[]));
}

#[test]
fn rfc9111_4_1_an_absent_field_matches_only_an_absent_one() {
    assert!(selects("Foo", &[], &[("Bar", "1")]));
    assert!(!selects("Foo", &[], &[("Foo", "")]));
    assert!(!selects("Foo", &[("Foo", "1")], &[]));
}

#[test]
fn rfc9111_4_1_star_never_matches() {
    for lines in [&["*"][..], &["*, *"], &["Foo, *"], &["*, Foo"], &[", *"], &["", "*"], &["Foo", "*"], &["a b"]] {
        let variance = variance(lines, &[("Foo", "1")]);
        assert!(variance.is_star() && !variance.matches(&fields(&[("Foo", "1")])), "{lines:?}");
    }
}

#[test]
fn rfc9111_4_1_all_vary_lines_count_in_any_order_and_case() {
    let one = variance(&["Foo", "bar, FOO"], &[("Foo", "1"), ("Bar", "2")]);
    let other = variance(&["BAR,foo"], &[("Bar", "2"), ("Foo", "1")]);
    assert_eq!(one, other);
    assert_eq!(one.nominated().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["bar", "foo"]);
    assert_eq!(Variance::from_parts(false, one.nominated.clone()), one);
}

#[test]
fn rfc9111_4_1_lines_are_combined_and_whitespace_around_commas_is_no_difference() {
    assert!(selects("Foo", &[("Foo", "1, 2")], &[("Foo", "1"), ("Foo", "2")]));
    assert!(selects("Foo", &[("Foo", "1,2")], &[("Foo", " 1,\t2 ")]));
    assert!(!selects("Foo", &[("Foo", "1,2")], &[("Foo", "2,1")]));
    assert!(!selects("Foo", &[("Foo", "\"1, 2\"")], &[("Foo", "\"1,2\"")]), "not inside quotes");
}

#[test]
fn fields_that_are_no_lists_are_compared_as_they_are() {
    assert!(!selects("User-Agent", &[("User-Agent", "A (x, y)")], &[("User-Agent", "A (x,y)")]));
    assert!(selects("Cookie", &[("Cookie", "a=1; b=2")], &[("Cookie", "a=1"), ("Cookie", "b=2")]));
    assert!(!selects("Cookie", &[("Cookie", "a=1,2")], &[("Cookie", "a=1, 2")]));
}

#[test]
fn accept_language_is_compared_by_its_meaning() {
    let same = |a, b| selects("Accept-Language", &[("Accept-Language", a)], &[("Accept-Language", b)]);
    assert!(same("en, de", "de, en"));
    assert!(same("en, de", "eN, De"));
    assert!(same("en, de", " en ,   de"));
    assert!(same("en;q=1.0, de;q=0.5", "de; q=0.500 ,en"));
    assert!(!same("en, de;q=0.5", "de, en;q=0.5"));
    assert!(!same("en", "en-GB"));
}

#[test]
fn accept_encoding_is_compared_by_its_meaning() {
    let same = |a, b| selects("Accept-Encoding", &[("Accept-Encoding", a)], &[("Accept-Encoding", b)]);
    assert!(same("gzip, br", "BR,X-Gzip"));
    assert!(same("gzip, x-gzip, gzip", "gzip"));
    assert!(!same("gzip;q=0", "gzip"));
    assert!(!same("gzip, gzip;q=0", "gzip;q=0, gzip"), "which of them counts is the origin's guess");
    assert!(!same("\"A,b\"", "\"a,b\""), "what does not follow the grammar is compared as it is");
    assert!(!same("gzip", "identity"));
    assert!(!same("gzip;q=2", "gzip;q=3"), "what does not follow the grammar is compared as it is");
}

#[test]
fn accept_is_compared_by_its_meaning_with_its_parameters() {
    let same = |a, b| selects("Accept", &[("Accept", a)], &[("Accept", b)]);
    assert!(same("text/html, */*;q=0.1", "*/*;q=0.1,TEXT/html"));
    assert!(!same("text/html;level=1", "text/html;level=2"));
    assert!(same("text/html; level=1;q=0.4", "text/html;level=1; q=0.4"));
    assert!(!same("a/b;p=\"x;y\"", "a/b;p=\"x;z\""));
}

#[test]
fn rfc9110_12_4_2_weights() {
    let all = [("0", Some(0)), ("0.5", Some(500)), ("0.001", Some(1)), ("1", Some(1000)), ("1.000", Some(1000))];
    let bad = ["", "1.001", "2", "0.1234", "0,5", "-0", ".5", "0.x"].map(|text| (text, None));
    for (text, expected) in all.into_iter().chain(bad) {
        assert_eq!(parse_weight(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn suffixes_of_different_values_never_collide() {
    let suffix = |request: &[(&str, &str)]| variance(&["a, b"], request).suffix();
    let all = [
        suffix(&[]),
        suffix(&[("a", "")]),
        suffix(&[("b", "")]),
        suffix(&[("a", "b")]),
        suffix(&[("a", "x"), ("b", "y")]),
        suffix(&[("a", "xb"), ("b", "y")]),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}
