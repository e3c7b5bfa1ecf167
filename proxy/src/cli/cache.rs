//! `forebay cache`: what the disk tier holds, and whether it is sound. For an instance that is not running: one that runs
//! has the directory, and tells the same figures by its admin listener.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use forebay_cache::clock::{Clock as _, SystemClock};
use forebay_cache::store::disk::{DiskConfig, DiskStore};

use crate::assemble::disk_config;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Figures of the disk tier.
    Stats(Place),
    /// Read and verify everything; exit 1 if anything was damaged. What is damaged is dropped.
    Check(Place),
    /// Stored responses: status, bytes, seconds of freshness left, URI.
    List {
        #[command(flatten)]
        place: Place,
        /// Only URIs that begin with this: `http://www.example.com/blog/`
        #[arg(long, default_value = "")]
        prefix: String,
    },
}

/// Where the tier is.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The configuration file that names the tier.
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: std::path::PathBuf,
}

/// Exit 0; 1 when something was damaged; 2 when the tier cannot be looked at.
pub(super) fn cache(verb: &Verb) -> ExitCode {
    let (Verb::Stats(place) | Verb::Check(place) | Verb::List { place, .. }) = verb;
    let store = match tier(&place.config).and_then(open) {
        Ok(store) => store,
        Err(failure) => {
            eprintln!("forebay: {failure}");
            return ExitCode::from(2);
        }
    };
    match verb {
        Verb::Stats(_) => stats(&store),
        Verb::Check(_) => return check(&store),
        Verb::List { prefix, .. } => list(&store, prefix),
    }
    ExitCode::SUCCESS
}

fn tier(config: &Path) -> Result<DiskConfig, String> {
    let config = forebay_config::load(config).map_err(|report| report.to_string())?;
    let tier = config.disk.as_ref().ok_or("the configuration has no [cache.disk]")?;
    let tier = disk_config(tier, config.memory.max_object);
    // Looking must not make a directory.
    if tier.path.is_dir() { Ok(tier) } else { Err(format!("{}: there is no such directory", tier.path.display())) }
}

fn open(config: DiskConfig) -> Result<DiskStore, String> {
    let path = config.path.display().to_string();
    let running = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ResourceBusy;
    DiskStore::open(DiskConfig { takeover: false, ..config }).map_err(|error| {
        let hint = if running(&error) { "\nhint: a running instance tells its figures at /metrics" } else { "" };
        format!("{path}: {error}{hint}")
    })
}

/// Standard output may be a pipe that nobody reads to its end.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn stats(store: &DiskStore) {
    let stats = store.stats();
    say(&format!(
        "entries          {}\nbytes            {}\nsize             {}\ndamaged          {}\nrecovery seconds {:.3}\n",
        stats.objects,
        stats.bytes,
        stats.size,
        stats.corrupt,
        stats.recovery.as_secs_f64()
    ));
}

fn check(store: &DiskStore) -> ExitCode {
    let report = store.check();
    say(&format!(
        "sound            {}\nbytes verified   {}\ndamaged          {}\ndamaged at start {}\n",
        report.sound, report.bytes, report.damaged, report.at_start
    ));
    if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn list(store: &DiskStore, prefix: &str) {
    let mut listed = store.list(prefix, SystemClock.now());
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    for each in listed {
        say(&format!("{} {:>12} {:>9} {}\n", each.status, each.length, each.ttl, each.key));
    }
}
