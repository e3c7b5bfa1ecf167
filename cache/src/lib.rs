//! HTTP caching: what may be stored and reused (RFC 9111 and its companions), where it is stored, and the fills that
//! put it there.

pub mod body;
