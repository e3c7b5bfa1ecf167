//! What a response does while its content arrives: into the store and to all who asked, or to the one it is for.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use forebay_cache::body::{Body, BodyWriter, Limits, Retention};
use forebay_cache::fill::{Flight, Verdict};
use forebay_cache::semantics::hop_by_hop;
use forebay_cache::store::disk::LargeWriter;
use forebay_cache::stored::StoredResponse;
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, DATE, HeaderName};
use http::{HeaderMap, StatusCode};

use super::FetchError;
use super::forward::{Event, Exchange};
use super::keep::{give_up, outgrow};
use super::partial::{self, Keeping};
use super::receive::Head;
use super::run::{Arrived, Failed, Private, StorePlan, UpstreamReport};
use super::shared;
use super::telling::Answer;
use crate::http::date;
use crate::runtime::Lasting;
use crate::upstream::Pool;

/// `Content-Length`, where it is a number.
pub(super) fn content_length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What is known of a whole beyond the content that arrives: bytes before and behind it that were stored, and its length.
pub(super) struct Frame {
    pub(super) before: Vec<Bytes>,
    pub(super) behind: Vec<Bytes>,
    pub(super) length: Option<u64>,
}

impl Frame {
    /// Everything arrives.
    pub(super) fn of(head: &Head) -> Self {
        let length = if head.content { content_length(&head.fields) } else { Some(0) };
        Self { before: Vec::new(), behind: Vec::new(), length }
    }
}

/// Streams a storable response into the store and to everybody who asked for it.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each used once")]
pub(super) async fn fill(
    lasting: &Lasting,
    pool: &Pool,
    plan: &mut StorePlan,
    mut exchange: Exchange,
    head: Head,
    (response, file): (StoredResponse, Option<LargeWriter>),
    frame: Frame,
    answer: Answer,
    report: UpstreamReport,
) -> Result<(), Failed> {
    let (mut writer, body) = Body::new(Retention::Keep, Limits::default(), Arc::clone(&lasting.spool));
    if let Some(file) = file
        && writer.move_to(file).await.is_err()
    {
        return Err((FetchError::UNEXPECTED, Some(answer)));
    }
    let response = Arc::new(response);
    let Frame { before, behind, length } = frame;
    let is_completed = !before.is_empty() || !behind.is_empty();
    let flight = Arc::new(Flight::new(Arc::clone(&response), body, length).unkept(plan.unkept));
    lasting.not_shared.invalidate(&plan.key);
    plan.leader.fill().settle(Verdict::Streaming(Arc::clone(&flight)));
    answer.send((Ok(Arrived::Flight(flight, own_fields(&head, &response))), report));
    let mut received = before.iter().chain(&behind).map(|piece| piece.len() as u64).sum::<u64>();
    let mut keeps = plan.unkept.is_none();
    for piece in before {
        if writer.push(piece).await.is_err() {
            return Ok(());
        }
    }
    let mut in_file = false;
    while head.content && !exchange.has_ended() {
        in_file |= writer.is_in_file();
        // What comes at once is written to the file at once.
        let at_once = if in_file { at_once(exchange.event()).await } else { None };
        let event = match at_once {
            Some(event) => event,
            None => {
                if writer.flush().await.is_err() {
                    break;
                }
                exchange.event().await
            }
        };
        match event {
            Ok(Event::Chunk(chunk)) => {
                received += chunk.len() as u64;
                if keeps && !writer.is_in_file() && received > lasting.store.max_in_memory() {
                    keeps = outgrow(lasting, plan, &mut writer).await;
                    if !keeps {
                        writer.stop_retaining();
                    }
                } else if !keeps && received > lasting.store.max_in_memory() {
                    writer.stop_retaining();
                }
                if writer.push(chunk).await.is_err() {
                    break;
                }
            }
            Ok(Event::End) => break,
            Ok(_) => return abort(exchange, writer, "unexpected"),
            Err(error) => {
                if keeps && behind.is_empty() {
                    partial::keep_beginning(lasting, plan, &response, length, writer.content());
                }
                let _ = writer.flush().await;
                return abort(exchange, writer, error.reason);
            }
        }
        if keeps && in_file && !writer.is_in_file() {
            keeps = false;
            give_up(lasting, plan, "no-room");
        }
    }
    if is_completed && Some(received) != length {
        return abort(exchange, writer, "part-too-short");
    }
    for piece in behind {
        if writer.push(piece).await.is_err() {
            return Ok(());
        }
    }
    if writer.flush().await.is_err() {
        return Ok(());
    }
    if keeps && in_file && !writer.is_in_file() {
        keeps = false;
        give_up(lasting, plan, "no-room");
    }
    // The AP server is done: its worker is free before anything else happens.
    exchange.release(lasting, pool).await;
    if keeps && !plan.leader.fill().is_doomed() {
        if let Some(file) = writer.take_file() {
            lasting.store.commit_large(&plan.key, response, file).await;
        } else if let Some(content) = writer.content() {
            let whole = Arc::new(response.as_ref().clone().with_content(content));
            lasting.store.insert(&plan.key, Arc::clone(&whole));
            if !is_completed {
                shared::offer(lasting, plan, &whole);
            }
        }
        // Invalidated while it was stored: see `invalidate`.
        if plan.leader.fill().is_doomed() {
            lasting.store.remove(&plan.key).await;
        }
    }
    writer.finish();
    Ok(())
}

/// What `future` has now; `None` when it has to be waited for.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What is not stored but is for the client that asked: fields that `private` or `no-cache` name (RFC 9111 sections
/// 5.2.2.4 and 5.2.2.7), and `Set-Cookie` where the site strips it.
fn own_fields(head: &Head, stored: &StoredResponse) -> HeaderMap {
    let is_own =
        |name: &HeaderName| ![AGE, CONTENT_LENGTH, CONTENT_RANGE].contains(name) && !stored.fields().contains_key(name);
    if !head.fields.keys().any(is_own) {
        return HeaderMap::new();
    }
    let mut received = head.fields.clone();
    hop_by_hop::strip_for_storage(&mut received);
    let mut own = HeaderMap::new();
    for (name, value) in received.iter().filter(|(name, _)| is_own(name)) {
        own.append(name.clone(), value.clone());
    }
    own
}

/// The upstream broke off: readers see an error, nothing is stored.
#[expect(clippy::unnecessary_wraps, reason = "the one who asked has the head already; there is nothing left to report")]
fn abort(exchange: Exchange, writer: BodyWriter, reason: &'static str) -> Result<(), Failed> {
    exchange.lease.server().metrics.failed();
    tracing::warn!(server = %exchange.lease.server().label, reason, "response broken off");
    writer.abort(reason);
    Ok(())
}

/// Streams a response to the one client it is for, and keeps a copy of a part that may be stored.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each used once")]
pub(super) async fn hand_over(
    lasting: &Lasting,
    pool: &Pool,
    mut exchange: Exchange,
    head: Head,
    reason: Option<&'static str>,
    mut keeping: Option<(Keeping, &StorePlan)>,
    answer: Answer,
    report: UpstreamReport,
) -> Result<(), Failed> {
    let (mut writer, body) = Body::new(Retention::Release, Limits::default(), Arc::clone(&lasting.spool));
    let Some(reader) = body.reader() else { return Err((FetchError::UNEXPECTED, Some(answer))) };
    drop(body);
    let Head { status, mut fields, content, .. } = head;
    let length = content_length(&fields);
    if status != StatusCode::SWITCHING_PROTOCOLS {
        hop_by_hop::strip(&mut fields);
    }
    if !fields.contains_key(DATE) {
        fields.insert(DATE, date::field(std::time::SystemTime::now()));
    }
    let server = exchange.lease.server().id;
    let private = Private { status, fields, reader, length, server, reason };
    if !answer.send((Ok(Arrived::Private(private)), report)) {
        // The client left while its answer was made; an AP server need not go on for nobody.
        return Ok(());
    }
    let mut keep = |chunk: &Bytes| {
        if let Some((keeping, _)) = &mut keeping {
            keeping.add(chunk);
        }
    };
    let broken = loop {
        if !content || exchange.has_ended() {
            break None;
        }
        match exchange.event().await {
            Ok(Event::Chunk(chunk)) => {
                keep(&chunk);
                if writer.push(chunk).await.is_err() {
                    break Some("client-left");
                }
            }
            Ok(Event::End) => break None,
            Ok(_) => break Some("unexpected"),
            Err(error) => break Some(error.reason),
        }
    };
    if let Some((keeping, plan)) = keeping {
        keeping.store(lasting, plan);
    }
    match broken {
        None => {
            exchange.release(lasting, pool).await;
            writer.finish();
            Ok(())
        }
        Some("client-left") => Ok(()),
        Some(reason) => abort(exchange, writer, reason),
    }
}
