//! The accept loop and what a connection goes through before its first request.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use forebay_config::model::Listen;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::stream::Stream;
use super::{Connection, h1, h2, proxy_protocol};
use crate::account::metrics::ListenerMetrics;
use crate::runtime::Shared;

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
    pub(crate) metrics: ListenerMetrics,
}

/// Counts a connection as open until it is dropped.
struct Open(Arc<Settings>);

impl Open {
    fn new(settings: Arc<Settings>) -> Self {
        settings.metrics.accepted.inc();
        settings.metrics.open.inc();
        Self(settings)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.open.dec();
    }
}

impl Listener {
    /// The same socket for another worker.
    pub(super) fn share(&self) -> std::io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, settings: Arc::clone(&self.settings) })
    }
}

/// Accepts until `drain` says true.
pub(super) async fn run(shared: Arc<Shared>, listener: Listener, mut drain: watch::Receiver<bool>) {
    let Listener { socket, settings } = listener;
    let address = settings.listen.address;
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%address, %error, "cannot accept connections"),
    };
    while !*drain.borrow() {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = drain.changed() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                // At the cap this one waits here and the others in the kernel's queue: nobody is turned away.
                let permit = tokio::select! {
                    permit = Arc::clone(&shared.connections).acquire_owned() => permit,
                    _ = drain.changed() => continue,
                };
                let Ok(permit) = permit else { return };
                let (shared, settings, drain) = (Arc::clone(&shared), Arc::clone(&settings), drain.clone());
                tokio::spawn(connection(shared, settings, stream, peer, permit, drain));
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%address, %error, "accepting rests");
                sleep(EXHAUSTED).await;
            }
        }
    }
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

/// One connection, from its first byte to its last.
async fn connection(
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    socket: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    drain: watch::Receiver<bool>,
) {
    let open = Open::new(settings);
    let _held = permit;
    // Boxed: how a connection begins, and what HTTP/2 needs, is no burden of those that wait between requests.
    match Box::pin(establish(&shared, &open.0, socket, peer)).await {
        Some(Established { connection, stream, is_h2: true }) => {
            Box::pin(h2::serve(&shared, &connection, stream, drain)).await;
        }
        Some(Established { connection, stream, is_h2: false }) => {
            h1::serve(&shared, &connection, stream, BytesMut::new(), drain).await;
        }
        None => {}
    }
}

/// A connection on which requests may come.
struct Established {
    connection: Arc<Connection>,
    stream: Stream,
    is_h2: bool,
}

/// PROXY header and TLS handshake, each under its deadline.
async fn establish(
    shared: &Shared,
    settings: &Settings,
    mut socket: TcpStream,
    peer: SocketAddr,
) -> Option<Established> {
    let metrics = &shared.lasting.metrics;
    // Responses are written whole; waiting for more to send would only add latency.
    let _ = socket.set_nodelay(true);
    let within = shared.runtime().config.limits.handshake_timeout;
    let told = match timeout(within, proxy_protocol::read(&mut socket, peer, &settings.listen)).await {
        Ok(Ok(told)) => told,
        Ok(Err(reason)) => {
            metrics.connections_refused.inc();
            tracing::debug!(%peer, %reason, "connection refused");
            return None;
        }
        Err(_) => return None,
    };
    let client = told.unwrap_or(peer);
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    let Some(tls) = &settings.tls else {
        let connection = Arc::new(Connection { client, tls: None });
        return Some(Established { connection, stream: Stream::Plain(socket), is_h2: false });
    };
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(socket).into_fallible();
    let stream = match timeout(within, handshake).await {
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
    metrics.tls_handshake(version, session.handshake_kind() == Some(HandshakeKind::Resumed));
    let version = if version == ProtocolVersion::TLSv1_2 { "TLSv1.2" } else { "TLSv1.3" };
    let is_h2 = session.alpn_protocol() == Some(b"h2");
    let connection = Arc::new(Connection { client, tls: Some(version) });
    Some(Established { connection, stream: Stream::Tls(Box::new(stream)), is_h2 })
}
