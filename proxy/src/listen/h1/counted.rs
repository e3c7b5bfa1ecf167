//! What of this folder has its instructions counted: see `front/instructions.rs`.

use bytes::BytesMut;
use forebay_config::model::Limits;

use super::parse;

/// Whether a whole head was taken off `buffer`, and how many field lines it has.
pub(crate) fn parse_head(buffer: &mut BytesMut, limits: &Limits) -> Option<usize> {
    parse::head(buffer, limits).ok()?.map(|head| head.fields.len())
}
