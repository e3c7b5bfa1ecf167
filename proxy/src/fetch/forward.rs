//! Forward: connect to a server of the pool, send the request, read what comes back; request content is sent on while the
//! response is already being read.

use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_cache::clock::Clock as _;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;

use super::FetchError;
use super::session::{Session, Unopened};
use super::short::{Patience, Short};
use crate::http::RequestBody;
use crate::runtime::Lasting;
use crate::upstream::{Asker, Lease, NoServer, Permit, Pool, Server, ServerId};

/// Longest silence of a tunnel (HAProxy: `timeout tunnel 1h`).
const TUNNEL_SILENCE: Duration = Duration::from_secs(3600);

/// How long a server is waited for that was asked whether it wants the content; old ones never say.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// How long a kept connection to an AP server may idle; below Apache's KeepAliveTimeout of 5 s.
const IDLE: Duration = Duration::from_secs(4);

/// How long one of HTTP/2 may, which was made to be kept. A server that is of another mind says so (GOAWAY).
const IDLE_MULTIPLEXED: Duration = Duration::from_secs(30);

/// A request as the AP server gets it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbound {
    pub(crate) method: Method,
    pub(crate) path_query: String,
    /// End-to-end fields, Host included.
    pub(crate) fields: HeaderMap,
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
    /// Sending it twice does no harm, and nothing of its content is gone.
    pub(super) fn is_repeatable(&self, body: &RequestBody) -> bool {
        matches!(body, RequestBody::Empty) && matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// Fields that are for the server.
    pub(super) fn end_to_end(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.fields.iter().filter(|(name, _)| !(self.withholds_authorization && *name == AUTHORIZATION))
    }

    /// Fields of the connection that it goes out on, which is kept or not.
    pub(super) fn of_connection(
        &self,
        keepalive: bool,
        body: &RequestBody,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let known = |name: HeaderName, value| (name, HeaderValue::from_static(value));
        let [connection, upgrade] = match (self.upgrade, keepalive) {
            (true, _) => [Some(known(CONNECTION, "Upgrade")), Some(known(UPGRADE, "websocket"))],
            (false, false) => [Some(known(CONNECTION, "close")), None],
            (false, true) => [None, None],
        };
        let expect = self.expects_continue.then(|| known(EXPECT, "100-continue"));
        let content = match body.length() {
            // An empty POST says so: some servers wait for content otherwise.
            Some(0) if matches!(self.method, Method::POST | Method::PUT | Method::PATCH) => {
                Some(known(CONTENT_LENGTH, "0"))
            }
            Some(0) => None,
            Some(length) => Some((CONTENT_LENGTH, HeaderValue::from(length))),
            None => Some(known(TRANSFER_ENCODING, "chunked")),
        };
        [connection, upgrade, expect, content].into_iter().flatten()
    }

    /// For Pingora's sessions.
    fn head(&self, pool: &Pool, body: &RequestBody) -> Result<Box<RequestHeader>, FetchError> {
        let malformed = FetchError::bad_gateway("request-not-forwardable");
        let mut head =
            RequestHeader::build(self.method.clone(), self.path_query.as_bytes(), Some(self.fields.len() + 2))
                .map_err(|_| malformed)?;
        for (name, value) in self.end_to_end() {
            head.append_header(name.clone(), value.clone()).map_err(|_| malformed)?;
        }
        for (name, value) in self.of_connection(pool.keepalive, body) {
            head.insert_header(name, value).map_err(|_| malformed)?;
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
    outbound: &Outbound,
    body: RequestBody,
) -> Result<Exchange, FetchError> {
    let repeatable = outbound.is_repeatable(&body);
    loop {
        let lease = attempts.lease(lasting, pool).await?;
        let started = Instant::now();
        let alone = outbound.upgrade || attempts.alone;
        let opened = match patience(lease.server(), pool, alone) {
            Some(patience) => {
                let short = Short::open(lease.server().address, outbound, &body, patience).await;
                short.map(|short| (Session::Short(Box::new(short)), false))
            }
            None => Box::pin(open(lasting, lease.server().peer_for(alone), pool, outbound, &body)).await,
        };
        let (session, reused) = match opened {
            Ok(opened) => opened,
            Err(Unopened::Connect(failure, error)) => {
                tracing::warn!(upstream = %pool.name, server = %lease.server().label, %error, "cannot connect");
                lease.refused(lasting.clock.now());
                attempts.failed(&lease, failure);
                continue;
            }
            Err(Unopened::Stale) => {
                attempts.alone = true;
                continue;
            }
            Err(Unopened::Write(failure)) => {
                lease.failed(lasting.clock.now());
                if repeatable {
                    attempts.failed(&lease, failure);
                    continue;
                }
                return Err(failure);
            }
            Err(Unopened::Never(failure)) => return Err(failure),
        };
        let expects_continue = outbound.expects_continue && !session.is_multiplexed();
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

/// How long a server may take that is asked over a short connection; `None` for one that Pingora has to connect to: one
/// whose connection is kept, shared or encrypted, or has to come from an address of the operator's choice.
fn patience(server: &Server, pool: &Pool, alone: bool) -> Option<Patience> {
    let peer = server.peer_for(alone);
    let options = &peer.options;
    let is_plain = !peer.is_tls() && options.alpn.get_max_http_version() == 1 && options.bind_to.is_none();
    (is_plain && !pool.keepalive).then_some(Patience {
        connect: options.total_connection_timeout?,
        read: options.read_timeout?,
        write: options.write_timeout?,
    })
}

/// A session of Pingora's, the head of the request sent, and whether its connection had been used before.
async fn open(
    lasting: &Lasting,
    peer: &HttpPeer,
    pool: &Pool,
    outbound: &Outbound,
    body: &RequestBody,
) -> Result<(Session, bool), Unopened> {
    let head = outbound.head(pool, body).map_err(Unopened::Never)?;
    let connected = lasting.connector.get_http_session(peer).await;
    let (session, reused) = connected.map_err(|error| Unopened::Connect(FetchError::from(&*error), error))?;
    let mut session = Session::new(session, peer).ok_or(Unopened::Never(FetchError::UNEXPECTED))?;
    match session.write_head(head, body.is_empty()).await {
        Ok(()) => Ok((session, reused)),
        Err(_) if session.is_multiplexed() && reused => Err(Unopened::Stale),
        Err(error) => Err(Unopened::Write(FetchError::from(&*error))),
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
                said = session.next() => {
                    let (event, ends) = match said {
                        Ok(said) => said,
                        Err(broken) => {
                            self.wants_h1 = broken.wants_h1();
                            self.reused |= session.is_multiplexed() && broken.is_of_connection(self.reused);
                            return Err(broken.error());
                        }
                    };
                    self.ended = ends;
                    if let Some(event) = event {
                        return self.heard(event);
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

    /// What `event` says about the content of the request.
    fn heard(&mut self, event: Event) -> Result<Event, FetchError> {
        match &event {
            Event::Interim(StatusCode::CONTINUE, _) if self.undecided.take().is_some() => self.sending = true,
            Event::Head(status, ..) => {
                self.undecided = None;
                if *status == StatusCode::SWITCHING_PROTOCOLS {
                    if !self.session.open_tunnel(TUNNEL_SILENCE) {
                        return Err(FetchError::bad_gateway("upgrade-not-asked-for"));
                    }
                    self.body.open_tunnel();
                    self.sending = true;
                }
            }
            _ => {}
        }
        Ok(event)
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
    pub(super) async fn release(self, lasting: &Lasting, pool: &Pool) {
        let is_done = self.ended && !self.sending;
        let is_multiplexed = self.session.is_multiplexed();
        let (peer, idle) = match is_multiplexed {
            // A stream that is given up is reset; the connection is the others' too.
            true => (self.lease.server().peer_for(false), IDLE_MULTIPLEXED),
            false if pool.keepalive && is_done => (self.lease.server().peer_for(self.alone), IDLE),
            false => return,
        };
        if let Some(session) = self.session.into_inner() {
            Box::pin(lasting.connector.release_http_session(session, peer, Some(idle))).await;
        }
    }
}
