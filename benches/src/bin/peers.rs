//! `peers [--all] [--rounds N] [--seconds N] [--only WORDS] [--readme] [--write]`: Forebay beside its peers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use forebay_benches::peer::{Peer, Server};
use forebay_benches::result::{Measured, Report};
use forebay_benches::setting::Setting;
use forebay_benches::work::{Kept, WORKS, Work};
use forebay_benches::{CLIENT_CORE, Result, cpu, idle, latency, machine, miss, table};

const USAGE: &str = "usage: peers [OPTIONS]
  --all        every peer that is installed, not only the usual ones
  --rounds N   rounds of each work; medians are shown (5)
  --seconds N  length of a round (2)
  --only WORDS works whose name contains WORDS (\"idle\" for idle connections, \"siblings\" for misses, \"p99\" for
               latencies)
  --readme     print the README's table as well
  --write      write benches/results/DATE.md; with --readme the README's table, too";

/// What the command line asks for.
struct Options {
    all: bool,
    rounds: u32,
    seconds: u32,
    only: String,
    readme: bool,
    write: bool,
    help: bool,
}

fn options() -> Result<Options> {
    let mut options =
        Options { all: false, rounds: 5, seconds: 2, only: String::new(), readme: false, write: false, help: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--all" => options.all = true,
            "--rounds" => options.rounds = value()?.parse::<u32>()?.max(1),
            "--seconds" => options.seconds = value()?.parse::<u32>()?.max(1),
            "--only" => options.only = value()?,
            "--readme" => options.readme = true,
            "--write" => options.write = true,
            "--help" => options.help = true,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    let options = options()?;
    if options.help {
        println!("{USAGE}");
        return Ok(());
    }
    cpu::confine(CLIENT_CORE).map_err(|error| format!("{error}: a second core is needed"))?;
    cpu::raise_descriptor_limit()?;
    let directory = tempfile::Builder::new().prefix("forebay-bench-").tempdir()?;
    let setting = Setting::prepare(directory.path())?;
    let mut report = Report::default();
    let (available, missing): (Vec<Peer>, Vec<Peer>) =
        wanted(&options).into_iter().partition(|peer| peer.is_available());
    for peer in missing {
        eprintln!("{} is not installed: left out", peer.name());
    }
    let mut servers = BTreeMap::new();
    for peer in &available {
        servers.insert(*peer, peer.start(&setting, Kept::Memory)?);
    }
    let mut on_disk = BTreeMap::new();
    for work in selected(&options).filter(|work| work.kept == Kept::Disk) {
        for peer in work.peers(options.all).iter().filter(|peer| available.contains(peer)) {
            if !on_disk.contains_key(peer) {
                on_disk.insert(*peer, peer.start(&setting, Kept::Disk)?);
            }
        }
    }
    // First, while their memory is what they start with.
    if "idle".contains(options.only.as_str()) {
        idle_connections(&servers, &setting, &mut report)?;
    }
    if "miss, siblings".contains(options.only.as_str()) {
        misses(&setting, &options, &mut report)?;
    }
    for work in selected(&options) {
        let servers = if work.kept == Kept::Disk { &on_disk } else { &servers };
        report.measured.push(measure(work, servers, &setting, &options)?);
    }
    if "p99".contains(options.only.as_str()) {
        latencies(&servers, &setting, &options, &mut report)?;
    }
    let machine = machine::description(&available);
    let full = table::full(&report);
    println!("{}\n\n{full}", machine.join("\n"));
    let readme = table::readme(&report, &machine);
    if options.readme {
        println!("{readme}");
    }
    if options.write {
        write(&machine, &full, &options)?;
    }
    if options.write && options.readme {
        write_readme(&readme)?;
    }
    Ok(())
}

/// Those with TLS at servers of their own: what plain connections gave back would be taken again, and cost nothing.
fn idle_connections(servers: &BTreeMap<Peer, Server>, setting: &Setting, report: &mut Report) -> Result<()> {
    for (peer, server) in servers.iter().filter(|(peer, _)| **peer != Peer::Floor) {
        note(*peer, "idle connection", idle::plain(server), &mut report.idle)?;
        if peer.has_tls() {
            let fresh = peer.start(setting, Kept::Memory)?;
            note(*peer, "idle TLS connection", idle::tls(&fresh), &mut report.idle_tls)?;
        }
    }
    Ok(())
}

/// A peer that does not hold as many is left out; that ours does is part of the goal.
fn note(peer: Peer, what: &str, kib: Result<f64>, all: &mut BTreeMap<Peer, f64>) -> Result<()> {
    match kib {
        Ok(kib) => {
            eprintln!("{what}: {:14} {kib:5.1} KiB", peer.name());
            all.insert(peer, kib);
        }
        Err(error) if peer == Peer::Forebay => return Err(format!("{what}: {error}").into()),
        Err(error) => eprintln!("{what}: {:14} left out: {error}", peer.name()),
    }
    Ok(())
}

fn latencies(
    servers: &BTreeMap<Peer, Server>,
    setting: &Setting,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    // The floor is no peer, and answers more than the load generator can ask at a rate.
    let peers = WORKS[0].peers(options.all).iter().filter(|peer| **peer != Peer::Floor);
    let measured: Vec<&Server> = peers.filter_map(|peer| servers.get(peer)).collect();
    for server in &measured {
        WORKS[0].warm(server, setting)?;
    }
    for _ in 0..options.rounds {
        for server in &measured {
            let failed = |error| format!("{}, p99: {error}", server.peer.name());
            let round = latency::measure(server, setting, options.seconds).map_err(failed)?;
            let latency::Latency { rate, median, p99 } = round;
            eprintln!("p99: {:14} {p99:7.0} µs, half {median:.0} µs, at {rate:.0}/s", server.peer.name());
            report.latencies.entry(server.peer).or_default().push(round);
        }
    }
    Ok(())
}

/// The round of the median CPU time, of each number of siblings.
fn misses(setting: &Setting, options: &Options, report: &mut Report) -> Result<()> {
    for siblings in miss::SIBLINGS {
        let mut rounds = (0..options.rounds).map(|_| miss::measure(setting, siblings)).collect::<Result<Vec<_>>>()?;
        for round in &rounds {
            eprintln!("miss, {siblings} siblings: {:.0} µs of CPU, {:.0} µs", round.cpu_micros, round.median);
        }
        rounds.sort_unstable_by(|one, other| one.cpu_micros.total_cmp(&other.cpu_micros));
        report.misses.extend(rounds.get(rounds.len() / 2));
    }
    Ok(())
}

fn selected(options: &Options) -> impl Iterator<Item = &'static Work> {
    WORKS.iter().filter(|work| work.name.contains(&options.only))
}

/// Every server some selected work is measured on.
fn wanted(options: &Options) -> Vec<Peer> {
    let is_wanted = |peer: &&Peer| WORKS.iter().any(|work| work.peers(options.all).contains(peer));
    Peer::ALL.iter().filter(is_wanted).copied().collect()
}

fn measure(
    work: &'static Work,
    servers: &BTreeMap<Peer, Server>,
    setting: &Setting,
    options: &Options,
) -> Result<Measured> {
    let measured = work.peers(options.all).iter().filter_map(|peer| servers.get(peer)).collect::<Vec<_>>();
    for server in &measured {
        work.warm(server, setting)?;
        if work.goal_over_hit.is_some() {
            WORKS[0].warm(server, setting)?;
        }
    }
    let mut samples: BTreeMap<Peer, Vec<_>> = BTreeMap::new();
    let mut hits = Vec::new();
    for round in 1..=options.rounds {
        for server in &measured {
            let sample = work.measure(server, setting, options.seconds)?;
            eprintln!(
                "{}, round {round}: {:14} {:7.1} µs {:8.0}/s",
                work.name,
                server.peer.name(),
                sample.cpu_micros,
                sample.rate
            );
            samples.entry(server.peer).or_default().push(sample);
        }
        if let (Some(_), Some(ours)) = (work.goal_over_hit, servers.get(&Peer::Forebay)) {
            hits.push(WORKS[0].measure(ours, setting, options.seconds)?);
        }
    }
    Ok(Measured { work: work.name, goals: work.goals, goal_over_hit: work.goal_over_hit, samples, hits })
}

fn write(machine: &[String], full: &str, options: &Options) -> Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{}.md", machine::date()));
    let list: String = machine.iter().map(|line| format!("- {line}\n")).collect();
    let Options { rounds, seconds, .. } = options;
    let text = format!(
        "# Forebay beside its peers\n\n{list}- {rounds} interleaved rounds of {seconds} s, medians; the server alone on one core, load generator and origin \
         server on the other\n\n{full}"
    );
    fs::write(&path, text)?;
    eprintln!("written: {}", path.display());
    Ok(())
}

/// Puts the table in place of the one that is there.
fn write_readme(table: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(&path)?;
    let missing = || format!("{} has no place for the table", path.display());
    let (before, rest) = text.split_once(table::README_BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(table::README_END).ok_or_else(missing)?;
    fs::write(&path, format!("{before}{}{after}", table.trim_end()))?;
    eprintln!("written: {}", path.display());
    Ok(())
}
