//! Why responses are not stored, and where hits come from.

use super::Row;

pub(super) const HIT: &[Row] =
    &[("shared-tier", "Another node had stored it, in the shared tier; it is stored here now.", "")];

pub(super) const NOT_STORED: &[Row] = &[
    (
        "set-cookie",
        "The response sets a cookie, which would be everybody's.",
        "Find the plugin that starts a session for strangers; or say `set_cookie = \"strip\"` if the cookie means nothing.",
    ),
    (
        "no-store",
        "The response says `no-store`.",
        "Find who says it: WordPress does for logged-in visitors and in previews, plugins by `nocache_headers()` or `DONOTCACHEPAGE`.",
    ),
    ("private", "The response says `private`.", "Find who says it; a page that is the same for everybody should not."),
    (
        "no-freshness",
        "Nothing says how long the response is fresh, and it has no validator.",
        "Say it: `lifetimes`, `refresh_pattern` or `preset`; or let the origin send `Cache-Control: max-age`.",
    ),
    (
        "cookie-without-explicit-freshness",
        "Only the configuration says how long the response is fresh, and the origin had seen a cookie.",
        "Say `drop_cookies = true`, with `bypass_cookies` for those that matter.",
    ),
    (
        "error-without-explicit-freshness",
        "An error without a lifetime of its own.",
        "Nothing: an error should not stay.",
    ),
    (
        "stale-on-arrival",
        "Its lifetime was over when it arrived, and it cannot be validated.",
        "Look at its `Expires`, `Age` and `Date`, and at the clock of the AP server.",
    ),
    (
        "page-under-file-name",
        "It is a page (`text/html`) at a URL that ends as a file's (`.css`, `.png`): cache deception.",
        "Let the application answer 404 to names it does not know; if it is meant so, say `deception_armor = false`.",
    ),
    (
        "too-many-queries",
        "Its path has `max_queries` queries stored, and this one was not asked for before.",
        "Find the parameter that makes so many and ignore it (`ignore_params`), or raise `max_queries`.",
    ),
    (
        "quarantined",
        "The leak canary found that what was stored here had been shaped by one client; for 10 minutes nothing is.",
        "Look at the warning in the error log, and for what the page reads beyond its URL: a plugin, a field, an address.",
    ),
    (
        "litespeed-vary",
        "`X-LiteSpeed-Vary` names something that requests are not kept apart by.",
        "Name the cookie in `bypass_cookies`, or turn the plugin's option off.",
    ),
    (
        "vary-star",
        "It says `Vary: *`, or varies on something that is no field name.",
        "Let the origin name the fields it varies on.",
    ),
    (
        "authorization",
        "The request was authorised, and the response does not say that it is for others too.",
        "Let the origin say `public` or `s-maxage` where that is so.",
    ),
    ("too-large", "It is larger than `max_object`.", "Raise `max_object` of `[cache.memory]` or `[cache.disk]`."),
    (
        "no-room",
        "The disk tier has no room for it at the moment, or is degraded.",
        "Look at `forebay_disk_degraded`; raise `size` of `[cache.disk]`.",
    ),
    ("method", "Responses to this method are not stored.", ""),
    ("request-content", "It answers a request with content, which the key does not cover.", ""),
    ("request-no-store", "The request said `no-store`.", "Ask without it."),
    ("interim", "It is an interim response (1xx).", ""),
    ("not-modified", "A 304 is nothing by itself.", ""),
    ("partial-content", "A part of a representation that could not be kept as such.", ""),
    ("answers-request", "Its status speaks of the conditions or the range of this request (412, 416, 417).", ""),
    ("status-not-understood", "It says `must-understand`, and its status is not one this cache understands.", ""),
    (
        "proxy-only",
        "It came from a sibling or parent that is `proxy_only`.",
        "Remove `proxy_only` to store it here too.",
    ),
    ("incomplete", "Its content broke off.", "Look at the error log of the AP server."),
];
