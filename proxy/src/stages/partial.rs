//! Ranges where the whole is not stored: answered from the parts that are, or asked of the origin as they are, so that a
//! part of a large representation does not cost the whole of it (RFC 9111 sections 3.3 and 3.4).

use std::sync::Arc;

use forebay_cache::key::CacheKey;
use forebay_cache::semantics::range::{self, Ranges};
use forebay_cache::semantics::{RequestDirectives, Reuse, reuse};
use forebay_cache::store::Parts;
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, Method, StatusCode};

use crate::context::Context;
use crate::fetch::Completion;
use crate::http::{Answer, Content};

/// Whether the request asks for one range and sets no condition; any other takes the way of whole responses.
pub(crate) fn asks_for_part(context: &Context) -> bool {
    const CONDITIONS: [http::HeaderName; 5] =
        [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE];
    let request = &context.request;
    request.method == Method::GET
        && !CONDITIONS.iter().any(|name| request.fields.contains_key(name))
        && request.fields.get(RANGE).is_some_and(|range| !range.as_bytes().contains(&b','))
        // Of a representation as long as they come: is it a range at all?
        && matches!(range::of_request(&request.fields, u64::MAX, 1), Ranges::Single(_))
}

/// Parts of the response to this request, fresh.
fn usable(context: &Context, key: &CacheKey, forwarded: &HeaderMap) -> Option<Arc<Parts>> {
    let parts = context.lasting().store.parts(key)?;
    let response = parts.response();
    let directives = RequestDirectives::parse(&context.request.fields);
    let fresh = reuse(response, &directives, context.now) == Reuse::Fresh;
    let invalidated = context.lasting().groups.is_invalidated(key, response);
    (fresh && !invalidated && response.variance().matches(forwarded)).then_some(parts)
}

/// The answer, if the stored parts hold the whole range that is asked for.
pub(crate) fn answer(context: &mut Context, key: &CacheKey, forwarded: &HeaderMap) -> Option<Answer> {
    let parts = usable(context, key, forwarded)?;
    let Ranges::Single(range) = range::of_request(&context.request.fields, parts.complete(), 1) else { return None };
    let content = parts.slice(&range)?;
    let response = parts.response();
    context.age = Some(response.current_age(context.now));
    context.ttl = Some(response.ttl(context.now));
    let mut fields = response.fields().clone();
    fields.remove(CONTENT_LENGTH);
    fields.insert(CONTENT_RANGE, range::content_range(&range, parts.complete()));
    let length = Some(range.end - range.start);
    Some(Answer { status: StatusCode::PARTIAL_CONTENT, fields, content: Content::Memory(content), length })
}

/// What is to be asked for to make the stored parts whole.
pub(crate) fn completion(context: &Context, key: &CacheKey, forwarded: &HeaderMap) -> Option<Completion> {
    let parts = usable(context, key, forwarded)?;
    let gap = parts.gap()?;
    Some(Completion { parts, gap })
}
