//! A well-behaved HTTP/2 client over TLS.

use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Method, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::answer::{Answer, ReadError};
use crate::patience::patience;

/// One HTTP/2 connection.
pub struct H2Client {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    authority: String,
}

/// A request whose response has not been read yet.
pub struct Pending {
    response: ResponseFuture,
    upload: SendStream<Bytes>,
}

// === impl Pending ===

impl Pending {
    /// Gives the request up: RST_STREAM with CANCEL.
    pub fn cancel(mut self) {
        self.upload.send_reset(h2::Reason::CANCEL);
    }

    /// Sends a part of the request's content.
    pub fn send_part(&mut self, content: &'static [u8]) {
        self.upload.send_data(Bytes::from_static(content), false).expect("send content");
    }
}

// === impl H2Client ===

impl H2Client {
    /// Connects with ALPN `h2`; `name` is both SNI and the authority of requests.
    #[must_use]
    pub fn connect(address: SocketAddr, name: &str) -> Self {
        Self::connect_with(address, name, &h2::client::Builder::new(), crate::certs::client_config(&["h2"]))
    }

    /// Connects with these TLS settings, which offer `h2`.
    #[must_use]
    pub fn connect_as(address: SocketAddr, name: &str, config: ClientConfig) -> Self {
        Self::connect_with(address, name, &h2::client::Builder::new(), config)
    }

    /// Asks for this authority from now on.
    pub fn ask_for(&mut self, authority: &str) {
        authority.clone_into(&mut self.authority);
    }

    /// Connects with a small flow-control window, so that the peer feels how slowly content is read.
    #[must_use]
    pub fn connect_with_window(address: SocketAddr, name: &str, window: u32) -> Self {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        Self::connect_with(address, name, &builder, crate::certs::client_config(&["h2"]))
    }

    fn connect_with(address: SocketAddr, name: &str, builder: &h2::client::Builder, config: ClientConfig) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let sender = runtime.block_on(async {
            let tcp = TcpStream::connect(address).await.expect("connect");
            let config = Arc::new(config);
            let server = ServerName::try_from(name.to_owned()).expect("server name");
            let tls = tokio_rustls::TlsConnector::from(config).connect(server, tcp).await.expect("TLS handshake");
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "ALPN");
            let (sender, connection) = builder.handshake(tls).await.expect("HTTP/2");
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender, authority: name.to_owned() }
    }

    /// `GET`, read to its end.
    pub fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, &[], b"")
    }

    /// A request with content, read to its end.
    pub fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)], content: &'static [u8]) -> Answer {
        let mut pending = self.start(method, target, fields, content.is_empty());
        if !content.is_empty() {
            pending.upload.send_data(Bytes::from_static(content), true).expect("send content");
        }
        self.finish(pending).unwrap_or_else(|error| panic!("{method} {target}: {error:?}"))
    }

    /// Sends a request head.
    pub fn start(&mut self, method: &str, target: &str, fields: &[(&str, &str)], ends: bool) -> Pending {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).expect("method"))
            .uri(format!("https://{}{target}", self.authority));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("request");
        let Self { runtime, sender, .. } = self;
        runtime.block_on(async {
            let mut ready = timeout(patience(), sender.clone().ready()).await.expect("in time").expect("connection");
            let (response, upload) = ready.send_request(request, ends).expect("send request");
            Pending { response, upload }
        })
    }

    /// Reads the response to its end.
    ///
    /// # Errors
    /// When it was reset, cut or did not come.
    pub fn finish(&self, pending: Pending) -> Result<Answer, ReadError> {
        self.runtime.block_on(async {
            let mut interim = Vec::new();
            let mut response = pending.response;
            let response = std::future::poll_fn(|context| {
                while let Poll::Ready(Some(Ok(head))) = response.poll_informational(context) {
                    interim.push(head.status().as_u16());
                }
                Pin::new(&mut response).poll(context)
            });
            let response = timeout(patience(), response).await.map_err(|_| ReadError::Timeout)?;
            let (parts, mut content) = response.map_err(|error| reset(&error))?.into_parts();
            let mut body = Vec::new();
            loop {
                let data = timeout(patience(), content.data()).await.map_err(|_| ReadError::Timeout)?;
                let Some(data) = data else { break };
                let data = data.map_err(|error| reset(&error))?;
                content.flow_control().release_capacity(data.len()).map_err(|error| reset(&error))?;
                body.extend_from_slice(&data);
            }
            let fields = parts.headers.iter();
            let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            Ok(Answer {
                status: parts.status.as_u16(),
                interim,
                fields: fields.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
                body,
                head: String::new(),
                trailers: Vec::new(),
            })
        })
    }

    /// Reads content at `rate` bytes a second for as long as `go_on` says so; returns how many came.
    pub fn read_slowly(&self, pending: Pending, rate: usize, mut go_on: impl FnMut() -> bool) -> usize {
        self.runtime.block_on(async {
            let response = timeout(patience(), pending.response).await.expect("in time").expect("response");
            let mut content = response.into_body();
            let (mut total, start) = (0, tokio::time::Instant::now());
            while go_on() {
                let Ok(Some(length)) = timeout(Duration::from_millis(100), data(&mut content)).await else { continue };
                total += length;
                tokio::time::sleep_until(start + Duration::from_secs_f64(total as f64 / rate as f64)).await;
                content.flow_control().release_capacity(length).expect("flow control");
            }
            total
        })
    }
}

async fn data(content: &mut RecvStream) -> Option<usize> {
    content.data().await?.ok().map(|data| data.len())
}

fn reset(error: &h2::Error) -> ReadError {
    error.reason().map_or(ReadError::Closed, |reason| ReadError::Reset(u32::from(reason)))
}
