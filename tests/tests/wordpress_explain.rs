//! `forebay explain` before a real farm.

use forebay_tests::wordpress::SITE;
use forebay_tests::{Browser, Proxy, WordPress, forebay};
use serde_json::Value;

fn explain(proxy: &Proxy, arguments: &[&str]) -> Value {
    let admin = proxy.admin().to_string();
    let outcome = forebay(&[&["explain", "--json", "--admin", &admin], arguments].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn pages_of_wordpress_are_explained_as_they_are_served() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let url = |target: &str| format!("http://{SITE}{target}");
    let front = explain(&proxy, &[&url("/?utm_source=x"), "--live"]);
    assert_eq!((&front["live"]["outcome"], &front["outcome"]), (&"MISS".into(), &"HIT".into()), "{front:#}");
    assert_eq!(front["stored"]["lifetime"]["source"], "lifetimes", "{front:#}");
    assert_eq!(front["key"]["ignored"][0]["parameter"], "utm_source");
    assert_eq!(Browser::http(SITE, &proxy).get("/").cache(), "HIT");

    let login = explain(&proxy, &[&url("/wp-login.php")]);
    assert_eq!((&login["outcome"], &login["reason"]["code"]), (&"PASS".into(), &"bypass-path".into()), "{login:#}");
    let missing = explain(&proxy, &[&url("/no-such-page/"), "--live"]);
    assert_eq!(missing["live"]["status"], 404);
    assert_eq!(missing["live"]["reason"]["code"], "stale-on-arrival", "{missing:#}");
    let said = missing["live"]["fields"].to_string();
    assert!(said.contains("max-age=0"), "the field that decided is shown: {said}");
}
