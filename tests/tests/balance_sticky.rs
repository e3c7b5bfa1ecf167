//! Sessions that stay with their server.

use forebay_tests::{Browser, Origin, Proxy, ProxyConfig, Reply, forebay};

/// A server that tells its name and lets nothing be stored.
fn named(name: &'static str) -> Origin {
    Origin::answering(move |request| match request.path() {
        "/cacheable" => Reply::cacheable(name),
        _ => Reply::ok(name).field("Cache-Control", "no-store"),
    })
}

const STICKY: &str = "sticky = { cookie = \"FOREBAY\" }";

fn two(words: &str) -> (Origin, Origin, ProxyConfig) {
    let (a, b) = (named("a"), named("b"));
    let config = Proxy::config().origin(&a).origin(&b).upstream(words);
    (a, b, config)
}

fn browser(proxy: &Proxy) -> Browser {
    Browser::http("site.test", proxy)
}

fn told(proxy: &Proxy, word: &str, origin: &Origin) {
    let admin = proxy.admin().to_string();
    let outcome = forebay(&["upstream", word, &origin.address().to_string(), "--admin", &admin]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn client_stays_with_its_server_and_the_application_never_sees_the_cookie() {
    let (a, b, config) = two(STICKY);
    let proxy = config.start();
    for _ in 0..4 {
        let mut browser = browser(&proxy);
        let home = browser.get("/x").text().to_owned();
        for _ in 0..4 {
            let answer = browser.get("/x");
            assert_eq!(answer.text(), home);
            assert_eq!(answer.field("set-cookie"), None, "it has one already: {answer}");
        }
    }
    assert_eq!((a.total(), b.total()), (10, 10));
    for request in a.requests().iter().chain(&b.requests()) {
        assert_eq!(request.field("cookie"), None);
    }
}

#[test]
fn cookie_is_secure_under_tls_and_never_for_scripts_or_other_sites() {
    let (_a, _b, config) = two(STICKY);
    let proxy = config.start();
    let plain = proxy.get("/x").field("set-cookie").unwrap().to_owned();
    assert!(plain.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{plain}");
    let tls = proxy.connect_tls().get("/x").field("set-cookie").unwrap().to_owned();
    assert!(tls.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{tls}");
    let h2 = proxy.connect_h2().get("/x").field("set-cookie").unwrap().to_owned();
    assert!(h2.ends_with("; Secure"), "{h2}");
}

#[test]
fn what_is_shared_carries_no_cookie() {
    let (_a, _b, config) = two(STICKY);
    let proxy = config.start();
    for expected in ["MISS", "HIT", "HIT"] {
        let answer = proxy.get("/cacheable");
        assert_eq!((answer.cache(), answer.field("set-cookie")), (expected, None), "{answer}");
    }
}

#[test]
fn session_outlives_reload_and_restart() {
    let (_a, _b, config) = two(STICKY);
    let proxy = config.start();
    let mut homes: Vec<(String, String)> = Vec::new();
    for _ in 0..4 {
        let answer = proxy.get("/x");
        let cookie = answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        homes.push((cookie, answer.text().to_owned()));
    }
    let check = |proxy: &Proxy| {
        for (cookie, home) in homes.iter().chain(&homes) {
            let answer = proxy.get_with("/x", &[("Cookie", cookie)]);
            assert_eq!((answer.text(), answer.field("set-cookie")), (home.as_str(), None), "{answer}");
        }
    };
    let before = proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]);
    proxy.signal(rustix::process::Signal::HUP);
    forebay_tests::assert_eventually!(
        proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]) > before
    );
    check(&proxy);
    check(&proxy.kill_and_restart());
}

#[test]
fn forged_cookie_and_one_of_another_pool_are_ignored() {
    let (a, b, config) = two(STICKY);
    let other = format!(
        "[[upstream]]\nname = \"other\"\nservers = [\"{}\", \"{}\"]\n{STICKY}\n\
         [[site]]\nhosts = [\"other.test\"]\nupstream = \"other\"",
        a.address(),
        b.address()
    );
    let proxy = config.extra(&other).start();
    let foreign = proxy.get_with("/x", &[("Host", "other.test")]);
    let foreign = foreign.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let own = proxy.get("/x").field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let forged = format!("{}0", &own[..own.len() - 1]);
    let forged = if forged == own { format!("{}1", &own[..own.len() - 1]) } else { forged };
    for cookie in [foreign, forged, "FOREBAY=".to_owned(), "FOREBAY=../../x".to_owned()] {
        let answers: Vec<_> = (0..4).map(|_| proxy.get_with("/x", &[("Cookie", &cookie)])).collect();
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.field("set-cookie").is_some()), "{cookie}");
        assert!(answers.iter().any(|answer| answer.text() == "a"), "{cookie}");
        assert!(answers.iter().any(|answer| answer.text() == "b"), "{cookie}");
    }
}

#[test]
fn drained_server_keeps_its_sessions_and_a_disabled_one_releases_them() {
    let (a, b, config) = two(STICKY);
    let proxy = config.start();
    let mut browser = browser(&proxy);
    let home = browser.get("/x").text().to_owned();
    let server = if home == "a" { &a } else { &b };
    told(&proxy, "drain", server);
    assert_eq!(browser.get("/x").text(), home, "its session goes on");
    for _ in 0..4 {
        assert_ne!(proxy.get("/x").text(), home, "nothing new");
    }
    told(&proxy, "disable", server);
    let moved = browser.get("/x");
    assert_ne!(moved.text(), home);
    assert!(moved.field("set-cookie").is_some(), "a new cookie: {moved}");
    told(&proxy, "ready", server);
    for _ in 0..4 {
        assert_ne!(browser.get("/x").text(), home, "it stays where it is now");
    }
}

#[test]
fn timed_drained_server_releases_its_sessions_when_their_time_is_up() {
    let (a, b, config) = two("sticky = { cookie = \"FOREBAY\" }\ndrain_timeout = \"100ms\"");
    let proxy = config.start();
    let mut browser = browser(&proxy);
    let home = browser.get("/x").text().to_owned();
    told(&proxy, "drain", if home == "a" { &a } else { &b });
    forebay_tests::assert_eventually!(browser.get("/x").text() != home);
    assert!(proxy.ask_admin("/upstreams").text().contains("\"state\":\"drained\""));
}

#[test]
fn session_of_a_server_that_died_moves_and_its_client_sees_no_error() {
    let dying = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let dead = std::sync::Arc::clone(&dying);
    let a = Origin::answering(move |_| {
        if dead.load(std::sync::atomic::Ordering::SeqCst) {
            Reply::silence(forebay_tests::origin::Ending::Reset)
        } else {
            Reply::ok("a").field("Cache-Control", "no-store")
        }
    });
    let b = named("b");
    let proxy = Proxy::config().origin(&a).origin(&b).upstream(STICKY).start();
    let mut browser = browser(&proxy);
    assert_eq!(browser.get("/x").text(), "a");
    dying.store(true, std::sync::atomic::Ordering::SeqCst);
    let moved = browser.get("/x");
    assert_eq!((moved.status, moved.text()), (200, "b"), "{moved}");
    assert!(moved.field("set-cookie").is_some(), "{moved}");
}

#[test]
fn session_of_the_applications_cookie_stays_where_it_began() {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let application = |name: &'static str| {
        Origin::answering(move |request| {
            let reply = Reply::ok(name).field("Cache-Control", "no-store");
            if request.field("cookie").is_some_and(|cookie| cookie.contains("PHPSESSID=")) {
                return reply;
            }
            let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            reply.field("Set-Cookie", format!("PHPSESSID=session{id}; path=/"))
        })
    };
    let (a, b) = (application("a"), application("b"));
    let words = "sticky = { application_cookie = \"PHPSESSID\" }";
    let proxy = Proxy::config().origin(&a).origin(&b).upstream(words).start();
    for _ in 0..12 {
        let mut browser = browser(&proxy);
        let home = browser.get("/x").text().to_owned();
        for _ in 0..3 {
            assert_eq!(browser.get("/x").text(), home);
        }
    }
    assert_eq!((a.total(), b.total()), (24, 24));
}
