//! Side-by-side benchmarks: what a request costs a server in CPU time, for Forebay and for the peers, in one run.
//!
//! A server runs on the first core; the load generator, the origin server and the bench itself on the second. Every
//! [`work`] is measured in interleaved rounds (A B C A B C …), so that a machine that gets slower or faster meanwhile
//! does so for all. What is compared is the CPU time of the server's processes over the requests they answered: it does
//! not depend on how fast the load generator is.

pub mod client;
pub mod cpu;
pub mod growth;
pub mod idle;
pub mod latency;
pub mod load;
pub mod machine;
pub mod miss;
pub mod origin;
pub mod peer;
pub mod result;
pub mod setting;
pub mod table;
pub mod work;

/// Anything that keeps a measurement from being made, in words.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// With [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Core of the server under test.
pub const SERVER_CORE: usize = 0;

/// Core of everything else.
pub const CLIENT_CORE: usize = 1;
