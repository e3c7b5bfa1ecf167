//! A caching reverse proxy with static offload for PHP and WordPress farms.
#![cfg_attr(not(test), expect(dead_code, reason = "the stages are called once the service exists"))]

mod stages;

fn main() {}
