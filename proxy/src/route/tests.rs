use forebay_config::model::{Condition, Conditions, FieldEdits, Wanted};

use super::*;
use crate::stages::admit::Form;
use crate::stages::normalize::normalize;

fn target(path_query: &str) -> Target {
    let form = Form::Origin { authority: Some(b"www.test:8080"), path_query: path_query.as_bytes() };
    normalize(&form, "http").unwrap()
}

fn rewriting(strip: Option<&str>, rewrite: Option<&str>) -> Rewriting {
    let words =
        model::Rewriting { strip_prefix: strip.map(ToOwned::to_owned), rewrite: rewrite.map(ToOwned::to_owned) };
    Rewriting::new(&words).unwrap()
}

/// What the upstream is asked for; `None`: refused.
fn seen(rewriting: &Rewriting, matcher: &Matcher, path_query: &str) -> Option<String> {
    let rewritten = rewriting.apply(&target(path_query), matcher).ok()?;
    Some(rewritten.with_query_of(path_query))
}

#[test]
fn a_prefix_is_taken_off_however_it_is_spelled_and_leads_nowhere_else() {
    let strip = rewriting(Some("/api"), None);
    for (asked, found) in [
        ("/api/x?a=b", Some("/x?a=b")),
        ("/api", Some("/")),
        ("//api//x", Some("/x")),
        ("/%61pi/x", Some("/x")),
        ("/apix", Some("/x")),
        ("/api..", None),
        ("/api..;/x", None),
    ] {
        assert_eq!(seen(&strip, &Matcher::any(), asked).as_deref(), found, "{asked}");
    }
}

#[test]
fn templates_are_filled_in_from_path_query_and_groups() {
    let words = Conditions { regex: Some("^/u/([^/]+)(/x)?$".to_owned()), ..Conditions::default() };
    let matcher = Matcher::new("/u/", &words).unwrap();
    let by_group = rewriting(None, Some("/index.php?user={1}"));
    assert_eq!(seen(&by_group, &matcher, "/u/ann?p=1").as_deref(), Some("/index.php?user=ann&p=1"));
    let upwards = rewriting(None, Some("/files/{1}"));
    assert_eq!(seen(&upwards, &matcher, "/u/a").as_deref(), Some("/files/a"));
    let glued = rewriting(None, Some("/files/.{1}"));
    assert_eq!(seen(&glued, &matcher, "/u/.x/x").as_deref(), Some("/files/..x"));
    let both = rewriting(Some("/u"), Some("/v2{path}"));
    assert_eq!(seen(&both, &matcher, "/u/a").as_deref(), Some("/v2/a"));
    // What comes out is looked at again.
    let dots = Conditions { regex: Some("^/u/(.)(.)".to_owned()), ..Conditions::default() };
    let matcher = Matcher::new("/u/", &dots).unwrap();
    assert_eq!(seen(&rewriting(None, Some("/{1}{2}/etc")), &matcher, "/u/..."), None);
}

#[test]
fn redirects_stay_on_the_host_they_name() {
    let to = |template: &str, asked: &str| {
        let action = Action::Redirect { to: Template::new(template), status: StatusCode::FOUND };
        let answer = action.answer(&target(asked), &Matcher::any());
        answer.fields.get(LOCATION).unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(to("https://{host}{uri}", "/a?b=c"), "https://www.test/a?b=c");
    assert_eq!(to("{path}", "//evil.example/x"), "/evil.example/x");
    assert_eq!(to("/{path}", "/evil.example"), "/evil.example");
    assert_eq!(to("{scheme}://new.test{path}?from={query}", "/a?x"), "http://new.test/a?from=x");
}

fn asked<'a>(method: &'a Method, query: Option<&'a str>, fields: &'a HeaderMap, client: &str) -> Asked<'a> {
    Asked { method, path: "/x", query, fields, client: client.parse().unwrap() }
}

#[test]
fn every_condition_has_to_hold() {
    let one = |name: &str, value| vec![Condition { name: name.to_owned(), value }];
    let words = Conditions {
        methods: vec!["POST".to_owned()],
        headers: one("x-canary", Wanted::Matching("^(1|yes)$".to_owned())),
        cookies: one("beta", Wanted::Present),
        query: one("v", Wanted::Exactly("2".to_owned())),
        from: vec!["10.0.0.0/8".parse().unwrap()],
        ..Conditions::default()
    };
    let matcher = Matcher::new("/", &words).unwrap();
    let mut fields = HeaderMap::new();
    fields.insert("x-canary", HeaderValue::from_static("yes"));
    fields.insert("cookie", HeaderValue::from_static("a=b; beta="));
    let good = asked(&Method::POST, Some("a=1&v=2"), &fields, "10.1.1.1");
    assert!(matcher.matches_rest(&good) && !matcher.is_by_path());
    assert!(!matcher.matches_rest(&Asked { method: &Method::GET, ..good }));
    assert!(!matcher.matches_rest(&Asked { query: Some("v=22"), ..good }));
    assert!(!matcher.matches_rest(&Asked { query: None, ..good }));
    assert!(!matcher.matches_rest(&Asked { client: "192.0.2.1".parse().unwrap(), ..good }));
    assert!(!matcher.matches_rest(&Asked { fields: &HeaderMap::new(), ..good }));
}

#[test]
fn whole_paths_come_first_then_long_ones_and_of_the_same_those_that_want_more() {
    let plain = Conditions::default();
    let post = Conditions { methods: vec!["POST".to_owned()], ..Conditions::default() };
    let php = Conditions { suffixes: vec![".php".to_owned()], ..Conditions::default() };
    let mut ranked = [("/", &plain), ("/", &php), ("/a/", &plain), ("/a/b/", &plain), ("/a/", &post), ("/x$", &plain)];
    ranked.sort_by_key(|(path, words)| Matcher::new(path, words).unwrap().rank());
    assert_eq!(ranked.map(|(path, _)| path), ["/x$", "/a/b/", "/a/", "/a/", "/", "/"]);
    assert!(ranked[2].1 == &post && ranked[4].1 == &php);
}

#[test]
fn fields_are_removed_then_set_then_added() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let site = FieldEdits {
        set: vec![pair("x-a", "site"), pair("x-b", "site")],
        add: vec![],
        remove: vec!["x-powered-by".to_owned()],
    };
    let route = FieldEdits {
        set: vec![pair("x-a", "route")],
        add: vec![pair("x-c", "1"), pair("x-c", "2")],
        remove: vec!["x-b".to_owned()],
    };
    let mut fields = HeaderMap::new();
    for name in ["x-powered-by", "x-b", "x-c"] {
        fields.insert(name, HeaderValue::from_static("origin"));
    }
    Edits::new(&site, Some(&route)).unwrap().apply(&mut fields);
    assert!(!fields.contains_key("x-powered-by") && !fields.contains_key("x-b"));
    assert_eq!(fields.get("x-a").unwrap(), "route");
    assert_eq!(fields.get_all("x-c").iter().count(), 3);
}
