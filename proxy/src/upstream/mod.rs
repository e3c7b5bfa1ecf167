//! Pools of servers: which one takes the next request, whether it can, and what became of it.
//!
//! Nothing here knows HTTP: a caller says what it knows of who asks ([`Asker`]), gets a [`Lease`] of a server, which counts
//! as one request in flight until it is dropped, and tells it what happened. What is known of a server outlives reloads
//! ([`Registry`]); what the configuration says of it does not ([`Server`]).

mod affinity;
mod balance;
mod gate;
mod health;
mod lease;
mod members;
mod names;
mod pool;
mod queue;
mod registry;
mod server;
mod shield;
mod standing;
mod sticky;
mod tls;
mod upkeep;

pub(crate) use affinity::{Asker, Asking};
pub(crate) use gate::{Gates, Permit, Rank, Shut};
pub(crate) use lease::Lease;
pub(crate) use members::Unchanged;
pub(crate) use names::NameStatus;
pub(crate) use pool::{Around, NoServer, Order, Pool};
pub(crate) use registry::Registry;
pub(crate) use server::{Server, ServerId};
pub(crate) use shield::Shield;
