//! Hop-by-hop fields: those of one connection, that an intermediary neither forwards nor stores (RFC 9110 section 7.6.1,
//! RFC 9111 section 3.1).

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue, TRAILER};

use super::member::split_list;
use super::remove_named;

/// Fields that concern one connection whether or not `Connection` names them, and those meant for the next hop alone.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authentication-info"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Fields every recipient of the content needs: `Connection` cannot take them away (RFC 9110 section 7.6.1 forbids to
/// name such), or a client could change what is framed, cached or selected behind the back of whoever decided it.
const END_TO_END: [&str; 27] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "cache-status",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "forebay-cache-control",
    "forwarded",
    "host",
    "last-modified",
    "location",
    "pragma",
    "range",
    "set-cookie",
    "surrogate-control",
    "vary",
    "via",
    "x-forwarded-for",
];

/// Removes the hop-by-hop fields and whatever else `Connection` names. To be called before the fields of the next hop
/// are added, so that a client cannot name those away, and before the key is made and a variant selected, so that these
/// see the request the origin sees.
///
/// What a protocol switch needs (`Upgrade`) the caller puts back.
pub fn strip(fields: &mut HeaderMap) {
    for name in nominated(fields) {
        fields.remove(name);
    }
    remove_named(fields, is_hop_by_hop);
}

/// What [`strip`] would leave.
pub fn end_to_end(fields: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let nominated = nominated(fields);
    fields.iter().filter(move |(name, _)| !is_hop_by_hop(name.as_str()) && !nominated.contains(name))
}

/// As [`strip`], and `Trailer` too: a stored response is stored without its trailer section (RFC 9111 section 3.1).
pub fn strip_for_storage(fields: &mut HeaderMap) {
    strip(fields);
    fields.remove(TRAILER);
}

/// The fields `Connection` takes away.
fn nominated(fields: &HeaderMap) -> Vec<HeaderName> {
    let options = fields.get_all(CONNECTION).iter().flat_map(|line| split_list(line.as_bytes()));
    let names = options.filter_map(|option| HeaderName::from_bytes(option).ok());
    names.filter(|name| !END_TO_END.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields;
    use super::*;

    fn stripped(lines: &[(&str, &str)]) -> Vec<String> {
        let mut fields = fields(lines);
        let left: HeaderMap = end_to_end(&fields).map(|(name, value)| (name.clone(), value.clone())).collect();
        strip(&mut fields);
        assert_eq!(left, fields);
        let mut names: Vec<_> = fields.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn rfc9110_7_6_1_connection_and_nominated_fields_are_removed() {
        let left = stripped(&[("Connection", "A, close"), ("connection", "b"), ("a", "1"), ("B", "2"), ("c", "3")]);
        assert_eq!(left, ["c"]);
    }

    #[test]
    fn rfc9110_7_6_1_known_connection_fields_are_removed_though_not_nominated() {
        let names = ["Keep-Alive", "Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade"];
        assert_eq!(stripped(&names.map(|name| (name, "x"))), [""; 0]);
    }

    #[test]
    fn rfc9111_3_1_proxy_authentication_fields_are_removed() {
        let names = ["Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization"];
        assert_eq!(stripped(&names.map(|name| (name, "x"))), [""; 0]);
    }

    #[test]
    fn framing_and_end_to_end_fields_cannot_be_nominated_away() {
        let connection = "Content-Length, Host, Cache-Control, Vary, Set-Cookie, X-Real-IP, Authorization";
        let left = stripped(&[
            ("Connection", connection),
            ("Content-Length", "5"),
            ("Host", "a"),
            ("Cache-Control", "private"),
            ("Vary", "Cookie"),
            ("Set-Cookie", "a=b"),
            ("X-Real-IP", "1.2.3.4"),
            ("Authorization", "x"),
        ]);
        assert_eq!(left, ["cache-control", "content-length", "host", "set-cookie", "vary"]);
    }

    #[test]
    fn what_is_no_field_name_in_connection_is_ignored() {
        assert_eq!(stripped(&[("Connection", "\"quoted, a\", (, a b"), ("b", "1")]), ["b"]);
    }

    #[test]
    fn rfc9111_3_1_trailer_goes_from_what_is_stored() {
        let mut fields = fields(&[("Trailer", "X"), ("a", "1")]);
        strip_for_storage(&mut fields);
        assert_eq!(fields.len(), 1);
    }
}
