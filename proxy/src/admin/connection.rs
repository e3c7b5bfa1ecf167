//! One connection: one request, one response, every wait bounded.

use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::request::{self, Failure};
use super::response::Response;
use super::{AdminState, purges, routes};
use crate::purge::api::Call;

/// A whole head must have arrived after this, however it drips.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// A whole response must have been taken after this.
const SEND_DEADLINE: Duration = Duration::from_secs(10);
/// How long, and how many bytes, content nobody asked for is read away, so that the kernel does not answer it with a reset
/// that overtakes the response.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// Reads a request from `stream`, answers it and closes.
pub(super) async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &(dyn AdminState + Send + Sync)) {
    let (response, head) = match timeout(HEAD_DEADLINE, request::read(&mut stream)).await {
        Ok(Ok(request)) if Call::is_one(&request.method, &request.path) => {
            (purges::respond(&request, state).await, false)
        }
        Ok(Ok(request)) => (routes::respond(&request, state).await, request.method == "HEAD"),
        Ok(Err(Failure::Status(status))) => (Response::status(status), false),
        Ok(Err(Failure::Gone)) => return,
        Err(_) => (Response::status(StatusCode::REQUEST_TIMEOUT), false),
    };
    let bytes = response.to_bytes(head);
    let lines = response.lines.filter(|_| !head);
    if !matches!(timeout(SEND_DEADLINE, stream.write_all(&bytes)).await, Ok(Ok(()))) {
        return;
    }
    if let Some(lines) = lines
        && !send_lines(&mut stream, lines).await
    {
        return;
    }
    if !matches!(timeout(SEND_DEADLINE, stream.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    let drain = async {
        let mut rest = [0; 1024];
        let mut left = LINGER_BYTES;
        while let Ok(count @ 1..) = stream.read(&mut rest).await {
            left = left.saturating_sub(count);
            if left == 0 {
                return;
            }
        }
    };
    // Whether it took too long makes no difference any more.
    let _ = timeout(LINGER, drain).await;
}

/// Sends `lines` in chunks, as they come; whether all of them went. The deadline is for each piece.
async fn send_lines(stream: &mut (impl AsyncWrite + Unpin), mut lines: mpsc::Receiver<String>) -> bool {
    while let Some(line) = lines.recv().await {
        // A chunk without content would be the last.
        if line.is_empty() {
            continue;
        }
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        if !matches!(timeout(SEND_DEADLINE, stream.write_all(chunk.as_bytes())).await, Ok(Ok(()))) {
            return false;
        }
    }
    matches!(timeout(SEND_DEADLINE, stream.write_all(b"0\r\n\r\n")).await, Ok(Ok(())))
}
