//! What was found out about a stored response, and made of it, when it was used before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};

use crate::semantics::coding::Coding;
use crate::semantics::precondition::{EntityTag, Precondition, Validators, evaluate_plain};

/// See the module. It goes with the response: another one has nothing found out yet.
#[derive(Debug, Default)]
pub struct Prepared {
    /// No purge up to this number concerns it.
    checked: AtomicU64,
    /// Most of what is read from disk is let go of before anything is made of it: an empty `ArcSwap` would cost more then.
    made: OnceLock<ArcSwap<Made>>,
}

impl Prepared {
    /// Number of the last purge that is known not to concern it.
    pub(super) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Notes that no purge up to this number concerns it.
    pub(super) fn mark_checked(&self, number: u64) {
        self.checked.fetch_max(number, Ordering::Relaxed);
    }

    /// What was made of it under the settings called `stamp`.
    #[must_use]
    pub fn made(&self, stamp: u64) -> Option<Guard<Arc<Made>>> {
        let made = self.made.get()?.load();
        (made.stamp == stamp).then_some(made)
    }

    /// The same, begun if there is nothing yet or only what other settings led to.
    #[must_use]
    pub fn begin(&self, stamp: u64, is_codable: impl FnOnce() -> bool) -> Arc<Made> {
        if let Some(made) = self.made(stamp) {
            return Guard::into_inner(made);
        }
        let made = Arc::new(Made { stamp, is_codable: is_codable(), forms: Default::default() });
        // Whoever else began it meanwhile is overruled, as by other settings.
        self.made.get_or_init(|| ArcSwap::new(Arc::clone(&made))).store(Arc::clone(&made));
        made
    }
}

/// Heads that were made of a stored response, to be sent again as they are. What they look like is the proxy's business.
#[derive(Debug)]
pub struct Made {
    stamp: u64,
    /// Whether there may be other forms than the plain one.
    is_codable: bool,
    /// Without a coding, then by coding.
    forms: [OnceLock<Box<Form>>; 4],
}

impl Made {
    /// Whether clients may get it in a coding.
    #[must_use]
    pub fn is_codable(&self) -> bool {
        self.is_codable
    }

    /// Its form in `coding`, when that was made.
    #[must_use]
    pub fn form(&self, coding: Option<Coding>) -> Option<&Form> {
        self.slot(coding).get().map(|form| &**form)
    }

    /// The same, made of `form` if it is not there yet.
    pub fn form_or(&self, coding: Option<Coding>, form: impl FnOnce() -> Form) -> &Form {
        self.slot(coding).get_or_init(|| Box::new(form()))
    }

    fn slot(&self, coding: Option<Coding>) -> &OnceLock<Box<Form>> {
        let [plain, zstd, brotli, gzip] = &self.forms;
        match coding {
            None => plain,
            Some(Coding::Zstd) => zstd,
            Some(Coding::Brotli) => brotli,
            Some(Coding::Gzip) => gzip,
        }
    }
}

/// A representation: what it is known by, and what is said of it.
#[derive(Debug)]
pub struct Form {
    etag: Option<HeaderValue>,
    modified: Option<SystemTime>,
    whole: Head,
    not_modified: Head,
}

/// A head as it is sent over HTTP/1, and over HTTP/2 if it ever was.
#[derive(Debug, Default)]
pub struct Head {
    lines: OnceLock<Bytes>,
    coded: OnceLock<Bytes>,
}

impl Head {
    /// As lines, when it was made.
    #[must_use]
    pub fn lines(&self) -> Option<&Bytes> {
        self.lines.get()
    }

    /// As a block that `code` makes of the lines, when those were made.
    pub fn coded(&self, code: impl FnOnce(&[u8]) -> Bytes) -> Option<&Bytes> {
        let lines = self.lines.get()?;
        Some(self.coded.get_or_init(|| code(lines)))
    }

    /// Keeps the lines; the first ones stay.
    pub fn keep(&self, lines: impl FnOnce() -> Bytes) {
        self.lines.get_or_init(lines);
    }
}

impl Form {
    /// One with the validators among `fields`, that counts as modified at `date` if they do not tell.
    #[must_use]
    pub fn new(fields: &HeaderMap, date: Option<SystemTime>) -> Self {
        let modified = fields.get(LAST_MODIFIED).and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
        Self {
            etag: fields.get(ETAG).cloned(),
            modified: modified.or(date),
            whole: Head::default(),
            not_modified: Head::default(),
        }
    }

    /// The head of the 200.
    #[must_use]
    pub fn whole(&self) -> &Head {
        &self.whole
    }

    /// The head of the 304.
    #[must_use]
    pub fn not_modified(&self) -> &Head {
        &self.not_modified
    }

    /// What the two conditions that are for caches come to (RFC 9110 section 13.1.2 and 13.1.3).
    #[must_use]
    pub fn evaluate(&self, if_none_match: Option<&[u8]>, if_modified_since: Option<&[u8]>) -> Precondition {
        let etag = self.etag.as_ref().and_then(|value| EntityTag::parse(value.as_bytes()));
        let validators = Validators { etag, last_modified: self.modified, date: None };
        evaluate_plain(if_none_match, if_modified_since, &validators)
    }
}
