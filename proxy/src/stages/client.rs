//! Who the client is: the peer of the connection or, behind trusted proxies, who they say it is.

use std::net::{IpAddr, SocketAddr};

use forebay_config::model::Server;
use http::{HeaderMap, HeaderName};

use crate::listen::Connection;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// The scheme the client used.
    pub(crate) scheme: &'static str,
    /// Whether the peer's forwarding fields are believed.
    pub(crate) trusted: bool,
}

/// Finds the client. Addresses are taken from the right of `X-Forwarded-For`, as long as those who wrote them are
/// trusted: what stands further left anyone could have written.
pub(crate) fn find(connection: &Connection, fields: &HeaderMap, server: &Server) -> Client {
    let is_trusted = |address: IpAddr| server.trusted_proxies.iter().any(|net| net.contains(&address));
    let peer = connection.client.ip();
    let mut client = Client { address: peer, scheme: connection.scheme(), trusted: is_trusted(peer) };
    if !client.trusted {
        return client;
    }
    let lines: Vec<_> = fields.get_all(X_FORWARDED_FOR).iter().collect();
    let named = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for name in named {
        let Some(address) = address(name) else { break };
        client.address = address;
        if !is_trusted(address) {
            break;
        }
    }
    client.believe_scheme(fields);
    client
}

impl Client {
    /// Takes the scheme from `X-Forwarded-Proto`: a trusted proxy's word, or that of a sibling, which asks over plain HTTP
    /// for what its clients ask for by TLS.
    pub(crate) fn believe_scheme(&mut self, fields: &HeaderMap) {
        self.scheme = match fields.get(X_FORWARDED_PROTO).map(|value| value.as_bytes()) {
            Some(b"https") => "https",
            Some(b"http") => "http",
            _ => self.scheme,
        };
    }
}

/// An address, with or without port, as proxies write it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let address: IpAddr = text
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn client(peer: &str, lines: &[(&'static str, &str)]) -> (String, &'static str) {
        let server = Server {
            threads: 0,
            state_dir: "/".into(),
            user: None,
            drain: Duration::ZERO,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            explain_to: Vec::new(),
        };
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        let connection = Connection { client: peer, tls: None, visitor: None };
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, value.parse().unwrap());
        }
        let client = find(&connection, &fields, &server);
        (client.address.to_string(), client.scheme)
    }

    #[test]
    fn a_stranger_is_who_it_is_whatever_it_says() {
        let lines = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")];
        assert_eq!(client("192.0.2.1", &lines), ("192.0.2.1".to_owned(), "http"));
    }

    #[test]
    fn behind_trusted_proxies_the_last_stranger_is_the_client() {
        let lines =
            [("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.1.1.1"), ("x-forwarded-proto", "https")];
        assert_eq!(client("10.0.0.1", &lines), ("1.2.3.4".to_owned(), "https"));
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:80")]).0, "2001:db8::1");
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "1.2.3.4, nonsense")]).0, "10.0.0.1");
    }
}
