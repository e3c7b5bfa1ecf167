//! `forebay top` and `/top`: what is forwarded, and why.

use std::time::Duration;

use forebay_tests::{Origin, Proxy, Reply, assert_eventually, forebay};
use serde_json::Value;

fn origin() -> Origin {
    Origin::answering(|request| match request.target.split('?').next().unwrap() {
        "/slow" => Reply::cacheable("slow").after(Duration::from_millis(120)),
        "/session" => Reply::ok("x").field("Set-Cookie", "a=b"),
        _ => Reply::cacheable("hello"),
    })
}

/// Three hits, and misses by several reasons.
fn busy(proxy: &Proxy) {
    for n in 0..12 {
        proxy.get(&format!("/shop?color=red&session={n}&utm_source={n}"));
    }
    (0..4).for_each(|_| drop(proxy.get("/page")));
    (0..3).for_each(|_| drop(proxy.get("/session")));
    proxy.get("/slow");
    proxy.get_with("/page", &[("Cookie", "wordpress_logged_in_x=1")]);
}

/// The site's part once it has counted everything.
fn site(proxy: &Proxy) -> Value {
    let look = || serde_json::from_str::<Value>(proxy.ask_admin("/top").text()).unwrap()["sites"][0].clone();
    assert_eventually!(look()["slow"].to_string().contains("/slow") && look()["requests"].as_u64() >= Some(21));
    look()
}

fn start(log: &str) -> Proxy {
    let proxy = Proxy::config().origin(&origin()).site("preset = \"wordpress\"").log(log).start();
    busy(&proxy);
    proxy
}

#[test]
fn misses_parameters_and_costs_are_told() {
    let proxy = start("");
    let site = site(&proxy);
    assert_eq!((&site["requests"], &site["hits"], &site["forwarded"]), (&21.into(), &3.into(), &18.into()), "{site:#}");
    let count = |code: &str| {
        let rows = site["reasons"].as_array().unwrap();
        rows.iter().find(|row| row["code"] == code).map(|row| row["count"].as_u64().unwrap())
    };
    assert_eq!((count("uri-miss"), count("set-cookie"), count("bypass-cookie")), (Some(14), Some(3), Some(1)));
    assert_eq!((&site["misses"][0]["path"], &site["misses"][0]["count"]), (&"/shop".into(), &12.into()));
    // What the site ignores fragments nothing.
    let parameters = site["parameters"].as_array().unwrap();
    let names: Vec<_> = parameters.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["session", "color"], "{site:#}");
    assert_eq!((&parameters[0]["values"], &parameters[1]["values"]), (&12.into(), &1.into()));
    let slow = &site["slow"][0];
    assert_eq!((&slow["path"], &slow["requests"]), (&"/slow".into(), &1.into()), "{site:#}");
    assert!(slow["longest_ms"].as_u64() >= Some(100), "{slow}");
    assert!(site["saved_seconds"].as_f64() > Some(0.0), "{site:#}");
}

#[test]
fn it_works_with_the_log_off() {
    let proxy = start("path = \"off\"");
    let site = site(&proxy);
    assert_eq!(site["misses"][0]["path"], "/shop");
    assert!(proxy.access_log().is_empty());
    assert_eq!(proxy.metric("forebay_log_dropped_total", &[]), 0.0);
}

#[test]
fn one_look_is_text_or_json() {
    let proxy = start("");
    site(&proxy);
    let admin = proxy.admin().to_string();
    let text = forebay(&["top", "--once", "--interval", "60ms", "--admin", &admin]);
    assert_eq!(text.code, Some(0), "{text:?}");
    for part in ["hit ratio", "Why not a hit", "uri-miss /shop", "Parameters in keys", "session", "Costliest", "/slow"]
    {
        assert!(text.stdout.contains(part), "{part} is missing in\n{}", text.stdout);
    }
    let json = forebay(&["top", "--once", "--json", "--interval", "60ms", "--admin", &admin]);
    let look: Value = serde_json::from_str(&json.stdout).unwrap_or_else(|error| panic!("{error}: {json:?}"));
    assert_eq!(look["sites"][0]["site"], "*");
    let nobody = forebay(&["top", "--once", "--admin", "127.0.0.1:1"]);
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("no instance answers on 127.0.0.1:1"), "{}", nobody.stderr);
}
