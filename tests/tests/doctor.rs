//! `forebay doctor`: what a site does to its visitors, in words.

use forebay_tests::{Origin, Outcome, Proxy, Reply, forebay};
use serde_json::Value;

fn page() -> Reply {
    Reply::cacheable("<p>hello</p>".repeat(300)).field("Content-Type", "text/html").field("ETag", "\"1\"")
}

fn visit(proxy: &Proxy, arguments: &[&str]) -> Outcome {
    let (http, https) = (proxy.http().port().to_string(), proxy.https().port().to_string());
    let place = ["doctor", "--resolve", "site.test:127.0.0.1", "--http-port", &http, "--https-port", &https];
    forebay(&[&place, arguments].concat())
}

fn examine(proxy: &Proxy, arguments: &[&str]) -> (Option<i32>, Value) {
    let outcome = visit(proxy, &[arguments, &["--json"]].concat());
    let json = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    (outcome.code, json)
}

/// Severity of a check.
fn severity<'v>(examination: &'v Value, name: &str) -> &'v str {
    let checks = examination["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("{name} in {examination:#}"))["severity"].as_str().unwrap()
}

const CHECKS: [&str; 14] = [
    "page",
    "server",
    "cookies",
    "stranger",
    "cart",
    "login",
    "preview",
    "tracking",
    "HEAD",
    "condition",
    "compression",
    "https",
    "forged host",
    "purge",
];

#[test]
fn a_site_in_good_health_is_told_so() {
    let origin = Origin::answering(|request| match request.field("x-forwarded-proto").as_deref() {
        Some("https") => page(),
        _ => Reply::new(301, "").field("Location", "https://site.test/"),
    });
    let proxy = Proxy::config().origin(&origin).site("preset = \"wordpress\"").start();
    let (code, examination) = examine(&proxy, &["https://site.test/", "--insecure"]);
    for name in CHECKS {
        assert_eq!(severity(&examination, name), "good", "{examination:#}");
    }
    assert_eq!(code, Some(0), "{examination:#}");
}

#[test]
fn a_site_that_shares_too_much_is_told_what_and_how_to_change_it() {
    let proxy = Proxy::config().origin(&Origin::answering(|_| page())).site("compress = []").start();
    let (code, examination) = examine(&proxy, &["http://site.test/"]);
    for (name, expected) in [
        ("stranger", "good"),
        ("cart", "wrong"),
        ("login", "wrong"),
        ("preview", "wrong"),
        ("tracking", "warning"),
        ("compression", "warning"),
        ("https", "note"),
    ] {
        assert_eq!(severity(&examination, name), expected, "{name}: {examination:#}");
    }
    assert_eq!(code, Some(2));
    let text = visit(&proxy, &["http://site.test/"]).stdout;
    for part in [
        "wrong  login: a visitor who is logged in is given the page of a stranger (200 HIT)",
        "bypass_cookies",
        "3 wrong",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn a_site_that_shares_nothing_is_told_why() {
    let origin = Origin::answering(|request| {
        let forged = request.field("x-forwarded-host").unwrap_or_default();
        page().field("Set-Cookie", format!("visited=1; Domain={forged}"))
    });
    let proxy = Proxy::config().origin(&origin).start();
    let (code, examination) = examine(&proxy, &["http://site.test/"]);
    assert_eq!((severity(&examination, "cookies"), severity(&examination, "stranger")), ("wrong", "wrong"));
    assert!(examination.to_string().contains("every stranger is given: visited"), "{examination:#}");
    assert!(examination.to_string().contains("set-cookie"), "{examination:#}");
    assert_eq!(severity(&examination, "tracking"), "note");
    assert_eq!(code, Some(2));
}

#[test]
fn a_page_that_redirects_to_itself_is_seen_through() {
    let origin = Origin::answering(|_| Reply::new(301, "").field("Location", "https://site.test/"));
    let proxy = Proxy::before(&origin);
    let (code, examination) = examine(&proxy, &["https://site.test", "--insecure"]);
    assert_eq!((severity(&examination, "page"), code), ("wrong", Some(2)), "{examination:#}");
    assert!(examination.to_string().contains("wp-config.php"), "{examination:#}");
}

#[test]
fn what_cannot_be_visited_is_said_with_a_hint() {
    let proxy = Proxy::before(&Origin::answering(|_| page()));
    let (code, examination) = examine(&proxy, &["https://site.test/"]);
    assert_eq!(
        (severity(&examination, "page"), code),
        ("wrong", Some(2)),
        "a certificate nobody signed: {examination:#}"
    );
    assert!(examination.to_string().contains("--insecure"), "{examination:#}");
    let nonsense = forebay(&["doctor", "https://site.test/", "--resolve", "site.test"]);
    assert_eq!(nonsense.code, Some(3), "{nonsense:?}");
    assert!(nonsense.stderr.contains("HOST:ADDRESS"), "{}", nonsense.stderr);
}
