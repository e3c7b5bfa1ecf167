//! What of this folder has its instructions counted: see `front/instructions.rs`.

use bytes::BytesMut;

use super::frame;
use super::head::Head;
use super::hpack::{self, Decoder};
use super::request::with_lines;
use crate::front::{self, Asked};
use crate::listen::Connection;
use crate::runtime::Runtime;

/// One client's requests.
pub(crate) struct Client(Decoder);

impl Client {
    pub(crate) fn new() -> Self {
        Self(Decoder::new())
    }

    /// The head of the answer to the request in `block`, as it would be sent. `None`: it was none for the front.
    pub(crate) fn answer(&mut self, runtime: &Runtime, connection: &Connection, block: &[u8]) -> Option<BytesMut> {
        with_lines(runtime.config.limits.head_size, |lines| {
            self.0.decode(block, lines).ok()?;
            let head = Head::read(lines)?;
            let asked = Asked { method: head.method, target: head.target, authority: head.authority?, room: 1 << 16 };
            let hit = front::find_coded(runtime, connection, &asked, head.fields())?;
            let mut out = BytesMut::with_capacity(512);
            frame::headers(&mut out, 1, false, |out| {
                out.extend_from_slice(hit.head());
                hit.late_lines(|line, rest| hpack::line(out, line, rest));
            });
            Some(out)
        })
    }
}

/// The block of a request with these fields, none of which the client puts into its table.
pub(crate) fn block(fields: &[(&str, &str)]) -> BytesMut {
    let mut out = BytesMut::new();
    fields.iter().for_each(|(name, value)| hpack::field(&mut out, name, value.as_bytes()));
    out
}
