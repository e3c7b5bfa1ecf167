//! `forebay doctor` before a real farm.

use forebay_tests::wordpress::SITE;
use forebay_tests::{WordPress, forebay};
use serde_json::Value;

#[test]
fn a_farm_with_the_preset_is_in_good_health() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let (url, resolve) = (format!("http://{SITE}/"), format!("{SITE}:127.0.0.1"));
    let port = proxy.http().port().to_string();
    let outcome = forebay(&["doctor", "--json", &url, "--resolve", &resolve, "--http-port", &port]);
    let examination: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    let checks = examination["checks"].as_array().unwrap();
    for check in checks.iter().filter(|check| check["severity"] != "note") {
        assert_eq!(check["severity"], "good", "{check:#}");
    }
    let seen = |name: &str| checks.iter().any(|check| check["name"] == name && check["severity"] == "good");
    for name in ["page", "cookies", "stranger", "cart", "login", "preview", "tracking", "HEAD", "compression", "purge"]
    {
        assert!(seen(name), "{name}: {examination:#}");
    }
    assert_eq!(outcome.code, Some(0), "{examination:#}");
}
