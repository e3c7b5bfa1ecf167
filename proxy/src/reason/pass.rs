//! Why requests are forwarded, and why some do not use the cache at all.

use super::Row;

pub(super) const FORWARD: &[Row] = &[
    (
        "uri-miss",
        "Nothing is stored for this URL.",
        "Ask once more: the second request is a hit if the response was stored.",
    ),
    (
        "vary-miss",
        "Something is stored, but for other values of the fields that `Vary` names.",
        "Let the origin vary on less; `Vary: User-Agent` or `Cookie` makes a copy for each visitor.",
    ),
    ("stale", "What is stored has to be validated first.", "Give it a longer lifetime, or a `stale_while_revalidate`."),
    (
        "request",
        "What is stored is fresh, but the request wants it newer (`no-cache`, `max-age`, `min-fresh`).",
        "Ask without these directives; browsers send them when a page is reloaded.",
    ),
    ("partial", "A part of it is stored, and the rest is fetched.", ""),
    ("method", "The method is neither GET nor HEAD.", "Nothing: other methods are for the origin."),
    ("miss", "Nothing stored could be used.", ""),
    ("bypass", "This request does not use the cache; the second code says why.", ""),
];

pub(super) const PASS: &[Row] = &[
    (
        "method",
        "The method has to reach the origin, or it is a POST that carries a cookie or credentials.",
        "Nothing: only GET and HEAD are answered from the cache.",
    ),
    (
        "cache-off",
        "The site or route says `cache = \"off\"`.",
        "Remove the word, or give the path a route of its own with `cache = \"on\"`.",
    ),
    (
        "authorization",
        "The request carries credentials (`Authorization`), and nothing that is stored says it is meant for those too.",
        "Let the origin answer `Cache-Control: public` or `s-maxage` where the response is the same for everybody.",
    ),
    (
        "client-certificate",
        "A certificate says who the visitor is, and nothing that is stored says it is meant for everybody.",
        "Let the origin answer `Cache-Control: public` or `s-maxage` where the response is the same for all who may see it.",
    ),
    (
        "bypass-cookie",
        "The request carries a cookie that `bypass_cookies` names: the visitor is logged in, or has a cart.",
        "Ask without the cookie; if it means nothing to the origin, take it out of `bypass_cookies`.",
    ),
    (
        "bypass-path",
        "The path is one of `bypass_paths`.",
        "If its pages are the same for everybody, take it out of `bypass_paths`.",
    ),
    (
        "bypass-param",
        "The query holds a parameter that `bypass_params` names.",
        "If it does not change the page for one visitor alone, take it out of `bypass_params`.",
    ),
    (
        "bypass-field",
        "The request carries a field that `bypass_fields` names.",
        "If the page is the same without it, take it out of `bypass_fields`.",
    ),
    (
        "suspect",
        "The client asks for too much (`suspect`); the AP server is told so and decides.",
        "Raise `threshold`, or name the client in `except`.",
    ),
    (
        "request-content",
        "A GET with content: the key does not cover it, and it could shape the answer.",
        "Send no content with GET.",
    ),
    ("upgrade", "The request wants another protocol (WebSocket).", "Nothing: a tunnel cannot be stored."),
];
