//! What an exchange speaks over: a short connection of its own, a connection of HTTP/1.1 that Pingora keeps or encrypts,
//! or a stream of an HTTP/2 connection that others share.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v1::client::HttpSession as Http1Session;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, RetryType};
use pingora_http::RequestHeader;

use super::FetchError;
use super::forward::Event;
use super::receive::check_framing;
use super::short::Short;

/// One request and its response. What Pingora does is boxed each time: a short exchange has no use for the room it needs.
pub(super) enum Session {
    Short(Box<Short>),
    H1(Box<Http1Session>),
    H2(Box<Stream>),
}

/// A stream of HTTP/2.
pub(super) struct Stream {
    session: Http2Session,
    head_read: bool,
}

/// Why there is no session with a server that was chosen.
#[derive(Debug)]
pub(super) enum Unopened {
    /// There is no connection, and why in the words of who tried.
    Connect(FetchError, Box<dyn std::error::Error + Send + Sync>),
    /// It broke off before the request was out.
    Write(FetchError),
    /// The connection that was to be shared was about to be closed. Nothing was sent.
    Stale,
    /// No server could be asked for this.
    Never(FetchError),
}

/// Why an exchange came to its end before the response did.
pub(super) enum Broken {
    Known(FetchError),
    /// In Pingora's words.
    Of(Box<Error>),
}

impl Session {
    /// What Pingora connected; `None` for what nobody asked it for.
    pub(super) fn new(session: HttpSession, peer: &HttpPeer) -> Option<Self> {
        let (reading, writing) = (peer.options.read_timeout, peer.options.write_timeout);
        match session {
            HttpSession::H1(mut session) => {
                (session.read_timeout, session.write_timeout) = (reading, writing);
                Some(Self::H1(Box::new(session)))
            }
            HttpSession::H2(mut session) => {
                (session.read_timeout, session.write_timeout) = (reading, writing);
                Some(Self::H2(Box::new(Stream { session, head_read: false })))
            }
            HttpSession::Custom(()) => None,
        }
    }

    /// As Pingora takes it back; `None` for what is not to be used again, and closed by that.
    pub(super) fn into_inner(self) -> Option<HttpSession> {
        match self {
            Self::Short(_) => None,
            Self::H1(mut session) => {
                session.respect_keepalive();
                Some(HttpSession::H1(*session))
            }
            Self::H2(stream) => Some(HttpSession::H2(stream.session)),
        }
    }

    /// Whether others share its connection.
    pub(super) fn is_multiplexed(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    /// Sends `head`; without content behind it where it `ends`. Not for a short connection, which began with it.
    pub(super) async fn write_head(&mut self, mut head: Box<RequestHeader>, ends: bool) -> Result<(), Box<Error>> {
        match self {
            Self::Short(_) => Ok(()),
            Self::H1(session) => Box::pin(session.write_request_header(head)).await.map(drop),
            Self::H2(stream) => {
                // Of one connection, which is everybody's here (RFC 9113 section 8.2.2); interim responses are not heard.
                for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, EXPECT] {
                    head.remove_header(&name);
                }
                name_authority(&mut head)?;
                stream.session.write_request_header(head, ends)
            }
        }
    }

    pub(super) async fn write(&mut self, data: Bytes) -> Result<(), Broken> {
        match self {
            Self::Short(session) => session.write(&data).await.map_err(Broken::Known),
            Self::H1(session) => Box::pin(session.write_body(&data)).await.map(drop).map_err(Broken::Of),
            Self::H2(stream) => Box::pin(stream.session.write_request_body(data, false)).await.map_err(Broken::Of),
        }
    }

    pub(super) async fn finish(&mut self) -> Result<(), Broken> {
        match self {
            Self::Short(session) => session.finish().await.map_err(Broken::Known),
            Self::H1(session) => Box::pin(session.finish_body()).await.map(drop).map_err(Broken::Of),
            Self::H2(stream) => stream.session.finish_request_body().map_err(Broken::Of),
        }
    }

    /// The next part of the response, where there is something to tell of it, and whether it is the last. Safe to drop
    /// before it is ready.
    pub(super) async fn next(&mut self) -> Result<(Option<Event>, bool), Broken> {
        let task = match self {
            Self::Short(session) => {
                let (event, ends) = session.next().await.map_err(Broken::Known)?;
                return Ok((Some(event), ends));
            }
            Self::H1(session) => {
                let task = Box::pin(session.read_response_task()).await.map_err(Broken::Of)?;
                if matches!(task, HttpTask::Header(..)) {
                    check_framing(&session.get_headers_raw_bytes()).map_err(Broken::Known)?;
                }
                task
            }
            // Frames of HTTP/2 say themselves where content ends.
            Self::H2(stream) => Box::pin(stream.next()).await.map_err(Broken::Of)?,
        };
        understand(task).map_err(Broken::Known)
    }

    /// The server agreed to an upgrade: bytes go both ways as they are, with silences up to `longest`. False: nobody asked.
    pub(super) fn open_tunnel(&mut self, longest: Duration) -> bool {
        match self {
            Self::Short(session) => session.open_tunnel(longest),
            Self::H1(session) if session.was_upgraded() => {
                session.maybe_upgrade_body_writer();
                session.read_timeout = Some(longest);
                true
            }
            Self::H1(_) | Self::H2(_) => false,
        }
    }
}

fn understand(task: HttpTask) -> Result<(Option<Event>, bool), FetchError> {
    Ok(match task {
        HttpTask::Header(head, ends) => {
            let (status, fields) = (head.status, head.headers.clone());
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                (Some(Event::Interim(status, fields)), false)
            } else {
                (Some(Event::Head(status, fields, !ends)), ends)
            }
        }
        HttpTask::Body(chunk, ends) | HttpTask::UpgradedBody(chunk, ends) => match chunk {
            Some(chunk) if !chunk.is_empty() => (Some(Event::Chunk(chunk)), ends),
            _ => (ends.then_some(Event::End), ends),
        },
        HttpTask::Trailer(_) => (None, false),
        HttpTask::Done => (Some(Event::End), true),
        _ => return Err(FetchError::UNEXPECTED),
    })
}

impl Broken {
    /// What it is called.
    pub(super) fn error(&self) -> FetchError {
        match self {
            Self::Known(error) => *error,
            Self::Of(error) => FetchError::from(&**error),
        }
    }

    /// Whether the connection is to blame, which the server was about to close, rather than the server: the request was not
    /// looked at, or not on a connection that is still there.
    pub(super) fn is_of_connection(&self, reused: bool) -> bool {
        match self {
            Self::Known(_) => false,
            Self::Of(error) => match error.retry {
                RetryType::Decided(again) => again,
                RetryType::ReusedOnly => reused,
            },
        }
    }

    /// Whether the server wants HTTP/1.1 for this (RFC 9113 section 7, `HTTP_1_1_REQUIRED`).
    pub(super) fn wants_h1(&self) -> bool {
        matches!(self, Self::Of(error) if *error.etype() == ErrorType::H2Downgrade)
    }
}

impl Stream {
    async fn next(&mut self) -> Result<HttpTask, Box<Error>> {
        if !self.head_read {
            self.session.read_response_header().await?;
            self.head_read = true;
            let ends = self.session.check_response_end_or_error()?;
            let missing = || Error::new(ErrorType::H2Error);
            let head = self.session.response_header().ok_or_else(missing)?;
            return Ok(HttpTask::Header(Box::new(head.clone()), ends));
        }
        match self.session.read_response_body().await? {
            Some(chunk) => Ok(HttpTask::Body(Some(chunk), false)),
            // A stream that was reset looks like one that has ended, until it is asked.
            None => self.session.check_response_end_or_error().map(|_| HttpTask::Done),
        }
    }
}

/// `:authority` in place of `Host`: with both of them nginx takes the request for one with two hosts (RFC 9113 section 8.3.1).
fn name_authority(head: &mut RequestHeader) -> Result<(), Box<Error>> {
    let wrong = |_| Error::new(ErrorType::InvalidHTTPHeader);
    let Some(host) = head.remove_header(&HOST) else { return Ok(()) };
    let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
    let uri = Uri::builder().scheme("https").authority(host.as_bytes()).path_and_query(path).build();
    head.set_uri(uri.map_err(wrong)?);
    Ok(())
}
