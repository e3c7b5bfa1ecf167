//! Forebay before a real WordPress farm: Debian's WordPress on two Apache servers and MariaDB.

use std::time::Instant;

use forebay_tests::wordpress::SITE;
use forebay_tests::{Answer, Browser, Client, WordPress, assert_eventually};

/// Targets of the style sheets, scripts and images of a page.
fn assets(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for quote in ['"', '\''] {
        for value in page.split(quote).skip(1).step_by(2) {
            let path = value.split_once(SITE).map_or(value, |(_, path)| path);
            let file = path.split('?').next().unwrap_or_default();
            let is_asset =
                [".css", ".js", ".png", ".svg", ".woff2", ".jpg", ".webp"].iter().any(|end| file.ends_with(end));
            if is_asset && path.starts_with("/wp-") {
                found.push(path.replace("&#038;", "&").replace("&amp;", "&"));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn ap(answer: &Answer) -> Option<&str> {
    answer.field("x-ap")
}

#[test]
fn pages_posts_and_feeds_are_served_and_cached_over_http_and_https() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    for mut browser in [Browser::http(SITE, &proxy), Browser::https(SITE, &proxy)] {
        for (target, word) in
            [("/", "The Mill"), ("/hello-world/", "Hello world!"), ("/feed/", "<rss"), ("/sample-page/", "Sample Page")]
        {
            let (first, second) = (browser.visit(target), browser.visit(target));
            assert_eq!((first.status, second.status), (200, 200), "{target}: {first}");
            assert!(String::from_utf8_lossy(&second.decoded()).contains(word), "{target}: {second}");
            assert_eq!(second.cache(), "HIT", "{target}: {second}");
            assert!(second.field("set-cookie").is_none());
        }
    }
    assert_eq!(proxy.connect_h2_to(SITE).get("/").cache(), "HIT");
}

#[test]
fn https_pages_link_to_https() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let page = Browser::https(SITE, &proxy).visit("/");
    assert!(!page.text().contains(&format!("\"http://{SITE}")), "mixed content");
    let page = Browser::http(SITE, &proxy).visit("/");
    assert!(!page.text().contains(&format!("\"https://{SITE}")), "an answer of the other scheme was shared");
}

#[test]
fn admin_logs_in_and_publishes_over_http_and_https() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    for (n, mut browser) in [Browser::http(SITE, &proxy), Browser::https(SITE, &proxy)].into_iter().enumerate() {
        browser.log_in();
        let dashboard = browser.visit("/wp-admin/");
        assert!(dashboard.text().contains("Dashboard"), "{dashboard}");
        let content = format!("Stone number {n} turns.");
        let path = browser.publish(&format!("Stone {n}"), &content);
        let visitor = Browser::http(SITE, &proxy).visit(&path);
        assert!(String::from_utf8_lossy(&visitor.decoded()).contains(&content), "{path}: {visitor}");
    }
}

#[test]
fn logged_in_user_never_gets_a_cached_page_and_no_one_gets_his() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let mut visitor = Browser::http(SITE, &proxy);
    visitor.visit("/");
    assert_eq!(visitor.visit("/").cache(), "HIT");
    let mut admin = Browser::http(SITE, &proxy);
    admin.log_in();
    for target in ["/", "/hello-world/", "/sample-page/"] {
        for _ in 0..3 {
            let his = admin.visit(target);
            assert_ne!(his.cache(), "HIT", "{his}");
            assert!(his.text().contains("wp-admin-bar"), "{target} is not his: {his}");
            let theirs = visitor.visit(target);
            assert!(!theirs.text().contains("wp-admin-bar"), "{target} was leaked: {theirs}");
        }
    }
    assert_eq!(visitor.visit("/").cache(), "HIT", "his visits do not spoil what is stored");
}

#[test]
fn both_ap_servers_take_turns_on_misses() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let turns: Vec<_> = (0..10).map(|n| proxy_get(&proxy, &format!("/?nocache={n}"))).collect();
    let turns: Vec<_> = turns.iter().map(|answer| ap(answer).unwrap()).collect();
    assert!(turns.chunks(2).all(|turn| turn[0] != turn[1]), "{turns:?}");
}

fn proxy_get(proxy: &forebay_tests::Proxy, target: &str) -> Answer {
    Browser::http(SITE, proxy).get(target)
}

#[test]
fn one_ap_server_is_enough() {
    let mut farm = WordPress::start();
    let proxy = farm.proxy();
    farm.ap[0].end();
    for n in 0..6 {
        let answer = proxy_get(&proxy, &format!("/?nocache={n}"));
        assert_eq!((answer.status, ap(&answer)), (200, Some("2")), "{answer}");
    }
}

#[test]
fn every_asset_of_the_front_page_is_offloaded() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let page = proxy_get(&proxy, "/");
    let assets = assets(page.text());
    assert!(assets.len() >= 3, "{assets:?}");
    for target in &assets {
        let answer = proxy_get(&proxy, target);
        assert_eq!((answer.status, ap(&answer)), (200, None), "{target}: {answer}");
        assert!(!answer.body.is_empty() && answer.field("etag").is_some(), "{target}: {answer}");
    }
    assert_eventually!(farm.count("/") == 1);
    for target in &assets {
        assert_eq!(farm.count(target), 0, "{target}");
    }
}

#[test]
fn files_of_the_installation_are_never_served() {
    let farm = WordPress::start();
    std::fs::write(farm.docroot().join("wp-config.php.bak"), "DB_PASSWORD").unwrap();
    std::fs::write(farm.docroot().join("dump.sql"), "DB_PASSWORD").unwrap();
    let proxy = farm.proxy();
    for target in [
        "/wp-config.php",
        "/wp-config.php.bak",
        "/dump.sql",
        "/wp-config-sample.php",
        "/.htaccess",
        "/wp-content/debug.log",
    ] {
        let answer = proxy_get(&proxy, target);
        let seen = String::from_utf8_lossy(&answer.decoded()).into_owned();
        assert!(!seen.contains("DB_PASSWORD") && !seen.contains("<?php"), "{target}: {answer}");
    }
}

#[test]
fn ap_logs_show_closed_connections_and_the_address_of_the_visitor() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let mut visitor = Browser::http(SITE, &proxy).from([127, 0, 0, 77]);
    for n in 0..6 {
        visitor.get(&format!("/?nocache={n}"));
    }
    let logs =
        || farm.ap.iter().flat_map(|ap| ap.log()).filter(|line| line.request.contains("nocache")).collect::<Vec<_>>();
    assert_eventually!(logs().len() == 6);
    for line in logs() {
        assert_eq!(
            (line.visitor.as_str(), line.status, line.closed, line.keepalive_requests),
            ("127.0.0.77", 200, true, 0)
        );
    }
}

#[test]
fn timed_page_hit_is_at_least_100_times_faster_than_the_ap_server() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    // The median of as many as tell it apart from noise, each on a connection that is open.
    let median = |client: &mut Client, count: usize| {
        let mut times: Vec<_> = (0..count)
            .map(|_| {
                let start = Instant::now();
                assert_eq!(client.request("GET", "/", &[("Host", SITE)]).status, 200);
                start.elapsed()
            })
            .collect();
        times.sort();
        times[count / 2]
    };
    let ap = median(&mut Client::connect(farm.ap[0].address()), 20);
    let hit = median(&mut proxy.connect(), 500);
    eprintln!("AP server {ap:?}, hit {hit:?}: {:.0} times", ap.as_secs_f64() / hit.as_secs_f64());
    assert!(ap > hit * 100, "AP server {ap:?}, hit {hit:?}");
}

#[test]
fn slow_visitor_does_not_hold_an_apache_worker() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let mut client = proxy.connect().with_small_receive_buffer();
    client.send(format!("GET /?megabytes=4&nocache=1 HTTP/1.1\r\nHost: {SITE}\r\n\r\n"));
    let start = Instant::now();
    // Apache writes its log line when it is done with the connection's request.
    let is_free = || farm.count("/?megabytes=4&nocache=1") == 1;
    client.read_slowly(50 * 1024, || !is_free() && start.elapsed().as_secs() < 5);
    let line = &farm.ap.iter().flat_map(|ap| ap.log_of("/?megabytes=4&nocache=1")).collect::<Vec<_>>()[0];
    assert!(line.micros < 1_000_000, "the worker was held for {} us", line.micros);
}

#[test]
fn comment_of_a_visitor_is_taken_and_shown_to_him_alone() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    let mut visitor = Browser::http(SITE, &proxy);
    visitor.visit("/hello-world/");
    let form = [
        ("comment", "What a fine wheel."),
        ("author", "Jane"),
        ("email", "jane@wp.test"),
        ("comment_post_ID", "1"),
        ("comment_parent", "0"),
        ("wp-comment-cookies-consent", "yes"),
    ];
    let answer = visitor.post("/wp-comments-post.php", &form);
    assert_eq!(answer.status, 302, "{answer}");
    assert!(visitor.cookie("comment_author_").is_some());
    assert_ne!(visitor.visit("/hello-world/").cache(), "HIT");
    let stranger = Browser::http(SITE, &proxy).visit("/hello-world/");
    assert!(!String::from_utf8_lossy(&stranger.decoded()).contains("value=\"Jane\""), "{stranger}");
}
