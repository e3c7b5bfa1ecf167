//! What the long way keeps for the front: heads as it made them, without the lines that change with the time.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use forebay_cache::semantics::coding::Coding;
use forebay_cache::semantics::groups::CACHE_GROUPS;
use forebay_cache::store::{Form, Variant};
use http::header::{
    ACCEPT_ENCODING, AGE, CACHE_CONTROL, CACHE_STATUS, CONTENT_ENCODING, CONTENT_RANGE, IF_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PRAGMA, RANGE,
};
use http::{HeaderMap, StatusCode};

use super::files::{self, Watched};
use super::stored::coding;
use crate::context::Context;
use crate::http::{Answer, Content};
use crate::listen::h1::start;
use crate::site::Site;
use crate::stages::deliver::is_codable;

/// What an answer is about to be made of.
pub(crate) enum Preparing {
    /// A stored response.
    Stored(Variant, Arc<Site>),
    /// A file.
    File(Watched),
}

/// Keeps the head of `answer` for requests to come. It has all its fields but `Age` and `Cache-Status`.
pub(crate) fn prepare(context: &mut Context, answer: &Answer) {
    match context.preparing.take() {
        None => {}
        Some(Preparing::Stored(variant, site)) => of_stored(context, answer, &variant, &site),
        Some(Preparing::File(watched)) => files::keep(context, answer, watched),
    }
}

fn of_stored(context: &Context, answer: &Answer, variant: &Variant, site: &Site) {
    let Answer { status, fields, content, .. } = answer;
    // Whether its group was invalidated is for the long way to find out.
    if !may_be_kept(fields) || variant.response.fields().contains_key(CACHE_GROUPS) {
        return;
    }
    let made =
        variant.prepared.begin(context.runtime.generation, || is_codable(site, &variant.response, variant.length()));
    let form = |coding| made.form_or(coding, || Form::new(fields, variant.response.date().system_time()));
    match (*status, content) {
        (StatusCode::OK, Content::Memory(parts)) if parts.len() == 1 => {
            let coding = match fields.get(CONTENT_ENCODING) {
                // The origin's own coding is part of what is stored.
                Some(token) if !variant.response.fields().contains_key(CONTENT_ENCODING) => {
                    let Some(coding) = token.to_str().ok().and_then(Coding::from_token) else { return };
                    Some(coding)
                }
                _ => None,
            };
            form(coding).whole().keep(|| head(*status, fields));
        }
        (StatusCode::NOT_MODIFIED, _) if is_plain(&context.request.fields) => {
            let mut accepted = context.request.fields.get_all(ACCEPT_ENCODING).iter();
            let (accepted, None) = (accepted.next(), accepted.next()) else { return };
            let coding = coding(site, &made, accepted.map(|accepted| accepted.as_bytes()));
            keep_not_modified(form(coding), fields);
        }
        _ => {}
    }
}

/// Keeps the 304 that `fields` are of.
pub(super) fn keep_not_modified(form: &Form, fields: &HeaderMap) {
    form.not_modified().keep(|| head(StatusCode::NOT_MODIFIED, fields));
}

/// Whether the front can complete a head with these fields: those it adds itself are not among them, and it is that of the whole.
pub(super) fn may_be_kept(fields: &HeaderMap) -> bool {
    ![AGE, CACHE_STATUS, CONTENT_RANGE].iter().any(|name| fields.contains_key(name))
}

/// Whether a request asks for nothing but the resource, in whatever coding, unless the client has it.
pub(super) fn is_plain(request: &HeaderMap) -> bool {
    ![RANGE, CACHE_CONTROL, PRAGMA, IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE]
        .iter()
        .any(|name| request.contains_key(name))
}

/// The lines of `fields`, and what stands before them.
pub(super) fn head(status: StatusCode, fields: &HeaderMap) -> Bytes {
    let mut head = BytesMut::with_capacity(512);
    start(&mut head, status, fields);
    head.freeze()
}
