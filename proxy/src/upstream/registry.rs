//! What is known of pools and their servers, kept through reloads.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::balance::Lots;
use super::health::Monitor;
use super::names::Directory;
use super::queue::Queue;
use super::server::State;
use super::sticky::{Learned, learned};
use super::upkeep::{Upkeep, UpkeepService};

/// Every pool there is, or was and still has requests.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pools: Mutex<HashMap<String, Arc<PoolState>>>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) directory: Arc<Directory>,
    pub(super) upkeep: Arc<Upkeep>,
    offline: bool,
}

/// What lasts of a pool.
#[derive(Debug)]
pub(super) struct PoolState {
    /// One at a time chooses by turns.
    pub(super) turn: Mutex<()>,
    pub(super) lots: Lots,
    pub(super) queue: Queue,
    pub(super) learned: Learned,
    servers: Mutex<HashMap<SocketAddr, Arc<State>>>,
}

impl Registry {
    /// The pool of this name, new or as it was.
    pub(super) fn pool(&self, name: &str) -> Arc<PoolState> {
        let mut pools = self.pools.lock();
        pools.retain(|known, pool| known == name || Arc::strong_count(pool) > 1);
        Arc::clone(pools.entry(name.to_owned()).or_insert_with(|| Arc::new(PoolState::new())))
    }
}

impl Registry {
    /// One that asks nobody: what is named is not looked up.
    pub(crate) fn offline() -> Self {
        Self { offline: true, ..Self::default() }
    }

    /// Whether nobody is asked.
    pub(super) fn is_offline(&self) -> bool {
        self.offline
    }

    /// The service that keeps pools up; once.
    pub(crate) fn service(&self) -> Option<UpkeepService> {
        self.upkeep.service()
    }
}

impl PoolState {
    fn new() -> Self {
        Self {
            turn: Mutex::new(()),
            lots: Lots::seeded(),
            queue: Queue::default(),
            learned: learned(),
            servers: Mutex::default(),
        }
    }

    /// What is known of the server at `address`; nothing, when no configuration had it a moment ago.
    pub(super) fn server(&self, address: SocketAddr) -> Arc<State> {
        let mut servers = self.servers.lock();
        servers.retain(|known, state| *known == address || Arc::strong_count(state) > 1);
        Arc::clone(servers.entry(address).or_default())
    }
}
