//! The stages of a request: each a function that returns a decision.

pub(crate) mod offload;
