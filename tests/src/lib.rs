//! The harness of nouns that the behaviour tests are written with: a test starts an [`Origin`], puts a [`Proxy`] (the
//! built binary, on ports the kernel chose) before it, and speaks to that as a client.
//!
//! ```no_run
//! use forebay_tests::{Origin, Proxy, Reply};
//!
//! let origin = Origin::answering(|_| Reply::ok("hello").field("Cache-Control", "max-age=60"));
//! let proxy = Proxy::before(&origin);
//! assert_eq!(proxy.get("/").cache(), "MISS");
//! assert_eq!(proxy.get("/").cache(), "HIT");
//! assert_eq!(origin.count("/"), 1);
//! ```
//!
//! Everything here blocks and fails by panicking. Nothing sleeps to be in step with something else: see
//! [`assert_eventually!`].
#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a harness reports by panicking")]

mod answer;
pub mod apache;
mod binary;
pub mod browser;
pub mod certs;
pub mod client_h1;
pub mod client_h2;
pub mod client_h2_raw;
pub mod icp;
pub mod load;
pub mod mariadb;
pub mod nameserver;
pub mod network;
pub mod nginx;
pub mod nodes;
pub mod origin;
pub mod origin_connection;
pub mod patience;
pub mod proxy;
pub mod proxy_config;
pub mod redis;
pub mod relay;
pub mod squid;
pub mod wordpress;

pub use answer::{Answer, ReadError};
pub use binary::{Outcome, forebay, path as binary_path};
pub use browser::Browser;
pub use client_h1::Client;
pub use client_h2::H2Client;
pub use client_h2_raw::RawH2;
pub use origin::{Origin, Reply, Request};
pub use origin_connection::OriginConnection;
pub use proxy::Proxy;
pub use proxy_config::ProxyConfig;
pub use wordpress::WordPress;
