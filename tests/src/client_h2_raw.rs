//! HTTP/2 frames written by hand, for requests that no client library would send.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::patience::patience;

/// Frame types (RFC 9113, section 6).
pub mod frame {
    #![expect(missing_docs, reason = "the RFC's own names")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const WITH_PRIORITY: u8 = 32;
}

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was answered with this status.
    Status(u16),
    /// RST_STREAM with this error code.
    Reset(u32),
    /// The whole connection was given up, with this error code.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// One HTTP/2 connection, preface and settings exchanged.
pub struct RawH2 {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

// === impl RawH2 ===

impl RawH2 {
    /// Connects with ALPN `h2` and exchanges settings.
    #[must_use]
    pub fn connect(address: SocketAddr, name: &str) -> Self {
        let mut raw = Self::dial(address, name);
        raw.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(frame::SETTINGS, 0, 0, &[]);
        raw
    }

    /// Connects with ALPN `h2` and says nothing.
    #[must_use]
    pub fn dial(address: SocketAddr, name: &str) -> Self {
        let tcp = TcpStream::connect(address).expect("connect");
        tcp.set_nodelay(true).expect("TCP_NODELAY");
        tcp.set_read_timeout(Some(patience())).expect("read timeout");
        let name = ServerName::try_from(name.to_owned()).expect("server name");
        let config = Arc::new(crate::certs::client_config(&["h2"]));
        Self { stream: StreamOwned::new(ClientConnection::new(config, name).expect("TLS"), tcp) }
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        // A peer that gave up on us already does not matter: its last frames tell.
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// Writes one frame.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("frame length").to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend_from_slice(&[kind, flags]);
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        self.write(&bytes);
    }

    /// Sends a whole request: these fields, pseudo-fields among them, coded as they are; then `content` unless empty.
    pub fn request(&mut self, stream: u32, fields: &[(&str, &str)], content: &[u8]) {
        let ends = if content.is_empty() { frame::END_STREAM } else { 0 };
        self.send(frame::HEADERS, frame::END_HEADERS | ends, stream, &encode(fields));
        if !content.is_empty() {
            self.send(frame::DATA, frame::END_STREAM, stream, content);
        }
    }

    /// Reads one frame: type, flags, stream, payload. `None` at the end of the connection.
    pub fn read(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Some((head[3], head[4], stream, payload))
    }

    /// Reads until it is known what becomes of this stream.
    pub fn fate(&mut self, stream: u32) -> Fate {
        while let Some((kind, flags, of, payload)) = self.read() {
            match kind {
                frame::SETTINGS if flags == 0 => self.send(frame::SETTINGS, 1, 0, &[]),
                frame::GOAWAY => return Fate::GoAway(be32(&payload[4..])),
                frame::RST_STREAM if of == stream => return Fate::Reset(be32(&payload)),
                frame::HEADERS if of == stream => return Fate::Status(status(&payload)),
                _ => {}
            }
        }
        Fate::Closed
    }
}

/// Codes fields as HPACK literals without indexing and without Huffman coding (RFC 7541, section 6.2.2).
#[must_use]
pub fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            encode_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

fn encode_length(block: &mut Vec<u8>, length: usize) {
    let low_7_bits = |n: usize| u8::try_from(n % 128).expect("7 bits");
    if length < 127 {
        return block.push(low_7_bits(length));
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(low_7_bits(rest) | 128);
        rest /= 128;
    }
    block.push(low_7_bits(rest));
}

/// `:status`, which comes first in a response's block.
fn status(block: &[u8]) -> u16 {
    // A change of the table's size may stand before it.
    let at = block.iter().position(|byte| byte & 0xe0 != 0x20).expect("a field");
    match block[at] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        _ => {
            let (coded, length) = (block[at + 1] & 0x80 != 0, usize::from(block[at + 1] & 0x7f));
            let value = &block[at + 2..at + 2 + length];
            let digits = if coded { huffman_digits(value) } else { String::from_utf8_lossy(value).into_owned() };
            digits.parse().expect("status")
        }
    }
}

/// Digits in HPACK's Huffman code: 0, 1, 2 are the 5-bit codes 0 to 2; 3 to 9 the 6-bit codes from 25.
fn huffman_digits(coded: &[u8]) -> String {
    let bits: Vec<u32> =
        coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1))).collect();
    let number = |bits: &[u32]| bits.iter().fold(0, |sum, bit| sum * 2 + bit);
    let (mut rest, mut digits) = (&bits[..], String::new());
    while rest.len() >= 5 && digits.len() < 3 {
        let (digit, length) = match number(&rest[..5]) {
            short @ 0..=2 => (short, 5),
            _ => (number(&rest[..6]) - 25 + 3, 6),
        };
        digits.push(char::from_digit(digit, 10).expect("a digit"));
        rest = &rest[length..];
    }
    digits
}

/// A number of four bytes.
fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
