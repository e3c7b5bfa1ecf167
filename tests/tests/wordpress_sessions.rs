//! The seed's question: is a login lost when another server answers?

use forebay_tests::wordpress::SITE;
use forebay_tests::{Browser, Proxy, WordPress};

/// What plugins for members do: who logged in is known by PHP's session, a file of the server that it began on.
const MEMBERS: &str = "<?php
session_start();
add_action('wp_login', function ($name) { $_SESSION['member'] = $name; });
add_filter('determine_current_user', function ($user) {
    return $user && !empty($_SESSION['member']) ? $user : 0;
}, 99);
";

/// Logs in, and asks for the dashboard ten times; what came of each: 200, or 403 for nobody.
fn dashboards(proxy: &Proxy) -> Vec<u16> {
    let mut browser = Browser::http(SITE, proxy);
    browser.log_in();
    (0..10).map(|_| browser.get("/wp-admin/profile.php").status).collect()
}

fn before(farm: &WordPress, words: &str) -> Proxy {
    farm.config().upstream(words).start()
}

#[test]
fn wordpress_login_by_php_session_is_lost_without_sticky_and_kept_with_it() {
    let farm = WordPress::start();
    // WordPress itself keeps a login in signed cookies: any server knows it.
    assert_eq!(dashboards(&before(&farm, "")), [200; 10]);
    std::fs::write(farm.docroot().join("wp-content/mu-plugins/members.php"), MEMBERS).unwrap();
    let lost = dashboards(&before(&farm, ""));
    assert!(lost.contains(&200) && lost.contains(&403), "by turns: {lost:?}");
    for words in ["sticky = { cookie = \"FOREBAY\" }", "sticky = { application_cookie = \"PHPSESSID\" }"] {
        for _ in 0..3 {
            assert_eq!(dashboards(&before(&farm, words)), [200; 10], "{words}");
        }
    }
}

#[test]
fn wordpress_login_by_php_session_goes_with_its_server_and_with_no_other() {
    let mut farm = WordPress::start();
    std::fs::write(farm.docroot().join("wp-content/mu-plugins/members.php"), MEMBERS).unwrap();
    let proxy = before(&farm, "sticky = { cookie = \"FOREBAY\" }");
    let mut visitors = [Browser::http(SITE, &proxy), Browser::http(SITE, &proxy)];
    let mut at = Vec::new();
    for visitor in &mut visitors {
        visitor.log_in();
        let answer = visitor.get("/wp-admin/profile.php");
        assert_eq!(answer.status, 200);
        at.push(answer.field("x-ap").unwrap().to_owned());
    }
    assert_ne!(at[0], at[1], "both servers have a session");
    farm.ap[0].end();
    for (visitor, server) in visitors.iter_mut().zip(&at) {
        let expected = if server == "1" { 403 } else { 200 };
        let answer = visitor.get("/wp-admin/profile.php");
        assert_eq!((answer.status, answer.field("x-ap")), (expected, Some("2")), "it was at {server}");
    }
}
