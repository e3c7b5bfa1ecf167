//! The streams of a connection, between its own task, which reads and writes, and the tasks of the requests. Each is
//! done with when both sides have ended it and no task holds it any more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use ahash::RandomState;
use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};

use super::frame::{self, Code, LARGEST, LARGEST_WINDOW, WINDOW, flag, kind};
use super::hpack;

/// Flow-control windows offered to clients, bytes: what Envoy advises for edges (64 KiB a stream, 1 MiB together).
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes gathered before they are written whether or not more is to come.
pub(super) const MOST: usize = 64 * 1024;

/// Response content held for a stream that cannot be sent yet.
pub(super) const QUEUE: usize = 64 * 1024;

/// Why a stream came to its end before its request or response did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The client reset it, or the connection ended.
    Gone,
    /// Its content is not what was declared, or more than the window.
    Malformed,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// Content the client takes.
    window: i64,
    pub(super) queue: VecDeque<Bytes>,
    pub(super) queued: usize,
    /// The response is whole with what is queued.
    pub(super) is_whole: bool,
    is_sendable: bool,
    /// We said the last of it.
    pub(super) local_ended: bool,
    pub(super) writer: Option<Waker>,
    pub(super) has_writer: bool,
    /// Content that came and was not read yet: in one piece, however small the frames were.
    pub(super) inbox: BytesMut,
    /// Content we take.
    receives: i64,
    /// Content that was read, and was not told of.
    consumed: u32,
    /// Content that was declared and did not come yet.
    declared: Option<u64>,
    pub(super) remote_ended: bool,
    pub(super) reader: Option<Waker>,
    pub(super) has_reader: bool,
    pub(super) broken: Option<Broken>,
    /// It is one of those that are open.
    is_counted: bool,
}

impl Stream {
    fn is_open(&self) -> bool {
        !(self.local_ended && self.remote_ended)
    }

    pub(super) fn wake(&mut self) {
        [self.writer.take(), self.reader.take()].into_iter().flatten().for_each(Waker::wake);
    }

    fn has_content_to_send(&self) -> bool {
        !self.local_ended && (self.is_whole || !self.queue.is_empty())
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) streams: HashMap<u32, Stream, RandomState>,
    /// How many of them are open.
    open: usize,
    /// Frames for the client.
    pub(super) out: BytesMut,
    /// Content the client takes, of all streams.
    window: i64,
    /// The same of a new stream.
    initial_window: i64,
    /// Streams with something to send, in turn.
    sendable: VecDeque<u32>,
    /// Content we take, of all streams.
    receives: i64,
    consumed: u32,
    /// No block was sent yet.
    is_fresh: bool,
    /// The connection's task, when it waits.
    connection: Option<Waker>,
    /// Frames of content that were sent, and responses that were ended, since somebody asked.
    pub(super) frames_sent: u32,
    pub(super) answered: u32,
    /// Requests that the client gave up, or made us give up, before they were answered, since somebody asked.
    pub(super) given_up: u32,
}

/// What the tasks of a connection share.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Streams>>);

impl Shared {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Streams {
            streams: HashMap::default(),
            open: 0,
            out: BytesMut::new(),
            window: WINDOW,
            initial_window: WINDOW,
            sendable: VecDeque::new(),
            receives: i64::from(CONNECTION_WINDOW),
            consumed: 0,
            is_fresh: true,
            connection: None,
            frames_sent: 0,
            answered: 0,
            given_up: 0,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Streams> {
        self.0.lock()
    }
}

/// What the connection does.
impl Streams {
    /// Streams of which one side has not said all.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// The connection's task is to be woken when there is something to write.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.connection.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.connection = Some(waker.clone());
        }
    }

    pub(super) fn begin(&mut self, id: u32, declared: Option<u64>, remote_ended: bool) {
        self.open += 1;
        let stream = Stream {
            window: self.initial_window,
            queue: VecDeque::new(),
            queued: 0,
            is_whole: false,
            is_sendable: false,
            local_ended: false,
            writer: None,
            has_writer: true,
            inbox: BytesMut::new(),
            receives: i64::from(STREAM_WINDOW),
            consumed: 0,
            declared,
            remote_ended,
            reader: None,
            has_reader: !remote_ended,
            broken: None,
            is_counted: true,
        };
        self.streams.insert(id, stream);
    }

    /// Whether the client may still send on it; `None`: nobody knows it any more.
    pub(super) fn receives(&self, id: u32) -> Option<bool> {
        self.streams.get(&id).map(|stream| !stream.remote_ended)
    }

    /// Bytes that can be sent at once on a new stream. More is not copied for a client that may never take it.
    pub(super) fn room(&self) -> u64 {
        let takes = u64::try_from(self.window.min(self.initial_window)).unwrap_or(0);
        if self.out.len() >= MOST { 0 } else { takes.min(MOST as u64) }
    }

    /// A whole response on a stream that was never begun; no more content than there is [`room`](Self::room) for.
    pub(super) fn answer(&mut self, id: u32, content: Option<&[u8]>, block: impl FnOnce(&mut BytesMut)) {
        let content = content.unwrap_or_default();
        self.block(id, content.is_empty(), block);
        let mut pieces = content.chunks(LARGEST).peekable();
        while let Some(piece) = pieces.next() {
            let ends = if pieces.peek().is_none() { flag::END_STREAM } else { 0 };
            frame::head(&mut self.out, piece.len(), kind::DATA, ends, id);
            self.out.extend_from_slice(piece);
        }
        self.window -= content.len() as i64;
        self.answered += 1;
    }

    pub(super) fn block(&mut self, id: u32, ends: bool, block: impl FnOnce(&mut BytesMut)) {
        let is_fresh = std::mem::take(&mut self.is_fresh);
        frame::headers(&mut self.out, id, ends, |out| {
            if is_fresh {
                out.extend_from_slice(&[hpack::NO_TABLE]);
            }
            block(out);
        });
    }

    /// Takes content, which counted `counted` with its padding. False: nobody wanted it. What is wrong with the stream ends
    /// that.
    ///
    /// # Errors
    ///
    /// More came than the connection takes.
    pub(super) fn content(&mut self, id: u32, content: &[u8], counted: usize, ends: bool) -> Result<bool, Code> {
        self.receives -= counted as i64;
        if self.receives < 0 {
            return Err(Code::FlowControl);
        }
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.remote_ended) else {
            self.release(counted);
            self.reset(id, Code::StreamClosed, Broken::Malformed);
            return Ok(false);
        };
        stream.receives -= counted as i64;
        if stream.receives < 0 {
            self.release(counted);
            self.reset(id, Code::FlowControl, Broken::Malformed);
            return Ok(false);
        }
        let left = stream.declared.map(|declared| declared.checked_sub(content.len() as u64));
        if left == Some(None) || (ends && !matches!(left, None | Some(Some(0)))) {
            self.release(counted);
            self.reset(id, Code::Protocol, Broken::Malformed);
            return Ok(false);
        }
        stream.declared = left.flatten();
        stream.remote_ended = ends;
        let is_read = stream.has_reader;
        if is_read {
            stream.inbox.extend_from_slice(content);
        }
        stream.reader.take().into_iter().for_each(Waker::wake);
        self.released(id, if is_read { counted - content.len() } else { 0 });
        if !is_read {
            self.release(counted);
        }
        self.settle(id);
        Ok(is_read && (ends || !content.is_empty()))
    }

    /// The client has said all of a request.
    pub(super) fn end(&mut self, id: u32) {
        let _ = self.content(id, &[], 0, true);
    }

    /// `counted` bytes of a stream do not occupy us any more.
    pub(super) fn released(&mut self, id: u32, counted: usize) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.consumed += u32::try_from(counted).unwrap_or(0);
            if stream.consumed >= STREAM_WINDOW / 2 && !stream.remote_ended {
                let increment = std::mem::take(&mut stream.consumed);
                stream.receives += i64::from(increment);
                frame::window_update(&mut self.out, id, increment);
            }
        }
        self.release(counted);
    }

    pub(super) fn release(&mut self, counted: usize) {
        self.consumed += u32::try_from(counted).unwrap_or(0);
        if self.consumed >= CONNECTION_WINDOW / 2 {
            let increment = std::mem::take(&mut self.consumed);
            self.receives += i64::from(increment);
            frame::window_update(&mut self.out, 0, increment);
        }
    }

    /// The client takes more.
    ///
    /// # Errors
    ///
    /// More than there can be (RFC 9113 section 6.9.1).
    pub(super) fn widen(&mut self, id: u32, increment: u32) -> Result<(), Code> {
        if id == 0 {
            self.window += i64::from(increment);
            return if self.window > LARGEST_WINDOW { Err(Code::FlowControl) } else { Ok(()) };
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        stream.window += i64::from(increment);
        if stream.window > LARGEST_WINDOW {
            self.reset(id, Code::FlowControl, Broken::Malformed);
        } else {
            self.offer(id);
        }
        Ok(())
    }

    /// The client takes so much of a new stream, and of all others as much more or less (RFC 9113 section 6.9.2).
    pub(super) fn set_initial_window(&mut self, window: u32) -> Result<(), Code> {
        let window = i64::from(window);
        let more = window - self.initial_window;
        self.initial_window = window;
        let mut all: Vec<u32> = Vec::with_capacity(self.streams.len());
        for (id, stream) in &mut self.streams {
            stream.window += more;
            if stream.window > LARGEST_WINDOW {
                return Err(Code::FlowControl);
            }
            all.push(*id);
        }
        all.into_iter().for_each(|id| self.offer(id));
        Ok(())
    }

    /// The client gave a stream up.
    pub(super) fn reset_by_client(&mut self, id: u32) {
        self.count_given_up(id);
        self.break_off(id, Broken::Gone);
    }

    fn count_given_up(&mut self, id: u32) {
        self.given_up += u32::from(self.streams.get(&id).is_some_and(|stream| !stream.local_ended));
    }

    /// Nothing more is sent or read.
    pub(super) fn close(&mut self) {
        let all: Vec<u32> = self.streams.keys().copied().collect();
        all.into_iter().for_each(|id| self.break_off(id, Broken::Gone));
    }

    /// Makes frames of content that may be sent, until there is enough to write.
    pub(super) fn pump(&mut self) {
        let mut blocked = 0;
        while self.out.len() < MOST
            && blocked < self.sendable.len()
            && let Some(id) = self.sendable.pop_front()
        {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.is_sendable = false;
            if !stream.has_content_to_send() {
                continue;
            }
            let first = stream.queue.front().map_or(0, Bytes::len);
            let takes = usize::try_from(stream.window.min(self.window)).unwrap_or(0);
            let length = first.min(takes).min(LARGEST);
            if length == 0 && first > 0 {
                stream.is_sendable = stream.window > 0;
                if stream.is_sendable {
                    self.sendable.push_back(id);
                    blocked += 1;
                }
                continue;
            }
            blocked = 0;
            let piece = stream.queue.front_mut().map(|first| first.split_to(length)).unwrap_or_default();
            if length == first {
                stream.queue.pop_front();
            }
            stream.queued -= length;
            stream.window -= length as i64;
            self.window -= length as i64;
            stream.local_ended = stream.is_whole && stream.queue.is_empty();
            let flags = if stream.local_ended { flag::END_STREAM } else { 0 };
            frame::head(&mut self.out, length, kind::DATA, flags, id);
            self.out.extend_from_slice(&piece);
            self.frames_sent += 1;
            self.answered += u32::from(flags != 0);
            if stream.queued <= QUEUE / 2 {
                stream.writer.take().into_iter().for_each(Waker::wake);
            }
            stream.is_sendable = stream.has_content_to_send();
            if stream.is_sendable {
                self.sendable.push_back(id);
            }
            self.settle(id);
        }
    }

    /// Whether something could be sent now.
    pub(super) fn has_work(&self) -> bool {
        let can_send = |id: &u32| {
            self.streams.get(id).is_some_and(|stream| stream.queue.is_empty() || stream.window.min(self.window) > 0)
        };
        !self.out.is_empty() || self.sendable.iter().any(can_send)
    }

    /// Ends a stream that did something it must not, or is not served.
    pub(super) fn reset(&mut self, id: u32, code: Code, why: Broken) {
        frame::reset(&mut self.out, id, code);
        if why == Broken::Malformed {
            self.count_given_up(id);
        }
        self.break_off(id, why);
        self.wake();
    }

    fn break_off(&mut self, id: u32, why: Broken) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        (stream.local_ended, stream.remote_ended) = (true, true);
        stream.broken.get_or_insert(why);
        stream.queue.clear();
        stream.queued = 0;
        let unread = std::mem::take(&mut stream.inbox);
        stream.wake();
        self.release(unread.len());
        self.settle(id);
    }

    /// After a change of one side: a stream that is answered needs no more content.
    pub(super) fn settle(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.local_ended && !stream.remote_ended && !stream.has_reader {
            // RFC 9113 section 8.1: the client may stop sending.
            return self.reset(id, Code::No, Broken::Gone);
        }
        if stream.is_open() {
            return;
        }
        if std::mem::take(&mut stream.is_counted) {
            self.open -= 1;
        }
        if !(stream.has_reader || stream.has_writer) {
            self.streams.remove(&id);
        }
    }

    pub(super) fn offer(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.has_content_to_send()
            && !stream.is_sendable
        {
            stream.is_sendable = true;
            self.sendable.push_back(id);
        }
    }

    pub(super) fn wake(&mut self) {
        self.connection.take().into_iter().for_each(Waker::wake);
    }
}
