use std::time::Duration;

use forebay_config::model::{AccessRule, LimitKey, Over, Protection, Rate, RequestLimit, Suspect, Suspicion};
use http::HeaderValue;

use super::*;

fn state() -> State {
    State::new(100, prometheus::IntCounter::new("evicted", "evicted").unwrap())
}

fn limit(key: LimitKey) -> RequestLimit {
    RequestLimit {
        path: Some("/login".to_owned()),
        methods: vec!["POST".to_owned()],
        key,
        rate: Some(Rate { requests: 1, period: Duration::from_secs(3600) }),
        burst: 2,
        over: Over::Refuse,
        delay: Duration::from_secs(1),
        concurrent: None,
        except: vec!["10.0.0.0/8".parse().unwrap()],
    }
}

fn guard(protection: &Protection, state: &State) -> Guard {
    Guard::new("site", protection, state).unwrap().unwrap()
}

/// How many of five requests are let through.
fn through(guard: &Guard, state: &State, client: &str, method: &Method, path: &str, fields: &HeaderMap) -> usize {
    let asking = Asking { client: client.parse().unwrap(), method, path, fields };
    (0..5).filter(|_| guard.limits(&asking, state).is_ok()).count()
}

#[test]
fn clients_are_counted_by_address_and_of_ipv6_by_64() {
    let state = state();
    let guard = guard(&Protection { limits: vec![limit(LimitKey::Address)], ..Protection::default() }, &state);
    let none = HeaderMap::new();
    let post = |client| through(&guard, &state, client, &Method::POST, "/login", &none);
    assert_eq!((post("192.0.2.1"), post("192.0.2.1"), post("192.0.2.2")), (2, 0, 2));
    assert_eq!((post("::ffff:192.0.2.1"), post("::ffff:192.0.2.3")), (0, 2));
    assert_eq!((post("2001:db8::1"), post("2001:db8::2"), post("2001:db8:0:1::1")), (2, 0, 2));
    assert_eq!(post("10.1.2.3"), 5);
    assert_eq!(through(&guard, &state, "192.0.2.1", &Method::GET, "/login", &none), 5);
    assert_eq!(through(&guard, &state, "192.0.2.1", &Method::POST, "/other", &none), 5);
}

#[test]
fn who_leaves_the_key_out_is_counted_by_address() {
    let state = state();
    let by_cookie = limit(LimitKey::Cookie("sid".to_owned()));
    let guard = guard(&Protection { limits: vec![by_cookie], ..Protection::default() }, &state);
    let with = |value: &'static str| {
        let mut fields = HeaderMap::new();
        fields.insert(http::header::COOKIE, HeaderValue::from_static(value));
        through(&guard, &state, "192.0.2.1", &Method::POST, "/login", &fields)
    };
    assert_eq!((with("a=1; sid=x"), with("sid=x"), with("sid=y"), with("xsid=z"), with("")), (2, 0, 2, 2, 0));
}

#[test]
fn the_same_words_count_together_in_every_route_and_after_a_reload() {
    let state = state();
    let protection = Protection { limits: vec![limit(LimitKey::All)], ..Protection::default() };
    let none = HeaderMap::new();
    let post = |site: &str| {
        let guard = Guard::new(site, &protection, &state).unwrap().unwrap();
        through(&guard, &state, "192.0.2.1", &Method::POST, "/login", &none)
    };
    assert_eq!((post("one"), post("one"), post("other")), (2, 0, 2));
}

#[test]
fn the_first_rule_of_access_that_matches_decides() {
    let rule = |allow, networks: &[&str], path: Option<&str>| AccessRule {
        allow,
        networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        path: path.map(ToOwned::to_owned),
    };
    let access = vec![
        rule(true, &["192.0.2.1/32"], Some("/admin/")),
        rule(false, &["0.0.0.0/0", "::/0"], Some("/admin/")),
        rule(false, &["203.0.113.0/24"], None),
    ];
    let state = state();
    let guard = guard(&Protection { access, ..Protection::default() }, &state);
    let none = HeaderMap::new();
    let may = |client: &str, path| {
        let asking = Asking { client: client.parse().unwrap(), method: &Method::GET, path, fields: &none };
        guard.access(&asking).is_ok()
    };
    assert!(may("192.0.2.1", "/admin/x") && may("192.0.2.2", "/") && may("2001:db8::1", "/x"));
    assert!(!may("192.0.2.2", "/admin/x") && !may("2001:db8::1", "/admin/") && !may("203.0.113.7", "/"));
}

#[test]
fn a_client_is_suspect_for_as_long_as_the_ban_and_then_no_longer() {
    let state = state();
    let suspect = Suspect {
        threshold: 3,
        period: Duration::from_secs(10),
        ban: Duration::from_secs(60),
        action: Suspicion::Refuse,
        tarpit: Duration::from_secs(1),
        ignore: vec!["/img/".to_owned()],
        except: Vec::new(),
    };
    let suspects = Suspects::new("site", &suspect, &state);
    let none = HeaderMap::new();
    let at = |client: &str, path, second: u64| {
        let asking = Asking { client: client.parse().unwrap(), method: &Method::GET, path, fields: &none };
        suspects.standing(&asking, &state, second * 1_000_000_000)
    };
    let refused = |seconds: u64| Standing::Refused(seconds * 1_000_000_000);
    for _ in 0..3 {
        assert_eq!(at("192.0.2.1", "/", 100), Standing::Unsuspected);
    }
    assert_eq!(at("192.0.2.1", "/img/a", 100), Standing::Unsuspected);
    assert_eq!(at("192.0.2.1", "/", 100), refused(60));
    // Whatever it asks for, and however often: the ban is not made longer by that.
    assert_eq!(at("192.0.2.1", "/img/a", 130), refused(30));
    assert_eq!(at("192.0.2.2", "/", 130), Standing::Unsuspected);
    assert_eq!(at("192.0.2.1", "/", 160), Standing::Unsuspected);
    // One every five seconds is beneath three in ten.
    for second in 0..20 {
        assert_eq!(at("192.0.2.3", "/", 200 + 5 * second), Standing::Unsuspected);
    }
}

#[test]
fn paths_that_no_word_is_about_need_not_be_asked_about() {
    let state = state();
    assert!(Guard::new("site", &Protection::default(), &state).unwrap().is_none());
    let guard = guard(&Protection { limits: vec![limit(LimitKey::Address)], ..Protection::default() }, &state);
    assert!(guard.concerns("/login/x") && !guard.concerns("/"));
}
