//! How long hits take while the server has something to do: at 70 % of the rate it can answer at most.
//!
//! Each server is asked at 70 % of its own peak, so that all are as busy: at the rate of the fastest the others would have
//! a queue that grows without end, and at that of the slowest the fastest would idle. The peak is that of the same moment,
//! by wrk. Requests are due evenly, and late is late: whether the server or a connection was busy does not matter.

use std::time::Duration;

use crate::Result;
use crate::client::{Client, Pace, get};
use crate::peer::Server;
use crate::setting::Setting;
use crate::work::WORKS;

/// Of the peak.
pub const SHARE: f64 = 0.7;

/// Connections the requests are spread over: more than are busy at any time.
const CONNECTIONS: usize = 64;

/// One round.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    /// Requests a second.
    pub rate: f64,
    /// Microseconds, of half of them.
    pub median: f64,
    /// Of all but one in a hundred.
    pub p99: f64,
}

/// One round of `seconds`, after one that finds the peak.
///
/// # Errors
///
/// The server does not answer, or not as it should.
pub fn measure(server: &Server, setting: &Setting, seconds: u32) -> Result<Latency> {
    let rate = SHARE * WORKS[0].measure(server, setting, seconds)?.rate;
    let mut client = Client::connect(server.http, CONNECTIONS)?;
    let ask = |_, out: &mut Vec<u8>| get("/1k.png", "site.test", out);
    // What is met first is met before.
    client.run(Pace::Rate(rate), Duration::from_millis(100), u64::MAX, ask)?;
    let run = client.run(Pace::Rate(rate), Duration::from_secs(seconds.into()), u64::MAX, ask)?;
    let micros = |share| run.quantile(share).as_secs_f64() * 1e6;
    Ok(Latency { rate, median: micros(0.5), p99: micros(0.99) })
}
