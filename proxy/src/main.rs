//! Forebay, a caching reverse proxy with static offload.
#![expect(dead_code, unused_imports, reason = "the stages that call these modules are not here yet")]

mod account;
mod admin;
mod compress;

fn main() {}
