//! What streams have to say, gathered: ten responses leave in one TLS record and one system call.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite as _;
use tokio::time::Instant;

use super::Session;
use crate::listen::spare;

impl Session {
    /// Writes all there is.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(rest @ [_, ..]) = self.writing.get(self.written..) {
                let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, rest) else {
                    self.stalled.get_or_insert_with(|| (Instant::now(), 0));
                    return Poll::Pending;
                };
                let written = written?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += written;
                if let Some((_, taken)) = &mut self.stalled {
                    *taken += written as u64;
                }
            }
            let mut streams = self.streams.lock();
            streams.pump();
            let frames = std::mem::take(&mut streams.frames_sent);
            self.patience.answered(std::mem::take(&mut streams.answered));
            if frames > 0 {
                self.patience.sent(frames);
                self.active = Instant::now();
            }
            if streams.out.is_empty() {
                let unused = std::mem::take(&mut streams.out);
                drop(streams);
                spare::keep(unused);
                spare::keep(std::mem::take(&mut self.writing));
                self.written = 0;
                self.stalled = None;
                return Pin::new(&mut self.stream).poll_flush(cx);
            }
            self.writing.clear();
            self.written = 0;
            std::mem::swap(&mut self.writing, &mut streams.out);
        }
    }
}
