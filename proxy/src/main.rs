//! Forebay, a caching reverse proxy with static offload.
#![expect(dead_code, reason = "the stages that call these modules are not here yet")]

mod account;

fn main() {}
