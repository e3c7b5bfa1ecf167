//! `forebay explain`: why a request is a hit or none, by the running instance and by a configuration alone.

use forebay_tests::{Origin, Outcome, Proxy, ProxyConfig, Reply, forebay};
use serde_json::Value;

fn origin() -> Origin {
    Origin::answering(|request| match request.target.split('?').next().unwrap() {
        "/session" => Reply::ok("x").field("Set-Cookie", "sid=secret"),
        "/silent" => Reply::ok("x"),
        "/private" => Reply::ok("x").field("Cache-Control", "private"),
        _ => Reply::cacheable("hello").field("Surrogate-Key", "front post-43").field("Vary", "Accept-Language"),
    })
}

fn proxy(origin: &Origin) -> Proxy {
    let site = "preset = \"wordpress\"\nextra_ignore_params = [\"ref\"]\n\
                [[site.route]]\npath = \"/api/\"\ncache = \"off\"";
    Proxy::config().origin(origin).site(site).start()
}

fn ask(proxy: &Proxy, arguments: &[&str]) -> Outcome {
    forebay(&[&["explain", "--admin", &proxy.admin().to_string()], arguments].concat())
}

fn explain(proxy: &Proxy, arguments: &[&str]) -> Value {
    let outcome = ask(proxy, &[arguments, &["--json"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// The line of the proxy's configuration that holds this text.
fn line(proxy: &Proxy, text: &str) -> String {
    let config = std::fs::read_to_string(proxy.directory().join("forebay.toml")).unwrap();
    let index = config.lines().position(|line| line.contains(text)).unwrap();
    format!("forebay.toml:{}", index + 1)
}

#[test]
fn a_hit_tells_key_lifetime_tags_and_tier() {
    let origin = origin();
    let proxy = proxy(&origin);
    proxy.get("/post/?b=2&a=1");
    let found = explain(&proxy, &["http://site.test/post/?utm_source=x&a=1&ref=y&b=2", "-H", "Cookie: _ga=1"]);
    assert_eq!(found["outcome"], "HIT", "{found:#}");
    assert_eq!(found["key"]["key"], "http://site.test/post/?a=1&b=2");
    let ignored = found["key"]["ignored"].as_array().unwrap();
    let names: Vec<_> = ignored.iter().map(|each| each["parameter"].as_str().unwrap()).collect();
    assert_eq!(names, ["utm_source", "ref"]);
    let places: Vec<_> = ignored.iter().map(|each| each["rule"]["place"].as_str().unwrap()).collect();
    assert!(places[0].ends_with(&line(&proxy, "preset =")), "{places:?}");
    assert!(places[1].ends_with(&line(&proxy, "extra_ignore_params")), "{places:?}");
    assert_eq!((&found["cookies"][0]["name"], &found["cookies"][0]["dropped"]), (&"_ga".into(), &true.into()));
    let stored = &found["stored"];
    assert_eq!((&stored["tier"], &stored["status"], &stored["bytes"]), (&"memory".into(), &200.into(), &5.into()));
    assert_eq!(stored["lifetime"]["source"], "max-age");
    assert_eq!(stored["tags"], serde_json::json!(["front", "post-43"]));
    assert_eq!(stored["vary"], serde_json::json!(["accept-language"]));
    assert_eq!(found["change"], serde_json::json!([]));
    assert_eq!(origin.requests().len(), 1, "an explanation asks no origin");
}

#[test]
fn a_pass_names_the_word_that_decided_and_where_it_stands() {
    let proxy = proxy(&origin());
    for (arguments, reason, word, value, place) in [
        (
            &["http://site.test/", "-H", "Cookie: a=b; wordpress_logged_in_x=1"][..],
            "bypass-cookie",
            "bypass_cookies",
            "wordpress_logged_in_*",
            "preset =",
        ),
        (&["http://site.test/?preview=true"], "bypass-param", "bypass_params", "preview", "preset ="),
        (&["http://site.test/api/x"], "cache-off", "cache", "off", "cache = \"off\""),
    ] {
        let found = explain(&proxy, arguments);
        assert_eq!(found["outcome"], "PASS", "{found:#}");
        assert_eq!(found["reason"]["code"], reason);
        assert_eq!((&found["rule"]["word"], &found["rule"]["value"]), (&word.into(), &value.into()), "{found:#}");
        assert!(found["rule"]["place"].as_str().unwrap().ends_with(&line(&proxy, place)), "{found:#}");
        assert!(!found["change"].as_array().unwrap().is_empty());
    }
}

#[test]
fn what_is_explained_is_what_happens() {
    let proxy = proxy(&origin());
    for (method, target, fields) in [
        ("GET", "/", &[][..]),
        ("GET", "/?preview=true", &[]),
        ("GET", "/", &[("Cookie", "wordpress_logged_in_x=1")]),
        ("GET", "/", &[("Authorization", "Basic x")]),
        ("POST", "/", &[]),
        ("GET", "/a%zz", &[]),
        ("GET", "/wp-admin/", &[]),
        ("GET", "/new", &[("Cache-Control", "only-if-cached, max-age=0")]),
    ] {
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let url = format!("http://site.test{target}");
        let mut arguments = vec![url.as_str(), "--method", method];
        lines.iter().for_each(|line| arguments.extend(["-H", line]));
        let found = explain(&proxy, &arguments);
        let answer = proxy.connect().request(method, target, fields);
        if answer.cache() != "ERROR" || answer.status != 504 {
            assert_eq!(found["outcome"], answer.cache(), "{method} {target} {fields:?}: {found:#}");
        }
        if let Some(code) = answer.field("cache-status").and_then(|status| status.split_once("detail=")) {
            assert!(code.1 == found["reason"]["code"] || answer.status == 504, "{target}: {code:?} {found:#}");
        }
    }
}

#[test]
fn sent_through_the_answer_itself_is_explained() {
    let origin = origin();
    let proxy = proxy(&origin);
    for (path, reason) in [("/session", "set-cookie"), ("/private", "private")] {
        let found = explain(&proxy, &[&format!("http://site.test{path}"), "--live"]);
        assert_eq!(found["live"]["reason"]["code"], reason, "{found:#}");
        assert_eq!((&found["live"]["outcome"], &found["live"]["stored"]), (&"MISS".into(), &false.into()));
        assert_eq!(found["not_stored"]["code"], reason);
        assert!(!found.to_string().contains("secret"), "{found:#}");
    }
    let found = explain(&proxy, &["http://site.test/silent", "--live"]);
    assert_eq!((&found["live"]["stored"], &found["outcome"]), (&true.into(), &"HIT".into()), "{found:#}");
    assert_eq!(found["stored"]["lifetime"]["source"], "lifetimes");
    assert!(found["stored"]["lifetime"]["rule"]["place"].as_str().unwrap().ends_with(&line(&proxy, "preset =")));
    assert_eq!(origin.count("/silent"), 1);
}

#[test]
fn nothing_but_reading_is_sent_through() {
    let origin = origin();
    let proxy = proxy(&origin);
    let outcome = ask(&proxy, &["http://site.test/x", "--method", "POST", "--live"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("only GET and HEAD"), "{}", outcome.stderr);
    // A page in the operator's browser can ask for a URL, but not with fields of its own.
    let answer = proxy.ask_admin("/explain?live=yes&url=http%3A%2F%2Fsite.test%2Fx");
    assert_eq!(answer.status, 200);
    assert_eq!(origin.count("/x"), 0);
}

#[test]
fn the_paragraph_says_the_same() {
    let proxy = proxy(&origin());
    let outcome = ask(&proxy, &["http://site.test/silent?utm_source=1"]);
    let text = outcome.stdout.replace('\n', " ");
    for part in [
        "GET http://site.test/silent?utm_source=1: MISS (uri-miss)",
        "The key is http://site.test/silent;",
        "utm_source is not part of it by `ignore_params` \"utm_*\" (by the preset,",
        "its lifetime is 1h, by `lifetimes` \"200\"",
        "To change it: Ask once more",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{}", outcome.stdout);
    }
}

#[test]
fn without_an_instance_the_configuration_alone_is_explained() {
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    let text = ProxyConfig::new().origin(&origin).site("preset = \"wordpress\"").write(directory.path());
    let file = directory.path().join("forebay.toml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let outcome = forebay(&["explain", "--config", file, "--json", "http://site.test/?preview=true"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("no instance runs"), "{}", outcome.stderr);
    let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&found["outcome"], &found["reason"]["code"]), (&"PASS".into(), &"bypass-param".into()));
    let live = forebay(&["explain", "--config", file, "--live", "http://site.test/"]);
    assert_eq!(live.code, Some(1), "{live:?}");
    assert!(origin.connections().is_empty());
}

#[test]
fn a_question_without_sense_is_refused_in_words() {
    let proxy = proxy(&origin());
    for arguments in [&["ftp://site.test/"][..], &["http://site.test/", "-H", "no field"], &["http://"]] {
        let outcome = ask(&proxy, arguments);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.starts_with("forebay: "), "{}", outcome.stderr);
    }
    for target in ["/explain", "/explain?url=", "/explain?url=x&method=%20"] {
        assert_eq!(proxy.ask_admin(target).status, 400, "{target}");
    }
}
