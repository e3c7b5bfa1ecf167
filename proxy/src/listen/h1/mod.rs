//! HTTP/1 connections: heads are read under a deadline, requests are served one after the other, responses leave in
//! the order of the requests.

mod body;
mod chunked;
mod framing;
mod gone;
mod idle;
mod next;
mod parse;
mod writer;

use std::sync::Arc;

use bytes::BytesMut;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, Method, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::Connection;
use super::stream::Stream;
use crate::front;
use crate::http::{Refusal, Request, RequestBody, Sink};
use crate::runtime::{Runtime, Shared};
use crate::service;
use body::Incoming;
use framing::Framing;
use gone::Gone;
use idle::Idle;
use next::{Deadline, HEAD_READ, Next};
use parse::Head;

pub(crate) use body::H1Body;
pub(crate) use parse::whole_head;
pub(crate) use writer::{H1Writer, RateFloor, start};

/// Pipelined requests read while one is served, bytes.
const READ_AHEAD: usize = 64 * 1024;

/// How long, and how many bytes, a client may go on sending after a response that closes the connection. Closing with
/// unread bytes would reset the connection and could destroy the response on its way.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Serves a connection until it ends. `early` was read from it already.
///
/// Most connections wait most of the time, so what waits is small: whatever a request needs beyond that is boxed, and a
/// hit needs nothing.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    stream: Stream,
    early: BytesMut,
    mut drain: watch::Receiver<bool>,
) {
    let (reader, writer) = stream.split();
    let mut incoming = Incoming { reader, buffer: early, complete: true };
    let (floor, head_timeout) = {
        let limits = &shared.runtime().config.limits;
        (RateFloor { rate: limits.send_rate_floor, grace: limits.send_grace }, limits.head_timeout)
    };
    let mut writer = H1Writer::new(writer, floor, drain.clone());
    let mut deadline = Deadline::new(head_timeout);
    let mut first = true;
    loop {
        if incoming.buffer.is_empty() {
            match idle::idle(shared, connection, &mut incoming, &mut writer, &mut first, &mut deadline, &mut drain)
                .await
            {
                Idle::Closed => return,
                Idle::Over => return Box::pin(close(Some(incoming), writer)).await,
                Idle::Request => {}
                Idle::Stuck(hit) => {
                    let sent = Box::pin(writer.rest_of_hit()).await;
                    front::account(&shared.runtime(), *hit, sent);
                    if sent.is_err() || !writer.keeps_alive() {
                        return Box::pin(close(Some(incoming), writer)).await;
                    }
                    first = false;
                    continue;
                }
            }
        }
        match Box::pin(busy(shared, connection, incoming, &mut writer, first, &mut deadline, &drain)).await {
            Busy::Rests(returned) => incoming = returned,
            Busy::Over(returned) => return Box::pin(close(returned, writer)).await,
            Busy::Closed => return,
        }
        first = false;
    }
}

/// How a connection's requests went.
enum Busy {
    /// All that came is answered.
    Rests(Incoming),
    /// The last response is written; the connection is to be closed.
    Over(Option<Incoming>),
    /// It is closed.
    Closed,
}

/// Serves the requests of which something is there, one after the other.
async fn busy(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    mut incoming: Incoming,
    writer: &mut H1Writer,
    mut first: bool,
    deadline: &mut Deadline,
    drain: &watch::Receiver<bool>,
) -> Busy {
    while !incoming.buffer.is_empty() {
        let runtime = shared.runtime();
        let request = match next::next(&mut incoming, &runtime, connection, first, deadline).await {
            Next::Closed => return Busy::Closed,
            Next::Hit(hit) => {
                first = false;
                let sent = writer.hit(&hit).await;
                front::account(&runtime, hit, sent);
                if sent.is_err() || !writer.keeps_alive() {
                    return Busy::Over(Some(incoming));
                }
                continue;
            }
            Next::Refused(refusal) => Err(refusal),
            Next::Head(head) => framed(head),
        };
        first = false;
        let framed = match request {
            Ok(framed) => framed,
            Err(refusal) => {
                writer.begin(Version::HTTP_11, false);
                Box::pin(service::refuse(&runtime, connection, refusal, Sink::H1(writer))).await;
                return Busy::Over(Some(incoming));
            }
        };
        writer.begin(framed.head.version, framed.keep_alive && !*drain.borrow());
        match exchange(&runtime, connection, framed, incoming, writer).await {
            Some(returned) if returned.complete && writer.keeps_alive() => incoming = returned,
            returned => return Busy::Over(returned),
        }
    }
    Busy::Rests(incoming)
}

/// A head whose content is delimited beyond doubt.
struct Framed {
    head: Head,
    framing: Framing,
    expects_continue: bool,
    keep_alive: bool,
}

fn framed(head: Head) -> Result<Framed, Refusal> {
    let framing = framing::of(head.version, &head.fields)?;
    let expects_continue = framing::expects_continue(head.version, &head.fields)?;
    let keep_alive = keep_alive(head.version, &head.fields);
    Ok(Framed { head, framing, expects_continue, keep_alive })
}

/// One request and its response. `None` when the reading half did not come back.
async fn exchange(
    runtime: &Arc<Runtime>,
    connection: &Arc<Connection>,
    framed: Framed,
    incoming: Incoming,
    writer: &mut H1Writer,
) -> Option<Incoming> {
    let limits = &runtime.config.limits;
    let Framed { head, framing, expects_continue, .. } = framed;
    let lends = framing != Framing::None || is_websocket(&head);
    let Head { method, target, version, fields } = head;
    let mut request = Request { method, target, version, fields, body: RequestBody::Empty, continue_wanted: None };
    if !lends {
        let mut incoming = incoming;
        let gone = writer.gone_flag();
        // Boxed: a connection that waits, or hits, need not hold the room for it.
        let mut serving = Box::pin(service::serve(runtime, connection, request, Sink::H1(writer)));
        tokio::select! {
            biased;
            () = &mut serving => return Some(incoming),
            () = watch_for_end(&mut incoming, &gone) => {}
        }
        serving.await;
        return Some(incoming);
    }
    let incoming = Incoming { complete: false, ..incoming };
    let (body, lent) = H1Body::new(incoming, framing, expects_continue, limits.body_size, limits.body_timeout);
    request.body = RequestBody::H1(Box::new(body));
    request.continue_wanted = lent.continue_wanted;
    Box::pin(service::serve(runtime, connection, request, Sink::H1(writer))).await;
    timeout(LINGER, lent.returned).await.ok()?.ok()
}

/// Reads ahead until the client closes its side or has pipelined more than is read ahead.
async fn watch_for_end(incoming: &mut Incoming, gone: &Gone) {
    while incoming.buffer.len() < READ_AHEAD {
        incoming.buffer.reserve(HEAD_READ);
        match incoming.reader.read_buf(&mut incoming.buffer).await {
            Ok(0) | Err(_) => return gone.set(),
            Ok(_) => {}
        }
    }
}

/// RFC 9112 section 9.3.
fn keep_alive(version: Version, fields: &HeaderMap) -> bool {
    let says = |option: &str| connection_options(fields).any(|token| token.eq_ignore_ascii_case(option.as_bytes()));
    if version == Version::HTTP_10 { says("keep-alive") && !says("close") } else { !says("close") }
}

fn connection_options(fields: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    fields
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// The one upgrade that is forwarded (RFC 6455 section 4.1).
fn is_websocket(head: &Head) -> bool {
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && head.fields.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && connection_options(&head.fields).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
}

/// Ends the connection so that the last response arrives, or, when it was cut, so that the client sees that.
async fn close(incoming: Option<Incoming>, mut writer: H1Writer) {
    if writer.is_aborted() {
        return writer.stream.reset_on_close();
    }
    let _ = writer.stream.shutdown().await;
    let Some(mut incoming) = incoming else { return };
    let until = Instant::now() + LINGER;
    let mut discarded = 0;
    while discarded < LINGER_BYTES {
        incoming.buffer.clear();
        incoming.buffer.reserve(HEAD_READ);
        match timeout_at(until, incoming.reader.read_buf(&mut incoming.buffer)).await {
            Ok(Ok(read)) if read > 0 => discarded += read,
            _ => return,
        }
    }
}
