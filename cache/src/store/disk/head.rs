//! The head of a record: metadata and fields of a stored response, in postcard's encoding.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::semantics::Variance;
use crate::semantics::coding::Coding;
use crate::semantics::freshness::LifetimeSource;
use crate::stored::{Metadata, StoredResponse};

/// What the head of a record holds. The order of everything here is the format: a change is a new `format::VERSION`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Head<'a> {
    /// A stored response. `large`: length of its content and the checksums of its blocks, where it is in a file.
    Response {
        #[serde(borrow)]
        response: Wire<'a>,
        #[serde(borrow)]
        large: Option<(u64, &'a [u8])>,
    },
    /// The content of a stored response in another coding: checksum and length of the content it was made from.
    Coded { base: (u32, u64) },
    /// A tombstone.
    Removed,
    /// As `Coded`, where the coded content is in a file: `large` as above. It came later and stands last, so that what was
    /// written before it is read as before.
    CodedLarge {
        base: (u32, u64),
        #[serde(borrow)]
        large: (u64, &'a [u8]),
    },
}

/// [`Metadata`] and fields as they are written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wire<'a> {
    status: u16,
    times: (i64, i64),
    initial_age: Duration,
    lifetime: Duration,
    source: u8,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    flags: u8,
    #[serde(borrow)]
    nominated: Vec<(&'a str, Option<&'a [u8]>)>,
    #[serde(borrow)]
    surrogate_keys: Vec<&'a str>,
    pub(super) stamp: u64,
    #[serde(borrow)]
    fields: Vec<(&'a str, &'a [u8])>,
}

const VALIDATE_ALWAYS: u8 = 1;
const FORBIDS_STALE: u8 = 2;
const NO_TRANSFORM: u8 = 4;
const STAR: u8 = 8;

const SOURCES: [LifetimeSource; 8] = [
    LifetimeSource::Targeted,
    LifetimeSource::SMaxAge,
    LifetimeSource::MaxAge,
    LifetimeSource::Expires,
    LifetimeSource::RefreshPattern,
    LifetimeSource::Assigned,
    LifetimeSource::Heuristic,
    LifetimeSource::None,
];

impl<'a> Wire<'a> {
    pub(super) fn of(response: &'a StoredResponse) -> Self {
        let metadata = response.metadata();
        let source = SOURCES.iter().position(|source| *source == metadata.source).unwrap_or(SOURCES.len() - 1);
        let flag = |set: bool, bit| if set { bit } else { 0 };
        Self {
            status: metadata.status.as_u16(),
            times: (metadata.request_time.millis(), metadata.response_time.millis()),
            initial_age: metadata.initial_age,
            lifetime: metadata.lifetime,
            source: u8::try_from(source).unwrap_or(u8::MAX),
            stale_while_revalidate: metadata.stale_while_revalidate,
            stale_if_error: metadata.stale_if_error,
            flags: flag(metadata.validate_always, VALIDATE_ALWAYS)
                | flag(metadata.forbids_stale, FORBIDS_STALE)
                | flag(metadata.no_transform, NO_TRANSFORM)
                | flag(metadata.variance.is_star(), STAR),
            nominated: metadata.variance.nominated().map(|(name, value)| (name.as_str(), value)).collect(),
            surrogate_keys: metadata.surrogate_keys.iter().map(|key| &**key).collect(),
            stamp: metadata.stamp,
            fields: response.fields().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
        }
    }

    /// The response; its field values share `buffer`, which these bytes are borrowed from.
    pub(super) fn into_response(self, buffer: &Bytes, content: Bytes) -> Option<StoredResponse> {
        let mut fields = HeaderMap::with_capacity(self.fields.len());
        for (name, value) in self.fields {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            fields.append(name, HeaderValue::from_maybe_shared(buffer.slice_ref(value)).ok()?);
        }
        let mut nominated = Vec::with_capacity(self.nominated.len());
        for (name, value) in self.nominated {
            nominated.push((HeaderName::from_bytes(name.as_bytes()).ok()?, value.map(<[u8]>::to_vec)));
        }
        let metadata = Metadata {
            status: StatusCode::from_u16(self.status).ok()?,
            request_time: Timestamp::from_millis(self.times.0),
            response_time: Timestamp::from_millis(self.times.1),
            initial_age: self.initial_age,
            lifetime: self.lifetime,
            source: *SOURCES.get(usize::from(self.source))?,
            stale_while_revalidate: self.stale_while_revalidate,
            stale_if_error: self.stale_if_error,
            validate_always: self.flags & VALIDATE_ALWAYS != 0,
            forbids_stale: self.flags & FORBIDS_STALE != 0,
            no_transform: self.flags & NO_TRANSFORM != 0,
            variance: Variance::from_parts(self.flags & STAR != 0, nominated),
            surrogate_keys: self.surrogate_keys.into_iter().map(Box::from).collect(),
            stamp: self.stamp,
        };
        Some(StoredResponse::from_parts(metadata, fields, content))
    }
}

impl<'a> Head<'a> {
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        postcard::to_allocvec(self).ok()
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// The form a coding is filed under; 0 is the content as the origin sent it.
pub(super) fn form(coding: Coding) -> u8 {
    match coding {
        Coding::Gzip => 1,
        Coding::Brotli => 2,
        Coding::Zstd => 3,
    }
}

pub(super) fn coding(form: u8) -> Option<Coding> {
    [Coding::Gzip, Coding::Brotli, Coding::Zstd].into_iter().find(|coding| self::form(*coding) == form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::testing::Case;

    #[test]
    fn a_response_is_read_back_as_it_was() {
        let lines = [
            ("Cache-Control", "max-age=60, stale-if-error=5, no-transform"),
            ("Vary", "Accept-Language, X-None"),
            ("xkey", "a b"),
            ("X-Two", "1"),
            ("X-Two", "2"),
        ];
        let stored = Case::response(&lines).request(&[("Accept-Language", "de")]).stored();
        let head = Head::Response { response: Wire::of(&stored), large: Some((5, &[1, 2])) };
        let bytes = Bytes::from(head.encode().unwrap());
        let Some(Head::Response { response, large }) = Head::decode(&bytes) else { panic!("not decoded") };
        assert_eq!(large, Some((5, &[1, 2][..])));
        assert_eq!(response.into_response(&bytes, stored.content().clone()).unwrap(), stored);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        let stored = Case::response(&[("Vary", "a"), ("xkey", "k")]).stored();
        let whole = Head::Response { response: Wire::of(&stored), large: None }.encode().unwrap();
        for length in 0..whole.len() {
            let bytes = Bytes::copy_from_slice(&whole[..length]);
            assert!(Head::decode(&bytes).is_none());
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let bytes = Bytes::from(flipped);
            if let Some(Head::Response { response, .. }) = Head::decode(&bytes) {
                let _ = response.into_response(&bytes, Bytes::new());
            }
        }
    }

    #[test]
    fn every_coding_has_a_form_of_its_own() {
        for each in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            assert_eq!(coding(form(each)), Some(each));
        }
        assert_eq!(coding(0), None);
    }
}
