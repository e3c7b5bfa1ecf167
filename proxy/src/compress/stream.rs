//! Content coded while it arrives, for as many readers as want it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use forebay_cache::body::{Body, BodyReader, BodyWriter, Limits, Retention, SpoolSpace};
use forebay_cache::semantics::coding::Coding;

use super::{Encoder, Quality};

/// Pieces above this are coded off the worker thread: other connections must not wait for them.
const INLINE: usize = 8 * 1024;

/// Starts coding what `reader` delivers. The result is kept whole or let go of, as `retention` says; `then` gets the whole
/// once it is complete and was kept.
pub(crate) fn start(
    reader: BodyReader,
    coding: Coding,
    retention: Retention,
    space: &Arc<SpoolSpace>,
    then: impl FnOnce(Bytes) + Send + 'static,
) -> io::Result<Arc<Body>> {
    let quality = if retention == Retention::Keep { Quality::Store } else { Quality::Fly };
    let encoder = Encoder::new(coding, quality, None)?;
    let (writer, body) = Body::new(retention, Limits::default(), Arc::clone(space));
    tokio::spawn(async move {
        if let Some(writer) = encode(reader, writer, encoder).await {
            if let Some(content) = writer.content() {
                then(content);
            }
            writer.finish();
        }
    });
    Ok(body)
}

/// Codes to the end; `None` when the content broke off or nobody reads it. What has been read is flushed whenever there
/// is nothing more for the moment, so that a page that is produced slowly arrives as it is produced.
async fn encode(mut reader: BodyReader, mut writer: BodyWriter, mut encoder: Encoder) -> Option<BodyWriter> {
    let mut pending = false;
    loop {
        let chunk = match reader.ready() {
            Some(chunk) => Some(chunk),
            None => {
                // Flushing an empty encoder would only add bytes.
                if std::mem::take(&mut pending) {
                    writer.push(encoder.flush().ok()?).await.ok()?;
                }
                match reader.next().await {
                    Ok(chunk) => chunk,
                    Err(error) => {
                        writer.abort(&error.to_string());
                        return None;
                    }
                }
            }
        };
        let Some(chunk) = chunk else { break };
        let coded;
        (encoder, coded) = write(encoder, chunk).await?;
        pending = true;
        writer.push(coded).await.ok()?;
    }
    writer.push(encoder.finish().ok()?).await.ok()?;
    Some(writer)
}

async fn write(mut encoder: Encoder, chunk: Bytes) -> Option<(Encoder, Bytes)> {
    if chunk.len() <= INLINE {
        let coded = encoder.write(&chunk).ok()?;
        return Some((encoder, coded));
    }
    let task = tokio::task::spawn_blocking(move || encoder.write(&chunk).map(|coded| (encoder, coded)));
    task.await.ok()?.ok()
}
