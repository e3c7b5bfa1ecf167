//! The ClientHello, read before it is known who it is for. However it is cut into records and packets, it is read under a
//! deadline and up to a bound.

use bytes::BytesMut;
use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest ClientHello, bytes. Browsers with a post-quantum key share send two KiB.
const LARGEST: usize = 64 * 1024;

/// Bytes read at once.
const READ: usize = 4 * 1024;

/// A ClientHello, and the bytes it came in.
pub(crate) struct Hello {
    pub(crate) accepted: Accepted,
    pub(crate) bytes: BytesMut,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The peer left.
    Gone,
    /// Something else than TLS, or no TLS that can be spoken with: so many bytes of it came.
    Refused(#[expect(dead_code, reason = "told to the log")] rustls::Error, BytesMut),
    /// Larger than any.
    TooLarge,
}

impl Hello {
    /// The name that is asked for; of an encrypted ClientHello the outer one.
    pub(crate) fn name(&self) -> Option<String> {
        self.accepted.client_hello().server_name().map(ToOwned::to_owned)
    }
}

/// Reads up to the end of the ClientHello. What is no TLS is answered by an alert only if `answers`.
pub(crate) async fn read(socket: &mut TcpStream, answers: bool) -> Result<Hello, Failure> {
    let mut acceptor = Acceptor::default();
    let mut bytes = BytesMut::new();
    loop {
        bytes.reserve(READ);
        let before = bytes.len();
        match socket.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Err(Failure::Gone),
            Ok(_) => {}
        }
        let mut fresh = bytes.get(before..).unwrap_or_default();
        while !fresh.is_empty() {
            match acceptor.read_tls(&mut fresh) {
                Ok(0) | Err(_) => return Err(Failure::TooLarge),
                Ok(_) => {}
            }
            match acceptor.accept() {
                // What came behind it is for the connection that is made of it.
                Ok(Some(accepted)) if fresh.is_empty() => return Ok(Hello { accepted, bytes }),
                Ok(Some(_)) => return Err(Failure::TooLarge),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    if answers {
                        let mut told = Vec::new();
                        let _ = alert.write_all(&mut told);
                        let _ = socket.write_all(&told).await;
                    }
                    return Err(Failure::Refused(error, bytes));
                }
            }
        }
        if bytes.len() > LARGEST {
            return Err(Failure::TooLarge);
        }
    }
}
