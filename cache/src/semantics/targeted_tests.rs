use std::time::Duration;

use super::super::testing::fields;
use super::*;

fn cdn(value: &str) -> Option<ResponseDirectives> {
    select(&fields(&[("CDN-Cache-Control", value)]), &TargetList::default())
}

fn secs(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn rfc9213_2_2_the_first_valid_field_of_the_list_counts_alone() {
    let fields = fields(&[
        ("CDN-Cache-Control", "max-age=1, no-store"),
        ("Forebay-Cache-Control", "max-age=2"),
        ("Cache-Control", "max-age=3, private"),
    ]);
    let max_age = |targets: &TargetList| ResponseDirectives::effective(&fields, targets).max_age;
    assert_eq!(max_age(&TargetList::default()), secs(2));
    assert_eq!(max_age(&TargetList::none()), secs(3));
    let effective = ResponseDirectives::effective(&fields, &TargetList::default());
    assert!(effective.targeted && !effective.no_store && !effective.private.is_unqualified());
}

#[test]
fn rfc9213_2_1_an_empty_or_unparsable_field_is_ignored() {
    for value in
        ["", " ", "max-age=10000, &&&&&", "MaX-aGe=3600", "max-age =100", "max-age= 100", "max-age=60,", "a=\"x"]
    {
        assert_eq!(cdn(value), None, "{value:?}");
    }
    let lines = [("Forebay-Cache-Control", "&"), ("CDN-Cache-Control", "max-age=7")];
    assert_eq!(select(&fields(&lines), &TargetList::default()).unwrap().max_age, secs(7), "the next of the list");
}

#[test]
fn rfc9213_2_1_values_of_the_wrong_type_are_not_coerced() {
    for value in [r#"max-age="10000""#, "max-age=10.0", "max-age=ten", "max-age", "max-age=(1 2)", "max-age=-5"] {
        assert_eq!(cdn(value).unwrap().max_age, secs(0), "{value}");
    }
    assert_eq!(cdn("max-age=?0").unwrap().max_age, None);
}

#[test]
fn rfc9213_2_2_the_required_directives_are_implemented() {
    let directives = cdn("max-age=99999999999, must-revalidate, no-store, no-cache, private, foobar;x=1").unwrap();
    assert_eq!(directives.max_age, secs(1 << 31));
    assert!(directives.must_revalidate && directives.no_store);
    assert!(directives.no_cache.is_unqualified() && directives.private.is_unqualified());
}

#[test]
fn rfc9213_2_1_lines_are_combined_and_field_names_are_strings() {
    let fields = fields(&[("CDN-Cache-Control", "max-age=5"), ("CDN-Cache-Control", r#"private="a, b""#)]);
    let directives = select(&fields, &TargetList::default()).unwrap();
    assert_eq!((directives.max_age, directives.private.fields().len()), (secs(5), 2));
    assert!(!cdn("no-store=?0").unwrap().no_store);
    assert!(cdn("no-store=1").unwrap().no_store, "a restriction is kept whatever its value");
}

#[test]
fn surrogate_control_counts_only_where_it_is_trusted() {
    let fields = fields(&[("Surrogate-Control", r#"max-age=60+30, content="ESI/1.0""#)]);
    assert_eq!(select(&fields, &TargetList::default()), None);
    let targets = TargetList { surrogate_control: true, ..TargetList::default() };
    let directives = select(&fields, &targets).unwrap();
    assert_eq!((directives.max_age, directives.stale_while_revalidate), (secs(60), secs(30)));
    let garbage = super::super::testing::fields(&[("Surrogate-Control", ", ;")]);
    assert_eq!(select(&garbage, &targets), None);
}

#[test]
fn litespeed_cache_control_comes_first_where_it_is_honoured() {
    let targets = TargetList { litespeed: true, ..TargetList::default() };
    let of = |value| {
        let lines =
            [("X-LiteSpeed-Cache-Control", value), ("CDN-Cache-Control", "max-age=1"), ("Cache-Control", "private")];
        ResponseDirectives::effective(&fields(&lines), &targets)
    };
    let public = of("public,max-age=604800");
    assert!(public.public && public.max_age == Some(std::time::Duration::from_secs(604_800)));
    assert!(!public.private.is_unqualified());
    assert!(of("private,max-age=1800").private.is_unqualified());
    assert!(of("shared,private").private.is_unqualified());
    assert!(of("no-cache,esi=on").no_store);
    let off = ResponseDirectives::effective(
        &fields(&[("X-LiteSpeed-Cache-Control", "public,max-age=9"), ("Cache-Control", "private")]),
        &TargetList::default(),
    );
    assert!(off.private.is_unqualified(), "only where it is configured");
}
