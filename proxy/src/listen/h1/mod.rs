//! HTTP/1 connections: heads are read under a deadline, requests are served one after the other, responses leave in
//! the order of the requests.

mod body;
#[cfg(test)]
pub(crate) mod counted;
mod framing;
mod gone;
mod idle;
mod leaving;
mod next;
mod parse;
mod tail;
mod writer;

use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::BytesMut;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, Method, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Sleep, sleep, timeout};

use super::Connection;
use super::draining::Draining;
use super::linger::{LINGER, linger};
use super::stream::Stream;
use crate::front::{self, Hit};
use crate::http::{Refusal, Request, RequestBody, Sink, SinkError};
use crate::runtime::{Runtime, Shared};
use crate::service;
use body::Incoming;
use framing::Framing;
use gone::Gone;
use idle::{Idle, Stuck};
use next::{HEAD_READ, Next};
use parse::Head;

pub(crate) use crate::deadline::Deadline;
pub(crate) use body::H1Body;
pub(crate) use parse::ends_lines;
pub(crate) use writer::{H1Writer, RateFloor, start};

/// Pipelined requests read while one is served, bytes.
const READ_AHEAD: usize = 64 * 1024;

/// A connection's state between requests. It lies in the connection's future and is never moved: a future keeps room for
/// each place a value is moved through, and most connections wait most of the time.
struct Session {
    shared: Arc<Shared>,
    connection: Connection,
    /// Elsewhere, in halves, while requests take the long way.
    stream: Option<Stream>,
    /// No request came yet.
    is_first: bool,
}

/// Serves a connection until it ends, and holds on to `held` as long.
pub(crate) fn serve(
    shared: Arc<Shared>,
    connection: Connection,
    stream: Stream,
    draining: Arc<Draining>,
    held: impl Send,
) -> impl Future<Output = ()> + Send {
    let mut session = Session { shared, connection, stream: Some(stream), is_first: true };
    async move {
        let _ = &held;
        let within = session.shared.runtime().config.limits.head_timeout;
        let timer = pin!(sleep(within));
        let mut deadline = Deadline::of(timer);
        loop {
            let idle = idle::idle(&mut session, &mut deadline, &draining, pin!(draining.begun())).await;
            if matches!(idle, Idle::Closed) || !Box::pin(attend(&mut session, &mut deadline, &draining, idle)).await {
                return;
            }
        }
    }
}

/// Does what ended the wait, and serves what came since. False: the connection is closed.
async fn attend(
    session: &mut Session,
    deadline: &mut Deadline<Pin<&mut Sleep>>,
    draining: &Arc<Draining>,
    idle: Idle,
) -> bool {
    let Some((reader, writer)) = session.stream.take().map(Stream::split) else { return false };
    let floor = {
        let limits = &session.shared.runtime().config.limits;
        RateFloor::of(limits)
    };
    let connection = Arc::new(session.connection.clone());
    let mut writer = H1Writer::new(writer, floor, Arc::clone(draining));
    let mut incoming = Box::new(Incoming { reader, buffer: BytesMut::new(), complete: true });
    let mut is_seen = true;
    let busy = match idle {
        Idle::Closed => return false,
        Idle::Over => Busy::Over(Some(incoming)),
        Idle::Request(buffer) => {
            incoming.buffer = buffer;
            Busy::Rests(incoming)
        }
        Idle::Stuck(stuck) => {
            let Stuck { hit, leaving, keep_alive, behind } = *stuck;
            (incoming.buffer, is_seen) = (behind, false);
            let sent = writer.rest_of_hit(leaving, keep_alive).await;
            if finish(session, &writer, hit, sent) { Busy::Rests(incoming) } else { Busy::Over(Some(incoming)) }
        }
    };
    let busy = match busy {
        Busy::Rests(incoming) => serve_all(session, &connection, deadline, &mut writer, incoming, is_seen).await,
        ended => ended,
    };
    match busy {
        Busy::Rests(incoming) => {
            writer.rest();
            session.stream = Stream::unite(incoming.reader, writer.stream);
            deadline.set(session.shared.runtime().config.limits.keepalive_timeout);
            true
        }
        Busy::Over(incoming) => {
            close(writer, incoming).await;
            false
        }
        Busy::Closed => false,
    }
}

/// Accounts for a hit. False: the connection is to be closed.
fn finish(session: &mut Session, writer: &H1Writer, hit: Hit, sent: Result<(), SinkError>) -> bool {
    session.is_first = false;
    let is_sent = sent.is_ok();
    let _ = front::account(&session.shared.runtime(), hit, sent);
    is_sent && writer.keeps_alive()
}

/// How a connection's requests went.
enum Busy {
    /// All that came is answered.
    Rests(Box<Incoming>),
    /// The last response is written; the connection is to be closed.
    Over(Option<Box<Incoming>>),
    /// It is closed.
    Closed,
}

/// Serves the requests of which something is there, one after the other. The first `is_seen` by the front or not.
async fn serve_all(
    session: &mut Session,
    connection: &Arc<Connection>,
    deadline: &mut Deadline<Pin<&mut Sleep>>,
    writer: &mut H1Writer,
    mut incoming: Box<Incoming>,
    mut is_seen: bool,
) -> Busy {
    while !incoming.buffer.is_empty() {
        let runtime = session.shared.runtime();
        let is_seen = std::mem::take(&mut is_seen);
        let request = match next::next(session, deadline, &mut incoming, &runtime, is_seen).await {
            Next::Closed => return Busy::Closed,
            Next::Hit(hit) => {
                let sent = writer.hit(&hit).await;
                if !finish(session, writer, hit, sent) {
                    return Busy::Over(Some(incoming));
                }
                continue;
            }
            Next::Refused(refusal) => Err(refusal),
            Next::Head(head) => framed(head),
        };
        session.is_first = false;
        let framed = match request {
            Ok(framed) => framed,
            Err(refusal) => {
                writer.begin(Version::HTTP_11, false);
                service::refuse(&runtime, connection, refusal, Sink::H1(writer)).await;
                return Busy::Over(Some(incoming));
            }
        };
        writer.begin(framed.head.version, framed.keep_alive);
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
    mut incoming: Box<Incoming>,
    writer: &mut H1Writer,
) -> Option<Box<Incoming>> {
    let limits = &runtime.config.limits;
    let Framed { head, framing, expects_continue, .. } = framed;
    let lends = framing != Framing::None || is_websocket(&head);
    let Head { method, target, version, fields } = head;
    let mut request = Request { method, target, version, fields, body: RequestBody::Empty, continue_wanted: None };
    if !lends {
        let gone = writer.gone_flag();
        let mut serving = Box::pin(service::serve(runtime, connection, request, Sink::H1(writer)));
        tokio::select! {
            biased;
            () = &mut serving => return Some(incoming),
            () = watch_for_end(&mut incoming, &gone) => {}
        }
        serving.await;
        return Some(incoming);
    }
    incoming.complete = false;
    let (body, lent) = H1Body::new(incoming, framing, expects_continue, limits.body_timeout);
    request.body = RequestBody::H1(Box::new(body));
    request.continue_wanted = lent.continue_wanted;
    service::serve(runtime, connection, request, Sink::H1(writer)).await;
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
async fn close(mut writer: H1Writer, incoming: Option<Box<Incoming>>) {
    if writer.is_aborted() {
        return writer.stream.reset_on_close();
    }
    let _ = writer.stream.shutdown().await;
    let Some(mut incoming) = incoming else { return };
    linger(&mut incoming.reader).await;
}
