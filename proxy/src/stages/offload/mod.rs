//! Static offload: a file beneath the root of the site is answered here, and no application server sees the request.
//!
//! The pipeline, in the order of [`offload`]:
//! 1. method: GET and HEAD; everything else belongs to the application.
//! 2. [`resolve`]: the path is decoded once; what could be read in two ways is refused.
//! 3. [`refuse`]: by name: hidden files, backups and secrets are refused, programs go to the application server.
//! 4. [`open`]: the kernel resolves the path beneath the root (`openat2`), symbolic links included; regular files only. Together with
//!    the file its [`precompressed`] siblings are opened.
//! 5. [`reply`]: content coding, preconditions, ranges, fields.
//! 6. [`body`]: the content, in [`mod@slice`]s that are read while they are sent, or sent by the kernel.
//!
//! Names are judged before anything is opened, so an answer does not tell whether a refused file exists. A symbolic link is judged by its
//! own name and may point anywhere beneath the root: whoever can write there decides what is public.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS};

mod body;
mod media_type;
mod open;
mod precompressed;
mod refuse;
mod reply;
mod resolve;
mod root;
mod slice;
#[cfg(test)]
mod tests;

pub(crate) use body::{FileBody, Part};
pub(crate) use open::OpenFile;
use open::{Found, How};
use refuse::Verdict;
pub(crate) use root::Root;
pub(crate) use slice::FileSlice;

/// What the stage decided.
#[derive(Debug)]
pub(crate) enum Offload {
    /// No file for this request: it goes on to the next stage.
    NotMine,
    /// The whole response.
    Answer(FileAnswer),
    /// Refused: 400 for a path with more than one reading, 404 for what is never served (or, with `static_only`, is not there), 503
    /// when the machine is out of file descriptors or the disk fails.
    Refused(StatusCode),
}

/// A response made of a file, or about one.
#[derive(Debug)]
pub(crate) struct FileAnswer {
    /// 200, 206, 301, 304, 405, 406, 412 or 416.
    pub(crate) status: StatusCode,
    /// All fields but `Date` and those of the connection; `Content-Length` is among them wherever the status allows it.
    pub(crate) fields: HeaderMap,
    /// The content; nothing for HEAD.
    pub(crate) body: FileBody,
    /// The value of `Content-Length` in bytes, which for HEAD is what GET would send.
    pub(crate) length: u64,
    /// The files it would be another answer without: the one whose content is sent, and the one it stands in for.
    pub(crate) files: Vec<Arc<OpenFile>>,
}

impl FileAnswer {
    /// An answer without content.
    fn empty(status: StatusCode, mut fields: HeaderMap) -> Self {
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // RFC 9110 section 8.6: in a 304 the field would state the length of the representation, not of this answer.
        if status != StatusCode::NOT_MODIFIED {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Self { status, fields, body: FileBody::empty(), length: 0, files: Vec::new() }
    }
}

/// Answers the request from the files beneath `root` if it can.
///
/// `path` is the path of the request target as received: percent-encoded, beginning with `/`, without query. With `static_only` there is
/// no application server behind the site: what would be [`Offload::NotMine`] becomes 404, 405, or 301 for a directory that was asked for
/// without its slash (the caller appends the query, if any, to `Location`).
pub(crate) async fn offload(
    root: &Arc<Root>,
    method: &Method,
    path: &[u8],
    request: &HeaderMap,
    static_only: bool,
) -> Offload {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return if static_only { method_not_allowed() } else { Offload::NotMine };
    }
    let missing = || if static_only { Offload::Refused(StatusCode::NOT_FOUND) } else { Offload::NotMine };
    let target = match resolve::resolve(path) {
        Ok(target) => target,
        Err(status) => return Offload::Refused(status),
    };
    let verdict = refuse::judge(&target);
    match verdict {
        Verdict::Serve | Verdict::RefuseFile => {}
        Verdict::Upstream => return missing(),
        Verdict::Refuse => return Offload::Refused(StatusCode::NOT_FOUND),
    }
    root.follow_in_background();
    let found = match open::look_up(root, &target, How::Cached) {
        Ok(found) => found,
        Err(open::WouldBlock) => {
            let root = Arc::clone(root);
            let task = tokio::task::spawn_blocking(move || open::look_up(&root, &target, How::Blocking));
            match task.await {
                Ok(Ok(found)) => found,
                // Renamed without pause while it was resolved, or leased by another process: nothing is known of the file.
                Ok(Err(open::WouldBlock)) | Err(_) => Found::Refused(StatusCode::SERVICE_UNAVAILABLE),
            }
        }
    };
    match found {
        Found::File(_) if verdict == Verdict::RefuseFile => Offload::Refused(StatusCode::NOT_FOUND),
        Found::File(selection) => Offload::Answer(reply::reply(method, request, selection)),
        Found::Directory if static_only => moved_to_directory(path),
        Found::Directory | Found::Missing | Found::Program => missing(),
        Found::Refused(status) => Offload::Refused(status),
    }
}

/// Whether a GET of `path` is certainly not for this stage. Asks only what the kernel has in memory; where it would have to
/// wait, the answer is no.
pub(crate) fn leaves(root: &Arc<Root>, path: &[u8]) -> bool {
    let Ok(target) = resolve::resolve(path) else { return false };
    match refuse::judge(&target) {
        Verdict::Upstream => return true,
        Verdict::Refuse | Verdict::RefuseFile => return false,
        Verdict::Serve => root.follow_in_background(),
    }
    matches!(open::look_up(root, &target, How::Cached), Ok(Found::Missing | Found::Directory | Found::Program))
}

/// RFC 9110 section 15.5.6: a 405 MUST say what is allowed.
fn method_not_allowed() -> Offload {
    let fields = HeaderMap::from_iter([(header::ALLOW, HeaderValue::from_static("GET, HEAD"))]);
    Offload::Answer(FileAnswer::empty(StatusCode::METHOD_NOT_ALLOWED, fields))
}

/// The escapes of the path stay as they came; what should have been escaped is. The path cannot begin with `//`, so the location never
/// names another host.
fn moved_to_directory(path: &[u8]) -> Offload {
    const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'|');
    let location = format!("{}/", percent_encoding::percent_encode(path, UNSAFE));
    let Ok(location) = HeaderValue::try_from(location) else { return Offload::Refused(StatusCode::NOT_FOUND) };
    let fields = HeaderMap::from_iter([(header::LOCATION, location)]);
    Offload::Answer(FileAnswer::empty(StatusCode::MOVED_PERMANENTLY, fields))
}
