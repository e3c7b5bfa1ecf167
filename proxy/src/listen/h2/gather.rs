//! One write for what many streams have to say. The h2 crate flushes after each response; here its flushes are held back
//! until the connection has nothing more to do for the moment, so that ten responses leave in one TLS record and one
//! system call.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listen::stream::Stream;

/// Bytes gathered before they are written whether or not more is to come.
const MOST: usize = 64 * 1024;

/// Writes from this size on are not copied when nothing is held.
const LARGE: usize = 16 * 1024;

#[derive(Debug)]
struct Inner {
    stream: Stream,
    held: BytesMut,
}

impl Inner {
    /// Writes everything that is held.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => self.held.advance(written),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // An idle connection holds no buffer.
        self.held = BytesMut::new();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_hold(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.held.is_empty() && bytes.len() >= LARGE {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        if self.held.len() >= MOST {
            ready!(self.poll_drain(cx))?;
        }
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

/// The stream as h2 sees it. The lock is taken by the connection's own task alone and never waited for.
#[derive(Debug)]
pub(super) struct Gather(Arc<Mutex<Inner>>);

/// The other end: writes what was gathered.
#[derive(Debug)]
pub(super) struct Drain(Arc<Mutex<Inner>>);

pub(super) fn gather(stream: Stream) -> (Gather, Drain) {
    let inner = Arc::new(Mutex::new(Inner { stream, held: BytesMut::new() }));
    (Gather(Arc::clone(&inner)), Drain(inner))
}

impl Drain {
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_drain(cx)
    }
}

impl AsyncRead for Gather {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gather {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().poll_hold(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        let mut taken = 0;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            match inner.poll_hold(cx, buf) {
                Poll::Ready(Ok(written)) => {
                    taken += written;
                    if written < buf.len() {
                        break;
                    }
                }
                other if taken == 0 => return other,
                _ => break,
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Says yes without writing: [`Drain`] does that.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_drain(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}
