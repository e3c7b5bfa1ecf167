//! Which representation a client gets, and which part of it: coding, preconditions, ranges.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use forebay_cache::body::{BodyReader, Retention};
use forebay_cache::fill::Flight;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::coding::{self, Coding, Negotiated};
use forebay_cache::semantics::precondition::{self, EntityTag, Precondition, Validators};
use forebay_cache::semantics::range::{self, Boundary, Multipart, Ranges};
use forebay_cache::store::Variant;
use forebay_cache::stored::StoredResponse;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, EXPIRES,
    LAST_MODIFIED, RANGE, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::compress;
use crate::context::Context;
use crate::fetch::Private;
use crate::http::{Answer, Content};
use crate::site::Site;

/// Ranges answered in one response; more are ignored and the whole is sent.
const RANGES: usize = 16;

/// Where the content of a shared response is.
pub(crate) enum Source {
    /// In the store.
    Stored(Variant),
    /// On its way.
    Flight(Arc<Flight>),
}

impl Source {
    fn response(&self) -> &Arc<StoredResponse> {
        match self {
            Self::Stored(variant) => &variant.response,
            Self::Flight(flight) => &flight.response,
        }
    }

    /// Whether a client can have the content in `coding`. What is in a file of the disk tier is coded in the background, to
    /// another file; until then it goes out as it is, for it may be long and the client waits.
    fn is_to_be_had(&self, context: &Context, key: &CacheKey, coding: Coding) -> bool {
        match self {
            Self::Stored(variant) if variant.large.is_some() => {
                let is_kept = variant.coded(coding).is_some() || variant.coded_large(coding).is_some();
                if !is_kept {
                    compress::large::begin(context.lasting(), key, variant, coding);
                }
                is_kept
            }
            Self::Stored(_) => true,
            Self::Flight(flight) => !flight.body.is_in_file(),
        }
    }

    /// Length of the content as the origin sent it, where it is known.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Stored(variant) => Some(variant.length()),
            Self::Flight(flight) => flight.length,
        }
    }
}

/// What a client gets of a shared response. `None` when its first bytes are gone: the request has to go by itself.
pub(crate) async fn represent(context: &Context, site: &Site, key: &CacheKey, source: &Source) -> Option<Answer> {
    let response = source.response();
    let status = response.status();
    let request = &context.request;
    let mut fields = response.fields().clone();
    fields.remove(CONTENT_LENGTH);
    let coding = choose(context, site, status, &mut fields, source.length());
    let coding = coding.filter(|coding| source.is_to_be_had(context, key, *coding));
    if let Some(coding) = coding {
        compress::fields::encoded(&mut fields, coding, None);
    }
    let current = |fields| validators(fields, response.date().system_time());
    if status.is_success() && matches!(request.method, Method::GET | Method::HEAD) {
        match precondition::evaluate_stored(&request.method, &request.fields, &current(&fields)) {
            Precondition::Proceed => {}
            Precondition::NotModified => return Some(not_modified(&fields)),
            Precondition::Failed => return Some(Answer::empty(StatusCode::PRECONDITION_FAILED, HeaderMap::new())),
        }
    }
    if let Some(coding) = coding {
        return coded(context, key, source, coding, status, fields).await;
    }
    let asks_for_range = request.method == Method::GET && request.fields.contains_key(RANGE);
    if status == StatusCode::OK
        && asks_for_range
        && let Some(length) = source.length()
        && precondition::if_range(&request.fields, &current(&fields))
        && let Some(answer) = ranges(context, source, length, &fields)
    {
        return Some(answer);
    }
    let content = match source {
        Source::Stored(variant) => match &variant.large {
            Some(large) => Content::Stored(large.reader(0..large.length())),
            None => Content::Memory(vec![variant.response.content().clone()]),
        },
        Source::Flight(_) if request.method == Method::HEAD => Content::Empty,
        Source::Flight(flight) => Content::Stream(flight.body.reader()?),
    };
    Some(Answer { status, fields, content, length: source.length() })
}

/// Negotiates the coding; adds `Vary` where it could have been another.
fn choose(
    context: &Context,
    site: &Site,
    status: StatusCode,
    fields: &mut HeaderMap,
    length: Option<u64>,
) -> Option<Coding> {
    if site.compress.is_empty() || compress::eligible(status, fields, 0).is_err() {
        return None;
    }
    // Too small to be compressed for anybody: Accept-Encoding had no part in it (RFC 9110 section 12.5.5).
    if is_small(site, length) {
        return None;
    }
    compress::fields::vary(fields);
    let request = &context.request.fields;
    if request.contains_key(RANGE) || compress::no_transform(request) {
        return None;
    }
    match coding::negotiate(request, &site.compress) {
        Negotiated::Coding(coding) => Some(coding),
        Negotiated::Identity | Negotiated::NotAcceptable => None,
    }
}

fn is_small(site: &Site, length: Option<u64>) -> bool {
    length.is_some_and(|length| length < site.compress_min)
}

/// Whether clients may get this stored response, whose content has `length` bytes, in a coding.
pub(crate) fn is_codable(site: &Site, response: &StoredResponse, length: u64) -> bool {
    !site.compress.is_empty()
        && !is_small(site, Some(length))
        && compress::eligible(response.status(), response.fields(), 0).is_ok()
}

fn validators(fields: &HeaderMap, date: Option<SystemTime>) -> Validators<'_> {
    Validators {
        etag: fields.get(ETAG).and_then(|value| EntityTag::parse(value.as_bytes())),
        last_modified: fields.get(LAST_MODIFIED).and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok()),
        date,
    }
}

/// RFC 9110 section 15.4.5: what the 200 would have had of these, and nothing that describes content.
pub(super) fn not_modified(fields: &HeaderMap) -> Answer {
    const KEPT: [HeaderName; 8] =
        [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY, LAST_MODIFIED, SET_COOKIE];
    let mut kept = HeaderMap::new();
    for (name, value) in fields {
        if KEPT.contains(name) || name.as_str().starts_with("x-") || *name == ALLOW {
            kept.append(name.clone(), value.clone());
        }
    }
    Answer { status: StatusCode::NOT_MODIFIED, fields: kept, content: Content::Empty, length: None }
}

/// The content in `coding`: kept from before, or made now and kept.
async fn coded(
    context: &Context,
    key: &CacheKey,
    source: &Source,
    coding: Coding,
    status: StatusCode,
    fields: HeaderMap,
) -> Option<Answer> {
    let lasting = context.lasting();
    let (content, length) = match source {
        Source::Stored(variant) => {
            if let Some(file) = variant.coded_large(coding) {
                let (content, length) = (Content::Stored(file.reader(0..file.length())), Some(file.length()));
                return Some(Answer { status, fields, content, length });
            }
            let content = match variant.coded(coding) {
                Some(content) => content.clone(),
                None => lasting.encodings.get(lasting, key, &variant.response, coding).await?,
            };
            let length = content.len() as u64;
            (Content::Memory(vec![content]), Some(length))
        }
        Source::Flight(_) if context.request.method == Method::HEAD => (Content::Empty, None),
        Source::Flight(flight) => {
            let body = flight.coded(coding, || {
                let (store, key, response) = (Arc::clone(lasting), key.clone(), Arc::clone(&flight.response));
                let keep = move |content: Bytes| {
                    tokio::spawn(async move { store.store.add_coded(&key, &response, coding, content).await });
                };
                lasting.metrics.compressed(coding);
                compress::stream::start(flight.body.reader()?, coding, Retention::Keep, &lasting.spool, keep).ok()
            });
            (Content::Stream(body?.reader()?), None)
        }
    };
    Some(Answer { status, fields, content, length })
}

/// RFC 9110 section 14. `None`: the range is ignored and the whole is sent.
fn ranges(context: &Context, source: &Source, length: u64, fields: &HeaderMap) -> Option<Answer> {
    let mut fields = fields.clone();
    match range::of_request(&context.request.fields, length, RANGES) {
        Ranges::Ignore => None,
        Ranges::Unsatisfiable => {
            fields.remove(CONTENT_TYPE);
            fields.insert(CONTENT_RANGE, range::unsatisfied_content_range(length));
            Some(Answer::empty(StatusCode::RANGE_NOT_SATISFIABLE, fields))
        }
        Ranges::Single(single) => {
            fields.insert(CONTENT_RANGE, range::content_range(&single, length));
            let wanted = single.end - single.start;
            let content = match source {
                Source::Stored(variant) => match &variant.large {
                    Some(large) => Content::Stored(large.reader(single.clone())),
                    None => Content::Memory(vec![slice(variant.response.content(), &single)?]),
                },
                Source::Flight(flight) => Content::StreamRange(flight.body.reader()?, single.start, wanted),
            };
            Some(Answer { status: StatusCode::PARTIAL_CONTENT, fields, content, length: Some(wanted) })
        }
        Ranges::Multiple(several) => {
            let Source::Stored(variant) = source else { return None };
            if variant.large.is_some() {
                return None;
            }
            let boundary = Boundary::new(ahash::RandomState::new().hash_one(context.began).into());
            let multipart = Multipart::new(boundary, several, length, fields.get(CONTENT_TYPE));
            let mut parts = Vec::new();
            for (head, part) in multipart.parts() {
                parts.push(head);
                parts.push(slice(variant.response.content(), &part)?);
            }
            parts.push(multipart.closing());
            fields.insert(CONTENT_TYPE, multipart.content_type());
            let length = Some(multipart.content_length());
            Some(Answer { status: StatusCode::PARTIAL_CONTENT, fields, content: Content::Memory(parts), length })
        }
    }
}

fn slice(content: &Bytes, range: &std::ops::Range<u64>) -> Option<Bytes> {
    let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
    (end <= content.len()).then(|| content.slice(start..end))
}

/// What a client gets of a response that is for it alone.
pub(crate) fn passed(context: &Context, site: &Site, private: Private) -> Answer {
    let Private { status, mut fields, reader, length, .. } = private;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Answer { status, fields, content: Content::Tunnel(reader), length: None };
    }
    fields.remove(CONTENT_LENGTH);
    let request = &context.request;
    let coding = choose(context, site, status, &mut fields, length);
    if status == StatusCode::NOT_MODIFIED {
        if let Some(etag) = fields.get(ETAG)
            && let Some(coding) = compress::fields::held_coding(&request.fields, etag, preferred(context, site))
            && let Some(tag) = compress::fields::with_coding_suffix(etag, coding)
        {
            fields.insert(ETAG, tag);
        }
        return Answer { status, fields, content: Content::Empty, length: None };
    }
    if let Some(answer) = part_of_passed(context, status, &fields, length) {
        let PartOfPassed { fields, start, wanted } = answer;
        let content = Content::StreamRange(reader, start, wanted);
        return Answer { status: StatusCode::PARTIAL_CONTENT, fields, content, length: Some(wanted) };
    }
    let Some(coding) = coding else {
        return Answer { status, fields, content: Content::Stream(reader), length };
    };
    let mut coded = fields.clone();
    compress::fields::encoded(&mut coded, coding, None);
    if request.method == Method::HEAD {
        return Answer { status, fields: coded, content: Content::Empty, length: None };
    }
    match stream(context, reader, coding) {
        Some(reader) => Answer { status, fields: coded, content: Content::Stream(reader), length: None },
        None => Answer::empty(StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new()),
    }
}

fn preferred(context: &Context, site: &Site) -> Option<Coding> {
    match coding::negotiate(&context.request.fields, &site.compress) {
        Negotiated::Coding(coding) => Some(coding),
        Negotiated::Identity | Negotiated::NotAcceptable => None,
    }
}

fn stream(context: &Context, reader: BodyReader, coding: Coding) -> Option<BodyReader> {
    let lasting = context.lasting();
    lasting.metrics.compressed(coding);
    compress::stream::start(reader, coding, Retention::Release, &lasting.spool, drop).ok()?.reader()
}

struct PartOfPassed {
    fields: HeaderMap,
    start: u64,
    wanted: u64,
}

/// A fill asks for the whole; when the response turned out not to be storable, the client still gets the one range it
/// asked for.
fn part_of_passed(
    context: &Context,
    status: StatusCode,
    fields: &HeaderMap,
    length: Option<u64>,
) -> Option<PartOfPassed> {
    let request = &context.request;
    let asked = status == StatusCode::OK && request.method == Method::GET && request.fields.contains_key(RANGE);
    let length = length.filter(|_| asked && context.asked_for_whole)?;
    if !precondition::if_range(&request.fields, &validators(fields, Some(context.began))) {
        return None;
    }
    let Ranges::Single(single) = range::of_request(&request.fields, length, RANGES) else { return None };
    let mut fields = fields.clone();
    fields.insert(CONTENT_RANGE, range::content_range(&single, length));
    Some(PartOfPassed { fields, start: single.start, wanted: single.end - single.start })
}
