//! Why there is no response from an upstream.

use super::Row;

pub(super) const UPSTREAM: &[Row] = &[
    (
        "upstream-refused",
        "No AP server accepts connections.",
        "Is it running, and does it listen on the address of `servers`?",
    ),
    ("upstream-unreachable", "No AP server can be reached.", "Look at the network and the addresses of `servers`."),
    (
        "upstream-connect-timeout",
        "No connection to an AP server within `connect_timeout`.",
        "All its workers may be busy: look at its load and backlog.",
    ),
    (
        "upstream-busy",
        "As many requests as `max_requests` are worked on, and a stale page was served rather than waiting.",
        "Add servers; raise `max_requests` to what they can really work on.",
    ),
    (
        "upstream-read-timeout",
        "The AP server took longer than `read_timeout`.",
        "Look at slow pages (`forebay top`), or raise `read_timeout`.",
    ),
    ("upstream-write-timeout", "The AP server did not take the request within `write_timeout`.", "Look at its load."),
    (
        "upstream-closed",
        "The AP server closed the connection before it had answered.",
        "A PHP process may have died: look at the error log of the AP server.",
    ),
    (
        "upstream-malformed",
        "What the AP server sent is no HTTP.",
        "Look at what it sends; does the port speak HTTP without TLS?",
    ),
    (
        "upstream-framing",
        "The response has two lengths, or two framings.",
        "Find what sets `Content-Length` beside `Transfer-Encoding`; it could be used to smuggle responses.",
    ),
    ("upstream-response-unexpected", "The response is not one to this request.", "Look at what the AP server sends."),
    ("upstream-interim-flood", "The AP server sends interim responses without end.", "Look at what sends 103."),
    (
        "upstream-error-status",
        "The AP server answered 500, 502, 503 or 504, and a stale response stands in.",
        "Look at the error log of the AP server.",
    ),
    (
        "upgrade-not-asked-for",
        "The AP server changes the protocol, and nobody had asked for it.",
        "Look at what sends 101.",
    ),
    ("request-not-forwardable", "The request cannot be written as HTTP/1.1.", ""),
    (
        "no-upstream-server",
        "There is no AP server that takes requests.",
        "All are down, drained or disabled, or have weight 0: `forebay upstream list` shows which.",
    ),
    (
        "upstream-queue-full",
        "Every AP server is at its `max_connections`, or all are at `max_requests`, and as many requests wait as may.",
        "Add servers, or raise `max_connections` to what they can really work on, or `queue`.",
    ),
    (
        "upstream-queue-timeout",
        "Every AP server was at its `max_connections`, or all were at `max_requests`, for longer than `queue_timeout`.",
        "Add servers, or raise `max_connections` to what they can really work on.",
    ),
    ("client-left", "The client left before there was an answer.", ""),
    ("content-malformed", "The content of the request broke its framing.", ""),
    (
        "content-timeout",
        "The content of the request came too slowly (`body_timeout`).",
        "Raise `body_timeout` if slow uploads are expected.",
    ),
    ("body-size", "The content of the request is larger than `body_size`.", "Raise `body_size`."),
];
