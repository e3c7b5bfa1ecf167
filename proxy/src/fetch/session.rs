//! What an exchange speaks over: a connection of HTTP/1.1, or a stream of an HTTP/2 connection that others share.

use bytes::Bytes;
use http::Uri;
use http::header::{CONNECTION, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v1::client::HttpSession as Http1Session;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, RetryType};
use pingora_http::RequestHeader;

/// One request and its response.
pub(super) enum Session {
    H1(Box<Http1Session>),
    H2(Box<Stream>),
}

/// A stream of HTTP/2.
pub(super) struct Stream {
    session: Http2Session,
    head_read: bool,
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

    /// As Pingora takes it back.
    pub(super) fn into_inner(self) -> HttpSession {
        match self {
            Self::H1(session) => HttpSession::H1(*session),
            Self::H2(stream) => HttpSession::H2(stream.session),
        }
    }

    /// Whether others share its connection.
    pub(super) fn is_multiplexed(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    /// The HTTP/1.1 of it.
    pub(super) fn h1(&mut self) -> Option<&mut Http1Session> {
        match self {
            Self::H1(session) => Some(session),
            Self::H2(_) => None,
        }
    }

    /// Sends `head`; without content behind it where it `ends`.
    pub(super) async fn write_head(&mut self, mut head: Box<RequestHeader>, ends: bool) -> Result<(), Box<Error>> {
        match self {
            Self::H1(session) => session.write_request_header(head).await.map(drop),
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

    pub(super) async fn write(&mut self, data: Bytes) -> Result<(), Box<Error>> {
        match self {
            Self::H1(session) => session.write_body(&data).await.map(drop),
            Self::H2(stream) => stream.session.write_request_body(data, false).await,
        }
    }

    pub(super) async fn finish(&mut self) -> Result<(), Box<Error>> {
        match self {
            Self::H1(session) => session.finish_body().await.map(drop),
            Self::H2(stream) => stream.session.finish_request_body(),
        }
    }

    /// The next part of the response. Safe to drop before it is ready.
    pub(super) async fn next(&mut self) -> Result<HttpTask, Box<Error>> {
        match self {
            Self::H1(session) => session.read_response_task().await,
            Self::H2(stream) => stream.next().await,
        }
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

/// Whether the connection is to blame, which the server was about to close, rather than the server: the request was not
/// looked at, or not on a connection that is still there.
pub(super) fn is_of_connection(error: &Error, reused: bool) -> bool {
    match error.retry {
        RetryType::Decided(again) => again,
        RetryType::ReusedOnly => reused,
    }
}

/// Whether the server wants HTTP/1.1 for this (RFC 9113 section 7, `HTTP_1_1_REQUIRED`).
pub(super) fn wants_h1(error: &Error) -> bool {
    *error.etype() == ErrorType::H2Downgrade
}
