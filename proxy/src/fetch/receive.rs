//! Receive: whether a response head can be trusted to say where its content ends (RFC 9112 section 6.3).

use super::FetchError;

/// Looks at the head as it came, before any field was interpreted or dropped.
///
/// # Errors
///
/// For both Content-Length and Transfer-Encoding, for several codings, for one that would have to be decoded and for what
/// merely looks like `chunked`: a response whose end two readers could see at different places is not passed on and not
/// stored. One unknown word (applications write `binary`) is no coding of anything: such content ends with the connection.
pub(super) fn check_framing(raw: &[u8]) -> Result<(), FetchError> {
    let (mut lengths, mut codings) = (0, 0);
    for line in raw.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
            lengths += 1;
        } else if name.trim_ascii().eq_ignore_ascii_case(b"transfer-encoding") {
            codings += 1;
            if !value.eq_ignore_ascii_case(b"chunked") && !is_unknown_word(value) {
                return Err(FetchError::FRAMING);
            }
        }
    }
    let sound = matches!((lengths, codings), (0 | 1, 0) | (0, 1));
    if sound { Ok(()) } else { Err(FetchError::FRAMING) }
}

/// A single token that is no registered transfer coding and has nothing of `chunked` in it.
fn is_unknown_word(value: &[u8]) -> bool {
    const CODINGS: [&[u8]; 6] = [b"compress", b"deflate", b"gzip", b"trailers", b"x-compress", b"x-gzip"];
    let word = value.to_ascii_lowercase();
    !word.is_empty()
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !CODINGS.contains(&word.as_slice())
        && memchr::memmem::find(&word, b"chunk").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9112_6_3_a_response_with_two_ends_is_refused() {
        for (head, sound) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding : xchunked\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: binary, x\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: binary\r\nContent-Length: 5\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: binary\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: binary\r\n\r\n", true),
        ] {
            assert_eq!(check_framing(head.as_bytes()).is_ok(), sound, "{head:?}");
        }
    }
}
