//! Compress: which responses, in which coding, and what that does to their fields.
//!
//! A caller asks, in this order: [`eligible()`] (may this response be coded at all?), the cache's `coding::negotiate` (which
//! coding does this client get?), [`Encoder`] or [`encode_all`] for the content and [`fields::encoded`] for the fields. A
//! response that is eligible gets [`fields::vary`] even when it goes out as it is.

mod eligible;
mod encoder;
pub(crate) mod fields;
pub(crate) mod files;
pub(crate) mod large;
pub(crate) mod once;
pub(crate) mod stream;

pub(crate) use self::eligible::{eligible, no_transform};
pub(crate) use self::encoder::{Encoder, Quality, encode_all};
