//! The short way to what is on disk, where the page cache holds it. The long way may never have answered from it, so its
//! head is made here, by the functions the long way makes it with.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use forebay_cache::semantics::coding::Coding;
use forebay_cache::store::Variant;
use forebay_cache::stored::StoredResponse;
use http::StatusCode;
use http::header::{AGE, CACHE_STATUS, CONTENT_LENGTH, CONTENT_RANGE};

use crate::account::entry::CacheOutcome;
use crate::compress;
use crate::listen::h1::start;
use crate::site::Site;
use crate::stages::deliver::{Told, conceal, tell_of_itself};

/// The head of `variant` as it is sent, but for what changes with the time: as it was made before, or made now and kept.
/// `codable`: clients may get it in a coding.
pub(super) fn head(site: &Site, variant: &Variant, codable: bool, coding: Option<Coding>) -> Option<Bytes> {
    if variant.prepared.head(coding).is_none() {
        variant.prepared.keep(coding, make(site, &variant.response, codable, coding)?);
    }
    variant.prepared.head(coding).cloned()
}

fn make(site: &Site, response: &StoredResponse, codable: bool, coding: Option<Coding>) -> Option<Bytes> {
    let mut fields = response.fields().clone();
    if response.status() != StatusCode::OK
        || [AGE, CACHE_STATUS, CONTENT_RANGE].iter().any(|name| fields.contains_key(name))
    {
        return None;
    }
    fields.remove(CONTENT_LENGTH);
    if codable {
        compress::fields::vary(&mut fields);
    }
    if let Some(coding) = coding {
        compress::fields::encoded(&mut fields, coding, None);
    }
    conceal(site.keep_tags, &mut fields);
    let told = Told { outcome: CacheOutcome::Hit, litespeed: site.litespeed, at: SystemTime::now() };
    tell_of_itself(&told, &mut fields);
    let mut head = BytesMut::with_capacity(1024);
    start(&mut head, response.status(), &fields);
    Some(head.freeze())
}
