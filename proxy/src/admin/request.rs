//! A request head, read strictly and with limits.

use std::io;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Request line and fields together, bytes.
const HEAD: usize = 8 * 1024;
/// Field lines.
const FIELDS: usize = 64;

/// A well-formed request head in origin form.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Without the question mark; empty if there is none.
    pub(super) query: String,
    /// HTTP/1.1, not 1.0.
    pub(super) one_one: bool,
    pub(super) fields: HeaderMap,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody is left to answer: the connection was closed or broke.
    Gone,
    /// To be answered with this.
    Status(StatusCode),
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Reads one head. Content, should there be any, is left unread.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Request, Failure> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let before = head.len();
        if stream.read_buf(&mut head).await? == 0 {
            return Err(Failure::Gone);
        }
        // Parsing begins again with each piece, which a client can make many of; the end of a head is cheap to look for.
        if ends(&head, before)
            && let Some(request) = parse(&head)?
        {
            return Ok(request);
        }
        if head.len() >= HEAD {
            return Err(Failure::Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
    }
}

/// Whether an empty line came in with the bytes from `new` on.
fn ends(head: &[u8], new: usize) -> bool {
    let tail = head.get(new.saturating_sub(3)..).unwrap_or_default();
    tail.windows(2).any(|pair| pair == b"\n\n") || tail.windows(3).any(|three| three == b"\n\r\n")
}

fn parse(head: &[u8]) -> Result<Option<Request>, Failure> {
    let bad = || Failure::Status(StatusCode::BAD_REQUEST);
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Failure::Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        Err(httparse::Error::Version) => return Err(Failure::Status(StatusCode::HTTP_VERSION_NOT_SUPPORTED)),
        Err(_) => return Err(bad()),
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(bad());
    };
    if !target.starts_with('/') {
        return Err(bad());
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut map = HeaderMap::new();
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| bad())?;
        map.append(name, HeaderValue::from_bytes(field.value).map_err(|_| bad())?);
    }
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        one_one: version == 1,
        fields: map,
    }))
}
