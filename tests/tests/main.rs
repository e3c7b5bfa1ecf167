//! Behaviour of the built binary. One module a family of claims, one test a claim.
//!
//! `framing_*` and `offload_*` tests named `row_NN_…` are the rows of the attack catalogue: what an attacker sends, and
//! the only outcomes that are safe.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "tests report by panicking")]

mod harness;
mod refusal;

mod framing_admission;
mod framing_connections;
mod framing_h2;
mod framing_requests;
mod framing_responses;

mod offload_conditions;
mod offload_files;
mod offload_security;
