//! A cache that speaks ICP and nothing else: written after RFC 2186, not after what is tested.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::patience::patience;

/// Opcodes of RFC 2186.
pub const QUERY: u8 = 1;
/// It is here.
pub const HIT: u8 = 2;
/// It is not.
pub const MISS: u8 = 3;
/// That was no URL.
pub const ERR: u8 = 4;
/// A question that is an echo.
pub const SECHO: u8 = 10;
/// Its answer.
pub const DECHO: u8 = 11;
/// It is not, and do not come for it.
pub const MISS_NOFETCH: u8 = 21;
/// You may not have it.
pub const DENIED: u8 = 22;

/// A packet as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcpPacket {
    /// What it says.
    pub opcode: u8,
    /// Request number.
    pub number: u32,
    /// URL, without NUL.
    pub url: String,
    /// Every byte.
    pub bytes: Vec<u8>,
    /// Who sent it.
    pub from: SocketAddr,
}

/// A UDP socket.
pub struct Icp(UdpSocket);

/// The bytes of a packet.
#[must_use]
pub fn packet(opcode: u8, number: u32, url: &[u8]) -> Vec<u8> {
    let requester: &[u8] = if opcode == QUERY { &[0; 4] } else { &[] };
    let length = 20 + requester.len() + url.len() + 1;
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    let mut out = vec![opcode, 2];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(requester);
    out.extend_from_slice(url);
    out.push(0);
    out
}

// === impl Icp ===

impl Icp {
    /// Binds this address.
    #[must_use]
    pub fn bind(address: SocketAddr) -> Self {
        Self(UdpSocket::bind(address).expect("bind"))
    }

    /// Sends bytes, whatever they are.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        self.0.send_to(bytes, to).expect("send");
    }

    /// The next packet, when one comes within `wait`.
    #[must_use]
    pub fn receive_within(&self, wait: Duration) -> Option<IcpPacket> {
        self.0.set_read_timeout(Some(wait)).expect("timeout");
        let mut bytes = vec![0; 65_535];
        let (length, from) = self.0.recv_from(&mut bytes).ok()?;
        bytes.truncate(length);
        let opcode = bytes[0];
        let start = if opcode == QUERY { 24 } else { 20 };
        let url = String::from_utf8_lossy(&bytes[start..length - 1]).into_owned();
        let number = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        Some(IcpPacket { opcode, number, url, bytes, from })
    }

    /// The next packet.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    pub fn receive(&self) -> IcpPacket {
        self.receive_within(patience()).expect("a packet")
    }

    /// What the cache at `to` says about `url`.
    #[must_use]
    pub fn ask(&self, to: SocketAddr, url: &str) -> u8 {
        self.send(to, &packet(QUERY, 7, url.as_bytes()));
        let answer = self.receive();
        assert_eq!((answer.number, answer.url.as_str(), answer.from), (7, url, to));
        answer.opcode
    }

    /// Answers every QUERY with this opcode from now on, on a thread of its own; how many there were.
    #[must_use]
    pub fn answering(self, opcode: u8) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        std::thread::spawn(move || {
            loop {
                let Some(asked) = self.receive_within(Duration::from_secs(3600)) else { continue };
                if asked.opcode == QUERY {
                    counted.fetch_add(1, Ordering::SeqCst);
                    self.send(asked.from, &packet(opcode, asked.number, asked.url.as_bytes()));
                }
            }
        });
        count
    }
}
