//! From fields to bytes, without a dynamic table: a block means the same on every connection and at any time, so that one
//! that was made before can be sent again.

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};

use super::huffman;
use super::table::number;

/// Says that no dynamic table is used, whatever size the client allows (RFC 7541 section 4.2). It has to begin the first
/// block of a connection.
pub(in crate::listen::h2) const NO_TABLE: u8 = 0x20;

/// RFC 7541 section 6.2.2, "without indexing", prefix of four bits.
const LITERAL: u8 = 0;

/// Appends the block of a response's head.
pub(in crate::listen::h2) fn head(out: &mut BytesMut, status: StatusCode, fields: &HeaderMap) {
    self::status(out, status);
    for (name, value) in fields {
        field(out, name.as_str(), value.as_bytes());
    }
}

/// Appends `:status`.
pub(in crate::listen::h2) fn status(out: &mut BytesMut, status: StatusCode) {
    let indexed = match status.as_u16() {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            out.extend_from_slice(&[LITERAL | 8, 3]);
            return out.extend_from_slice(status.as_str().as_bytes());
        }
    };
    out.extend_from_slice(&[0x80 | indexed]);
}

/// Appends a field whose name is in lower case.
pub(in crate::listen::h2) fn field(out: &mut BytesMut, name: &str, value: &[u8]) {
    self::name(out, name);
    string(out, value);
}

/// The same of a line that begins with `line` and ends with `rest`, its value as it is: too short to be worth coding.
pub(in crate::listen::h2) fn line(out: &mut BytesMut, line: &str, rest: &[u8]) {
    let (name, begin) = line.split_once(':').unwrap_or((line, ""));
    let begin = begin.trim_ascii_start();
    self::name(out, name);
    integer(out, 0, 7, begin.len() + rest.len());
    out.extend_from_slice(begin.as_bytes());
    out.extend_from_slice(rest);
}

fn name(out: &mut BytesMut, name: &str) {
    match number(name) {
        Some(number) => integer(out, LITERAL, 4, usize::from(number)),
        None => {
            out.extend_from_slice(&[LITERAL]);
            string(out, name.as_bytes());
        }
    }
}

fn string(out: &mut BytesMut, text: &[u8]) {
    let coded = huffman::length(text);
    if coded < text.len() {
        integer(out, 0x80, 7, coded);
        huffman::encode(text, out);
    } else {
        integer(out, 0, 7, text.len());
        out.extend_from_slice(text);
    }
}

/// RFC 7541 section 5.1: `value` behind the bits `first`, in a prefix of so many bits.
fn integer(out: &mut BytesMut, first: u8, prefix: u32, value: usize) {
    let mask = (1_usize << prefix) - 1;
    if value < mask {
        return out.extend_from_slice(&[first | value as u8]);
    }
    out.extend_from_slice(&[first | mask as u8]);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.extend_from_slice(&[rest as u8 | 0x80]);
        rest >>= 7;
    }
    out.extend_from_slice(&[rest as u8]);
}
