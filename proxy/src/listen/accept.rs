//! The accept loop and what a connection goes through before its first request.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use forebay_config::model::{Listen, ProxyProtocol};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::StartHandshake;

use super::draining::Draining;
use super::stream::Stream;
use super::{Connection, h1, h2, proxy_protocol, tls};
use crate::account::metrics::ListenerMetrics;
use crate::guard::Held;
use crate::runtime::Shared;
use crate::tcp::{self, hello};

/// How long accepting rests when the process is out of descriptors or memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// How long a client may take to read the alert of a failed handshake.
const LINGER: Duration = Duration::from_secs(1);

/// A bound socket. Once every clone of it is gone the kernel refuses connections.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) settings: Arc<Settings>,
}

/// What the connections of a listener need.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: Listen,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Connections are passed on byte by byte.
    pub(crate) is_raw: bool,
    pub(crate) metrics: ListenerMetrics,
}

/// Counts a connection as open until it is dropped.
struct Open {
    settings: Arc<Settings>,
    /// Where there is room for one more without it.
    room: Arc<Semaphore>,
    /// Where a client may have so many connections alone.
    of_client: Option<Held>,
}

impl Open {
    /// With a permit of `room` that was forgotten.
    fn new(settings: Arc<Settings>, room: Arc<Semaphore>) -> Self {
        settings.metrics.accepted.inc();
        settings.metrics.open.inc();
        Self { settings, room, of_client: None }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.settings.metrics.open.dec();
        self.room.add_permits(1);
    }
}

/// A connection as the kernel gave it.
struct Accepted {
    shared: Arc<Shared>,
    socket: TcpStream,
    peer: SocketAddr,
    open: Open,
    draining: Arc<Draining>,
}

impl Accepted {
    /// Serves requests that come as they are, where `client` may have one more connection.
    fn serve(self, client: SocketAddr) {
        let Self { shared, socket, mut open, draining, .. } = self;
        let Ok(client) = admit(&shared, &mut open, client) else { return };
        let connection = Connection { client, tls: None, visitor: None };
        tokio::spawn(h1::serve(shared, connection, Stream::Plain(socket), draining, open));
    }
}

impl Settings {
    /// Whether nothing comes before the first request.
    fn has_requests_first(&self) -> bool {
        self.listen.proxy_protocol == ProxyProtocol::Off && !self.is_raw && self.tls.is_none()
    }
}

impl Listener {
    /// The same socket for another worker.
    pub(super) fn share(&self) -> std::io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, settings: Arc::clone(&self.settings) })
    }
}

/// Accepts until `drain` says true.
pub(crate) async fn run(shared: Arc<Shared>, listener: Listener, mut drain: watch::Receiver<bool>) {
    let Listener { socket, settings } = listener;
    let address = settings.listen.address;
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%address, %error, "cannot accept connections"),
    };
    let draining = Arc::<Draining>::default();
    while !*drain.borrow() {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = drain.changed() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                // At the cap this one waits here and the others in the kernel's queue: nobody is turned away.
                let permit = tokio::select! {
                    permit = shared.connections.acquire() => permit,
                    _ = drain.changed() => continue,
                };
                let Ok(permit) = permit else { break };
                permit.forget();
                // Responses are written whole; waiting for more to send would only add latency.
                let _ = stream.set_nodelay(true);
                let open = Open::new(Arc::clone(&settings), Arc::clone(&shared.connections));
                let (shared, draining) = (Arc::clone(&shared), Arc::clone(&draining));
                let accepted = Accepted { shared, socket: stream, peer, open, draining };
                if settings.has_requests_first() {
                    accepted.serve(peer);
                } else {
                    tokio::spawn(connection(Box::new(accepted)));
                }
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%address, %error, "accepting rests");
                sleep(EXHAUSTED).await;
            }
        }
    }
    draining.begin();
}

/// A connection of a `[[tcp]]` with an address of its own.
async fn raw(shared: Arc<Shared>, settings: Arc<Settings>, mut socket: TcpStream, client: SocketAddr) {
    let runtime = shared.runtime();
    let within = runtime.config.limits.handshake_timeout;
    let Some(names) = runtime.tcp.at(settings.listen.address) else { return };
    let (mut name, mut early) = (None, BytesMut::new());
    if names.asks_for_names() {
        // Who says nothing, or something else than TLS, is for whatever is there without a name.
        match timeout(within, hello::read(&mut socket, false)).await {
            Ok(Ok(hello)) => (name, early) = (hello.name(), hello.bytes),
            Ok(Err(hello::Failure::Refused(_, bytes))) => early = bytes,
            Ok(Err(_)) => return,
            Err(_) => {}
        }
    }
    let Some(service) = names.find(name.as_deref()).cloned() else {
        return shared.lasting.metrics.tcp_unknown.error("unknown-name");
    };
    drop(runtime);
    tcp::serve(&shared.lasting, &service, socket, client, &early).await;
}

/// The address of a client that may have one more connection: `open` counts it until it is dropped, where clients may have
/// so many alone.
fn admit(shared: &Shared, open: &mut Open, client: SocketAddr) -> Result<SocketAddr, ()> {
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    let runtime = shared.runtime();
    let most = runtime.config.limits.connections_per_client;
    // Proxies speak for many.
    if most == 0 || runtime.config.server.trusted_proxies.iter().any(|net| net.contains(&client.ip())) {
        return Ok(client);
    }
    open.of_client = shared.lasting.clients.connect(client.ip(), most);
    if open.of_client.is_none() {
        shared.lasting.metrics.connections_limited.inc();
        tracing::debug!(%client, "connection refused: the client has as many as it may have");
        return Err(());
    }
    Ok(client)
}

/// Lets the alert of a failed handshake arrive: closing with bytes unread would reset the connection before it does.
async fn linger(mut socket: TcpStream) {
    let _ = socket.shutdown().await;
    let mut discarded = [0; 1024];
    let read = async { while socket.read(&mut discarded).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(LINGER, read).await;
}

/// Errors that concern one connection, not the listener (accept(2)).
fn is_of_the_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// A connection that does not begin with a request.
async fn connection(accepted: Box<Accepted>) {
    // Boxed: what a connection begins with is no burden of its later wait between requests.
    if let Some((_open, session)) = Box::pin(establish(accepted)).await {
        session.await;
    }
}

/// What a connection goes on with.
type Session = Pin<Box<dyn Future<Output = ()> + Send>>;

/// PROXY header and TLS handshake, each under its deadline. HTTP/1 goes on in a task of its own, which has no room for all
/// this.
async fn establish(mut accepted: Box<Accepted>) -> Option<(Open, Session)> {
    let peer = accepted.peer;
    let settings = Arc::clone(&accepted.open.settings);
    let within = accepted.shared.runtime().config.limits.handshake_timeout;
    let told = match timeout(within, proxy_protocol::read(&mut accepted.socket, peer, &settings.listen)).await {
        Ok(Ok(told)) => told,
        Ok(Err(reason)) => {
            accepted.shared.lasting.metrics.connections_refused.inc();
            tracing::debug!(%peer, %reason, "connection refused");
            return None;
        }
        Err(_) => return None,
    };
    let client = told.unwrap_or(peer);
    if settings.tls.is_none() && !settings.is_raw {
        accepted.serve(client);
        return None;
    }
    let Accepted { shared, mut socket, mut open, draining, .. } = *accepted;
    let metrics = &shared.lasting.metrics;
    let client = admit(&shared, &mut open, client).ok()?;
    let Some(tls) = &settings.tls else {
        return Some((open, Box::pin(raw(shared, settings, socket, client))));
    };
    let deadline = Instant::now() + within;
    let hello = match timeout_at(deadline, hello::read(&mut socket, true)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(failure)) => {
            metrics.tls_handshake_errors.inc();
            tracing::debug!(%client, ?failure, "no ClientHello");
            linger(socket).await;
            return None;
        }
        Err(_) => {
            metrics.tls_handshake_errors.inc();
            return None;
        }
    };
    let runtime = shared.runtime();
    // Only those whose name is passed through: all others are terminated.
    let passed = runtime.tcp.at(settings.listen.address).and_then(|names| names.find(hello.name().as_deref()));
    if let Some(service) = passed.cloned() {
        drop(runtime);
        let session = async move { tcp::serve(&shared.lasting, &service, socket, client, &hello.bytes).await };
        return Some((open, Box::pin(session)));
    }
    let demands = tls::demands(&runtime, hello.name().as_deref());
    drop(runtime);
    let config = match &demands {
        None => Arc::clone(tls),
        Some(demands) => match demands.server_config(&shared, settings.listen.http2) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "no configuration for client certificates");
                return None;
            }
        },
    };
    let handshake = StartHandshake::from_parts(hello.accepted, socket).into_stream(config).into_fallible();
    let stream = match timeout_at(deadline, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err((error, socket))) => {
            metrics.tls_handshake_errors.inc();
            tracing::debug!(%client, %error, "TLS handshake failed");
            linger(socket).await;
            return None;
        }
        Err(_) => {
            metrics.tls_handshake_errors.inc();
            return None;
        }
    };
    let session = stream.get_ref().1;
    let version = session.protocol_version().unwrap_or(ProtocolVersion::TLSv1_3);
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    let visitor = match demands.map(|demands| demands.meet(session.peer_certificates(), resumed)).transpose() {
        Ok(visitor) => visitor.map(Arc::new),
        Err(error) => {
            metrics.tls_handshake_errors.inc();
            tracing::debug!(%client, %error, "the client's certificate is not good any more");
            return None;
        }
    };
    metrics.tls_handshake(version, resumed);
    let version = if version == ProtocolVersion::TLSv1_2 { "TLSv1.2" } else { "TLSv1.3" };
    let is_h2 = session.alpn_protocol() == Some(b"h2");
    let connection = Connection { client, tls: Some(version), visitor };
    let stream = Stream::Tls(Box::new(stream));
    if is_h2 {
        return Some((open, Box::pin(h2::serve(shared, Arc::new(connection), stream, draining))));
    }
    tokio::spawn(h1::serve(shared, connection, stream, draining, open));
    None
}
