//! A request: answered at once where a response is in memory, by a task of its own otherwise.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::time::Instant;

use super::Session;
use super::body::H2Body;
use super::frame::Code;
use super::handle::Handle;
use super::head::Head;
use super::hpack::{self, Lines};
use super::streams::Broken;
use super::writer::H2Writer;
use crate::front::{self, Content};
use crate::http::{Refusal, RequestBody, Sink};
use crate::listen::h1::RateFloor;
use crate::listen::spare;
use crate::runtime::Runtime;
use crate::service;

/// Requests that may still be served beside those of open streams, as a multiple of those: of streams that were given up.
const TASKS: usize = 4;

/// Field lines are kept in a buffer of the thread up to this size, bytes.
const KEPT: usize = 64 * 1024;

thread_local! {
    static LINES: RefCell<Lines> = RefCell::default();
}

/// Calls `act` with no lines, and room for `head_size` bytes of them.
pub(super) fn with_lines<T>(head_size: usize, act: impl FnOnce(&mut Lines) -> T) -> T {
    LINES.with_borrow_mut(|lines| {
        if lines.capacity() > KEPT {
            *lines = Lines::default();
        }
        lines.begin(head_size);
        act(lines)
    })
}

impl Session {
    /// Sees to a request that came in `lines`; `ends`: without content.
    pub(super) fn request(&mut self, runtime: &Arc<Runtime>, id: u32, ends: bool, lines: &Lines) -> Result<(), Code> {
        if lines.is_too_large() {
            let refusal = Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-size");
            return self.refuse(runtime, id, ends, refusal);
        }
        let head = Head::read(lines).filter(|head| !ends || matches!(head.content_length, None | Some(0)));
        let Some(head) = head else { return self.fail(id, Code::Protocol) };
        if ends && self.answer(runtime, id, &head) {
            return Ok(());
        }
        let Some(mut request) = head.request() else {
            let refusal = Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "field-count");
            return self.refuse(runtime, id, ends, refusal);
        };
        let Some(writer) = self.begin(runtime, id, ends, head.content_length) else { return Ok(()) };
        let (length, pause) = (head.content_length, runtime.config.limits.body_timeout);
        let body = (!ends).then(|| H2Body::new(Handle::reader(&self.streams, id), length, pause));
        let (runtime, connection) = (Arc::clone(runtime), Arc::clone(&self.connection));
        self.tasks.spawn(async move {
            match body {
                None => {}
                // It was said in a frame of its own that there is none.
                Some(body) if body.is_at_end() => {}
                Some(body) if length != Some(0) => request.body = RequestBody::H2(Box::new(body)),
                // Known before anything is forwarded: it ends without any (RFC 9113 section 8.1.1).
                Some(mut body) => match body.next().await {
                    Ok(None) => {}
                    _ => return,
                },
            }
            service::serve(&runtime, &connection, request, Sink::H2(writer)).await;
        });
        Ok(())
    }

    /// Answers from memory. False: the long way.
    fn answer(&mut self, runtime: &Runtime, id: u32, head: &Head<'_>) -> bool {
        let room = self.streams.lock().room();
        let Some(authority) = head.authority else { return false };
        let asked = front::Asked { method: head.method, target: head.target, authority, room };
        let Some(hit) = front::find_coded(runtime, &self.connection, &asked, head.fields()) else { return false };
        let mut streams = self.streams.lock();
        if streams.out.capacity() == 0 {
            streams.out = spare::take();
        }
        let content = match hit.content() {
            None => None,
            Some(Content::Memory(content)) => Some(&content[..]),
            // There was no room for it.
            Some(Content::File(_)) => return false,
        };
        streams.answer(id, content, |out| {
            out.extend_from_slice(hit.head());
            hit.late_lines(|line, rest| hpack::line(out, line, rest));
        });
        drop(streams);
        self.active = Instant::from_std(front::account(runtime, hit, Ok(())));
        true
    }

    /// A stream for a response. `None`: the client has too many, and was told so.
    fn begin(&mut self, runtime: &Runtime, id: u32, ends: bool, declared: Option<u64>) -> Option<H2Writer> {
        let limits = &runtime.config.limits;
        let most = limits.h2_streams as usize;
        let mut streams = self.streams.lock();
        if streams.open() >= most || self.tasks.len() >= most * TASKS {
            streams.reset(id, Code::RefusedStream, Broken::Gone);
            return None;
        }
        streams.begin(id, declared, ends);
        drop(streams);
        self.active = Instant::now();
        Some(H2Writer::new(Handle::writer(&self.streams, id), RateFloor::of(limits)))
    }

    fn refuse(&mut self, runtime: &Arc<Runtime>, id: u32, ends: bool, refusal: Refusal) -> Result<(), Code> {
        let Some(writer) = self.begin(runtime, id, ends, None) else { return Ok(()) };
        if !ends {
            // Nobody reads what comes.
            drop(Handle::reader(&self.streams, id));
        }
        let (runtime, connection) = (Arc::clone(runtime), Arc::clone(&self.connection));
        self.tasks.spawn(async move { service::refuse(&runtime, &connection, refusal, Sink::H2(writer)).await });
        Ok(())
    }
}

/// The head of a response as HTTP/2 sends it, of its lines in HTTP/1.
pub(crate) fn coded(lines: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(lines.len());
    let mut lines = lines.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
    let status = lines.next().and_then(|line| StatusCode::from_bytes(line.split(|byte| *byte == b' ').nth(1)?).ok());
    hpack::status(&mut out, status.unwrap_or_default());
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        if let Ok(name) = std::str::from_utf8(name) {
            hpack::field(&mut out, name, value.get(2..).unwrap_or_default());
        }
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::h2::hpack::Decoder;

    #[test]
    fn heads_of_http1_are_coded_as_they_are() {
        let lines = b"HTTP/1.1 304 Not Modified\r\netag: \"a:b\"\r\nx: \r\nvary: accept-encoding\r\n";
        let mut decoded = Lines::default();
        decoded.begin(1 << 16);
        Decoder::new().decode(&coded(lines), &mut decoded).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let decoded: Vec<_> = decoded.iter().map(|(name, value)| (text(name), text(value))).collect();
        let expected = [(":status", "304"), ("etag", "\"a:b\""), ("x", ""), ("vary", "accept-encoding")];
        assert_eq!(decoded, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
