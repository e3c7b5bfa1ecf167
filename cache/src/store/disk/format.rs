//! What a record is: 64 bytes of header, then key, head (metadata and fields) and content, padded to 64 bytes.
//!
//! Integers are little-endian. The header has a checksum of its own, so lengths can be trusted before anything they
//! describe is read; a header never straddles a page, so a write that was cut short leaves it whole or not at all.

use super::index::Slot;

/// Version of everything in the directory: another one is not read.
pub(super) const VERSION: u32 = 2;

/// Records begin at multiples of this, and a header is this long.
pub(super) const UNIT: usize = 64;

/// Content from this length on lives in a file of its own.
pub(super) const LARGE: u64 = 1 << 20;

/// Longest key and head that are believed. Request targets and field sections are far below; the head of a large
/// response holds its table of checksums.
pub(super) const HEAD_MAX: usize = 1 << 20;
pub(super) const KEY_MAX: usize = 64 << 10;

/// What a record does to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stores a variant in place of the one it replaces, codings of that included.
    Put = 1,
    /// The same, but with the same content as before: codings stay. Also what was moved on by the reclaimer.
    Freshened = 2,
    /// Removes all variants of the key.
    RemoveAll = 3,
    /// Removes one variant.
    RemoveOne = 4,
}

impl Kind {
    fn from_bits(bits: u32) -> Option<Self> {
        [Self::Put, Self::Freshened, Self::RemoveAll, Self::RemoveOne].into_iter().find(|kind| *kind as u32 == bits)
    }

    pub(super) const fn is_put(self) -> bool {
        matches!(self, Self::Put | Self::Freshened)
    }
}

/// Which of a key's entries a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) kind: Kind,
    /// 24 bits of hash of the variance. Two variants that share them replace each other: a miss, never a wrong answer.
    pub(super) variance: u32,
    /// 0: as the origin sent it; else a coding made here (see `head::form`).
    pub(super) form: u8,
    /// Whether the content is in a file of its own.
    pub(super) large: bool,
}

impl Label {
    pub(super) const fn pack(self) -> u32 {
        (self.variance << 8) | ((self.kind as u32) << 5) | ((self.large as u32) << 2) | (self.form as u32 & 3)
    }

    pub(super) fn unpack(bits: u32) -> Option<Self> {
        let kind = Kind::from_bits((bits >> 5) & 7)?;
        Some(Self { kind, variance: bits >> 8, form: (bits & 3) as u8, large: bits & 4 != 0 })
    }
}

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sequence: u64,
    pub(super) hash: u64,
    /// The file with the content, where the label says large.
    pub(super) file: u64,
    pub(super) segment: u32,
    pub(super) label: Label,
    pub(super) key_len: u32,
    pub(super) head_len: u32,
    pub(super) content_len: u32,
    pub(super) head_crc: u32,
    pub(super) content_crc: u32,
}

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("no record header")]
    Header,
    #[error("the record of another place")]
    Misplaced,
    #[error("shorter than its header says")]
    Truncated,
    #[error("checksum of key and head")]
    Head,
    #[error("checksum of the content")]
    Content,
    #[error("metadata that cannot be decoded")]
    Metadata,
}

impl Header {
    /// Bytes the record takes in a segment.
    pub(super) fn record_len(&self) -> usize {
        (UNIT + self.key_len as usize + self.head_len as usize + self.content_len as usize).next_multiple_of(UNIT)
    }

    /// Where the content begins in the record.
    pub(super) fn content_at(&self) -> usize {
        UNIT + self.key_len as usize + self.head_len as usize
    }

    /// The bytes; `nonce` is the directory's, so that no other data passes for a record.
    pub(super) fn encode(&self, nonce: u64) -> [u8; UNIT] {
        let mut out = [0; UNIT];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(place) = out.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        for word in [nonce, self.sequence, self.hash, self.file] {
            put(&word.to_le_bytes());
        }
        let label = self.label.pack();
        let lengths = [self.key_len, self.head_len, self.content_len];
        for word in [self.segment, label].into_iter().chain(lengths).chain([self.head_crc, self.content_crc]) {
            put(&word.to_le_bytes());
        }
        seal(&mut out);
        out
    }

    pub(super) fn decode(bytes: &[u8], nonce: u64) -> Result<Self, Unreadable> {
        let mut words = Words::sealed(bytes.get(..UNIT).ok_or(Unreadable::Truncated)?).ok_or(Unreadable::Header)?;
        if words.u64() != nonce {
            return Err(Unreadable::Header);
        }
        let (sequence, hash, file) = (words.u64(), words.u64(), words.u64());
        let (segment, label) = (words.u32(), words.u32());
        let label = Label::unpack(label).ok_or(Unreadable::Header)?;
        let (key_len, head_len, content_len) = (words.u32(), words.u32(), words.u32());
        let (head_crc, content_crc) = (words.u32(), words.u32());
        let sane = key_len as usize <= KEY_MAX && head_len as usize <= HEAD_MAX && u64::from(content_len) <= LARGE;
        let header =
            Self { sequence, hash, file, segment, label, key_len, head_len, content_len, head_crc, content_crc };
        if sane { Ok(header) } else { Err(Unreadable::Header) }
    }
}

/// A record's parts, lengths and checksums verified.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) header: Header,
    pub(super) key: &'a [u8],
    pub(super) head: &'a [u8],
    pub(super) content: &'a [u8],
}

/// Takes a record apart that was read from where `slot` points.
pub(super) fn open<'a>(bytes: &'a [u8], slot: &Slot, nonce: u64) -> Result<Record<'a>, Unreadable> {
    parts(bytes, header(bytes, slot, nonce)?)
}

/// The header of the record that `slot` points at.
pub(super) fn header(bytes: &[u8], slot: &Slot, nonce: u64) -> Result<Header, Unreadable> {
    let header = Header::decode(bytes, nonce)?;
    let label = header.label;
    let same = header.segment == slot.segment
        && header.hash == slot.hash
        && header.record_len() == slot.length as usize
        && (label.variance, label.form, label.large) == (slot.variance(), slot.form(), slot.is_large());
    if same { Ok(header) } else { Err(Unreadable::Misplaced) }
}

/// Verifies what follows `header` in `bytes`.
pub(super) fn parts(bytes: &[u8], header: Header) -> Result<Record<'_>, Unreadable> {
    let beginning = beginning(bytes, header)?;
    let content = bytes.get(header.content_at()..).and_then(|rest| rest.get(..header.content_len as usize));
    let content = content.ok_or(Unreadable::Truncated)?;
    // Of a large response the checksum stands for its table, which is in the head.
    if !header.label.large && crc32fast::hash(content) != header.content_crc {
        return Err(Unreadable::Content);
    }
    Ok(Record { content, ..beginning })
}

/// Verifies key and head, which follow `header` in `bytes`. The content is left out: it may be longer than `bytes`.
pub(super) fn beginning(bytes: &[u8], header: Header) -> Result<Record<'_>, Unreadable> {
    let body = bytes.get(UNIT..).ok_or(Unreadable::Truncated)?;
    let (key, rest) = body.split_at_checked(header.key_len as usize).ok_or(Unreadable::Truncated)?;
    let head = rest.get(..header.head_len as usize).ok_or(Unreadable::Truncated)?;
    if head_crc(key, head) != header.head_crc {
        return Err(Unreadable::Head);
    }
    Ok(Record { header, key, head, content: &[] })
}

pub(super) fn head_crc(key: &[u8], head: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(head);
    crc.finalize()
}

/// Puts the checksum of the first 60 bytes into the last four.
pub(super) fn seal(unit: &mut [u8; UNIT]) {
    if let Some((body, place)) = unit.split_last_chunk_mut::<4>() {
        *place = crc32fast::hash(body).to_le_bytes();
    }
}

/// Little-endian words from the front.
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl<'a> Words<'a> {
    /// The words of a sealed unit; `None` when its checksum is wrong.
    pub(super) fn sealed(unit: &'a [u8]) -> Option<Self> {
        let (body, crc) = unit.split_last_chunk::<4>()?;
        (crc32fast::hash(body) == u32::from_le_bytes(*crc)).then_some(Self(body))
    }

    /// The next word; 0 past the end.
    pub(super) fn u64(&mut self) -> u64 {
        let Some((word, rest)) = self.0.split_first_chunk() else { return 0 };
        self.0 = rest;
        u64::from_le_bytes(*word)
    }

    /// The next word; 0 past the end.
    pub(super) fn u32(&mut self) -> u32 {
        let Some((word, rest)) = self.0.split_first_chunk() else { return 0 };
        self.0 = rest;
        u32::from_le_bytes(*word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let label = Label { kind: Kind::Put, variance: 0xAB_CDEF, form: 2, large: false };
        let (key, head, content) = (b"key".as_slice(), b"head".as_slice(), b"content".as_slice());
        Header {
            sequence: 7,
            hash: 8,
            file: 9,
            segment: 10,
            label,
            key_len: 3,
            head_len: 4,
            content_len: 7,
            head_crc: head_crc(key, head),
            content_crc: crc32fast::hash(content),
        }
    }

    fn bytes() -> Vec<u8> {
        let mut bytes = header().encode(77).to_vec();
        bytes.extend_from_slice(b"keyheadcontent");
        bytes.resize(128, 0);
        bytes
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let slot = Slot::of(&header(), 640);
        let bytes = bytes();
        let record = open(&bytes, &slot, 77).unwrap();
        assert_eq!((record.key, record.head, record.content), (&b"key"[..], &b"head"[..], &b"content"[..]));
        assert_eq!(record.header, header());
    }

    #[test]
    fn no_flipped_bit_and_no_truncation_is_read() {
        let slot = Slot::of(&header(), 640);
        let whole = bytes();
        // Padding is covered by nothing and read by nobody.
        for bit in 0..(UNIT + 14) * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&flipped, &slot, 77).is_err(), "bit {bit}");
        }
        for length in 0..UNIT + 14 {
            assert!(open(&whole[..length], &slot, 77).is_err(), "{length} bytes");
        }
        assert_eq!(open(&whole, &slot, 78).unwrap_err(), Unreadable::Header);
    }

    #[test]
    fn the_record_of_another_place_is_not_read() {
        let slot = Slot::of(&header(), 640);
        for other in [
            Slot { segment: 11, ..slot },
            Slot { hash: 9, ..slot },
            Slot { length: 192, ..slot },
            Slot { tag: slot.tag ^ 0x100, ..slot },
        ] {
            assert_eq!(open(&bytes(), &other, 77).unwrap_err(), Unreadable::Misplaced);
        }
    }
}
