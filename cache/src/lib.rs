//! HTTP caching semantics and the tiered store of Forebay.
pub mod semantics;
