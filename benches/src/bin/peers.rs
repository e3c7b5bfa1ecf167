//! `peers [--all] [--rounds N] [--seconds N] [--only WORDS] [--readme] [--write]`: Forebay beside its peers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use forebay_benches::peer::{Peer, Server};
use forebay_benches::result::{Measured, Report};
use forebay_benches::setting::Setting;
use forebay_benches::work::{Kept, WORKS, Work};
use forebay_benches::{CLIENT_CORE, Result, cpu, idle, machine, miss, table};

const USAGE: &str = "usage: peers [OPTIONS]
  --all        every peer that is installed, not only the usual ones
  --rounds N   rounds of each work; medians are shown (5)
  --seconds N  length of a round (2)
  --only WORDS works whose name contains WORDS (\"idle\" for idle connections, \"siblings\" for misses)
  --readme     print the README's table as well
  --write      write benches/results/DATE.md";

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
    raise_descriptor_limit()?;
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
        for (peer, server) in servers.iter().filter(|(peer, _)| **peer != Peer::Floor) {
            let kib = idle::kib_a_connection(server).map_err(|error| format!("{}, idle: {error}", peer.name()))?;
            eprintln!("idle connection: {:14} {kib:5.1} KiB", peer.name());
            report.idle.insert(*peer, kib);
        }
    }
    if "miss, siblings".contains(options.only.as_str()) {
        misses(&setting, &options, &mut report)?;
    }
    for work in selected(&options) {
        let servers = if work.kept == Kept::Disk { &on_disk } else { &servers };
        report.measured.push(measure(work, servers, &setting, &options)?);
    }
    let machine = machine::description(&available);
    let full = table::full(&report);
    println!("{}\n\n{full}", machine.join("\n"));
    if options.readme {
        println!("{}", table::readme(&report, &machine));
    }
    if options.write {
        write(&machine, &full, &options)?;
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
        work.warm(server)?;
        if work.goal_over_hit.is_some() {
            WORKS[0].warm(server)?;
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

/// Idle connections need a descriptor each, here and in the servers, who inherit the limit.
fn raise_descriptor_limit() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
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
