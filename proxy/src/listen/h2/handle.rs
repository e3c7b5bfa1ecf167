//! What the task of a request does with its stream.

use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::frame::Code;
use super::streams::{Broken, QUEUE, Shared, Stream, Streams};

/// A stream, held by the task that reads its content or writes its response.
#[derive(Debug)]
pub(super) struct Handle {
    streams: Shared,
    id: u32,
    side: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Reader,
    Writer,
}

impl Handle {
    /// The one that writes the response.
    pub(super) fn writer(streams: &Shared, id: u32) -> Self {
        Self { streams: streams.clone(), id, side: Side::Writer }
    }

    /// The one that reads the content.
    pub(super) fn reader(streams: &Shared, id: u32) -> Self {
        Self { streams: streams.clone(), id, side: Side::Reader }
    }

    /// Sends the head of a response, or an interim one, `block` its field lines. `ends`: there is no content.
    pub(super) fn head(&self, ends: bool, block: impl FnOnce(&mut BytesMut)) -> Result<(), Broken> {
        self.streams.lock().head(self.id, ends, block)
    }

    /// How much content can be queued; waits until that is something.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<usize, Broken>> {
        self.streams.lock().poll_room(self.id, cx)
    }

    /// Queues content. `is_whole`: nothing follows.
    pub(super) fn push(&self, content: Bytes, is_whole: bool) -> Result<(), Broken> {
        self.streams.lock().push(self.id, content, is_whole)
    }

    /// Gives the stream up.
    pub(super) fn reset(&self) {
        self.streams.lock().give_up(self.id);
    }

    /// Waits until nothing can be sent any more.
    pub(super) fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        self.streams.lock().poll_gone(self.id, cx)
    }

    /// The next content, `None` at its end.
    pub(super) fn poll_content(&self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        self.streams.lock().poll_content(self.id, cx)
    }

    /// Whether all of the content came and was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.streams.lock().is_read(self.id)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut streams = self.streams.lock();
        match self.side {
            Side::Reader => streams.drop_reader(self.id),
            Side::Writer => streams.drop_writer(self.id),
        }
    }
}

/// A stream is there for as long as it has a handle.
impl Streams {
    fn head(&mut self, id: u32, ends: bool, block: impl FnOnce(&mut BytesMut)) -> Result<(), Broken> {
        let stream = self.streams.get_mut(&id).ok_or(Broken::Gone)?;
        if stream.local_ended {
            return Err(stream.broken.unwrap_or(Broken::Gone));
        }
        stream.local_ended = ends;
        self.answered += u32::from(ends);
        self.block(id, ends, block);
        self.settle(id);
        self.wake();
        Ok(())
    }

    fn poll_room(&mut self, id: u32, cx: &Context<'_>) -> Poll<Result<usize, Broken>> {
        let Some(stream) = self.streams.get_mut(&id) else { return Poll::Ready(Err(Broken::Gone)) };
        if stream.local_ended {
            return Poll::Ready(Err(stream.broken.unwrap_or(Broken::Gone)));
        }
        match QUEUE.saturating_sub(stream.queued) {
            0 => {
                stream.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            room => Poll::Ready(Ok(room)),
        }
    }

    fn push(&mut self, id: u32, content: Bytes, is_whole: bool) -> Result<(), Broken> {
        let stream = self.streams.get_mut(&id).ok_or(Broken::Gone)?;
        if stream.local_ended {
            return Err(stream.broken.unwrap_or(Broken::Gone));
        }
        stream.queued += content.len();
        if !content.is_empty() {
            stream.queue.push_back(content);
        }
        stream.is_whole |= is_whole;
        self.offer(id);
        self.wake();
        Ok(())
    }

    fn give_up(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(|stream| !stream.local_ended) {
            self.reset(id, Code::Internal, Broken::Gone);
        }
    }

    fn poll_gone(&mut self, id: u32, cx: &Context<'_>) -> Poll<()> {
        match self.streams.get_mut(&id) {
            Some(stream) if stream.broken.is_none() => {
                stream.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn poll_content(&mut self, id: u32, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        let Some(stream) = self.streams.get_mut(&id) else { return Poll::Ready(Err(Broken::Gone)) };
        if let Some(broken) = stream.broken {
            return Poll::Ready(Err(broken));
        }
        if stream.inbox.is_empty() {
            if stream.remote_ended {
                return Poll::Ready(Ok(None));
            }
            stream.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let content = std::mem::take(&mut stream.inbox).freeze();
        self.released(id, content.len());
        self.wake();
        Poll::Ready(Ok(Some(content)))
    }

    fn is_read(&self, id: u32) -> bool {
        let is_read = |stream: &Stream| stream.broken.is_none() && stream.remote_ended && stream.inbox.is_empty();
        self.streams.get(&id).is_some_and(is_read)
    }

    fn drop_reader(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.has_reader = false;
        let unread = std::mem::take(&mut stream.inbox);
        self.release(unread.len());
        self.settle(id);
        self.wake();
    }

    /// Who wrote it said all of it, or the rest will never come.
    fn drop_writer(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.has_writer = false;
        if !stream.local_ended && !stream.is_whole {
            return self.reset(id, Code::Internal, Broken::Gone);
        }
        self.settle(id);
    }
}
