//! From a block of bytes to field lines (RFC 7541 section 3).

use super::huffman;
use super::table::{OVERHEAD, Table};

/// Largest dynamic table a client may use, bytes: the protocol's default, which we leave as it is.
const TABLE: usize = 4096;

/// A block that cannot be understood. The connection is over: what follows depends on it (RFC 9113 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen::h2) struct Malformed;

/// Field lines, their bytes in one piece. Cookies are joined to one line, the last (RFC 9113 section 8.2.3).
#[derive(Debug, Default)]
pub(in crate::listen::h2) struct Lines {
    bytes: Vec<u8>,
    /// Where the names and values end.
    ends: Vec<(usize, usize)>,
    cookies: Vec<u8>,
    /// How many lines stood before the first cookie.
    before_cookies: Option<usize>,
    /// RFC 9113 section 6.5.2: bytes, and 32 for each line.
    size: usize,
    largest: usize,
}

impl Lines {
    /// Empties them, for up to `largest` bytes as RFC 9113 section 6.5.2 counts them.
    pub(in crate::listen::h2) fn begin(&mut self, largest: usize) {
        self.bytes.clear();
        self.ends.clear();
        self.cookies.clear();
        self.before_cookies = None;
        (self.size, self.largest) = (0, largest);
    }

    /// Bytes of memory it holds.
    pub(in crate::listen::h2) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.cookies.capacity() + self.ends.capacity() * size_of::<(usize, usize)>()
    }

    /// More came than there may be; what was too much is not here.
    pub(in crate::listen::h2) fn is_too_large(&self) -> bool {
        self.size > self.largest
    }

    pub(in crate::listen::h2) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        let lines = starts
            .zip(&self.ends)
            .filter_map(|(start, (name, value))| Some((self.bytes.get(start..*name)?, self.bytes.get(*name..*value)?)));
        lines.chain(self.before_cookies.map(|_| (&b"cookie"[..], &self.cookies[..])))
    }

    /// How many lines stood before the first cookie; all, if there is none.
    pub(in crate::listen::h2) fn before_cookies(&self) -> usize {
        self.before_cookies.unwrap_or(usize::MAX)
    }

    /// The line that was added last is whole.
    fn end_line(&mut self, start: usize, name: usize) {
        self.size = self.size.saturating_add(self.bytes.len() - start + OVERHEAD);
        let is_cookie = self.bytes.get(start..name) == Some(b"cookie");
        if self.is_too_large() {
            self.bytes.truncate(start);
        } else if is_cookie {
            match self.before_cookies {
                None => self.before_cookies = Some(self.ends.len()),
                Some(_) => self.cookies.extend_from_slice(b"; "),
            }
            self.cookies.extend_from_slice(self.bytes.get(name..).unwrap_or_default());
            self.bytes.truncate(start);
        } else {
            self.ends.push((name, self.bytes.len()));
        }
    }
}

/// Understands the blocks of one client, one after the other.
#[derive(Debug)]
pub(in crate::listen::h2) struct Decoder(Table);

impl Decoder {
    pub(in crate::listen::h2) fn new() -> Self {
        Self(Table::new(TABLE))
    }

    /// Adds the field lines of `block` to `lines`.
    ///
    /// # Errors
    ///
    /// It is not well formed, or refers to what is not there.
    pub(in crate::listen::h2) fn decode(&mut self, block: &[u8], lines: &mut Lines) -> Result<(), Malformed> {
        let mut rest = block;
        let mut is_first = true;
        while let Some(first) = rest.first().copied() {
            match first {
                0x80.. => {
                    let number = integer(&mut rest, 7)?;
                    let (name, value) = self.0.get(number).ok_or(Malformed)?;
                    let start = lines.bytes.len();
                    lines.bytes.extend_from_slice(name);
                    let middle = lines.bytes.len();
                    lines.bytes.extend_from_slice(value);
                    lines.end_line(start, middle);
                }
                0x20..0x40 => {
                    // RFC 7541 section 4.2: at the beginning of a block alone.
                    let most = integer(&mut rest, 5)?;
                    if !is_first || most > TABLE {
                        return Err(Malformed);
                    }
                    self.0.resize(most);
                    continue;
                }
                _ => {
                    let is_kept = first & 0x40 != 0;
                    let number = integer(&mut rest, if is_kept { 6 } else { 4 })?;
                    let start = lines.bytes.len();
                    match number {
                        0 => string(&mut rest, &mut lines.bytes)?,
                        number => lines.bytes.extend_from_slice(self.0.get(number).ok_or(Malformed)?.0),
                    }
                    let middle = lines.bytes.len();
                    string(&mut rest, &mut lines.bytes)?;
                    if is_kept && let Some((name, value)) = lines.bytes.split_at_checked(middle) {
                        self.0.insert(name.get(start..).unwrap_or_default(), value);
                    }
                    lines.end_line(start, middle);
                }
            }
            is_first = false;
        }
        Ok(())
    }
}

/// RFC 7541 section 5.1.
fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let mask = (1_usize << prefix) - 1;
    let (first, more) = rest.split_first().ok_or(Malformed)?;
    *rest = more;
    let mut value = usize::from(*first) & mask;
    if value < mask {
        return Ok(value);
    }
    // Four more bytes are enough for anything that could be meant.
    for shift in [0, 7, 14, 21] {
        let (byte, more) = rest.split_first().ok_or(Malformed)?;
        *rest = more;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// RFC 7541 section 5.2.
fn string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let is_coded = rest.first().ok_or(Malformed)? & 0x80 != 0;
    let length = integer(rest, 7)?;
    let (text, more) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = more;
    if !is_coded {
        out.extend_from_slice(text);
        return Ok(());
    }
    if huffman::decode(text, out) { Ok(()) } else { Err(Malformed) }
}
