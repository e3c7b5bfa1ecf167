//! Receive: up to the final head of a response, and whether it can be trusted to say where its content ends (RFC 9112
//! section 6.3).

use forebay_cache::clock::{Clock as _, Timestamp};
use forebay_cache::semantics::hop_by_hop;
use http::{HeaderMap, StatusCode};

use super::FetchError;
use super::forward::{self, Attempts, Event, Exchange, Outbound};
use super::run::UpstreamReport;
use super::telling::Answer;
use crate::account::entry::UpstreamExchange;
use crate::http::RequestBody;
use crate::runtime::Lasting;
use crate::upstream::{Asker, Pool};

/// Kept connections tried that turn out to be dead.
const REPEATS: usize = 4;

/// Of these, on connections that others share.
const SHARED_REPEATS: usize = 1;

/// Interim responses taken from an upstream before its final one.
const INTERIMS: usize = 16;

/// A response head.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) at: Timestamp,
    /// Whether content follows.
    pub(super) content: bool,
}

/// Connects, sends, and reads up to the final head. What can be repeated is repeated: on another connection when a kept
/// one turns out to be dead, on another server when one breaks off before it has answered.
pub(super) async fn begin(
    lasting: &Lasting,
    pool: &Pool,
    asker: Asker,
    answer: Option<&Answer>,
    outbound: &Outbound,
    mut body: RequestBody,
    report: &mut UpstreamReport,
) -> Result<(Exchange, Head), FetchError> {
    let is_repeatable = outbound.is_repeatable(&body);
    let mut repeats = 0;
    let mut attempts = Attempts::new(asker);
    loop {
        let mut exchange = forward::connect(lasting, pool, &mut attempts, outbound, std::mem::take(&mut body)).await?;
        let error = match read_head(lasting, &mut exchange, answer, report).await {
            Ok(head) => return Ok((exchange, head)),
            Err(error) => error,
        };
        exchange.heed(lasting);
        let again = is_repeatable && error.is_closed();
        if exchange.reused && again && repeats < REPEATS {
            // It had idled too long: no fault of the server's.
            repeats += 1;
            attempts.alone = repeats > SHARED_REPEATS;
        } else {
            exchange.lease.server().metrics.failed();
            if error.is_of_upstream() {
                exchange.lease.failed(lasting.clock.now());
            }
            attempts.failed(&exchange.lease, error);
        }
        if !again {
            return Err(error);
        }
    }
}

async fn read_head(
    lasting: &Lasting,
    exchange: &mut Exchange,
    answer: Option<&Answer>,
    report: &mut UpstreamReport,
) -> Result<Head, FetchError> {
    let connected = exchange.started.elapsed();
    let told = UpstreamExchange {
        address: exchange.lease.server().address,
        hierarchy: "HIER_DIRECT",
        status: None,
        connect: Some(connected),
        first_byte: None,
    };
    *report = Some(told);
    let mut interims = 0;
    loop {
        match exchange.event().await? {
            Event::Interim(..) if interims == INTERIMS => {
                return Err(FetchError::bad_gateway("upstream-interim-flood"));
            }
            Event::Interim(status, mut fields) => {
                interims += 1;
                // 100 is for the hop it was sent on; the others are for the client.
                if let Some(answer) = answer.filter(|_| status != StatusCode::CONTINUE) {
                    hop_by_hop::strip(&mut fields);
                    answer.interim(status, fields);
                }
            }
            Event::Head(status, fields, content) => {
                let first_byte = exchange.started.elapsed();
                exchange.lease.server().metrics.response(status.as_u16(), first_byte);
                let at = lasting.clock.now();
                exchange.lease.answered(first_byte, at);
                let first_byte = Some(first_byte.saturating_sub(connected));
                *report = Some(UpstreamExchange { status: Some(status.as_u16()), first_byte, ..told });
                return Ok(Head { status, fields, at, content });
            }
            Event::Chunk(_) | Event::End => return Err(FetchError::UNEXPECTED),
        }
    }
}

/// Looks at the head as it came, before any field was interpreted or dropped.
///
/// # Errors
///
/// For both Content-Length and Transfer-Encoding, for several codings, for one that would have to be decoded and for what
/// merely looks like `chunked`: a response whose end two readers could see at different places is not passed on and not
/// stored. One unknown word (applications write `binary`) is no coding of anything: such content ends with the connection.
pub(super) fn check_framing(raw: &[u8]) -> Result<(), FetchError> {
    let (mut lengths, mut codings) = (0, 0);
    let ends = memchr::memchr_iter(b'\n', raw).chain([raw.len()]);
    let mut start = None;
    for end in ends {
        let Some(start) = start.replace(end + 1) else { continue };
        let line = raw.get(start..end).unwrap_or_default();
        // Most lines are of neither name.
        let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
        if !matches!(first, Some(b'c' | b'C' | b't' | b'T')) {
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else { continue };
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
