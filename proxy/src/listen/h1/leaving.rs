//! A hit on its way out.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt as _;

use super::tail::{Tail, write_some};
use crate::front::{Content, Hit};
use crate::http::SinkError;
use crate::listen::spare;
use crate::listen::stream::Outlet;

/// Content up to this size is sent in one piece with its head: a second buffer costs the system call less than copying more.
const JOIN: usize = 4 * 1024;

/// What is still to be sent of a hit.
pub(super) struct Leaving {
    pub(super) out: BytesMut,
    /// Content that goes out behind it, from where it lies.
    pub(super) tail: Tail,
}

impl Leaving {
    pub(super) fn new(hit: &Hit, closing: bool) -> Self {
        let mut out = spare::take();
        hit.write_head(&mut out, closing);
        let tail = match hit.content() {
            None => Tail::default(),
            Some(Content::Memory(content)) if content.len() <= JOIN => {
                out.extend_from_slice(content);
                Tail::default()
            }
            Some(Content::Memory(content)) => Tail::Memory(content.clone()),
            Some(Content::File(slice)) => Tail::File(Bytes::new(), slice.clone()),
        };
        Self { out, tail }
    }

    /// Sends what the client takes at once: one write where it is small.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, stream: &mut impl Outlet) -> Poll<Result<(), SinkError>> {
        let sent = self.poll_all(cx, stream);
        if sent.is_ready() {
            spare::keep(std::mem::take(&mut self.out));
        }
        sent
    }

    fn poll_all(&mut self, cx: &mut Context<'_>, stream: &mut impl Outlet) -> Poll<Result<(), SinkError>> {
        let Self { out, tail } = self;
        while !out.is_empty() || !tail.is_empty() {
            ready!(pin!(write_some(stream, out, tail)).poll(cx))?;
        }
        pin!(stream.flush()).poll(cx).map_err(|_| SinkError::Gone)
    }
}
