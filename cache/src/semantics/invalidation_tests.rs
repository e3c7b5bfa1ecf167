use super::super::testing::fields;
use super::*;

fn target() -> TargetUri {
    TargetUri::parse("http://a.test/dir/page?x=1").unwrap()
}

fn after(method: &str, status: u16, response: &[(&str, &str)]) -> Vec<String> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let uris = invalidated(&method, StatusCode::from_u16(status).unwrap(), &target(), &fields(response));
    uris.iter().map(ToString::to_string).collect()
}

#[test]
fn rfc9111_4_4_unsafe_and_unknown_methods_invalidate_their_target() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "post"] {
        assert_eq!(after(method, 204, &[]), ["http://a.test/dir/page?x=1"], "{method}");
    }
    assert_eq!(after("POST", 303, &[]).len(), 1);
}

#[test]
fn rfc9111_4_4_safe_methods_and_errors_invalidate_nothing() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert!(after(method, 200, &[("Location", "/x")]).is_empty(), "{method}");
    }
    for status in [100, 400, 404, 500, 599] {
        assert!(after("POST", status, &[("Location", "/x")]).is_empty(), "{status}");
    }
}

#[test]
fn rfc9111_4_4_location_and_content_location_of_the_same_origin_too() {
    let uris = after("PUT", 200, &[("Location", "other"), ("Content-Location", "http://A.test:80/c#part")]);
    assert_eq!(uris, ["http://a.test/dir/page?x=1", "http://a.test/dir/other", "http://a.test/c"]);
    assert_eq!(after("PUT", 200, &[("Location", ""), ("Content-Location", "/dir/page?x=1")]).len(), 1);
}

#[test]
fn rfc9111_4_4_other_origins_are_left_alone() {
    for location in [
        "http://b.test/",
        "https://a.test/",
        "//b.test/",
        "http://a.test:8080/",
        "http://u@a.test/",
        "ftp://a.test/",
        "a:b",
        "http://[",
    ] {
        assert_eq!(after("POST", 201, &[("Location", location)]).len(), 1, "{location}");
    }
}

#[test]
fn rfc3986_5_2_references_are_resolved() {
    for (reference, expected) in [
        ("", "http://a.test/dir/page?x=1"),
        ("#f", "http://a.test/dir/page?x=1"),
        ("?y", "http://a.test/dir/page?y"),
        ("b", "http://a.test/dir/b"),
        ("./b/", "http://a.test/dir/b/"),
        ("../b", "http://a.test/b"),
        ("../../../b/./c/..", "http://a.test/b/"),
        ("/b?y=/../z", "http://a.test/b?y=/../z"),
        ("//c.test:81/d", "http://c.test:81/d"),
        ("https://c.test:443", "https://c.test/"),
    ] {
        assert_eq!(target().resolve(reference).unwrap().to_string(), expected, "{reference}");
    }
}
