//! Whether a hit costs more when there is more of everything: stored responses, connections, sites. Each is compared with
//! the small case by the same requests in the same run, at two servers of ours.

use std::fmt::Write as _;
use std::time::Duration;

use crate::client::{Client, Pace, get};
use crate::peer::{Peer, Server};
use crate::result::median;
use crate::setting::Setting;
use crate::{Result, SERVER_CORE};

/// At most so many times the CPU time of the small case is the goal.
pub const GOAL: f64 = 1.20;

/// Requests on their way at any time, and connections where their number is not what is compared.
const IN_FLIGHT: usize = 32;

/// Keys of the small case, and sites.
const FEW: u64 = 1_000;
const SITES: u64 = 10_000;

/// Connections of the large case.
const CONNECTIONS: usize = 10_000;

/// Room for a million responses of 1 KiB and what is known of them.
const MEMORY: &str = "[cache.memory]\nsize = \"6GiB\"\n";

/// One comparison.
#[derive(Debug)]
pub struct Growth {
    /// What there is more of.
    pub what: String,
    /// CPU microseconds a hit in the small case, each round.
    pub small: Vec<f64>,
    /// The same in the large one.
    pub large: Vec<f64>,
    /// Whose server it is: of ours a goal is to be reached.
    pub peer: Peer,
}

impl Growth {
    /// The large case over the small one: the median of the rounds' ratios.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        median(self.small.iter().zip(&self.large).map(|(small, large)| large / small))
    }
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rounds of each case.
    pub rounds: u32,
    /// Length of a round.
    pub time: Duration,
    /// Stored responses of the large case.
    pub stored: u64,
}

/// Writes the request of a number.
type Request = Box<dyn Fn(u64, &mut Vec<u8>)>;

/// A server, and how it is asked.
struct Case<'a> {
    server: &'a Server,
    client: Client,
    request: Request,
}

impl Case<'_> {
    fn micros(&mut self, setting: &Setting, time: Duration) -> Result<f64> {
        let asked = setting.origin.asked();
        let before = self.server.usage()?.cpu;
        let run = self.client.run(Pace::InFlight(IN_FLIGHT), time, u64::MAX, &self.request)?;
        let spent = self.server.usage()?.cpu.saturating_sub(before);
        if setting.origin.asked() != asked {
            return Err("growth: the origin server was asked".into());
        }
        Ok(spent.as_secs_f64() * 1e6 / run.answered as f64)
    }

    /// Asks for the first `count`, so that they are stored and their heads made. Right after connecting: a server does not
    /// wait long for a first request.
    fn warm(&mut self, count: u64) -> Result<()> {
        for _ in 0..2 {
            self.client.run(Pace::InFlight(IN_FLIGHT), Duration::MAX, count, &self.request)?;
        }
        Ok(())
    }
}

/// All comparisons.
///
/// # Errors
///
/// A server does not start, or does not answer as it should.
pub fn measure(setting: &Setting, size: Size) -> Result<Vec<Growth>> {
    let mut all = Vec::new();
    stored(setting, size, &mut all)?;
    sockets(setting, size, &mut all)?;
    connections(setting, size, &mut all)?;
    sites(setting, size, &mut all)?;
    Ok(all)
}

/// Of the large store, the same few are asked for, and then all of it in an order that no cache of the processor foresees.
fn stored(setting: &Setting, size: Size, all: &mut Vec<Growth>) -> Result<()> {
    let (small, large) = (start(setting, MEMORY)?, start(setting, MEMORY)?);
    let few = || Box::new(|number: u64, out: &mut Vec<u8>| page(number % FEW, out));
    let stored = size.stored;
    let mut case = Case { server: &small, client: Client::connect(small.http, IN_FLIGHT)?, request: few() };
    case.warm(FEW)?;
    // An odd factor leaves out none of them, and asks for none of them twice in a row.
    let every = Box::new(move |number: u64, out: &mut Vec<u8>| page(number.wrapping_mul(2_654_435_761) % stored, out));
    let mut whole = Case { server: &large, client: Client::connect(large.http, IN_FLIGHT)?, request: every };
    whole.warm(stored)?;
    let mut part = Case { server: &large, client: Client::connect(large.http, IN_FLIGHT)?, request: few() };
    compare(format!("{stored} stored responses, a thousand asked for"), setting, size, &mut case, &mut part, all)?;
    compare(format!("{stored} stored responses, all asked for"), setting, size, &mut case, &mut whole, all)
}

/// What more sockets cost the kernel, whatever a server does with them.
fn sockets(setting: &Setting, size: Size, all: &mut Vec<Growth>) -> Result<()> {
    let floor = || Peer::Floor.start_with(setting, "", SERVER_CORE);
    let (small, large) = (floor()?, floor()?);
    let few = || Box::new(|number: u64, out: &mut Vec<u8>| page(number % FEW, out));
    let mut case = Case { server: &small, client: Client::connect(small.http, IN_FLIGHT)?, request: few() };
    let mut many = Case { server: &large, client: Client::connect(large.http, CONNECTIONS)?, request: few() };
    many.warm(CONNECTIONS as u64)?;
    compare(format!("floor: {CONNECTIONS} connections, all used in turn"), setting, size, &mut case, &mut many, all)
}

fn connections(setting: &Setting, size: Size, all: &mut Vec<Growth>) -> Result<()> {
    let (small, large) = (start(setting, "")?, start(setting, "")?);
    let few = || Box::new(|number: u64, out: &mut Vec<u8>| page(number % FEW, out));
    let mut case = Case { server: &small, client: Client::connect(small.http, IN_FLIGHT)?, request: few() };
    case.warm(FEW)?;
    let mut many = Case { server: &large, client: Client::connect(large.http, CONNECTIONS)?, request: few() };
    many.warm(CONNECTIONS as u64)?;
    let mut beside = Case { server: &large, client: Client::connect(large.http, IN_FLIGHT)?, request: few() };
    compare(format!("{CONNECTIONS} connections, {IN_FLIGHT} used"), setting, size, &mut case, &mut beside, all)?;
    compare(format!("{CONNECTIONS} connections, all used in turn"), setting, size, &mut case, &mut many, all)
}

fn sites(setting: &Setting, size: Size, all: &mut Vec<Growth>) -> Result<()> {
    let mut more = String::new();
    for site in 0..SITES {
        write!(more, "[[site]]\nhosts = [\"site{site}.test\"]\nupstream = \"ap\"\n")?;
    }
    let (small, large) = (start(setting, "")?, start(setting, &more)?);
    let each =
        || Box::new(|number: u64, out: &mut Vec<u8>| get("/1k.png", &format!("site{}.test", number % SITES), out));
    let mut case = Case { server: &small, client: Client::connect(small.http, IN_FLIGHT)?, request: each() };
    case.warm(SITES)?;
    let mut many = Case { server: &large, client: Client::connect(large.http, IN_FLIGHT)?, request: each() };
    many.warm(SITES)?;
    compare(format!("{SITES} sites, a page of each"), setting, size, &mut case, &mut many, all)
}

fn start(setting: &Setting, more: &str) -> Result<Server> {
    Peer::Forebay.start_with(setting, more, SERVER_CORE)
}

fn page(number: u64, out: &mut Vec<u8>) {
    get(&format!("/1k.png?{number}"), "site.test", out);
}

fn compare(
    what: String,
    setting: &Setting,
    size: Size,
    small: &mut Case<'_>,
    large: &mut Case<'_>,
    all: &mut Vec<Growth>,
) -> Result<()> {
    let peer = large.server.peer;
    let mut growth = Growth { what, small: Vec::new(), large: Vec::new(), peer };
    for _ in 0..size.rounds {
        growth.small.push(small.micros(setting, size.time)?);
        growth.large.push(large.micros(setting, size.time)?);
    }
    let of = |rounds: &[f64]| median(rounds.iter().copied()).unwrap_or_default();
    eprintln!("{}: ×{:.2} ({:.1} µs)", growth.what, growth.ratio().unwrap_or_default(), of(&growth.large));
    all.push(growth);
    Ok(())
}

/// The table, Markdown.
#[must_use]
pub fn table(all: &[Growth]) -> String {
    let mut out = String::from(
        "| CPU µs a hit | small case | with so many | ratio | goal: at most | | rounds, ratio |\n|---|---:|---:|---:|---:|---|---|\n",
    );
    for growth in all {
        let of = |rounds: &[f64]| median(rounds.iter().copied()).unwrap_or_default();
        let ratio = growth.ratio().unwrap_or_default();
        let goal = format!("{GOAL:.2}");
        let (goal, verdict) = match growth.peer {
            Peer::Floor => ("", ""),
            _ if ratio <= GOAL => (goal.as_str(), "reached"),
            _ => (goal.as_str(), "missed"),
        };
        let rounds: Vec<_> =
            growth.small.iter().zip(&growth.large).map(|(small, large)| format!("{:.2}", large / small)).collect();
        let (small, large) = (of(&growth.small), of(&growth.large));
        let _ = writeln!(
            out,
            "| {} | {small:.1} | {large:.1} | {ratio:.2} | {goal} | {verdict} | {} |",
            growth.what,
            rounds.join(" ")
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_by_more_than_a_fifth_is_missed() {
        let growth = |peer, large| Growth { what: "x".to_owned(), small: vec![5.0, 10.0, 5.0], large, peer };
        let ours = |large| growth(Peer::Forebay, large);
        let table =
            table(&[ours(vec![6.0, 12.0, 9.0]), ours(vec![6.1, 6.2, 6.3]), growth(Peer::Floor, vec![9.0, 18.0, 9.0])]);
        assert!(table.contains("| x | 5.0 | 9.0 | 1.20 | 1.20 | reached | 1.20 1.20 1.80 |"), "{table}");
        assert!(table.contains("| x | 5.0 | 6.2 | 1.22 | 1.20 | missed | 1.22 0.62 1.26 |"), "{table}");
        assert!(table.contains("| x | 5.0 | 9.0 | 1.80 |  |  | 1.80 1.80 1.80 |"), "{table}");
    }
}
