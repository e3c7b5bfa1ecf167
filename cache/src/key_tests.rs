use super::*;

fn key(authority: &str, path: &str, query: Option<&str>) -> CacheKey {
    CacheKey::new("http", authority, path, query.map(str::as_bytes))
}

fn shape(query: &str, ignore: &[&str], sort: bool) -> Option<String> {
    let shaped = shape_query(query.as_bytes(), &ParamMatcher::new(ignore), sort)?;
    Some(String::from_utf8(shaped.into_owned()).unwrap())
}

#[test]
fn parts_come_back_as_they_went_in() {
    let key = key("a.test:81", "/p%20q", Some("x=1&y=\u{e9}"));
    assert_eq!((key.scheme(), key.authority(), key.path()), ("http", "a.test:81", "/p%20q"));
    assert_eq!(key.query(), Some("x=1&y=\u{e9}".as_bytes()));
    assert_eq!(key.variance(), None);
    assert_eq!(CacheKey::from_bytes(key.as_bytes()), Some(key.clone()));
    assert_eq!(key.to_string(), "http://a.test:81/p%20q?x=1&y=\\xc3\\xa9");
}

#[test]
fn no_two_different_requests_share_a_key() {
    let all = [
        key("a", "/b", None),
        key("a", "/b", Some("")),
        key("a", "/b?", None),
        key("a", "/b?c", None),
        key("a", "/b", Some("c")),
        key("a/b", "", None),
        key("a/", "b", None),
        CacheKey::new("https", "a", "/b", None),
        key("a", "/b", None).with_variance(b""),
        key("a", "/b", None).with_variance(b"c"),
        key("a", "/b", Some("c")).with_variance(b""),
    ];
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn a_variant_knows_its_primary_key() {
    let primary = key("a", "/b", Some("c"));
    let variant = primary.with_variance(b"\x00gzip");
    assert_eq!(variant.variance(), Some(b"\x00gzip".as_slice()));
    assert_eq!((variant.primary(), primary.primary()), (primary.clone(), primary.clone()));
    assert_eq!(variant.with_variance(b"br"), primary.with_variance(b"br"));
    assert_eq!(CacheKey::from_bytes(variant.as_bytes()), Some(variant));
}

#[test]
fn bytes_that_are_no_key_are_refused() {
    let good = key("a", "/b", Some("c"));
    for end in 0..good.as_bytes().len() {
        assert_eq!(CacheKey::from_bytes(&good.as_bytes()[..end]), None, "cut at {end}");
    }
    let mut longer = good.as_bytes().to_vec();
    longer.push(0);
    assert_eq!(CacheKey::from_bytes(&longer), None);
    assert_eq!(CacheKey::from_bytes(&[0xff; 20]), None, "scheme, authority and path are never absent");
}

#[test]
fn logs_show_no_raw_control_bytes() {
    let shown = key("a", "/\r\n\u{1b}[31m", Some("\0\r\n")).with_variance(b"secret").to_string();
    assert!(!shown.contains(|c: char| c.is_control()), "{shown:?}");
    assert!(shown.ends_with(" (variant, 6 bytes)"), "{shown}");
}

#[test]
fn ignored_parameters_are_left_out_and_the_rest_is_untouched() {
    let ignore = ["utm_*", "fbclid"];
    assert_eq!(shape("b=2&utm_source=x&a=1&fbclid", &ignore, false).as_deref(), Some("b=2&a=1"));
    assert_eq!(shape("utm_source=x&fbclid=1", &ignore, false), None);
    assert_eq!(shape("a=1&&b", &ignore, false).as_deref(), Some("a=1&&b"));
    assert_eq!(shape("fbclid2=1&xutm_a=1&FBCLID=2", &ignore, false).as_deref(), Some("fbclid2=1&xutm_a=1&FBCLID=2"));
    assert_eq!(shape("", &ignore, false), None);
}

#[test]
fn nothing_is_copied_where_nothing_changes() {
    let matcher = ParamMatcher::new(["utm_*"]);
    assert!(matches!(shape_query(b"b=2&a=1", &matcher, false), Some(Cow::Borrowed(b"b=2&a=1"))));
}

#[test]
fn names_are_compared_after_percent_decoding() {
    assert_eq!(shape("%75tm_source=x&a=1", &["utm_*"], false).as_deref(), Some("a=1"));
    assert_eq!(shape("utm%5fid=x&a=1", &["utm_*"], false).as_deref(), Some("a=1"));
    assert_eq!(shape("fb%zzclid=1", &["fbclid"], false).as_deref(), Some("fb%zzclid=1"));
    assert_eq!(shape("a+b=1", &["a b"], false), None);
}

#[test]
fn a_parameter_cloaked_behind_a_semicolon_stays_in_the_key() {
    assert_eq!(shape("utm_x=1;callback=evil", &["utm_*"], false).as_deref(), Some("utm_x=1;callback=evil"));
    assert_eq!(shape("utm_x;callback=evil&a", &["utm_*"], true).as_deref(), Some("a&utm_x;callback=evil"));
    assert_eq!(shape("utm_x=1%3Ba", &["utm_*"], false), None, "an encoded one separates nowhere");
}

#[test]
fn sorting_makes_order_irrelevant_but_keeps_that_of_duplicates() {
    assert_eq!(shape("b=2&a=1&c", &[], true).as_deref(), Some("a=1&b=2&c"));
    assert_eq!(shape("a=2&b=1&a=1", &[], true).as_deref(), Some("a=2&a=1&b=1"));
    assert_eq!(shape("b&%61=1", &[], true).as_deref(), Some("%61=1&b"));
    assert_eq!(shape("&&", &[], true), None);
}

#[test]
fn names_that_are_one_variable_to_php_keep_their_order() {
    for (one, other) in [
        ("a.b=1&a_b=2", "a_b=2&a.b=1"),
        ("a[x]=1&a=2", "a=2&a[x]=1"),
        ("a%00z=1&a=2", "a=2&a%00z=1"),
        ("+a=1&a=2", "a=2&+a=1"),
        ("a+b=1&a_b=2", "a_b=2&a+b=1"),
    ] {
        assert_ne!(shape(one, &[], true), shape(other, &[], true), "{one}");
    }
}

#[test]
fn a_star_alone_matches_every_parameter() {
    assert_eq!(shape("a=1&b=2", &["*"], false), None);
    assert!(ParamMatcher::new([""; 0]).is_empty());
}

#[test]
fn names_are_matched_whatever_they_begin_with() {
    let matcher = ParamMatcher::new(["utm_*", "fbclid", "\u{e9}t\u{e9}*"]);
    for (name, is_one) in [
        ("utm_", true),
        ("utm_x", true),
        ("utm", false),
        ("fbclid", true),
        ("fbclids", false),
        ("\u{e9}t\u{e9}s", true),
        ("", false),
    ] {
        assert_eq!(matcher.matches(name.as_bytes()), is_one, "{name}");
    }
    let all = ParamMatcher::new(["*"]);
    assert!(all.matches(b"anything") && all.matches(b""));
}
