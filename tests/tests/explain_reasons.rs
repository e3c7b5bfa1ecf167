//! The reason codes: one vocabulary for answers, log and command line, told to whom it may concern.

use forebay_tests::{Origin, Proxy, Reply, forebay};

fn cookie_setter() -> Origin {
    Origin::answering(|_| Reply::cacheable("hello").field("Set-Cookie", "a=b"))
}

#[test]
fn the_machine_itself_is_told_the_code_and_the_log_has_the_same() {
    let proxy = Proxy::config().origin(&cookie_setter()).log("format = \"json\"").start();
    let answer = proxy.get("/x");
    assert!(answer.field("cache-status").unwrap().ends_with("; detail=set-cookie"), "{answer:?}");
    let line: serde_json::Value = serde_json::from_str(&proxy.access_log_of(1)[0]).unwrap();
    assert_eq!((&line["fwd"], &line["detail"]), (&"uri-miss".into(), &"set-cookie".into()));
}

#[test]
fn a_stranger_is_told_nothing_but_that_it_was_a_miss() {
    let config = Proxy::config().origin(&cookie_setter()).server("explain_to = [\"10.0.0.0/8\"]");
    let proxy = config.log("format = \"json\"").start();
    let answer = proxy.get("/x");
    let status = answer.field("cache-status").unwrap();
    assert!(status.contains("fwd=uri-miss") && !status.contains("detail"), "{status}");
    let line: serde_json::Value = serde_json::from_str(&proxy.access_log_of(1)[0]).unwrap();
    assert_eq!(line["detail"], "set-cookie");
}

#[test]
fn behind_a_trusted_proxy_it_is_the_client_who_may_know() {
    let config = Proxy::config().origin(&cookie_setter());
    let config = config.server("explain_to = [\"10.0.0.0/8\"]\ntrusted_proxies = [\"127.0.0.1\"]");
    let proxy = config.start();
    for (client, told) in [("10.1.2.3", true), ("192.0.2.1", false)] {
        let answer = proxy.get_with("/x", &[("X-Forwarded-For", client)]);
        assert_eq!(answer.field("cache-status").unwrap().contains("detail=set-cookie"), told, "{client}");
    }
}

#[test]
fn a_code_is_explained_on_the_command_line() {
    let outcome = forebay(&["reasons", "set-cookie"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("sets a cookie") && outcome.stdout.contains("set_cookie"), "{}", outcome.stdout);
    let unknown = forebay(&["reasons", "no-such-code"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
}

#[test]
fn completions_and_manual_pages_name_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = forebay(&["completions", shell]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains("reasons"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let outcome = forebay(&["man", directory.path().to_str().unwrap()]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let page = std::fs::read_to_string(directory.path().join("forebay.1")).unwrap();
    assert!(page.contains("reasons"), "{page}");
}
