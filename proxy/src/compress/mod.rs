//! Compress: which responses, in which coding, and what that does to their fields.
//!
//! A caller asks, in this order: [`eligible()`] (may this response be coded at all?), [`negotiate()`] (which coding does this
//! client get?), [`Encoder`] or [`encode_all`] for the content and [`fields::encoded`] for the fields. A response that is
//! eligible gets [`fields::vary`] even when it goes out as it is.

mod eligible;
mod encoder;
pub(crate) mod fields;
mod negotiate;

use forebay_config::model::Coding;

pub(crate) use self::eligible::{Ineligible, eligible, no_transform};
pub(crate) use self::encoder::{Encoder, Quality, encode_all};
pub(crate) use self::negotiate::{Choice, negotiate};

/// The content coding's name (IANA registry, RFC 9110 section 8.4.1).
pub(crate) const fn token(coding: Coding) -> &'static str {
    match coding {
        Coding::Zstd => "zstd",
        Coding::Brotli => "br",
        Coding::Gzip => "gzip",
    }
}
