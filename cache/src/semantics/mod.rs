//! HTTP caching semantics for a shared cache: RFC 9111, with RFC 5861 (stale responses), 9211 (`Cache-Status`) and 9213
//! (targeted fields). Pure functions; see the crate documentation.
//!
//! A fill asks [`storability()`] and builds a [`crate::stored::StoredResponse`], which distils [`freshness()`] and
//! [`age`]. A lookup asks [`vary`] whether a stored response may be selected and [`reuse()`] whether it may be used.
//! [`validation`] and [`invalidation`] say what a forwarded request and its response do to what is stored.

pub mod age;
pub mod coding;
pub mod directives;
pub mod exchange;
pub mod freshness;
pub mod groups;
pub mod hop_by_hop;
pub mod invalidation;
pub mod partial;
pub mod precondition;
pub mod range;
pub mod refresh_pattern;
pub mod reuse;
pub mod status;
pub mod storability;
pub mod surrogate_key;
pub mod targeted;
pub mod validation;
pub mod vary;

mod member;
mod named;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use directives::{RequestDirectives, ResponseDirectives};
pub use exchange::Exchange;
pub use freshness::{Freshness, FreshnessPolicy, LifetimeSource, freshness};
pub use invalidation::{TargetUri, invalidated};
pub use named::remove_named;
pub use refresh_pattern::{RefreshPattern, RefreshPatterns};
pub use reuse::{Reuse, reuse, stale_if_disconnected, stale_if_error};
pub use status::{CacheStatus, ForwardReason};
pub use storability::{Reason, SetCookie, Storability, StorePolicy, is_shared_despite_authorization, storability};
pub use targeted::TargetList;
pub use vary::Variance;
