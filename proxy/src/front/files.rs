//! Files that were sent a moment ago, held open. An answer costs one `fstat`: a file that was written to, replaced or removed since
//! is noticed by that. What it does not show (a directory on the way that is another one now, a precompressed file that is
//! new) shows after [`HELD`] at the latest, like the switch of a root.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use ahash::RandomState;
use bytes::Bytes;
use forebay_cache::store::Form;
use http::header::{ACCEPT_ENCODING, DATE};
use http::{Method, StatusCode};
use parking_lot::RwLock;

use super::prepare::{head, is_plain, keep_not_modified};
use super::request::{Plain, Seen};
use super::{Content, Found, Of, Way, conditional};
use crate::context::Context;
use crate::http::{Answer, Content as Answered};
use crate::runtime::Runtime;
use crate::site::Route;
use crate::stages::offload::{FileSlice, OpenFile};

/// How long a file is held without being looked for again.
const HELD: Duration = Duration::from_secs(1);

/// Files held at most, each a descriptor or, with its original beside a precompressed one, two.
const MOST: usize = 1024;

/// Content up to this size is held in memory: reading it again would cost more than all the rest.
const SMALL: u64 = 16 * 1024;

/// Longest `Accept-Encoding` that is told from others.
const ACCEPT_ENCODING_LENGTH: usize = 64;

thread_local! {
    static KEY: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(256));
}

/// By route, path and accepted codings: see [`write_key`].
type Files = HashMap<Vec<u8>, Arc<Held>, RandomState>;

/// The files of one configuration. None is held for longer than [`HELD`], so that whoever removes one gets its space back: no
/// cache that drops its entries when it pleases would do.
#[derive(Debug, Default)]
pub(crate) struct OpenFiles {
    held: Arc<RwLock<Files>>,
}

impl OpenFiles {
    fn get(&self, key: &[u8]) -> Option<Arc<Held>> {
        self.held.read().get(key).filter(|held| held.since.elapsed() < HELD).cloned()
    }

    fn insert(&self, key: Vec<u8>, new: Held) {
        let mut held = self.held.write();
        if held.len() >= MOST {
            return;
        }
        if held.is_empty() {
            tokio::spawn(sweep(Arc::clone(&self.held)));
        }
        held.insert(key, Arc::new(new));
    }
}

/// Lets go what was held long enough, until nothing is held.
async fn sweep(all: Arc<RwLock<Files>>) {
    loop {
        tokio::time::sleep(HELD).await;
        let mut held = all.write();
        held.retain(|_, held| held.since.elapsed() < HELD);
        if held.is_empty() {
            return;
        }
    }
}

/// An answer made of a file.
#[derive(Debug)]
struct Held {
    since: Instant,
    /// What it stands and falls with: the file, and the one whose content that is in a coding.
    watched: Vec<Arc<OpenFile>>,
    form: Form,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Made of the file.
    Memory(Bytes),
    /// Small enough to be held, once it was asked for.
    Small(Arc<OpenFile>, OnceLock<Bytes>),
    Large(Arc<OpenFile>),
}

/// What the long way found out about a file that it is about to send.
pub(crate) struct Watched {
    key: Vec<u8>,
    files: Vec<Arc<OpenFile>>,
}

impl Watched {
    /// Of an answer to the request of `context`; `None` when it is not one for the front.
    pub(crate) fn new(context: &Context, route: &Route, path: &str, files: Vec<Arc<OpenFile>>) -> Option<Self> {
        let request = &context.request;
        let mut accepted = request.fields.get_all(ACCEPT_ENCODING).iter();
        let (accepted, None) = (accepted.next(), accepted.next()) else { return None };
        let mut key = Vec::new();
        let is_usual = request.method == Method::GET && is_plain(&request.fields) && route.is_plain();
        let has_key = write_key(&mut key, route, path, accepted.map(|line| line.as_bytes()));
        (is_usual && has_key && files.iter().all(|file| is_settled(file))).then_some(Self { key, files })
    }
}

/// Whether a change of the file from now on is certain to show in its times: the clock of a file system may be a coarse one.
fn is_settled(file: &OpenFile) -> bool {
    let now = SystemTime::now();
    let old = |time: Option<SystemTime>| time.is_some_and(|time| now.duration_since(time).is_ok_and(|age| age > HELD));
    old(file.modified()) && old(file.changed())
}

/// The answer of a file that is held.
pub(super) fn find(runtime: &Runtime, way: &Way, route: &Route, target: &Plain<'_>, seen: &Seen<'_>) -> Option<Found> {
    route.root.as_ref()?;
    let held = KEY.with_borrow_mut(|key| {
        key.clear();
        write_key(key, route, target.path, seen.accept_encoding).then(|| runtime.open_files.get(key)).flatten()
    })?;
    let (head, status) = conditional(&held.form, way, seen)?;
    let content = match &held.source {
        _ if status == StatusCode::NOT_MODIFIED => None,
        Source::Memory(content) => Some(Content::Memory(content.clone())),
        Source::Small(file, kept) => {
            let content = kept.get().cloned().or_else(|| file.read_whole_cached())?;
            Some(Content::Memory(content))
        }
        Source::Large(file) => Some(Content::File(FileSlice::new(Arc::clone(file), 0..file.length()))),
    };
    if content.as_ref().is_some_and(|content| !way.carries(content)) {
        return None;
    }
    if !held.watched.iter().all(|file| file.is_untouched()) {
        return None;
    }
    if let (Source::Small(_, kept), Some(Content::Memory(content))) = (&held.source, &content) {
        let _ = kept.set(content.clone());
    }
    Some(Found { head: head.clone(), status, of: Of::File, content })
}

/// Keeps `answer`, which the long way made of files, or the 304 of one that is held.
pub(super) fn keep(context: &Context, answer: &Answer, watched: Watched) {
    let Watched { key, files } = watched;
    let open_files = &context.runtime.open_files;
    let Answer { status, fields, content, .. } = answer;
    let mut fields = fields.clone();
    fields.remove(DATE);
    if *status == StatusCode::NOT_MODIFIED {
        if let Some(held) = open_files.get(&key) {
            keep_not_modified(&held.form, &fields);
        }
        return;
    }
    let source = match content {
        Answered::Memory(parts) => match parts.as_slice() {
            [content] => Source::Memory(content.clone()),
            _ => return,
        },
        Answered::File(body) => match body.whole() {
            Some(file) if file.length() <= SMALL => Source::Small(Arc::clone(file), OnceLock::new()),
            Some(file) => Source::Large(Arc::clone(file)),
            None => return,
        },
        _ => return,
    };
    if *status == StatusCode::OK {
        let form = Form::new(&fields, None);
        form.whole().keep(|| head(*status, &fields));
        open_files.insert(key, Held { since: Instant::now(), watched: files, form, source });
    }
}

/// Only what ends in a name with an extension is looked for: addresses of pages do not have one.
fn write_key(key: &mut Vec<u8>, route: &Route, path: &str, accepted: Option<&[u8]>) -> bool {
    let has_extension =
        memchr::memrchr2(b'.', b'/', path.as_bytes()).is_some_and(|place| path.as_bytes().get(place) == Some(&b'.'));
    let accepted = accepted.unwrap_or_default();
    if !has_extension || accepted.len() > ACCEPT_ENCODING_LENGTH {
        return false;
    }
    key.extend_from_slice(&std::ptr::from_ref(route).addr().to_ne_bytes());
    key.extend_from_slice(path.as_bytes());
    key.push(0);
    key.extend_from_slice(accepted);
    true
}
