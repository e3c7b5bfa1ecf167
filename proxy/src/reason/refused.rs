//! Why requests are refused.

use super::Row;

/// For what only a broken or hostile client sends.
const CLIENT: &str = "Nothing here: the client has to send a valid request.";

pub(super) const REFUSED: &[Row] = &[
    ("unknown-host", "No site has this host.", "Add it to `hosts`, or write `\"*\"`."),
    (
        "no-upstream",
        "The site has files alone, and there is none of this name.",
        "Give the site an `upstream`, or put the file beneath `root`.",
    ),
    (
        "offload-refused",
        "The name is one that is never served from `root`, or leads out of it.",
        "Dotfiles, backups and settings stay unserved; give the path a route with `offload = false` if the AP server is to answer.",
    ),
    ("only-if-cached", "The request wants a stored response or none, and none is usable.", ""),
    (
        "loop",
        "The request has been here before: an upstream leads back to this proxy.",
        "Look at `servers`: one of them is this proxy, or sends to it.",
    ),
    ("method-not-allowed", "CONNECT, TRACE, or a purge without the right to it.", ""),
    (
        "purge-malformed",
        "A purge that cannot be understood, a broken expression most often: nothing was purged.",
        "The content of the answer says what is wrong.",
    ),
    ("target-size", "The target is longer than `target_size`.", "Raise `target_size`."),
    (
        "head-size",
        "The head is larger than `head_size`; most often by its cookies.",
        "Raise `head_size`, or find what sets the cookies.",
    ),
    ("field-count", "There are more field lines than `fields`.", "Raise `fields`."),
    ("body-size", "The content is declared larger than `body_size`.", "Raise `body_size`."),
    (
        "access-denied",
        "A rule of `access` denies this path to the client's address.",
        "Put an `allow` for it in front of the rule.",
    ),
    (
        "auth-required",
        "The path is for those who know a password (`auth`).",
        "Send one, or give the path a route with `auth = \"off\"`.",
    ),
    ("auth-failed", "Name or password is not right.", "Look at the `file` of `auth`; a reload reads it again."),
    (
        "auth-busy",
        "Too many passwords wait to be verified: somebody tries a list of them.",
        "Add a `limit` for the path.",
    ),
    (
        "rate-limit",
        "The client asks more often than the `rate` of a `limit` allows.",
        "Raise `rate` or `burst`, or name the client in `except`.",
    ),
    (
        "concurrency-limit",
        "The client has as many requests under way as `concurrent` allows.",
        "Raise `concurrent`, or name the client in `except`.",
    ),
    (
        "suspect",
        "The client asked for more than the `threshold` of `suspect`, and the `ban` is not over.",
        "Raise `threshold`, or name the client in `except`.",
    ),
    (
        "suspect-tarpit",
        "As `suspect`; the refusal was held back for a while.",
        "Raise `threshold`, or name the client in `except`.",
    ),
    (
        "rewrite",
        "What `rewrite` or `strip_prefix` makes of the path leads upwards, or has more than one reading.",
        CLIENT,
    ),
    ("head-timeout", "The head did not arrive within `head_timeout`.", ""),
    (
        "no-client-certificate",
        "The site or route is for visitors with a certificate (`client_certificate`), and this one showed none; without TLS none can be shown.",
        "Install one in the browser, signed by an authority of `client_ca`, and come by https.",
    ),
    (
        "other-client-certificate",
        "The connection was made for another site, which asks visitors for other certificates or none.",
        "Nothing: browsers make a connection of its own for this site and ask again. Other clients must send its name by SNI.",
    ),
    ("expectation", "`Expect` asks for something else than `100-continue`.", CLIENT),
    ("version", "The HTTP version is not spoken here.", CLIENT),
    ("no-host", "There is no `Host`.", CLIENT),
    ("several-hosts", "There are several `Host` lines.", CLIENT),
    ("host", "The host is no name, address and port.", CLIENT),
    ("asterisk-form", "`*` is for OPTIONS alone.", CLIENT),
    ("target", "There is no target.", CLIENT),
    ("target-form", "The target is neither a path nor an http URL.", CLIENT),
    ("target-characters", "The target holds characters that must be encoded.", CLIENT),
    ("backslash", "The path holds a backslash, which some servers take for a slash.", CLIENT),
    ("percent-encoding", "The path holds a `%` without two hexadecimal digits.", CLIENT),
    ("encoded-control-character", "The path holds an encoded control character.", CLIENT),
    ("overlong-utf-8", "The path hides a character in overlong UTF-8.", CLIENT),
    ("dot-segment", "The path holds `.` or `..`, encoded or not.", CLIENT),
    ("bare-line-end", "A line ends without CR LF.", CLIENT),
    ("request-line", "The first line is no request line.", CLIENT),
    ("request-head", "The head is not one.", CLIENT),
    ("method", "The method is no token.", CLIENT),
    ("field-name", "A field has no valid name.", CLIENT),
    ("field-value", "A field has no valid value.", CLIENT),
    ("content-length", "`Content-Length` is no number.", CLIENT),
    ("several-content-lengths", "There are several `Content-Length`.", CLIENT),
    (
        "content-length-and-transfer-encoding",
        "The content has two framings, which is how requests are smuggled.",
        CLIENT,
    ),
    ("transfer-encoding", "The transfer coding is not `chunked` alone.", CLIENT),
    ("transfer-encoding-in-http-1.0", "HTTP/1.0 has no transfer codings.", CLIENT),
    ("content-malformed", "The content breaks its framing.", CLIENT),
    ("content-timeout", "The content came too slowly (`body_timeout`).", ""),
    ("client-left", "The client left while it sent.", ""),
];
