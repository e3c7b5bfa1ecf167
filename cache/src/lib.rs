//! HTTP caching semantics and the tiered store of Forebay.
//!
//! # What is pure, and why
//!
//! Everything under [`semantics`], and [`key`] and [`stored`] with it, is a function of its arguments: no clock is read,
//! no socket opened, no lock taken, and neither the async runtime nor the proxy framework is named. Messages come in as
//! `http` types, times as [`clock::Timestamp`]s, operator choices as plain policy structs; what goes out is a decision
//! that carries its reason. The rules of RFC 9111 are therefore tested by value, a test of "one hour later" takes no
//! time, and the short way of the proxy cannot decide otherwise than the long one, for both call the same functions.
//!
//! The one place that reads the time is [`clock::SystemClock`].

pub mod body;
pub mod buffer;
pub mod clock;
pub mod fill;
pub mod groups;
pub mod key;
pub mod leak;
pub mod purge;
pub mod queries;
pub mod semantics;
pub mod store;
pub mod stored;
