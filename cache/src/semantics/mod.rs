//! The rules of RFC 9110 and RFC 9111 as pure functions: fields in, a decision out.

pub mod coding;
pub mod precondition;
pub mod range;
