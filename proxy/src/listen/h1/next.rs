//! Reading a request head of which something is there, under a deadline.

use std::pin::Pin;

use http::StatusCode;
use tokio::io::AsyncReadExt as _;
use tokio::time::Sleep;

use super::Session;
use super::body::Incoming;
use super::parse::{self, Head};
use crate::deadline::Deadline;
use crate::front::{self, Hit};
use crate::http::Refusal;
use crate::runtime::Runtime;

/// First read of a head; grows with it.
pub(super) const HEAD_READ: usize = 4 * 1024;

/// What came instead of, or as, the next request.
#[expect(clippy::large_enum_variant, reason = "a hit allocates nothing")]
pub(super) enum Next {
    /// A request the front has found the answer of.
    Hit(Hit),
    Head(Head),
    Refused(Refusal),
    Closed,
}

/// Reads up to the end of the head that begins `incoming`'s buffer. A whole head has `head_timeout` from its first byte
/// on, however it drips; that of the first request has it since the connection was accepted. What `is_seen` already is not
/// for the front.
pub(super) async fn next(
    session: &Session,
    deadline: &mut Deadline<Pin<&mut Sleep>>,
    incoming: &mut Incoming,
    runtime: &Runtime,
    mut is_seen: bool,
) -> Next {
    let limits = &runtime.config.limits;
    let mut is_set = session.is_first;
    loop {
        let is_new = !std::mem::take(&mut is_seen);
        if is_new && let Some(hit) = front::find(runtime, &session.connection, &mut incoming.buffer) {
            return Next::Hit(hit);
        }
        match parse::head(&mut incoming.buffer, limits) {
            Ok(Some(head)) => return Next::Head(head),
            Ok(None) => {}
            Err(refusal) => return Next::Refused(refusal),
        }
        if !std::mem::replace(&mut is_set, true) {
            deadline.set(limits.head_timeout);
        }
        incoming.buffer.reserve(HEAD_READ);
        tokio::select! {
            biased;
            read = incoming.reader.read_buf(&mut incoming.buffer) => match read {
                Ok(0) | Err(_) => return Next::Closed,
                Ok(_) => {}
            },
            () = deadline.passed() => return Next::Refused(Refusal::new(StatusCode::REQUEST_TIMEOUT, "head-timeout")),
        }
    }
}
