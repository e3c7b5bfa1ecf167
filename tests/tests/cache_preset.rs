//! `preset = "wordpress"`: what passes, what is shared, for how long.

use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_tests::{Origin, Proxy, Reply};

/// Pages as WordPress makes them for visitors: without a word of freshness, here numbered.
fn wordpress() -> (Origin, Proxy) {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |request| {
        let reply = Reply::ok(count.fetch_add(1, Ordering::SeqCst).to_string());
        if request.path() == "/old" {
            reply.field("Age", "50000").field("Cache-Control", "max-age=99999")
        } else {
            reply
        }
    });
    let proxy = Proxy::config().origin(&origin).site("preset = \"wordpress\"").start();
    (origin, proxy)
}

#[test]
fn page_for_visitors_is_stored() {
    let (origin, proxy) = wordpress();
    for target in ["/", "/hello-world/", "/?p=1", "/page/2/"] {
        assert_eq!(proxy.get(target).cache(), "MISS", "{target}");
        assert_eq!(proxy.get(target).cache(), "HIT", "{target}");
    }
    assert_eq!(origin.total(), 4);
}

#[test]
fn cookies_of_users_make_a_request_pass() {
    let (origin, proxy) = wordpress();
    proxy.get("/");
    for (n, cookie) in [
        "wordpress_logged_in_0123=x",
        "wordpress_sec_0123=x",
        "wp-postpass_0123=x",
        "comment_author_0123=x",
        "woocommerce_items_in_cart=1",
        "wp_woocommerce_session_0123=x",
        "edd_items_in_cart=1",
        "a=b; wordpress_logged_in_0123=x; c=d",
    ]
    .into_iter()
    .enumerate()
    {
        let answer = proxy.get_with("/", &[("Cookie", cookie)]);
        assert_eq!(answer.text(), (n + 1).to_string(), "{cookie}: {answer}");
        assert_eq!(origin.requests()[n + 1].field("cookie").as_deref(), Some(cookie), "all cookies go with a pass");
    }
    assert_eq!(proxy.get("/").text(), "0");
}

#[test]
fn cookies_that_mean_nothing_share_and_are_not_forwarded() {
    let (origin, proxy) = wordpress();
    for cookie in
        ["wordpress_test_cookie=1", "_ga=GA1.2", "_fbp=1; __utma=2", "wp-settings-1=x", "woocommerce_recently_viewed=3"]
    {
        assert_eq!(proxy.get_with("/", &[("Cookie", cookie)]).text(), "0", "{cookie}");
    }
    assert_eq!(origin.only("/").field("cookie"), None);
}

#[test]
fn paths_and_queries_of_users_pass() {
    let (_origin, proxy) = wordpress();
    for target in [
        "/wp-admin/",
        "/wp-admin/admin-ajax.php?action=x",
        "/wp-login.php",
        "/wp-cron.php?doing_wp_cron",
        "/xmlrpc.php",
        "/wp-comments-post.php",
        "/wp-json/wp/v2/posts",
        "/cart/",
        "/checkout/",
        "/my-account/",
        "/?preview=true",
        "/?add-to-cart=7",
        "/?rest_route=/wp/v2/posts",
        "/?_wpnonce=1",
        "/?wc-ajax=x",
        "/?customize_changeset_uuid=1",
        "/?edd_action=add_to_cart&download_id=3",
        "/?download_file=3&order=wc_order_x",
        "/forums/topic/mills/?bbp_reply_to=3",
        // WordPress in a directory, the sites of a multisite in directories.
        "/blog/wp-admin/",
        "/shop/wp-login.php",
        "/network/shop/wp-json/wc/store/cart",
        "/shop/cart/",
        "/shop/checkout",
    ] {
        proxy.get(target);
        assert_ne!(proxy.get(target).cache(), "HIT", "{target}");
    }
}

#[test]
fn requests_of_scripts_for_a_fragment_pass_and_are_not_stored_as_the_page() {
    let (_origin, proxy) = wordpress();
    let fragment = [("X-Requested-With", "XMLHttpRequest")];
    assert_eq!(proxy.get_with("/", &fragment).text(), "0");
    assert_eq!(proxy.get("/").text(), "1");
    // Before and after the short way knows the page.
    for n in 2..5 {
        assert_eq!(proxy.get("/").text(), "1");
        let answer = proxy.get_with("/", &fragment);
        assert_eq!((answer.text(), answer.cache()), (n.to_string().as_str(), "PASS"), "{answer}");
        assert!(answer.cache_status().contains("detail=bypass-field"), "{answer}");
    }
}

#[test]
fn cookies_that_are_set_for_everybody_spoil_nothing_and_reach_nobody_else() {
    let origin = Origin::answering(|request| {
        let cookie = match request.path() {
            "/looked-at/" => "woocommerce_recently_viewed=12; path=/",
            "/session/" => "PHPSESSID=secret; path=/",
            _ => "wp_woocommerce_session_0123=secret; path=/",
        };
        Reply::ok("page").field("Set-Cookie", cookie).field("Set-Cookie", "_ga=1")
    });
    let proxy = Proxy::config().origin(&origin).site("preset = \"wordpress\"").start();
    let first = proxy.get("/looked-at/");
    assert_eq!(first.lines("set-cookie").count(), 2, "for the one who caused it: {first}");
    let second = proxy.get("/looked-at/");
    assert_eq!((second.cache(), second.field("set-cookie")), ("HIT", None), "{second}");
    for target in ["/session/", "/product/"] {
        for _ in 0..3 {
            let answer = proxy.get(target);
            assert_eq!(answer.cache(), "MISS", "{target}: {answer}");
            assert!(answer.cache_status().contains("detail=set-cookie"), "{target}: {answer}");
        }
    }
}

#[test]
fn page_stands_in_for_a_day_while_the_farm_is_down() {
    let farm = std::sync::Arc::new(AtomicUsize::new(200));
    let status = std::sync::Arc::clone(&farm);
    let origin = Origin::answering(move |_| match status.load(Ordering::SeqCst) {
        // Its lifetime is an hour: this is 22 hours past that.
        200 => Reply::ok("page").field("Age", (23 * 3600).to_string()),
        status => Reply::new(u16::try_from(status).unwrap(), "database error"),
    });
    let proxy = Proxy::config().origin(&origin).site("preset = \"wordpress\"").start();
    assert_eq!(proxy.get("/").cache(), "MISS");
    farm.store(500, Ordering::SeqCst);
    for _ in 0..3 {
        let answer = proxy.get("/");
        assert_eq!((answer.status, answer.text(), answer.cache()), (200, "page", "STALE"), "{answer}");
    }
    assert_eq!(proxy.get("/never-seen/").status, 500);
}

#[test]
fn tracking_parameters_share() {
    let (origin, proxy) = wordpress();
    for target in ["/", "/?utm_source=x", "/?fbclid=1&gclid=2", "/?utm_medium=a&utm_campaign=b&mc_cid=3", "/?msclkid=1"]
    {
        assert_eq!(proxy.get(target).text(), "0", "{target}");
    }
    assert_eq!(origin.total(), 1);
    assert_eq!(proxy.get("/?ref=1").text(), "1");
    assert_eq!(proxy.get("/style.css?ver=1").text(), "2");
    assert_eq!(proxy.get("/style.css?ver=2").text(), "3");
}

#[test]
fn lifetime_ends_before_the_nonces_do() {
    let (origin, proxy) = wordpress();
    proxy.get("/old");
    // 50,000 s are more than 10 h: it may be served stale while it is refreshed, but it is refreshed.
    proxy.get("/old");
    forebay_tests::assert_eventually!(origin.count("/old") >= 2);
}

#[test]
fn server_errors_are_never_stored() {
    let origin = Origin::answering(|_| Reply::new(500, "database"));
    let proxy = Proxy::config().origin(&origin).site("preset = \"wordpress\"").start();
    for n in 1..=3 {
        assert_ne!(proxy.get("/").cache(), "HIT");
        assert_eq!(origin.total(), n);
    }
}

#[test]
fn words_of_the_site_come_before_those_of_the_preset() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let site = "preset = \"wordpress\"\nbypass_cookies = [\"mine\"]\nignore_params = []";
    let proxy = Proxy::config().origin(&origin).site(site).start();
    proxy.get("/");
    assert_eq!(proxy.get_with("/", &[("Cookie", "wordpress_logged_in_1=x")]).cache(), "HIT");
    assert_ne!(proxy.get_with("/", &[("Cookie", "mine=x")]).cache(), "HIT");
    assert_eq!(proxy.get("/?utm_source=x").cache(), "MISS");
}

#[test]
fn route_may_open_what_the_preset_closes() {
    let (_origin, proxy) = {
        let origin = Origin::answering(|_| Reply::ok("x"));
        let route = "preset = \"wordpress\"\n[[site.route]]\npath = \"/wp-json/wp/v2/\"\nbypass_paths = []";
        let proxy = Proxy::config().origin(&origin).site(route).start();
        (origin, proxy)
    };
    proxy.get("/wp-json/wp/v2/posts");
    assert_eq!(proxy.get("/wp-json/wp/v2/posts").cache(), "HIT");
    assert_eq!(proxy.get("/wp-json/wp/v2/posts?_wpnonce=1").cache(), "PASS");
    assert_eq!(proxy.get("/wp-json/wc/store/cart").cache(), "PASS");
}
