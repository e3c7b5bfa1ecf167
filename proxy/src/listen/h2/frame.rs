//! Frames (RFC 9113 section 4 and 6): their heads, and what is read from and written into them.

use bytes::{BufMut as _, BytesMut};

/// What a client begins with (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length of a frame's head.
pub(super) const HEAD: usize = 9;

/// Largest payload, the protocol's default: we do not offer more.
pub(super) const LARGEST: usize = 16 * 1024;

/// Largest flow-control window (RFC 9113 section 6.9.1).
pub(super) const LARGEST_WINDOW: i64 = (1 << 31) - 1;

/// Window of a stream or connection nothing was said about (RFC 9113 section 6.9.2).
pub(super) const WINDOW: i64 = 65_535;

/// Kinds (RFC 9113 section 6).
pub(super) mod kind {
    pub(in crate::listen::h2) const DATA: u8 = 0;
    pub(in crate::listen::h2) const HEADERS: u8 = 1;
    pub(in crate::listen::h2) const PRIORITY: u8 = 2;
    pub(in crate::listen::h2) const RST_STREAM: u8 = 3;
    pub(in crate::listen::h2) const SETTINGS: u8 = 4;
    pub(in crate::listen::h2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::listen::h2) const PING: u8 = 6;
    pub(in crate::listen::h2) const GOAWAY: u8 = 7;
    pub(in crate::listen::h2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::listen::h2) const CONTINUATION: u8 = 9;
}

/// Flags. `ACK` is that of SETTINGS and PING.
pub(super) mod flag {
    pub(in crate::listen::h2) const END_STREAM: u8 = 1;
    pub(in crate::listen::h2) const ACK: u8 = 1;
    pub(in crate::listen::h2) const END_HEADERS: u8 = 4;
    pub(in crate::listen::h2) const PADDED: u8 = 8;
    pub(in crate::listen::h2) const PRIORITY: u8 = 32;
}

/// Error codes (RFC 9113 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Code {
    No = 0,
    Protocol = 1,
    Internal = 2,
    FlowControl = 3,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Compression = 9,
    EnhanceYourCalm = 11,
}

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// 0: the connection.
    pub(super) stream: u32,
}

impl Head {
    /// The head that `bytes` begin with, when it is there.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = bytes.first_chunk::<HEAD>()?;
        Some(Self {
            length: u32::from_be_bytes([0, *a, *b, *c]) as usize,
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes(*stream) & 0x7fff_ffff,
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// `payload` without its padding (RFC 9113 section 6.1). `None`: there is more of that than payload.
    pub(super) fn unpadded<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        if !self.has(flag::PADDED) {
            return Some(payload);
        }
        let (padding, rest) = payload.split_first()?;
        rest.get(..rest.len().checked_sub(usize::from(*padding))?)
    }
}

/// A number of four bytes that `payload` begins with.
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Appends the head of a frame.
pub(super) fn head(out: &mut BytesMut, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, length @ ..] = u32::try_from(length).unwrap_or(0).to_be_bytes();
    let [a, b, c, d] = stream.to_be_bytes();
    let [x, y, z] = length;
    out.extend_from_slice(&[x, y, z, kind, flags, a, b, c, d]);
}

/// Appends a HEADERS frame, and what does not fit into it in CONTINUATION frames. `block` writes the field lines.
pub(super) fn headers(out: &mut BytesMut, stream: u32, ends: bool, block: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    let ends = if ends { flag::END_STREAM } else { 0 };
    head(out, 0, kind::HEADERS, ends | flag::END_HEADERS, stream);
    block(out);
    let length = out.len() - start - HEAD;
    if length <= LARGEST {
        set_length(out, start, length);
        return;
    }
    let block = out.split_off(start + HEAD);
    out.truncate(start);
    let mut pieces = block.chunks(LARGEST).peekable();
    let mut is_first = true;
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        let (kind, ends) = if is_first { (kind::HEADERS, ends) } else { (kind::CONTINUATION, 0) };
        head(out, piece.len(), kind, ends | last, stream);
        out.extend_from_slice(piece);
        is_first = false;
    }
}

fn set_length(out: &mut BytesMut, start: usize, length: usize) {
    let [_, a, b, c] = u32::try_from(length).unwrap_or(0).to_be_bytes();
    if let Some(place) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *place = [a, b, c];
    }
}

/// Appends what a server begins with: `settings` by identifier and value.
pub(super) fn settings(out: &mut BytesMut, settings: &[(u16, u32)]) {
    head(out, settings.len() * 6, kind::SETTINGS, 0, 0);
    for (identifier, value) in settings {
        out.put_u16(*identifier);
        out.put_u32(*value);
    }
}

pub(super) fn settings_ack(out: &mut BytesMut) {
    head(out, 0, kind::SETTINGS, flag::ACK, 0);
}

pub(super) fn ping(out: &mut BytesMut, flags: u8, payload: &[u8]) {
    head(out, payload.len(), kind::PING, flags, 0);
    out.extend_from_slice(payload);
}

pub(super) fn window_update(out: &mut BytesMut, stream: u32, increment: u32) {
    head(out, 4, kind::WINDOW_UPDATE, 0, stream);
    out.put_u32(increment);
}

pub(super) fn reset(out: &mut BytesMut, stream: u32, code: Code) {
    head(out, 4, kind::RST_STREAM, 0, stream);
    out.put_u32(code as u32);
}

pub(super) fn goaway(out: &mut BytesMut, last: u32, code: Code) {
    head(out, 8, kind::GOAWAY, 0, 0);
    out.put_u32(last);
    out.put_u32(code as u32);
}

/// A client's settings that matter here (RFC 9113 section 6.5.2).
pub(super) mod setting {
    pub(in crate::listen::h2) const ENABLE_PUSH: u16 = 2;
    pub(in crate::listen::h2) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in crate::listen::h2) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in crate::listen::h2) const MAX_FRAME_SIZE: u16 = 5;
    pub(in crate::listen::h2) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// The settings in the payload of a SETTINGS frame.
pub(super) fn read_settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    payload.chunks_exact(6).filter_map(|setting| {
        let (identifier, value) = setting.split_first_chunk()?;
        Some((u16::from_be_bytes(*identifier), number(value)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9113_4_1_heads_come_back_without_the_reserved_bit() {
        let mut out = BytesMut::new();
        head(&mut out, 0x01_02_03, kind::DATA, flag::END_STREAM, 0x8000_0005);
        let expected = Head { length: 0x01_02_03, kind: kind::DATA, flags: flag::END_STREAM, stream: 5 };
        assert_eq!(Head::read(&out), Some(expected));
        assert_eq!(Head::read(&out[..8]), None);
    }

    #[test]
    fn rfc9113_6_1_padding_is_less_than_the_payload() {
        let padded = Head { length: 0, kind: kind::DATA, flags: flag::PADDED, stream: 1 };
        assert_eq!(padded.unpadded(&[2, 7, 7, 0, 0]), Some(&[7, 7][..]));
        assert_eq!(padded.unpadded(&[2, 0, 0]), Some(&[][..]));
        assert_eq!(padded.unpadded(&[3, 0, 0]), None);
        assert_eq!(padded.unpadded(&[]), None);
        assert_eq!(Head { flags: 0, ..padded }.unpadded(&[3, 0, 0]), Some(&[3, 0, 0][..]));
    }

    #[test]
    fn rfc9113_6_10_what_a_frame_does_not_hold_is_continued() {
        for length in [0, LARGEST, LARGEST + 1, 3 * LARGEST] {
            let mut out = BytesMut::from(&b"before"[..]);
            headers(&mut out, 7, true, |out| out.put_bytes(b'x', length));
            let (mut rest, mut frames, mut block) = (&out[6..], Vec::new(), Vec::new());
            while let Some(head) = Head::read(rest) {
                block.extend_from_slice(&rest[HEAD..HEAD + head.length]);
                rest = &rest[HEAD + head.length..];
                frames.push((head.kind, head.flags));
                assert!(head.length <= LARGEST && head.stream == 7);
            }
            assert_eq!((rest.len(), block.len()), (0, length));
            assert_eq!(frames.len(), length.div_ceil(LARGEST).max(1));
            for (place, (kind, flags)) in frames.iter().enumerate() {
                let (is_first, is_last) = (place == 0, place + 1 == frames.len());
                assert_eq!(*kind, if is_first { kind::HEADERS } else { kind::CONTINUATION });
                assert_eq!(flags & flag::END_HEADERS != 0, is_last);
                assert_eq!(flags & flag::END_STREAM != 0, is_first);
            }
        }
    }

    #[test]
    fn settings_come_back() {
        let mut out = BytesMut::new();
        settings(&mut out, &[(3, 100), (4, 1 << 20)]);
        assert_eq!(read_settings(&out[HEAD..]).collect::<Vec<_>>(), [(3, 100), (4, 1 << 20)]);
    }
}
