//! Partial content: parts that are kept, and wholes that are made of a part and one more (RFC 9111 sections 3.3 and 3.4).

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use forebay_cache::semantics::partial::{ContentRange, if_range_value, same_strong_validator};
use forebay_cache::semantics::{Exchange as Exchanged, StorePolicy, storability};
use forebay_cache::store::Parts;
use forebay_cache::stored::StoredResponse;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::run::StorePlan;
use crate::runtime::Lasting;

/// The whole of a response of which parts are stored: the one range that is missing is asked for.
#[derive(Clone)]
pub(crate) struct Completion {
    pub(crate) parts: Arc<Parts>,
    pub(crate) gap: Range<u64>,
}

impl Completion {
    /// Asks for what is missing, on condition that the rest is still good.
    ///
    /// A response without a strong validator cannot be completed (RFC 9110 section 15.3.7.3). It is asked for in the same
    /// way all the same: a server that knows no ranges answers with the whole, and one that does will be asked again.
    pub(super) fn ask(&self, request: &mut HeaderMap) {
        let Range { start, end } = self.gap;
        let range = if end == self.parts.complete() {
            format!("bytes={start}-")
        } else {
            format!("bytes={start}-{}", end.saturating_sub(1))
        };
        if let Ok(range) = HeaderValue::try_from(range) {
            request.insert(RANGE, range);
        }
        if let Some(validator) = if_range_value(self.parts.response()) {
            request.insert(IF_RANGE, validator);
        }
    }

    /// The whole, of a fill with this stamp, when the 206 of `exchange` brings what is missing of it: its head, and the bytes before and behind.
    pub(super) fn complete(
        &self,
        exchange: &Exchanged<'_>,
        policy: &StorePolicy,
        stamp: u64,
    ) -> Option<(StoredResponse, Vec<Bytes>, Vec<Bytes>)> {
        let range = ContentRange::parse(exchange.response.get(CONTENT_RANGE)?)?;
        let Range { start, end } = self.gap;
        let complete = self.parts.complete();
        let is_gap = range.first == start && range.last + 1 == end && range.complete == complete;
        let fits = is_gap && same_strong_validator(self.parts.response(), &head_of_whole(exchange, policy));
        // Its fields take the place of those of the stored parts (RFC 9111 section 3.4).
        let (whole, storability) = self.parts.response().freshen(exchange, policy);
        if !fits || !storability.is_yes() {
            return None;
        }
        let side = |range: Range<u64>| if range.is_empty() { Some(Vec::new()) } else { self.parts.slice(&range) };
        // The whole is as old as its oldest part.
        let stamp = stamp.min(self.parts.response().metadata().stamp);
        Some((whole.stamped(stamp), side(0..start)?, side(end..complete)?))
    }
}

/// The head that the whole would have had in the place of this part.
fn head_of_whole(exchange: &Exchanged<'_>, policy: &StorePolicy) -> StoredResponse {
    let fields = fields_of_whole(exchange.response);
    let whole = Exchanged { status: StatusCode::OK, response: &fields, ..exchange.clone() };
    StoredResponse::new(&whole, Bytes::new(), policy)
}

fn fields_of_whole(part: &HeaderMap) -> HeaderMap {
    let mut fields = part.clone();
    fields.remove(CONTENT_RANGE);
    fields.remove(CONTENT_LENGTH);
    fields
}

/// A part on its way, of which a copy is kept.
pub(super) struct Keeping {
    response: Arc<StoredResponse>,
    first: u64,
    complete: u64,
    content: BytesMut,
    limit: u64,
}

impl Keeping {
    /// What is kept of the 206 (of a fill with this stamp) of `exchange`, if it may be stored: it would be storable as a 200, and says what it holds.
    pub(super) fn of(exchange: &Exchanged<'_>, policy: &StorePolicy, limit: u64, stamp: u64) -> Option<Self> {
        if exchange.status != StatusCode::PARTIAL_CONTENT || *exchange.method != Method::GET {
            return None;
        }
        let mut ranges = exchange.response.get_all(CONTENT_RANGE).iter();
        let range = ContentRange::parse(ranges.next()?).filter(|_| ranges.next().is_none())?;
        let fields = fields_of_whole(exchange.response);
        let whole = Exchanged { status: StatusCode::OK, response: &fields, ..exchange.clone() };
        let kept = range.complete <= limit && storability(&whole, policy).is_yes();
        kept.then(|| Self {
            response: Arc::new(StoredResponse::new(&whole, Bytes::new(), policy).stamped(stamp)),
            first: range.first,
            complete: range.complete,
            content: BytesMut::new(),
            limit: range.last + 1 - range.first,
        })
    }

    /// More of its content. What goes beyond its range is not kept.
    pub(super) fn add(&mut self, chunk: &Bytes) {
        let left = self.limit.saturating_sub(self.content.len() as u64);
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        self.content.extend_from_slice(chunk.get(..take).unwrap_or_default());
    }

    /// Stores what came: one that ends before its range does is a shorter part, good from its first byte on.
    pub(super) fn store(self, lasting: &Lasting, plan: &StorePlan) {
        if !plan.leader.fill().is_doomed() {
            let parts = Parts::new(self.response, self.complete, self.first, self.content.freeze());
            lasting.store.insert_parts(&plan.key, parts);
        }
    }
}

/// Keeps the beginning of a whole response that broke off (RFC 9111 section 3.3), if it can be completed later.
pub(super) fn keep_beginning(
    lasting: &Lasting,
    plan: &StorePlan,
    response: &Arc<StoredResponse>,
    length: Option<u64>,
    content: Option<Bytes>,
) {
    let Some((length, content)) = length.zip(content.filter(|content| !content.is_empty())) else { return };
    let can_be_completed = response.status() == StatusCode::OK && if_range_value(response).is_some();
    if can_be_completed && length <= lasting.store.max_in_memory() && !plan.leader.fill().is_doomed() {
        lasting.store.insert_parts(&plan.key, Parts::new(Arc::clone(response), length, 0, content));
    }
}
