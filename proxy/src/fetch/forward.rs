//! Forward: connect to a server of the pool, send the request, read what comes back. Pingora's connector and client
//! sessions do the work; request content is sent on while the response is already being read.

use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_cache::clock::Clock as _;
use http::header::{AUTHORIZATION, CONNECTION, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora_core::protocols::http::HttpTask;
use pingora_http::RequestHeader;

use super::session::{Session, is_of_connection, wants_h1};
use super::{FetchError, receive};
use crate::http::RequestBody;
use crate::runtime::Lasting;
use crate::upstream::{Asker, Lease, NoServer, Permit, Pool, ServerId};

/// Longest silence of a tunnel (HAProxy: `timeout tunnel 1h`).
const TUNNEL_SILENCE: Duration = Duration::from_secs(3600);

/// How long a server is waited for that was asked whether it wants the content; old ones never say.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// How long a kept connection to an AP server may idle; below Apache's KeepAliveTimeout of 5 s.
const IDLE: Duration = Duration::from_secs(4);

/// How long one of HTTP/2 may, which was made to be kept. A server that is of another mind says so (GOAWAY).
const IDLE_MULTIPLEXED: Duration = Duration::from_secs(30);

/// A request as the AP server gets it.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    pub(crate) method: Method,
    pub(crate) path_query: String,
    /// End-to-end fields, Host included.
    pub(crate) fields: HeaderMap,
    pub(crate) body: RequestBody,
    /// Whether a WebSocket is asked for.
    pub(crate) upgrade: bool,
    /// Whether the client waits for `100 Continue`: so do we, for the server's (RFC 9110 section 10.1.1).
    pub(crate) expects_continue: bool,
    /// Whether `Authorization` was for us. It stays among the fields, for what it says about storing.
    pub(crate) withholds_authorization: bool,
}

/// What came from the upstream.
#[derive(Debug)]
pub(super) enum Event {
    /// 1xx but 101.
    Interim(StatusCode, HeaderMap),
    /// The final head; whether content follows.
    Head(StatusCode, HeaderMap, bool),
    Chunk(Bytes),
    End,
}

/// An exchange with an AP server.
pub(super) struct Exchange {
    session: Session,
    pub(super) lease: Lease,
    body: RequestBody,
    /// Request content is still being sent.
    sending: bool,
    /// Until when the server is given the chance to say whether it wants the content.
    undecided: Option<tokio::time::Instant>,
    ended: bool,
    /// The connection had been used before: that it is closed may just mean that it had idled too long.
    pub(super) reused: bool,
    /// It has a connection of its own, whatever the others share.
    alone: bool,
    /// The server refused to answer this by HTTP/2.
    wants_h1: bool,
    pub(super) started: Instant,
    /// The right to be worked on; given back when the exchange ends.
    pub(super) permit: Option<Permit>,
}

impl Outbound {
    /// The same request once more, without content.
    pub(super) fn again(&self) -> Self {
        let Self { method, path_query, fields, withholds_authorization, .. } = self;
        Self {
            method: method.clone(),
            path_query: path_query.clone(),
            fields: fields.clone(),
            withholds_authorization: *withholds_authorization,
            ..Self::default()
        }
    }

    /// Sending it twice does no harm, and nothing of its content is gone.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.body, RequestBody::Empty) && matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    fn head(&self, pool: &Pool) -> Result<Box<RequestHeader>, FetchError> {
        let malformed = FetchError::bad_gateway("request-not-forwardable");
        let mut head =
            RequestHeader::build(self.method.clone(), self.path_query.as_bytes(), Some(self.fields.len() + 2))
                .map_err(|_| malformed)?;
        for (name, value) in &self.fields {
            if self.withholds_authorization && *name == AUTHORIZATION {
                continue;
            }
            head.append_header(name.clone(), value.clone()).map_err(|_| malformed)?;
        }
        if self.upgrade {
            head.insert_header(CONNECTION, "Upgrade").map_err(|_| malformed)?;
            head.insert_header(UPGRADE, "websocket").map_err(|_| malformed)?;
        } else if !pool.keepalive {
            head.insert_header(CONNECTION, "close").map_err(|_| malformed)?;
        }
        if self.expects_continue {
            head.insert_header(EXPECT, "100-continue").map_err(|_| malformed)?;
        }
        match self.body.length() {
            Some(0) => {}
            Some(length) => {
                head.insert_header(http::header::CONTENT_LENGTH, HeaderValue::from(length)).map_err(|_| malformed)?;
            }
            None => head.insert_header(TRANSFER_ENCODING, "chunked").map_err(|_| malformed)?,
        }
        // An empty POST says so: some servers wait for content otherwise.
        if self.body.length() == Some(0) && matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            head.insert_header(http::header::CONTENT_LENGTH, "0").map_err(|_| malformed)?;
        }
        Ok(Box::new(head))
    }
}

/// What has been tried for one request.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) asker: Asker,
    /// Servers that failed it.
    pub(super) tried: Vec<ServerId>,
    /// How the last of them did: what is reported when none is left.
    pub(super) failure: FetchError,
    /// Connections that others share did not take it: it gets one of its own.
    pub(super) alone: bool,
}

impl Attempts {
    pub(super) fn new(asker: Asker) -> Self {
        Self { asker, tried: Vec::new(), failure: FetchError::NO_SERVER, alone: false }
    }

    async fn lease(&self, lasting: &Lasting, pool: &Pool) -> Result<Lease, FetchError> {
        pool.lease(&lasting.clock, &self.asker, &self.tried).await.map_err(|none| match none {
            NoServer::NoneLeft => self.failure,
            NoServer::QueueFull => FetchError::QUEUE_FULL,
            NoServer::QueueTimeout => FetchError::QUEUE_TIMEOUT,
        })
    }

    /// `lease`'s server did not do: another is next.
    pub(super) fn failed(&mut self, lease: &Lease, failure: FetchError) {
        self.tried.push(lease.server().id);
        self.failure = failure;
    }
}

/// Sends `outbound` to a server of `pool`; the first event is read by the caller. A server that cannot be reached is
/// followed by the next: nothing was sent to it.
pub(super) async fn connect(
    lasting: &Lasting,
    pool: &Pool,
    attempts: &mut Attempts,
    outbound: Outbound,
) -> Result<Exchange, FetchError> {
    let head = outbound.head(pool)?;
    let repeatable = outbound.is_repeatable();
    let Outbound { body, expects_continue, upgrade, .. } = outbound;
    loop {
        let lease = attempts.lease(lasting, pool).await?;
        let server = lease.server();
        let started = Instant::now();
        let alone = upgrade || attempts.alone;
        let peer = server.peer_for(alone);
        let (mut session, reused) = match lasting.connector.get_http_session(peer).await {
            Ok((session, reused)) => (Session::new(session, peer).ok_or(FetchError::UNEXPECTED)?, reused),
            Err(error) => {
                lease.refused(lasting.clock.now());
                tracing::warn!(upstream = %pool.name, server = %server.label, %error, "cannot connect");
                attempts.failed(&lease, FetchError::from(&*error));
                continue;
            }
        };
        if let Err(error) = session.write_head(head.clone(), body.is_empty()).await {
            let failure = FetchError::from(&*error);
            if session.is_multiplexed() && reused {
                // Nothing was sent: the connection was about to be closed.
                attempts.alone = true;
                continue;
            }
            lease.failed(lasting.clock.now());
            if repeatable {
                attempts.failed(&lease, failure);
                continue;
            }
            return Err(failure);
        }
        let expects_continue = expects_continue && !session.is_multiplexed();
        let undecided = expects_continue.then(|| tokio::time::Instant::now() + CONTINUE_WAIT);
        let sending = !body.is_empty() && undecided.is_none();
        return Ok(Exchange {
            session,
            lease,
            body,
            sending,
            undecided,
            ended: false,
            reused,
            alone,
            wants_h1: false,
            started,
            permit: None,
        });
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}

impl Exchange {
    /// The next thing the upstream says; request content is sent on meanwhile. Safe to drop before it is ready.
    pub(super) async fn event(&mut self) -> Result<Event, FetchError> {
        loop {
            let Self { session, body, sending, undecided, .. } = self;
            tokio::select! {
                task = session.next() => {
                    let task = match task {
                        Ok(task) => task,
                        Err(error) => {
                            self.wants_h1 = wants_h1(&error);
                            self.reused |= session.is_multiplexed() && is_of_connection(&error, self.reused);
                            return Err(FetchError::from(&*error));
                        }
                    };
                    if let Some(event) = self.understand(task)? {
                        return Ok(event);
                    }
                }
                () = sleep_until(*undecided), if undecided.is_some() => {
                    *undecided = None;
                    *sending = true;
                }
                chunk = body.next(), if *sending => {
                    let written = match chunk? {
                        Some(data) => session.write(data).await,
                        None => {
                            *sending = false;
                            session.finish().await
                        }
                    };
                    // A server that answers without reading the rest is within its rights: read its answer.
                    if written.is_err() {
                        *sending = false;
                    }
                }
            }
        }
    }

    fn understand(&mut self, task: HttpTask) -> Result<Option<Event>, FetchError> {
        let event = match task {
            HttpTask::Header(head, ends) => {
                // Frames of HTTP/2 say themselves where content ends.
                if let Some(session) = self.session.h1() {
                    receive::check_framing(&session.get_headers_raw_bytes())?;
                }
                let (status, fields) = (head.status, head.headers.clone());
                if status == StatusCode::SWITCHING_PROTOCOLS {
                    self.open_tunnel()?;
                } else if status.is_informational() {
                    if status == StatusCode::CONTINUE && self.undecided.take().is_some() {
                        self.sending = true;
                    }
                    return Ok(Some(Event::Interim(status, fields)));
                }
                self.undecided = None;
                self.ended = ends;
                Event::Head(status, fields, !ends)
            }
            HttpTask::Body(chunk, ends) | HttpTask::UpgradedBody(chunk, ends) => {
                self.ended = ends;
                match chunk {
                    Some(chunk) if !chunk.is_empty() => Event::Chunk(chunk),
                    _ if ends => Event::End,
                    _ => return Ok(None),
                }
            }
            HttpTask::Trailer(_) => return Ok(None),
            HttpTask::Done => {
                self.ended = true;
                Event::End
            }
            _ => return Err(FetchError::UNEXPECTED),
        };
        Ok(Some(event))
    }

    fn open_tunnel(&mut self) -> Result<(), FetchError> {
        let unasked = FetchError::bad_gateway("upgrade-not-asked-for");
        let session = self.session.h1().filter(|session| session.was_upgraded()).ok_or(unasked)?;
        session.maybe_upgrade_body_writer();
        session.read_timeout = Some(TUNNEL_SILENCE);
        self.body.open_tunnel();
        self.sending = true;
        Ok(())
    }

    /// Speaks HTTP/1.1 with the server from now on, where it wants that.
    pub(super) fn heed(&self, lasting: &Lasting) {
        if self.wants_h1 {
            lasting.connector.prefer_h1(self.lease.server().peer_for(false));
        }
    }

    /// Whether everything of the response has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Ends the exchange: the connection is kept if that is wanted and possible, closed at once otherwise.
    pub(super) async fn release(mut self, lasting: &Lasting, pool: &Pool) {
        let is_done = self.ended && !self.sending;
        if self.session.is_multiplexed() {
            // A stream that is given up is reset; the connection is the others' too.
            let peer = self.lease.server().peer_for(false);
            return lasting
                .connector
                .release_http_session(self.session.into_inner(), peer, Some(IDLE_MULTIPLEXED))
                .await;
        }
        if let Some(session) = self.session.h1().filter(|_| pool.keepalive && is_done) {
            session.respect_keepalive();
            let peer = self.lease.server().peer_for(self.alone);
            lasting.connector.release_http_session(self.session.into_inner(), peer, Some(IDLE)).await;
        }
        // Otherwise the connection is closed as it is dropped.
    }
}
