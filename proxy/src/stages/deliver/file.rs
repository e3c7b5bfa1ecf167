//! An offloaded file on its way out: compressed if that pays and no sibling did it already.

use std::time::SystemTime;

use forebay_cache::semantics::coding::{Coding, Negotiated, negotiate};
use forebay_cache::semantics::precondition::{self, EntityTag, Precondition, Validators};
use http::header::{CONTENT_LENGTH, ETAG, RANGE};
use http::{HeaderMap, StatusCode};

use super::represent::not_modified;
use crate::compress::{self, files::LARGEST};
use crate::context::Context;
use crate::http::{Answer, Content};
use crate::site::Site;
use crate::stages::normalize::Target;
use crate::stages::offload::FileAnswer;

/// The answer made of `file`.
pub(crate) async fn file(context: &Context, site: &Site, target: &Target, mut file: FileAnswer) -> Answer {
    let Some(coding) = choose(context, site, &mut file) else { return plain(file) };
    let Some(etag) = file.fields.get(ETAG).cloned() else { return plain(file) };
    let mut fields = file.fields.clone();
    compress::fields::encoded(&mut fields, coding, None);
    let request = &context.request;
    if precondition::evaluate(&request.method, &request.fields, &validators(&fields)) == Precondition::NotModified {
        return not_modified(&fields);
    }
    let lasting = context.lasting();
    let name = format!("{}\0{}", target.authority, target.path);
    if request.method == http::Method::HEAD {
        let length = lasting.file_codings.made(&name, &etag, coding).map(|content| content.len() as u64);
        return Answer { status: file.status, fields, content: Content::Empty, length };
    }
    let counted = || lasting.metrics.compressed(coding);
    match lasting.file_codings.get(&name, &etag, coding, &mut file.body, counted).await {
        Some(content) => Answer::whole(file.status, fields, content),
        // What was read is gone with the attempt; the file changed or cannot be read.
        None => Answer::empty(StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new()),
    }
}

fn plain(file: FileAnswer) -> Answer {
    let FileAnswer { status, mut fields, body, length, .. } = file;
    fields.remove(CONTENT_LENGTH);
    let length = (status != StatusCode::NOT_MODIFIED).then_some(length);
    Answer { status, fields, content: Content::File(Box::new(body)), length }
}

fn choose(context: &Context, site: &Site, file: &mut FileAnswer) -> Option<Coding> {
    let request = &context.request.fields;
    if file.length > LARGEST || compress::eligible(file.status, &file.fields, site.compress_min).is_err() {
        return None;
    }
    if site.compress.is_empty() {
        return None;
    }
    compress::fields::vary(&mut file.fields);
    if request.contains_key(RANGE) || compress::no_transform(request) {
        return None;
    }
    match negotiate(request, &site.compress) {
        Negotiated::Coding(coding) => Some(coding),
        Negotiated::Identity | Negotiated::NotAcceptable => None,
    }
}

fn validators(fields: &HeaderMap) -> Validators<'_> {
    Validators {
        etag: fields.get(ETAG).and_then(|value| EntityTag::parse(value.as_bytes())),
        last_modified: None,
        date: Some(SystemTime::now()),
    }
}
