//! `preset = "wordpress"`: WordPress, WooCommerce and the page builders that go with it.
//!
//! An anonymous page of WordPress says nothing of its freshness, sets no cookie and is the same for everybody. All else
//! is told apart by what stands in the request: a cookie that was given out at login, with a comment or with the first
//! thing in a cart, a path of the administration, a parameter of a preview. Each list says why its items are in it.
//!
//! Not in them, on purpose:
//!
//! - `PHPSESSID`: plugins give it to everybody. A site whose session means something adds it with
//!   `extra_bypass_cookies`.
//! - Searches: they are stored for a minute, so that one word in the news does not become a thousand queries.
//! - `Authorization` and methods other than GET and HEAD: no preset is needed for these to pass.

use std::time::Duration;

use crate::model::{CacheRules, LimitKey, Over, Protection, Rate, RefreshPattern, RequestLimit, SetCookie};

/// Cookies of visitors who see a page of their own.
const BYPASS_COOKIES: [&str; 31] = [
    // Logged in: set for the whole site at login, the one that tells WordPress who reads the page.
    "wordpress_logged_in_*",
    // Logged in over TLS, sent beneath /wp-admin and /wp-content/plugins.
    "wordpress_sec_*",
    // The same without TLS is `wordpress_` and 32 hexadecimal digits (MD5 of the site's URL). The first digit is enough
    // to tell it from `wordpress_test_cookie`, which every visitor of the login form has and which must not match.
    "wordpress_0*",
    "wordpress_1*",
    "wordpress_2*",
    "wordpress_3*",
    "wordpress_4*",
    "wordpress_5*",
    "wordpress_6*",
    "wordpress_7*",
    "wordpress_8*",
    "wordpress_9*",
    "wordpress_a*",
    "wordpress_b*",
    "wordpress_c*",
    "wordpress_d*",
    "wordpress_e*",
    "wordpress_f*",
    // Recovery mode after a fatal error of a plugin.
    "wordpress_rec_*",
    // Plugins and hosts ask for no cache by it.
    "wordpress_no_cache",
    "NO_CACHE",
    // Has given the password of a protected post.
    "wp-postpass_*",
    // Resets a password: the key is in the cookie.
    "wp-resetpass-*",
    // Has commented: the form is filled in, comments in moderation are shown (`_email_` and `_url_` go with it).
    "comment_author_*",
    // WooCommerce: there is something in the cart, or a session.
    "woocommerce_items_in_cart",
    "woocommerce_cart_hash",
    "wp_woocommerce_session_*",
    // Easy Digital Downloads: there is something in the cart.
    "edd_items_in_cart",
    // WPtouch: has chosen the desktop or mobile theme.
    "wptouch_switch_toggle",
    // BuddyPress: half way through making a group.
    "bp_new_group_id",
    "bp_completed_create_steps",
];

/// Paths that answer each visitor for himself. `*/` in front: beneath any directory, for WordPress may be installed in one,
/// and a site of a multisite is one. A `$` at the end means the whole path.
const BYPASS_PATHS: &[&str] = &[
    // The administration, admin-ajax.php within.
    "*/wp-admin/",
    "*/wp-admin$",
    // Entry points that act: login, registration, jobs, comments, mail, remote publishing.
    "*/wp-login.php",
    "*/wp-signup.php",
    "*/wp-activate.php",
    "*/wp-cron.php",
    "*/wp-comments-post.php",
    "*/wp-trackback.php",
    "*/wp-links-opml.php",
    "*/wp-mail.php",
    "*/xmlrpc.php",
    // Asked for by name it is no permalink; `/index.php/2024/…` is one and stays cacheable.
    "*/index.php$",
    // REST: nonces and carts. A site that reads it anonymously says so in a route.
    "*/wp-json/",
    "*/wp-json$",
    // A service worker that is stored is one that cannot be replaced.
    "*/wp.serviceworker",
    // WooCommerce and Easy Digital Downloads: cart, checkout, account, wish list, callbacks, licences.
    "*/cart/",
    "*/cart$",
    "*/checkout/",
    "*/checkout$",
    "*/my-account/",
    "*/my-account$",
    "*/wishlist/",
    "*/wc-api/",
    "*/wc-auth/",
    "*/edd-api/",
    "*/edd-sl/",
    "*/logout/",
    "*/lost-password/",
    // BuddyPress: the key of an activation stands in the path.
    "*/activate/",
    // The pages WooCommerce makes under their translated names: French, German, Spanish, Italian, Dutch, Portuguese,
    // Polish.
    "*/panier/",
    "*/commande/",
    "*/mon-compte/",
    "*/warenkorb/",
    "*/kasse/",
    "*/mein-konto/",
    "*/carrito/",
    "*/finalizar-compra/",
    "*/mi-cuenta/",
    "*/carrello/",
    "*/pagamento/",
    "*/mio-account/",
    "*/winkelwagen/",
    "*/winkelmand/",
    "*/afrekenen/",
    "*/mijn-account/",
    "*/carrinho/",
    "*/minha-conta/",
    "*/koszyk/",
    "*/zamowienie/",
    "*/moje-konto/",
];

/// Parameters of requests that act, or that show what is not published.
const BYPASS_PARAMS: &[&str] = &[
    // Previews of drafts, by whatever value.
    "preview",
    "preview_id",
    "preview_nonce",
    "customize_changeset_uuid",
    "wp_customize",
    // REST without pretty permalinks: what /wp-json/ is with them.
    "rest_route",
    // WooCommerce: puts into the cart, takes out of it, pays, hands out what was bought, calls back.
    "add-to-cart",
    "remove_item",
    "removed_item",
    "undo_item",
    "pay_for_order",
    "download_file",
    "wc-ajax",
    "wc-api",
    // Easy Digital Downloads: the same, and its interface without pretty permalinks.
    "edd_action",
    "eddfile",
    "edd-api",
    // Starts the jobs.
    "doing_wp_cron",
    // The comment form as an answer; crawlers would fill the cache with one page a comment.
    "replytocom",
    // The same in a forum of bbPress.
    "bbp_reply_to",
    // Shows the author his comment in moderation.
    "unapproved",
    "moderation-hash",
    // Whatever carries a nonce or names an action acts for one visitor.
    "_wpnonce",
    "action",
    "loggedout",
    // WordPress asks itself whether a file that was edited still runs.
    "wp_scrape_key",
    // Page builders at work: Elementor, Divi, Beaver Builder, Oxygen, WPBakery, Bricks, Breakdance, Brizy, Thrive.
    "elementor-preview",
    "et_fb",
    "fl_builder",
    "ct_builder",
    "vc_editable",
    "bricks",
    "breakdance",
    "brizy-edit-iframe",
    "tve",
    // Says so itself.
    "nocache",
    "unfiltered",
];

/// Fields by which a script asks for something else than the page, which the key cannot tell apart.
const BYPASS_FIELDS: &[&str] = &[
    // jQuery and its kind: plugins answer to it with a fragment or JSON.
    "x-requested-with",
    // REST by a logged-in page.
    "x-wp-nonce",
    // Fragments of a page: pjax, htmx.
    "x-pjax",
    "hx-request",
];

/// Cookies that plugins set for everybody, with any page, and that change no page. Any other is a page of one visitor's.
const IGNORE_COOKIES: &[&str] = &[
    // Analytics and advertisements that are set by the server: Google, Facebook, Jetpack.
    "_ga*",
    "_gid",
    "_gcl_*",
    "_fbp",
    "_fbc",
    "tk_*",
    // WooCommerce: products looked at, and where an order came from; both are read when something is ordered.
    "woocommerce_recently_viewed",
    "sbjs_*",
    // Paid Memberships Pro: has been here today.
    "pmpro_visit",
    // Polylang and WPML: the language of the page, which its URL says.
    "pll_language",
    "wp-wpml_current_language",
];

/// Parameters that advertisers and mail programs add for scripts of the page. WordPress never reads them. `ref` is not
/// among them, affiliate plugins read it, nor `ver`, the version of an asset.
const IGNORE_PARAMS: &[&str] = &[
    // Campaigns: Google and everybody, Matomo, Piwik, HubSpot.
    "utm_*",
    "mtm_*",
    "matomo_*",
    "pk_*",
    "piwik_*",
    "hsa_*",
    // Clicks: Facebook, Google, Microsoft, TikTok, Twitter, LinkedIn, Instagram, Yandex, Snapchat, Pinterest, Reddit.
    "fb_*",
    "fbclid",
    "gclid",
    "gclsrc",
    "gbraid",
    "wbraid",
    "gad_source",
    "gad_campaignid",
    "dclid",
    "msclkid",
    "ttclid",
    "twclid",
    "li_fat_id",
    "igshid",
    "igsh",
    "yclid",
    "ysclid",
    "_openstat",
    "rdt_cid",
    "sscid",
    "ScCid",
    "epik",
    "ef_id",
    "s_kwcid",
    "srsltid",
    // Visitors across domains: Google Analytics, HubSpot, Yahoo.
    "_ga",
    "_gl",
    "__hstc",
    "__hssc",
    "__hsfp",
    "hsCtaTracking",
    "guccounter",
    "guce_referrer*",
    // Letters: Mailchimp, Klaviyo, Bronto, Dotdigital, Marketo, Vero, HubSpot, Oracle, Omeda, Omnisend, MailerLite and others.
    "mc_cid",
    "mc_eid",
    "_ke",
    "_kx",
    "_bta_*",
    "dm_i",
    "trk_*",
    "mkt_tok",
    "vero_id",
    "_hsenc",
    "_hsmi",
    "elqTrack*",
    "oly_anon_id",
    "oly_enc_id",
    "omnisend*",
    "ml_subscriber*",
    "wickedid",
    "_branch_match_id",
    "_branch_referrer",
    // Shares: YouTube, AMP, mail redirectors, Sitebeam.
    "si",
    "usqp",
    "redirect_log_mongo_id",
    "redirect_mongo_id",
    "sb_referer_host",
];

/// Queries of one path: pages of an archive, filters of a shop. Far above what visitors click, far below what a script makes.
const MAX_QUERIES: usize = 200;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The rules as a whole.
pub(super) fn cache_rules() -> CacheRules {
    let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    CacheRules {
        enabled: true,
        // A page that sets a cookie was made for one visitor, but for those of `ignore_cookies`.
        set_cookie: SetCookie::Refuse,
        bypass_cookies: owned(&BYPASS_COOKIES),
        bypass_paths: owned(BYPASS_PATHS),
        bypass_params: owned(BYPASS_PARAMS),
        bypass_fields: owned(BYPASS_FIELDS),
        ignore_params: owned(IGNORE_PARAMS),
        ignore_cookies: owned(IGNORE_COOKIES),
        max_queries: Some(MAX_QUERIES),
        deception_armor: true,
        // It asks the farm more than visitors do: for the operator to say.
        leak_canary: None,
        surrogate_control: false,
        // WordPress reads parameters by name.
        sort_query: true,
        // Whose cookies matter has passed already; the others (analytics, consent, `wp-settings-*`,
        // `wordpress_test_cookie`) would only make plugins start a session.
        drop_cookies: true,
        // Pages say nothing of their freshness. Permanent redirects as pages; an error page may become a page any
        // minute. 302 and 307 have none: where they lead depends on who asks. 5xx never.
        lifetimes: vec![(200, HOUR), (301, HOUR), (308, HOUR), (404, MINUTE), (410, MINUTE)],
        // A nonce in a page is good for 12 to 24 hours: a page may be 10 hours old, and its reader has time to act.
        max_lifetime: Some(10 * HOUR),
        // An old page at once is better than a new one in a second, and much better than an error.
        stale_while_revalidate: 24 * HOUR,
        stale_if_error: 24 * HOUR,
        refresh_patterns: vec![
            // Whatever is searched for, once a minute.
            short(r"^[^?]*\?(.*&)?s=", MINUTE),
            // Feeds and sitemaps are asked for by programs that want to see what is new.
            short(r"^[^?]*/feed(/(rss2?|rdf|atom))?/?(\?.*)?$", 10 * MINUTE),
            short(r"^[^?]*sitemap[^/?]*\.xml(\?.*)?$", 10 * MINUTE),
        ],
    }
}

/// What guesses of passwords are held back by. People who mistype are far beneath it; programs that try lists are not.
pub(super) fn protection() -> Protection {
    Protection {
        limits: vec![
            // The form is shown as often as anybody likes: what is counted are attempts.
            attempts("*/wp-login.php", 20, 10),
            // Jetpack and editors of mail and phone come here; one call can try hundreds of passwords.
            attempts("*/xmlrpc.php", 60, 30),
        ],
        ..Protection::default()
    }
}

/// So many POSTs a minute of one client.
fn attempts(path: &str, requests: u32, burst: u32) -> RequestLimit {
    RequestLimit {
        path: Some(path.to_owned()),
        methods: vec!["POST".to_owned()],
        key: LimitKey::Address,
        rate: Some(Rate { requests, period: MINUTE }),
        burst,
        over: Over::Refuse,
        delay: Duration::from_secs(5),
        concurrent: None,
        except: Vec::new(),
    }
}

/// Fresh for `lifetime` where the response does not say, whatever its Last-Modified.
fn short(pattern: &str, lifetime: Duration) -> RefreshPattern {
    RefreshPattern { pattern: pattern.to_owned(), ignore_case: false, min: lifetime, percent: 0, max: lifetime }
}

#[cfg(test)]
mod tests;
