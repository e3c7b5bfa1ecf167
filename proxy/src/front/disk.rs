//! The short way to what is on disk, where the page cache holds it. The long way may never have answered from it, so its
//! head is made here, by the functions the long way makes it with.

use std::time::SystemTime;

use forebay_cache::semantics::coding::Coding;
use forebay_cache::store::{Form, Made, Variant};
use forebay_cache::stored::StoredResponse;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};

use super::prepare::{head, may_be_kept};
use crate::account::entry::CacheOutcome;
use crate::compress;
use crate::site::Site;
use crate::stages::deliver::{Told, conceal, tell_of_itself};

/// What `variant` looks like in `coding`: as it was made before, or made now and kept.
pub(super) fn form<'a>(site: &Site, variant: &Variant, made: &'a Made, coding: Option<Coding>) -> Option<&'a Form> {
    if let Some(form) = made.form(coding)
        && form.whole().lines().is_some()
    {
        return Some(form);
    }
    let response = &variant.response;
    let fields = fields(site, response, made.is_codable(), coding)?;
    let form = made.form_or(coding, || Form::new(&fields, response.date().system_time()));
    form.whole().keep(|| head(response.status(), &fields));
    Some(form)
}

/// Its fields as they are sent, but for what changes with the time. `codable`: clients may get it in a coding.
fn fields(site: &Site, response: &StoredResponse, codable: bool, coding: Option<Coding>) -> Option<HeaderMap> {
    let mut fields = response.fields().clone();
    if response.status() != StatusCode::OK || !may_be_kept(&fields) {
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
    Some(fields)
}
