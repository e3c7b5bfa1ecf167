//! What a client sends, frame by frame (RFC 9113 section 6), and the errors it is told of (section 5.4).

use std::cell::RefCell;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::abuse::Exhausted;
use super::ending::{Ending, LAST_PING};
use super::frame::{self, Code, HEAD, Head, LARGEST, PREFACE, flag, kind, setting};
use super::hpack::Malformed;
use super::streams::{Broken, MOST};
use super::{Over, Session, head, request};

/// Bytes read at once.
const READ: usize = LARGEST + HEAD;

thread_local! {
    /// What arrives at a connection that waits, for as long as it takes to look at it.
    static ARRIVED: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(READ));
}

/// What has to come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Preface,
    /// The client's settings (RFC 9113 section 3.4).
    Settings,
    Frame,
}

/// A head of which not all came.
#[derive(Debug)]
pub(super) struct Block {
    stream: u32,
    ends: bool,
    bytes: Vec<u8>,
}

impl From<Exhausted> for Code {
    fn from(_: Exhausted) -> Self {
        Self::EnhanceYourCalm
    }
}

impl From<Malformed> for Code {
    fn from(_: Malformed) -> Self {
        Self::Compression
    }
}

impl Session {
    /// Reads once, and does what that says. Ready: there may be more to do.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, has_room: bool) -> Poll<Result<(), Over>> {
        if !has_room {
            return Poll::Pending;
        }
        if !self.unread.is_empty() {
            let mut unread = std::mem::take(&mut self.unread);
            let taken = self.take(&unread).map_err(Over::Error)?;
            if taken > 0 {
                unread.advance(taken);
                self.keep(&unread);
                return Poll::Ready(Ok(()));
            }
            unread.reserve(READ);
            let read = pin!(self.stream.read_buf(&mut unread)).poll(cx);
            self.unread = unread;
            return match ready!(read) {
                Ok(1..) => Poll::Ready(Ok(())),
                _ => Poll::Ready(Err(Over::Gone)),
            };
        }
        ARRIVED.with_borrow_mut(|arrived| {
            arrived.clear();
            arrived.reserve(READ);
            if !ready!(pin!(self.stream.read_buf(arrived)).poll(cx)).is_ok_and(|read| read > 0) {
                return Poll::Ready(Err(Over::Gone));
            }
            let taken = self.take(arrived).map_err(Over::Error)?;
            self.keep(arrived.get(taken..).unwrap_or_default());
            Poll::Ready(Ok(()))
        })
    }

    /// Keeps what is to be looked at later.
    fn keep(&mut self, rest: &[u8]) {
        // An idle connection holds no buffer.
        self.unread = BytesMut::from(rest);
        // Or it is whole, and waits for the client to take what it asked for before.
        let waits = self.streams.lock().out.len() >= MOST;
        let is_incomplete = (!rest.is_empty() && !waits) || self.block.is_some() || self.expected != Expected::Frame;
        self.incomplete = if is_incomplete { self.incomplete.or_else(|| Some(Instant::now())) } else { None };
    }

    /// Takes whole frames off `bytes`, until there is enough to write; how much that was.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Code> {
        let mut rest = bytes;
        if self.expected == Expected::Preface {
            match rest.strip_prefix(PREFACE) {
                Some(behind) => rest = behind,
                None if PREFACE.starts_with(rest) => return Ok(0),
                None => return Err(Code::Protocol),
            }
            self.expected = Expected::Settings;
        }
        while let Some(head) = Head::read(rest) {
            if head.length > LARGEST {
                return Err(Code::FrameSize);
            }
            let Some(payload) = rest.get(HEAD..HEAD + head.length) else { break };
            self.frame(head, payload)?;
            rest = rest.get(HEAD + head.length..).unwrap_or_default();
            let (given_up, is_enough) = {
                let mut streams = self.streams.lock();
                (std::mem::take(&mut streams.given_up), streams.out.len() >= MOST)
            };
            self.patience.given_up(given_up)?;
            if is_enough {
                break;
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if std::mem::replace(&mut self.expected, Expected::Frame) == Expected::Settings
            && (head.kind != kind::SETTINGS || head.has(flag::ACK))
        {
            return Err(Code::Protocol);
        }
        // RFC 9113 section 6.10: nothing comes between the parts of a head.
        if self.block.as_ref().is_some_and(|block| head.kind != kind::CONTINUATION || head.stream != block.stream) {
            return Err(Code::Protocol);
        }
        match head.kind {
            kind::DATA => self.data(head, payload),
            kind::HEADERS => self.headers(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            kind::RST_STREAM => self.rst_stream(head, payload),
            kind::SETTINGS => self.settings(head, payload),
            kind::PING => self.ping(head, payload),
            kind::WINDOW_UPDATE => self.window_update(head, payload),
            kind::PRIORITY if head.stream == 0 => Err(Code::Protocol),
            kind::PRIORITY if payload.len() != 5 => self.fail(head.stream, Code::FrameSize),
            kind::PUSH_PROMISE => Err(Code::Protocol),
            kind::GOAWAY if head.stream != 0 => Err(Code::Protocol),
            kind::GOAWAY if payload.len() < 8 => Err(Code::FrameSize),
            // What the client does not take we never offer, and unknown kinds are ignored (RFC 9113 section 5.5).
            _ => Ok(self.patience.useless()?),
        }
    }

    /// Streams a client begins have odd numbers, each greater than those before (RFC 9113 section 5.1.1).
    fn is_begun(&self, stream: u32) -> bool {
        stream % 2 == 1 && stream <= self.last
    }

    /// Ends a stream that the client used in a wrong way.
    pub(super) fn fail(&mut self, stream: u32, code: Code) -> Result<(), Code> {
        self.patience.useless()?;
        self.streams.lock().reset(stream, code, Broken::Malformed);
        Ok(())
    }

    /// RFC 9113 section 6.1.
    fn data(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if !self.is_begun(head.stream) {
            return Err(Code::Protocol);
        }
        let content = head.unpadded(payload).ok_or(Code::Protocol)?;
        let is_useful = self.streams.lock().content(head.stream, content, payload.len(), head.has(flag::END_STREAM))?;
        if is_useful {
            self.patience.useful();
            return Ok(());
        }
        Ok(self.patience.useless()?)
    }

    /// RFC 9113 section 6.2.
    fn headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if head.stream.is_multiple_of(2) {
            return Err(Code::Protocol);
        }
        let mut block = head.unpadded(payload).ok_or(Code::Protocol)?;
        if head.has(flag::PRIORITY) {
            block = block.get(5..).ok_or(Code::FrameSize)?;
        }
        let ends = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.whole(head.stream, ends, block);
        }
        self.block = Some(Block { stream: head.stream, ends, bytes: block.to_vec() });
        Ok(())
    }

    /// RFC 9113 section 6.10.
    fn continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        self.patience.piece()?;
        let mut block = self.block.take().ok_or(Code::Protocol)?;
        block.bytes.extend_from_slice(payload);
        if head.has(flag::END_HEADERS) {
            self.patience.whole();
            return self.whole(block.stream, block.ends, &block.bytes);
        }
        self.block = Some(block);
        Ok(())
    }

    /// A head: of a new request, or behind the content of one (RFC 9113 section 8.1).
    fn whole(&mut self, stream: u32, ends: bool, block: &[u8]) -> Result<(), Code> {
        let runtime = self.shared.runtime();
        request::with_lines(runtime.config.limits.head_size, |lines| {
            // Whatever becomes of it, it has to be understood: the next one may refer to it.
            self.decoder.decode(block, lines)?;
            if stream > self.last {
                if matches!(self.ending, Ending::Final(_)) {
                    return Ok(self.patience.useless()?);
                }
                self.last = stream;
                self.patience.useful();
                return self.request(&runtime, stream, ends, lines);
            }
            let receives = self.streams.lock().receives(stream);
            match receives {
                Some(true) if ends && head::are_trailers(lines) => {
                    // Trailer fields are not forwarded.
                    self.streams.lock().end(stream);
                    Ok(())
                }
                Some(true) => self.fail(stream, Code::Protocol),
                _ => self.fail(stream, Code::StreamClosed),
            }
        })
    }

    /// RFC 9113 section 6.4.
    fn rst_stream(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if payload.len() != 4 {
            return Err(Code::FrameSize);
        }
        if !self.is_begun(head.stream) {
            return Err(Code::Protocol);
        }
        self.streams.lock().reset_by_client(head.stream);
        Ok(self.patience.useless()?)
    }

    /// RFC 9113 section 6.5.
    fn settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if head.stream != 0 {
            return Err(Code::Protocol);
        }
        if !payload.len().is_multiple_of(6) || (head.has(flag::ACK) && !payload.is_empty()) {
            return Err(Code::FrameSize);
        }
        self.patience.useless()?;
        if head.has(flag::ACK) {
            return Ok(());
        }
        let mut streams = self.streams.lock();
        for (identifier, value) in frame::read_settings(payload) {
            match identifier {
                setting::ENABLE_PUSH if value > 1 => return Err(Code::Protocol),
                setting::INITIAL_WINDOW_SIZE if i64::from(value) > frame::LARGEST_WINDOW => {
                    return Err(Code::FlowControl);
                }
                setting::INITIAL_WINDOW_SIZE => streams.set_initial_window(value)?,
                setting::MAX_FRAME_SIZE if !(LARGEST as u32..1 << 24).contains(&value) => return Err(Code::Protocol),
                // We neither push nor use a table, and our frames are no larger than any client takes.
                _ => {}
            }
        }
        frame::settings_ack(&mut streams.out);
        Ok(())
    }

    /// RFC 9113 section 6.7.
    fn ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if head.stream != 0 {
            return Err(Code::Protocol);
        }
        if payload.len() != LAST_PING.len() {
            return Err(Code::FrameSize);
        }
        self.patience.useless()?;
        if !head.has(flag::ACK) {
            frame::ping(&mut self.streams.lock().out, flag::ACK, payload);
        } else if matches!(self.ending, Ending::Announced(_)) && payload == LAST_PING {
            self.settle_end();
        }
        Ok(())
    }

    /// RFC 9113 section 6.9.
    fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if payload.len() != 4 {
            return Err(Code::FrameSize);
        }
        if head.stream != 0 && !self.is_begun(head.stream) {
            return Err(Code::Protocol);
        }
        self.patience.useless()?;
        match frame::number(payload).map(|increment| increment & 0x7fff_ffff) {
            None | Some(0) if head.stream == 0 => Err(Code::Protocol),
            None | Some(0) => self.fail(head.stream, Code::Protocol),
            Some(increment) => self.streams.lock().widen(head.stream, increment),
        }
    }
}
