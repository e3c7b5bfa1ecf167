//! Addresses for several caches on one machine: caches know each other by their addresses, so each needs one of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::origin::Origin;
use crate::proxy_config::ProxyConfig;

/// Where a node is asked by ICP.
pub const ICP: u16 = 3130;

/// Where a node is fetched from.
pub const HTTP: u16 = 8080;

/// Loopback addresses that no other test has.
pub struct Nodes {
    second: u8,
    third: u8,
}

// === impl Nodes ===

impl Nodes {
    /// A network of this test's own within 127.0.0.0/8.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each is another network")]
    pub fn new() -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        // Tests are processes of their own; within one, the count tells networks apart.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        Self {
            second: 64 + (high & 0x3f),
            third: low.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(97)),
        }
    }

    /// The address of node `n`, from 1.
    #[must_use]
    pub fn ip(&self, n: u8) -> IpAddr {
        Ipv4Addr::new(127, self.second, self.third, n).into()
    }

    /// Where node `n` is asked.
    #[must_use]
    pub fn icp(&self, n: u8) -> SocketAddr {
        SocketAddr::new(self.ip(n), ICP)
    }

    /// Where node `n` is fetched from.
    #[must_use]
    pub fn http(&self, n: u8) -> SocketAddr {
        SocketAddr::new(self.ip(n), HTTP)
    }

    /// A configuration for node `n` before `origin`, with these siblings.
    pub fn forebay(&self, n: u8, siblings: &[u8], origin: &Origin) -> ProxyConfig {
        self.forebay_with(n, siblings, "", origin)
    }

    /// The same with these lines of `[icp]`.
    pub fn forebay_with(&self, n: u8, siblings: &[u8], lines: &str, origin: &Origin) -> ProxyConfig {
        let peers: String = siblings
            .iter()
            .map(|n| format!("[[icp.sibling]]\nicp = \"{}\"\nhttp = \"{}\"\n", self.icp(*n), self.http(*n)))
            .collect();
        ProxyConfig::new()
            .origin(origin)
            .http(&format!("address = \"{}\"", self.http(n)))
            .log("format = \"squid\"")
            .extra(&format!("[icp]\naddress = \"{}\"\n{lines}\n{peers}", self.icp(n)))
    }
}
