//! A stored response as it lies in Redis: version, authentication, head (postcard), content.
//!
//! Everything behind the authentication is covered by it, and the place where it lies: HMAC-SHA256, under a key that is
//! derived from the cluster's secret where there is one. Without a secret it is a checksum that finds what is broken, and
//! keeps out nobody. Whatever does not fit to the byte is no record.

use bytes::Bytes;
use forebay_cache::key::CacheKey;
use forebay_cache::stored::StoredResponse;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::cluster::Term;

/// The form of everything below. Part of the place, so that nodes of two versions do not see each other's.
pub(super) const VERSION: u8 = 1;

/// Bytes of HMAC-SHA256.
const TAG: usize = 32;

#[derive(Debug, Serialize, Deserialize)]
enum Head<'a> {
    /// What is stored here varies on these fields: the responses lie where their values lead.
    Varies(#[serde(borrow)] Vec<&'a str>),
    Response(#[serde(borrow)] Wire<'a>),
}

#[derive(Debug, Serialize, Deserialize)]
struct Wire<'a> {
    /// With the variance.
    key: &'a [u8],
    history: u64,
    at: u64,
    status: u16,
    /// Asked for and received, milliseconds of Redis' clock.
    times: (i64, i64),
    /// Milliseconds.
    initial_age: u64,
    tags: Vec<&'a str>,
    fields: Vec<(&'a str, &'a [u8])>,
    length: u64,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    Varies(Vec<HeaderName>),
    Response(Box<Shared>),
}

/// A response that another node has stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    /// How far that node had come in the stream of purges when it asked for this.
    pub(crate) term: Term,
    pub(crate) status: StatusCode,
    /// What it is stored under, with its variance.
    pub(crate) key: Vec<u8>,
    /// Without `Age`.
    pub(crate) fields: HeaderMap,
    pub(crate) content: Bytes,
    /// Milliseconds of Redis' clock.
    pub(crate) asked: i64,
    /// Milliseconds of Redis' clock.
    pub(crate) received: i64,
    /// Milliseconds.
    pub(crate) initial_age: u64,
    pub(crate) tags: Vec<Box<str>>,
}

/// The record of a response; `ahead`: how far Redis' clock is ahead of ours, milliseconds.
pub(super) fn write(
    sealing: &hmac::Key,
    place: &[u8],
    key: &CacheKey,
    response: &StoredResponse,
    term: Term,
    ahead: i64,
) -> Vec<u8> {
    let metadata = response.metadata();
    let wire = Wire {
        key: key.as_bytes(),
        history: term.history,
        at: term.at,
        status: metadata.status.as_u16(),
        times: (
            metadata.request_time.millis().saturating_add(ahead),
            metadata.response_time.millis().saturating_add(ahead),
        ),
        initial_age: u64::try_from(metadata.initial_age.as_millis()).unwrap_or(u64::MAX),
        tags: metadata.surrogate_keys.iter().map(|tag| &**tag).collect(),
        fields: response.fields().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
        length: response.content().len() as u64,
    };
    seal(sealing, place, &Head::Response(wire), response.content())
}

/// The record that says what the responses of a key vary on.
pub(super) fn write_varies(sealing: &hmac::Key, place: &[u8], names: &[&HeaderName]) -> Vec<u8> {
    seal(sealing, place, &Head::Varies(names.iter().map(|name| name.as_str()).collect()), b"")
}

fn seal(sealing: &hmac::Key, place: &[u8], head: &Head<'_>, content: &[u8]) -> Vec<u8> {
    // Into memory, of plain data: nothing can fail.
    let head = postcard::to_allocvec(head).unwrap_or_default();
    let mut out = Vec::with_capacity(1 + TAG + 4 + head.len() + content.len());
    out.push(VERSION);
    out.extend([0; TAG]);
    out.extend(u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(&head);
    out.extend(content);
    let tag = sign(sealing, place, out.get(1 + TAG..).unwrap_or_default());
    if let Some(room) = out.get_mut(1..=TAG) {
        room.copy_from_slice(tag.as_ref());
    }
    out
}

fn sign(sealing: &hmac::Key, place: &[u8], rest: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(sealing);
    context.update(&(place.len() as u64).to_le_bytes());
    context.update(place);
    context.update(rest);
    context.sign()
}

/// Reads what lies at `place`; `None`: it is no record of ours.
pub(super) fn read(sealing: &hmac::Key, place: &[u8], bytes: &Bytes, is_key: impl Fn(&[u8]) -> bool) -> Option<Record> {
    let (&version, rest) = bytes.split_first()?;
    let (tag, rest) = rest.split_at_checked(TAG)?;
    if version != VERSION || !is_same(sign(sealing, place, rest).as_ref(), tag) {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (head, content) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    match postcard::from_bytes::<Head<'_>>(head).ok()? {
        Head::Varies(names) => {
            let names: Option<Vec<_>> =
                names.into_iter().map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect();
            names.map(Record::Varies)
        }
        Head::Response(wire) => {
            if !is_key(wire.key) || wire.length != content.len() as u64 {
                return None;
            }
            let mut fields = HeaderMap::with_capacity(wire.fields.len());
            for (name, value) in wire.fields {
                fields.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
            }
            Some(Record::Response(Box::new(Shared {
                term: Term { history: wire.history, at: wire.at },
                key: wire.key.to_vec(),
                status: StatusCode::from_u16(wire.status).ok()?,
                fields,
                content: bytes.slice_ref(content),
                asked: wire.times.0,
                received: wire.times.1,
                initial_age: wire.initial_age,
                tags: wire.tags.into_iter().map(Box::from).collect(),
            })))
        }
    }
}

/// In constant time.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use forebay_cache::clock::Timestamp;
    use forebay_cache::semantics::{Exchange, StorePolicy};
    use http::Method;

    use super::*;

    fn sealing(secret: &[u8]) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret)
    }

    fn stored() -> (CacheKey, StoredResponse) {
        let mut fields = HeaderMap::new();
        for (name, value) in [("cache-control", "max-age=60"), ("x-two", "1"), ("x-two", "2"), ("surrogate-key", "a b")]
        {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let (request, policy) = (HeaderMap::new(), StorePolicy::default());
        let at = Timestamp::from_secs(1000);
        let exchange = Exchange::new(&Method::GET, &request, StatusCode::OK, &fields, at, at, &policy.targets);
        let response = StoredResponse::new(&exchange, Bytes::from_static(b"content"), &policy);
        (CacheKey::new("http", "a.test", "/", None), response)
    }

    fn written() -> Bytes {
        let (key, response) = stored();
        write(&sealing(b"s"), b"place", &key, &response, Term { history: 7, at: 8 }, 500).into()
    }

    fn is_ours(bytes: &[u8]) -> bool {
        bytes == stored().0.as_bytes()
    }

    #[test]
    fn a_response_is_read_back_as_it_was() {
        let Some(Record::Response(read)) = read(&sealing(b"s"), b"place", &written(), is_ours) else { panic!() };
        let (_, response) = stored();
        assert_eq!((read.status, &read.fields, &read.content), (StatusCode::OK, response.fields(), response.content()));
        assert_eq!((read.asked, read.received, read.term), (1_000_500, 1_000_500, Term { history: 7, at: 8 }));
        assert_eq!(read.tags, ["a", "b"].map(Box::<str>::from));
    }

    #[test]
    fn what_it_varies_on_is_read_back() {
        let names = [&http::header::ACCEPT_LANGUAGE, &http::header::COOKIE];
        let bytes = write_varies(&sealing(b"s"), b"p", &names).into();
        let expected = Record::Varies(names.map(Clone::clone).into());
        assert_eq!(read(&sealing(b"s"), b"p", &bytes, is_ours), Some(expected));
    }

    #[test]
    fn no_other_bytes_are_a_record() {
        let whole = written();
        for length in 0..whole.len() {
            assert_eq!(read(&sealing(b"s"), b"place", &whole.slice(..length), is_ours), None);
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&sealing(b"s"), b"place", &flipped.into(), is_ours), None, "{bit}");
        }
        assert_eq!(read(&sealing(b"t"), b"place", &whole, is_ours), None, "another secret");
        assert_eq!(read(&sealing(b"s"), b"elsewhere", &whole, is_ours), None, "another place");
        assert_eq!(read(&sealing(b"s"), b"place", &whole, |_| false), None, "another key");
    }
}
