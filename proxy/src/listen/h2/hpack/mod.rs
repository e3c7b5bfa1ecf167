//! HPACK (RFC 7541): how HTTP/2 writes field lines. No library that is kept well decodes without a map for each bit of a
//! Huffman code or an allocation for each line; see decisions/0012.

mod decoder;
mod encoder;
mod huffman;
mod table;
#[cfg(test)]
mod tests;

pub(super) use decoder::{Decoder, Lines, Malformed};
pub(super) use encoder::{NO_TABLE, field, head, line, status};
