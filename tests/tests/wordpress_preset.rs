//! `preset = "wordpress"` before a real farm: what passes, what is shared, and for how long.

use forebay_tests::wordpress::SITE;
use forebay_tests::{Answer, Browser, Proxy, WordPress, assert_eventually};

fn get(proxy: &Proxy, target: &str) -> Answer {
    Browser::http(SITE, proxy).get(target)
}

/// Seconds of freshness that `Cache-Status` tells.
fn ttl(answer: &Answer) -> i64 {
    let told = answer.cache_status().split("ttl=").nth(1).unwrap_or_else(|| panic!("{answer}"));
    told.split(';').next().unwrap().trim().parse().unwrap()
}

#[test]
fn lifetimes_are_those_of_the_preset_whatever_wordpress_says() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    for (target, status, lifetime) in [
        ("/", 200, 3600),
        ("/hello-world/", 200, 3600),
        ("/feed/", 200, 600),
        ("/hello-world/feed/", 200, 600),
        ("/?s=wheel", 200, 60),
    ] {
        let answer = get(&proxy, target);
        assert_eq!((answer.status, answer.cache()), (status, "MISS"), "{target}: {answer}");
        assert!((lifetime - 2..=lifetime).contains(&ttl(&answer)), "{target}: {answer}");
        assert_eq!(get(&proxy, target).cache(), "HIT", "{target}");
    }
    // WordPress forbids to store these itself.
    for target in ["/no-such-page/", "/wp-login.php", "/wp-admin/", "/xmlrpc.php", "/wp-cron.php?doing_wp_cron"] {
        for _ in 0..2 {
            assert_ne!(get(&proxy, target).cache(), "HIT", "{target}");
        }
    }
    // A site may have it otherwise.
    let opened = farm.config().site("[[site.route]]\npath = \"/wp-json/wp/v2/\"\nbypass_paths = []").start();
    assert_eq!(get(&proxy, "/wp-json/wp/v2/posts").cache(), "PASS");
    get(&opened, "/wp-json/wp/v2/posts");
    let posts = get(&opened, "/wp-json/wp/v2/posts");
    assert_eq!(posts.cache(), "HIT", "{posts}");
    assert!(String::from_utf8_lossy(&posts.decoded()).contains("hello-world"), "{posts}");
}

#[test]
fn campaigns_share_one_request_of_the_farm_and_junk_is_stored_no_more_than_200_times() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    for target in ["/", "/?utm_source=a&utm_medium=b", "/?fbclid=1", "/?gclid=2&_gl=3&mc_cid=4", "/?_hsenc=1"] {
        assert_eq!(get(&proxy, target).status, 200, "{target}");
    }
    assert_eventually!(farm.count("/") == 1);
    // Whatever else stands in a query WordPress takes for the page.
    for n in 0..210 {
        assert_eq!(get(&proxy, &format!("/?junk={n}")).status, 200);
    }
    assert_eventually!(proxy.metric("forebay_cache_queries_refused_total", &[]) == 10.0);
    assert_eq!(get(&proxy, "/?junk=0").cache(), "HIT");
    assert!(get(&proxy, "/?junk=300").cache_status().contains("too-many-queries"));
}

#[test]
fn page_stands_in_while_the_whole_farm_is_down() {
    let mut farm = WordPress::start();
    let proxy = farm.config().site("lifetimes = { \"200\" = \"1s\" }\nstale_while_revalidate = \"0s\"").start();
    assert_eq!(get(&proxy, "/hello-world/").status, 200);
    farm.ap[0].end();
    farm.ap[1].end();
    assert_eventually!(get(&proxy, "/hello-world/").cache() == "STALE");
    let answer = get(&proxy, "/hello-world/");
    assert_eq!((answer.status, answer.cache()), (200, "STALE"), "{answer}");
    assert!(String::from_utf8_lossy(&answer.decoded()).contains("Hello world!"));
    assert_eq!(get(&proxy, "/sample-page/").status, 502);
}
