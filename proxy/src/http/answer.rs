//! What a stage answers a request with.

use bytes::Bytes;
use forebay_cache::body::BodyReader;
use forebay_cache::store::disk::LargeReader;
use http::{HeaderMap, StatusCode};

use crate::stages::offload::FileBody;

/// A response ready to be sent: every field final but the connection's own.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) content: Content,
    /// Length of the content a GET would get, where it is known.
    pub(crate) length: Option<u64>,
}

/// Where the content of an answer comes from.
#[derive(Debug)]
pub(crate) enum Content {
    /// There is none.
    Empty,
    /// In memory, in order.
    Memory(Vec<Bytes>),
    /// On its way from an upstream.
    Stream(BodyReader),
    /// A part of what is on its way: skip so many bytes, send so many.
    StreamRange(BodyReader, u64, u64),
    /// From the disk tier.
    Stored(LargeReader),
    /// From the file system.
    File(Box<FileBody>),
    /// An upgraded connection: bytes of the upstream as they come, until either side ends.
    Tunnel(BodyReader),
}

impl Answer {
    /// Without content.
    pub(crate) fn empty(status: StatusCode, fields: HeaderMap) -> Self {
        Self { status, fields, content: Content::Empty, length: Some(0) }
    }

    /// With content in memory.
    pub(crate) fn whole(status: StatusCode, fields: HeaderMap, content: Bytes) -> Self {
        let length = Some(content.len() as u64);
        Self { status, fields, content: Content::Memory(vec![content]), length }
    }
}
