use super::*;
use crate::values::{name_pattern, path_pattern};

fn passes(name: &str) -> bool {
    cache_rules().bypass_cookies.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    })
}

fn lifetime_by_pattern(url: &str) -> Option<Duration> {
    let matches = |rule: &&RefreshPattern| regex::Regex::new(&rule.pattern).unwrap().is_match(url);
    cache_rules().refresh_patterns.iter().find(matches).map(|rule| rule.min)
}

#[test]
fn every_cookie_of_a_visitor_with_a_page_of_his_own_passes() {
    for name in [
        "wordpress_logged_in_0cc175b9c0f1b6a831c399e269772661",
        "wordpress_sec_0cc175b9c0f1b6a831c399e269772661",
        "wordpress_0cc175b9c0f1b6a831c399e269772661",
        "wordpress_f95b70fdc3088560732a5ac135644506",
        "wp-postpass_0cc175b9c0f1b6a831c399e269772661",
        "comment_author_0cc175b9c0f1b6a831c399e269772661",
        "comment_author_email_0cc175b9c0f1b6a831c399e269772661",
        "woocommerce_items_in_cart",
        "wp_woocommerce_session_0cc175b9c0f1b6a831c399e269772661",
    ] {
        assert!(passes(name), "{name}");
    }
}

#[test]
fn cookies_that_everybody_has_do_not_pass() {
    for name in ["wordpress_test_cookie", "woocommerce_recently_viewed", "wp-settings-1", "tk_ai", "_ga", "PHPSESSID"] {
        assert!(!passes(name), "{name}");
    }
}

#[test]
fn each_item_is_one_that_a_file_may_say() {
    let rules = cache_rules();
    assert!(rules.bypass_cookies.iter().all(|name| name_pattern::cookie(name).is_ok()));
    assert!(rules.bypass_paths.iter().all(|path| path_pattern::bypass(path).is_ok()));
    assert!(rules.bypass_params.iter().all(|name| name_pattern::parameter_value(name).is_ok()));
    assert!(rules.ignore_params.iter().all(|name| name_pattern::parameter(name).is_ok()));
    assert!(rules.ignore_cookies.iter().all(|name| name_pattern::cookie(name).is_ok()));
    assert!(rules.bypass_fields.iter().all(|name| name_pattern::field(name).as_ref() == Ok(name)));
}

#[test]
fn nothing_is_named_twice() {
    let rules = cache_rules();
    for list in [
        &rules.bypass_cookies,
        &rules.bypass_paths,
        &rules.bypass_params,
        &rules.bypass_fields,
        &rules.ignore_params,
        &rules.ignore_cookies,
    ] {
        let distinct: std::collections::HashSet<_> = list.iter().collect();
        assert_eq!(distinct.len(), list.len(), "{list:?}");
    }
}

#[test]
fn a_cookie_that_means_a_page_of_its_own_is_never_one_that_is_ignored() {
    let rules = cache_rules();
    let start = |name: &str| name.trim_end_matches('*').to_owned();
    for ignored in &rules.ignore_cookies {
        for bypass in &rules.bypass_cookies {
            let (one, other) = (start(ignored), start(bypass));
            let overlap = (ignored.ends_with('*') && other.starts_with(&one))
                || (bypass.ends_with('*') && one.starts_with(&other))
                || one == other;
            assert!(!overlap, "{ignored} and {bypass}");
        }
    }
}

#[test]
fn feeds_sitemaps_and_searches_are_fresh_for_a_short_time() {
    for url in ["http://a/feed/", "http://a/2024/x/feed", "http://a/comments/feed/atom/", "http://a/feed/?x=1"] {
        assert_eq!(lifetime_by_pattern(url), Some(10 * MINUTE), "{url}");
    }
    assert_eq!(lifetime_by_pattern("http://a/wp-sitemap-posts-post-1.xml"), Some(10 * MINUTE));
    assert_eq!(lifetime_by_pattern("http://a/?s=mill"), Some(MINUTE));
    assert_eq!(lifetime_by_pattern("http://a/?x=1&s=mill"), Some(MINUTE));
    for url in
        ["http://a/", "http://a/feedback/", "http://a/?cats=1", "http://a/x?u=/feed/x", "http://a/p?u=sitemap.xml"]
    {
        assert_eq!(lifetime_by_pattern(url), None, "{url}");
    }
}

#[test]
fn neither_affiliates_nor_asset_versions_are_left_out_of_the_key() {
    let ignored = cache_rules().ignore_params;
    assert!(!ignored.iter().any(|name| name == "ref" || name == "ver"));
}
