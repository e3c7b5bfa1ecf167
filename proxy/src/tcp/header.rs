//! The PROXY protocol as it is sent: who the client is, for a server that would see us.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use forebay_config::model::ProxyVersion;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, command PROXY; then family and TCP.
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// The header for a connection from `client` to `to`.
pub(super) fn of(version: ProxyVersion, client: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (ports, addresses) = ((client.port(), to.port()), (client.ip().to_canonical(), to.ip().to_canonical()));
    match (version, addresses) {
        (ProxyVersion::V1, (IpAddr::V4(from), IpAddr::V4(to))) => {
            format!("PROXY TCP4 {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes()
        }
        (ProxyVersion::V1, (from, to)) => {
            format!("PROXY TCP6 {} {} {} {}\r\n", six(from), six(to), ports.0, ports.1).into_bytes()
        }
        (ProxyVersion::V2, (IpAddr::V4(from), IpAddr::V4(to))) => binary(TCP4, &from.octets(), &to.octets(), ports),
        (ProxyVersion::V2, (from, to)) => binary(TCP6, &six(from).octets(), &six(to).octets(), ports),
    }
}

/// Addresses of two families meet in the larger one.
fn six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn binary(family: u8, from: &[u8], to: &[u8], (source, destination): (u16, u16)) -> Vec<u8> {
    let mut header = Vec::with_capacity(52);
    header.extend_from_slice(SIGNATURE);
    header.extend_from_slice(&[PROXY, family]);
    let length = u16::try_from(from.len() + to.len() + 4).unwrap_or(u16::MAX);
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(from);
    header.extend_from_slice(to);
    header.extend_from_slice(&source.to_be_bytes());
    header.extend_from_slice(&destination.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use ppp::{HeaderResult, v1, v2};

    use super::*;

    const PAIRS: [(&str, &str); 3] = [
        ("192.0.2.1:40000", "198.51.100.2:443"),
        ("[2001:db8::1]:1", "[2001:db8::2]:2"),
        ("192.0.2.1:7", "[2001:db8::2]:8"),
    ];

    /// What a reader of the protocol makes of it.
    fn read(bytes: &[u8]) -> (SocketAddr, SocketAddr) {
        let (from, to) = match HeaderResult::parse(bytes) {
            HeaderResult::V1(Ok(header)) => match header.addresses {
                v1::Addresses::Tcp4(ip) => {
                    ((ip.source_address.into(), ip.source_port), (ip.destination_address.into(), ip.destination_port))
                }
                v1::Addresses::Tcp6(ip) => {
                    ((ip.source_address.into(), ip.source_port), (ip.destination_address.into(), ip.destination_port))
                }
                v1::Addresses::Unknown => panic!("unknown"),
            },
            HeaderResult::V2(Ok(header)) => match header.addresses {
                v2::Addresses::IPv4(ip) => {
                    ((ip.source_address.into(), ip.source_port), (ip.destination_address.into(), ip.destination_port))
                }
                v2::Addresses::IPv6(ip) => {
                    ((ip.source_address.into(), ip.source_port), (ip.destination_address.into(), ip.destination_port))
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let address = |(ip, port): (IpAddr, u16)| SocketAddr::new(ip.to_canonical(), port);
        (address(from), address(to))
    }

    #[test]
    fn both_versions_say_who_connects_to_what() {
        for (from, to) in PAIRS {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                assert_eq!(read(&of(version, from, to)), (from, to));
            }
        }
    }
}
