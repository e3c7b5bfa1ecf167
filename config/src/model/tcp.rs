//! `[[tcp]]`: connections that are passed on byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{HostPattern, ProxyProtocol};

/// `[[tcp]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    /// Address and port: of its own, or that of a `[[listen]]` with `tls = true`; then `sni` says which of its connections.
    pub listen: SocketAddr,
    /// Index into [`super::Config::upstreams`].
    pub upstream: usize,
    /// Names in the ClientHello it is for; empty: whatever no other `[[tcp]]` of the address is for.
    pub sni: Vec<HostPattern>,
    /// `send_proxy`: the version of the PROXY header the server is sent. Default none.
    pub send_proxy: Option<ProxyVersion>,
    /// Whether clients send a PROXY header. Default off; one for all `[[tcp]]` of an address, and not for that of a `[[listen]]`,
    /// which says so itself.
    pub proxy_protocol: ProxyProtocol,
    /// Who may send it.
    pub proxy_from: Vec<IpNet>,
    /// How long nobody may say anything. Default 10 min; range 1 s to 7 days.
    pub idle_timeout: Duration,
    /// Connections there may be. Default 0: as many as `limits.connections`; range to 1,000,000.
    pub connections: usize,
}

/// What `send_proxy` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// Text.
    V1,
    /// Binary.
    V2,
}
