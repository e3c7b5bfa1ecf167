//! A request head, read strictly and with limits.

use std::io;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::purge::api::absolute;
use crate::purge::dialect::is_purge;

/// Request line and fields together, bytes.
const HEAD: usize = 32 * 1024;
/// Content of a POST, bytes: a purge by many tags.
const CONTENT: usize = 128 * 1024;
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
    /// Where the target is in absolute form.
    pub(super) authority: Option<String>,
    /// Of a POST.
    pub(super) content: Vec<u8>,
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

/// Reads one head, and the content of a POST. Other content, should there be any, is left unread.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Request, Failure> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let before = head.len();
        if stream.read_buf(&mut head).await? == 0 {
            return Err(Failure::Gone);
        }
        // Parsing begins again with each piece, which a client can make many of; the end of a head is cheap to look for.
        if ends(&head, before)
            && let Some((mut request, length)) = parse(&head)?
        {
            if request.method == "POST" {
                request.content = content(stream, &request.fields, head.split_off(length)).await?;
            }
            return Ok(request);
        }
        if head.len() >= HEAD {
            return Err(Failure::Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
    }
}

/// The content, of which `begun` has come already.
async fn content(
    stream: &mut (impl AsyncRead + Unpin),
    fields: &HeaderMap,
    begun: Vec<u8>,
) -> Result<Vec<u8>, Failure> {
    let length = match (fields.get(CONTENT_LENGTH), fields.contains_key(TRANSFER_ENCODING)) {
        (_, true) => return Err(Failure::Status(StatusCode::LENGTH_REQUIRED)),
        (None, false) => 0,
        (Some(length), false) => {
            let length = length.to_str().ok().and_then(|length| length.parse::<usize>().ok());
            length.ok_or(Failure::Status(StatusCode::BAD_REQUEST))?
        }
    };
    if length > CONTENT {
        return Err(Failure::Status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let mut content = begun;
    content.truncate(length);
    let have = content.len();
    content.resize(length, 0);
    stream.read_exact(content.get_mut(have..).unwrap_or_default()).await?;
    Ok(content)
}

/// Whether an empty line came in with the bytes from `new` on.
fn ends(head: &[u8], new: usize) -> bool {
    let tail = head.get(new.saturating_sub(3)..).unwrap_or_default();
    tail.windows(2).any(|pair| pair == b"\n\n") || tail.windows(3).any(|three| three == b"\n\r\n")
}

/// The request, and the length of its head.
fn parse(head: &[u8]) -> Result<Option<(Request, usize)>, Failure> {
    let bad = || Failure::Status(StatusCode::BAD_REQUEST);
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(head) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Failure::Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        Err(httparse::Error::Version) => return Err(Failure::Status(StatusCode::HTTP_VERSION_NOT_SUPPORTED)),
        Err(_) => return Err(bad()),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(bad());
    };
    let (authority, target) = match absolute(target).filter(|_| is_purge(method)) {
        Some((authority, target)) => (Some(authority.to_owned()), target),
        None => (None, target.to_owned()),
    };
    if !target.starts_with('/') {
        return Err(bad());
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut map = HeaderMap::new();
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| bad())?;
        map.append(name, HeaderValue::from_bytes(field.value).map_err(|_| bad())?);
    }
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        one_one: version == 1,
        fields: map,
        authority,
        content: Vec::new(),
    };
    Ok(Some((request, length)))
}
