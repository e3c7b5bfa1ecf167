//! The PROXY protocol, versions 1 and 2: who the client of a balancer in front of us really is.

use std::net::SocketAddr;

use forebay_config::model::{Listen, ProxyProtocol};
use ppp::{HeaderResult, PartialResult as _, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep};

/// Longest header that is looked at: a v2 header with its TLVs (v1 ends at 107 bytes).
const LONGEST: usize = 1024;

const V1_PREFIX: &[u8] = b"PROXY ";
const V2_PREFIX: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// How long to wait before looking again when only a part of a header has arrived; headers are sent in one packet.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Why a connection is closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rejected {
    #[error("the peer is not one of proxy_from")]
    Stranger,
    #[error("no PROXY header where one is required")]
    Missing,
    #[error("malformed PROXY header")]
    Malformed,
    #[error("the peer left")]
    Gone,
}

/// The client's address as told by a header; `None` where there is none to be believed.
///
/// # Errors
///
/// Where `listen` requires a header and the peer sent none, may not send one, or sent nonsense.
pub(super) async fn read(
    socket: &mut TcpStream,
    peer: SocketAddr,
    listen: &Listen,
) -> Result<Option<SocketAddr>, Rejected> {
    let trusted = listen.proxy_from.iter().any(|net| net.contains(&peer.ip().to_canonical()));
    match listen.proxy_protocol {
        ProxyProtocol::Off => return Ok(None),
        // A stranger's header is left where it is: as the start of a request it is malformed.
        ProxyProtocol::Optional if !trusted => return Ok(None),
        ProxyProtocol::Required if !trusted => return Err(Rejected::Stranger),
        ProxyProtocol::Optional | ProxyProtocol::Required => {}
    }
    let required = listen.proxy_protocol == ProxyProtocol::Required;
    let mut seen = [0; LONGEST];
    loop {
        let length = socket.peek(&mut seen).await.map_err(|_| Rejected::Gone)?;
        let bytes = seen.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Rejected::Gone);
        }
        if !may_begin(bytes) {
            return if required { Err(Rejected::Missing) } else { Ok(None) };
        }
        match parse(bytes) {
            Parsed::Header(length, client) => {
                let mut header = vec![0; length];
                socket.read_exact(&mut header).await.map_err(|_| Rejected::Gone)?;
                return Ok(client);
            }
            Parsed::Malformed => return Err(Rejected::Malformed),
            Parsed::Partial if length == LONGEST => return Err(Rejected::Malformed),
            Parsed::Partial => sleep(LOOK_AGAIN).await,
        }
    }
}

/// Whether `bytes` are, or may become, the start of a header.
fn may_begin(bytes: &[u8]) -> bool {
    [V1_PREFIX, V2_PREFIX].iter().any(|prefix| {
        let length = prefix.len().min(bytes.len());
        prefix.get(..length) == bytes.get(..length)
    })
}

enum Parsed {
    /// So many bytes, and what they say; `None` for health checks of the balancer itself and for unknown families.
    Header(usize, Option<SocketAddr>),
    Partial,
    Malformed,
}

fn parse(bytes: &[u8]) -> Parsed {
    let header = HeaderResult::parse(bytes);
    if header.is_incomplete() {
        return Parsed::Partial;
    }
    match header {
        HeaderResult::V1(Ok(header)) => {
            let client = match header.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(ip) => Some(SocketAddr::from((ip.source_address, ip.source_port))),
                v1::Addresses::Tcp6(ip) => Some(SocketAddr::from((ip.source_address, ip.source_port))),
            };
            Parsed::Header(header.header.len(), client)
        }
        HeaderResult::V2(Ok(header)) => {
            let client = match header.addresses {
                _ if header.command == v2::Command::Local => None,
                v2::Addresses::IPv4(ip) => Some(SocketAddr::from((ip.source_address, ip.source_port))),
                v2::Addresses::IPv6(ip) => Some(SocketAddr::from((ip.source_address, ip.source_port))),
                v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
            };
            Parsed::Header(header.len(), client)
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Parsed::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_name_the_client() {
        let v1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\nGET /";
        let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x04\xd2\x01\xbbGET /";
        for (bytes, expected) in [(&v1[..], 41), (&v2[..], 28)] {
            let Parsed::Header(length, Some(client)) = parse(bytes) else { panic!("not a header") };
            assert_eq!((length, client.to_string()), (expected, "192.0.2.1:1234".to_owned()));
        }
    }

    #[test]
    fn parts_of_a_header_wait_and_requests_do_not() {
        assert!(matches!(parse(b"PROXY TCP4 192.0"), Parsed::Partial));
        assert!(may_begin(b"PRO") && may_begin(b"\r\n\r") && !may_begin(b"PROPFIND") && !may_begin(b"GET"));
        assert!(matches!(parse(b"PROXY TCP4 nonsense here 1 2\r\n"), Parsed::Malformed));
    }
}
