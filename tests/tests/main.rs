//! Behaviour of the built binary. One module a family of claims.
mod harness;
