//! An answer on its way to the client.

use bytes::Bytes;
use forebay_cache::body::BodyReader;
use http::{Method, StatusCode};

use crate::http::{Answer, Content, Length, Sink, SinkError};
use crate::stages::offload::Part;

/// Sends `answer`. On any error the client sees that the response is cut: never a short one that looks whole.
///
/// # Errors
///
/// Why it was cut.
pub(crate) async fn send(sink: &mut Sink<'_>, answer: Answer, method: &Method) -> Result<(), SinkError> {
    let sent = write(sink, answer, method).await;
    if sent.is_err() {
        sink.abort();
    }
    sent
}

async fn write(sink: &mut Sink<'_>, answer: Answer, method: &Method) -> Result<(), SinkError> {
    let Answer { status, fields, content, length } = answer;
    let head_only = *method == Method::HEAD;
    let length = match (&content, length) {
        (Content::Tunnel(_), _) => Length::Tunnel,
        _ if is_bodiless(status) => Length::Bodiless,
        (_, Some(length)) => Length::Known(length),
        (_, None) => Length::Unknown,
    };
    sink.head(status, fields, length, head_only).await?;
    if !head_only && length != Length::Bodiless {
        match content {
            Content::Empty => {}
            Content::Memory(parts) => {
                for part in parts {
                    sink.data(part).await?;
                }
            }
            Content::Stream(reader) => stream(sink, reader, 0, u64::MAX).await?,
            Content::StreamRange(reader, skip, wanted) => stream(sink, reader, skip, wanted).await?,
            Content::Stored(mut reader) => {
                while let Some(chunk) = reader.next().await.map_err(|_| SinkError::Short)? {
                    sink.data(chunk).await?;
                }
            }
            Content::File(mut file) => {
                while let Some(part) = file.next_part() {
                    match part {
                        Part::Bytes(bytes) => sink.data(bytes).await?,
                        Part::File(slice) => sink.slice(slice).await?,
                    }
                }
            }
            Content::Tunnel(reader) => {
                sink.flush().await?;
                stream(sink, reader, 0, u64::MAX).await?;
            }
        }
    }
    sink.finish().await
}

/// RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: these have no content, and say nothing of its length.
fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Sends what `reader` delivers, without the first `skip` bytes, `wanted` at most. What has arrived goes out whenever
/// nothing more is there for the moment.
async fn stream(sink: &mut Sink<'_>, mut reader: BodyReader, mut skip: u64, mut wanted: u64) -> Result<(), SinkError> {
    while wanted > 0 {
        skip -= reader.skip(skip);
        let chunk = match reader.ready() {
            Some(chunk) => chunk,
            None => {
                sink.flush().await?;
                match reader.next().await.map_err(|_| SinkError::Short)? {
                    Some(chunk) => chunk,
                    None => break,
                }
            }
        };
        let chunk = part(chunk, &mut skip, &mut wanted);
        if !chunk.is_empty() {
            sink.data(chunk).await?;
        }
    }
    Ok(())
}

fn part(mut chunk: Bytes, skip: &mut u64, wanted: &mut u64) -> Bytes {
    let skipped = usize::try_from(*skip).unwrap_or(usize::MAX).min(chunk.len());
    *skip -= skipped as u64;
    let _ = chunk.split_to(skipped);
    chunk.truncate(usize::try_from(*wanted).unwrap_or(usize::MAX));
    *wanted -= chunk.len() as u64;
    chunk
}
