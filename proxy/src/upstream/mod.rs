//! Pools of AP servers.

mod balance;
mod pool;

pub(crate) use pool::{Pool, Server};
