//! The chunked transfer coding (RFC 9112 section 7.1), to the letter; servers may pad their chunk sizes.

use bytes::{Buf as _, Bytes, BytesMut};

/// Longest chunk-size line, its extensions included, and longest trailer section, bytes.
const LINE_MAX: usize = 4096;

/// What the decoder can say of the bytes it was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Content.
    Data(Bytes),
    /// More bytes are needed.
    More,
    /// The last chunk and its trailer section were read.
    End,
}

/// The framing is broken; the connection cannot go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers(usize),
    End,
}

/// Decoder state between reads.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// Blanks behind a chunk size mean nothing. Old servers pad with them; in a request they are somebody's try.
    is_padded: bool,
}

impl Decoder {
    /// For the content of a request.
    pub(crate) const fn new() -> Self {
        Self { state: State::Size, is_padded: false }
    }

    /// For the content of a response.
    pub(crate) const fn of_server() -> Self {
        Self { state: State::Size, is_padded: true }
    }

    /// Decodes from the front of `buffer`.
    pub(crate) fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Malformed> {
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = take_line(buffer)? else { return Ok(Step::More) };
                    let line = if self.is_padded { line.trim_ascii_end() } else { &line };
                    self.state = match size(line)? {
                        0 => State::Trailers(0),
                        length => State::Data(length),
                    };
                }
                State::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Step::More);
                    }
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let data = buffer.split_to(take).freeze();
                    let left = left - take as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Step::Data(data));
                }
                State::DataEnd => {
                    match (buffer.first(), buffer.get(1)) {
                        (Some(b'\r'), Some(b'\n')) => buffer.advance(2),
                        (None, _) | (Some(b'\r'), None) => return Ok(Step::More),
                        _ => return Err(Malformed),
                    }
                    self.state = State::Size;
                }
                // Trailer fields are read and dropped: none of them may become a field (RFC 9110 section 6.5.1).
                State::Trailers(seen) => {
                    let Some(line) = take_line(buffer)? else { return Ok(Step::More) };
                    let seen = seen + line.len() + 2;
                    if seen > LINE_MAX {
                        return Err(Malformed);
                    }
                    self.state = if line.is_empty() { State::End } else { State::Trailers(seen) };
                }
                State::End => return Ok(Step::End),
            }
        }
    }
}

/// A line without its CRLF; a bare CR or LF is an error at once.
fn take_line(buffer: &mut BytesMut) -> Result<Option<BytesMut>, Malformed> {
    let Some(at) = memchr::memchr2(b'\r', b'\n', buffer) else {
        return if buffer.len() > LINE_MAX { Err(Malformed) } else { Ok(None) };
    };
    match (buffer.get(at), buffer.get(at + 1)) {
        (Some(b'\r'), None) if at <= LINE_MAX => Ok(None),
        (Some(b'\r'), Some(b'\n')) if at <= LINE_MAX => {
            let line = buffer.split_to(at);
            buffer.advance(2);
            Ok(Some(line))
        }
        _ => Err(Malformed),
    }
}

/// `1*HEXDIG`, then nothing or `;` and extensions, which are ignored.
fn size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, rest) = line.split_at_checked(digits).ok_or(Malformed)?;
    if digits == 0 || digits > 15 || !(rest.is_empty() || rest.starts_with(b";")) {
        return Err(Malformed);
    }
    if rest.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Malformed);
    }
    std::str::from_utf8(number).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], read: usize) -> Result<(Vec<u8>, bool), Malformed> {
        let (mut decoder, mut buffer, mut out) = (Decoder::new(), BytesMut::new(), Vec::new());
        for part in bytes.chunks(read) {
            buffer.extend_from_slice(part);
            loop {
                match decoder.step(&mut buffer)? {
                    Step::Data(data) => out.extend_from_slice(&data),
                    Step::More => break,
                    Step::End => return Ok((out, true)),
                }
            }
        }
        Ok((out, false))
    }

    #[test]
    fn rfc9112_7_1_chunks_are_joined_however_they_arrive() {
        let wire = b"5\r\nhello\r\n6;ext=\"a\"\r\n world\r\n0\r\nTrailer: dropped\r\n\r\n";
        for read in [1, 2, 3, 7, 100] {
            assert_eq!(decode(wire, read), Ok((b"hello world".to_vec(), true)), "{read}");
        }
    }

    #[test]
    fn rfc9112_7_1_sizes_are_hexadecimal_digits_and_nothing_else() {
        for bad in ["0x5", "+5", "-5", " 5", "5_0", "12345678901234567", "", "5 ", "g"] {
            assert_eq!(decode(format!("{bad}\r\nhello\r\n0\r\n\r\n").as_bytes(), 100), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn line_ends_inside_a_chunk_head_are_refused_at_once() {
        for bad in [
            "5;\n",
            "5;a\rb",
            "5\n",
            "5;a=\"\r\n\"\r\nhello\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloXX0\r\n\r\n",
            "5\r\nhello0\r\n",
        ] {
            assert_eq!(decode(bad.as_bytes(), 100), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_server_may_pad_its_chunk_sizes() {
        let decode = |mut decoder: Decoder| decoder.step(&mut BytesMut::from(&b"5  \r\nhello\r\n"[..]));
        assert_eq!(decode(Decoder::of_server()), Ok(Step::Data(Bytes::from_static(b"hello"))));
        assert_eq!(decode(Decoder::new()), Err(Malformed));
    }

    #[test]
    fn a_missing_last_chunk_is_not_an_end() {
        assert_eq!(decode(b"5\r\nhello\r\n", 100), Ok((b"hello".to_vec(), false)));
        assert_eq!(decode(b"0\r\n", 100), Ok((Vec::new(), false)));
    }
}
