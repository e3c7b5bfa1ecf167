//! Request content of a stream.

use std::future::poll_fn;

use bytes::Bytes;
use tokio::time::{Duration, timeout};

use super::handle::Handle;
use super::streams::Broken;
use crate::http::BodyReadError;

/// Request content of a stream.
#[derive(Debug)]
pub(crate) struct H2Body {
    stream: Handle,
    length: Option<u64>,
    received: u64,
    largest: u64,
    pause: Duration,
}

impl H2Body {
    /// Of a declared `length`, where there is one, and with no longer `pause` between its parts.
    pub(super) fn new(stream: Handle, length: Option<u64>, pause: Duration) -> Self {
        Self { stream, length, received: 0, largest: u64::MAX, pause }
    }

    pub(crate) fn hold_to(&mut self, largest: u64) {
        self.largest = largest;
    }

    /// Whether it is known by now that nothing more comes.
    pub(super) fn is_at_end(&self) -> bool {
        self.stream.is_at_end()
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyReadError> {
        match timeout(self.pause, poll_fn(|cx| self.stream.poll_content(cx))).await {
            Err(_) => Err(BodyReadError::TimedOut),
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some(data))) => {
                self.received += data.len() as u64;
                if self.received > self.largest { Err(BodyReadError::TooLarge) } else { Ok(Some(data)) }
            }
            Ok(Err(Broken::Gone)) => Err(BodyReadError::Disconnected),
            Ok(Err(Broken::Malformed)) => Err(BodyReadError::Malformed),
        }
    }
}
