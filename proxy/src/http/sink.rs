//! Where an answer is written to: an HTTP/1 connection or an HTTP/2 stream.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::listen::h1::H1Writer;
use crate::listen::h2::H2Writer;
use crate::stages::offload::FileSlice;

/// How the end of the content is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is no content and no length is told: 1xx, 204, 304.
    Bodiless,
    /// So many bytes.
    Known(u64),
    /// Until it ends.
    Unknown,
    /// An upgraded connection: raw bytes follow the head.
    Tunnel,
}

/// Why an answer could not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SinkError {
    /// The client left.
    #[error("client-left")]
    Gone,
    /// The client reads more slowly than `limits.send_rate_floor`.
    #[error("client-too-slow")]
    TooSlow,
    /// The content ended before its declared length.
    #[error("content-too-short")]
    Short,
    /// The content went on beyond its declared length.
    #[error("content-too-long")]
    Long,
}

/// The client's connection, or somebody who looks on.
pub(crate) enum Sink<'a> {
    H1(&'a mut H1Writer),
    H2(H2Writer),
    /// Nobody reads it: the head is kept, the content counted.
    Watched(&'a mut Watched),
}

/// An answer that was made to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    /// Content bytes.
    pub(crate) bytes: u64,
    /// It broke off.
    pub(crate) cut: bool,
}

impl Sink<'_> {
    /// Sends an interim response (RFC 9110 section 15.2).
    pub(crate) async fn informational(&mut self, status: StatusCode, fields: &HeaderMap) -> Result<(), SinkError> {
        match self {
            Self::H1(writer) => writer.informational(status, fields).await,
            Self::H2(writer) => writer.informational(status, fields),
            Self::Watched(_) => Ok(()),
        }
    }

    /// Sends the head. For HEAD requests no content follows, whatever `length` says.
    pub(crate) async fn head(
        &mut self,
        status: StatusCode,
        fields: HeaderMap,
        length: Length,
        head_only: bool,
    ) -> Result<(), SinkError> {
        match self {
            Self::H1(writer) => writer.head(status, &fields, length, head_only),
            Self::H2(writer) => writer.head(status, fields, length, head_only),
            Self::Watched(watched) => {
                (watched.status, watched.fields) = (status, fields);
                Ok(())
            }
        }
    }

    /// Sends content.
    pub(crate) async fn data(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        match self {
            Self::H1(writer) => writer.data(chunk).await,
            Self::H2(writer) => writer.data(chunk).await,
            Self::Watched(watched) => {
                watched.bytes += chunk.len() as u64;
                Ok(())
            }
        }
    }

    /// Sends a part of a file.
    pub(crate) async fn slice(&mut self, mut slice: FileSlice) -> Result<(), SinkError> {
        if let Self::H1(writer) = self
            && writer.takes(&slice)
        {
            return writer.slice(slice).await;
        }
        while let Some(chunk) = slice.read().await.map_err(|_| SinkError::Short)? {
            self.data(chunk).await?;
        }
        Ok(())
    }

    /// Puts what is buffered on the wire: nothing more comes for the moment.
    pub(crate) async fn flush(&mut self) -> Result<(), SinkError> {
        match self {
            Self::H1(writer) => writer.flush().await,
            Self::H2(_) | Self::Watched(_) => Ok(()),
        }
    }

    /// The content is whole.
    pub(crate) async fn finish(&mut self) -> Result<(), SinkError> {
        match self {
            Self::H1(writer) => writer.finish().await,
            Self::H2(writer) => writer.finish().await,
            Self::Watched(_) => Ok(()),
        }
    }

    /// The content cannot be completed: the client must see that it is cut.
    pub(crate) fn abort(&mut self) {
        match self {
            Self::H1(writer) => writer.abort(),
            Self::H2(writer) => writer.abort(),
            Self::Watched(watched) => watched.cut = true,
        }
    }

    /// Waits until the client has left.
    pub(crate) async fn gone(&mut self) {
        match self {
            Self::H1(writer) => writer.gone().await,
            Self::H2(writer) => writer.gone().await,
            Self::Watched(_) => std::future::pending().await,
        }
    }

    /// The connection must not be used for another request; said in the head if that is not out yet.
    pub(crate) fn close_after(&mut self) {
        if let Self::H1(writer) = self {
            writer.close_after();
        }
    }

    /// Content bytes sent.
    pub(crate) fn sent(&self) -> u64 {
        match self {
            Self::H1(writer) => writer.sent(),
            Self::H2(writer) => writer.sent(),
            Self::Watched(watched) => watched.bytes,
        }
    }
}
