//! From a listening socket to requests: accept, PROXY protocol, TLS by SNI, then HTTP/1 or HTTP/2.

pub(crate) mod accept;
pub(crate) mod draining;
pub(crate) mod edge;
pub(crate) mod h1;
pub(crate) mod h2;
mod linger;
mod proxy_protocol;
pub(crate) mod socket;
mod spare;
pub(crate) mod stream;
pub(crate) mod tickets;
pub(crate) mod tls;
pub(crate) mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;

use self::visitor::Visitor;

/// What is known of a client connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The client: the peer of the socket, or who its PROXY header names.
    pub(crate) client: SocketAddr,
    /// The TLS version, for TLS connections.
    pub(crate) tls: Option<&'static str>,
    /// What it showed, where the site it was made for asks visitors for a certificate.
    pub(crate) visitor: Option<Arc<Visitor>>,
}

impl Connection {
    /// The scheme requests of this connection came by.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}
