//! `forebay cache`: what the disk tier holds, and whether it is sound. Of an instance that runs its admin listener is asked,
//! for it alone may open the directory; of one that is stopped the directory is read.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use forebay_cache::clock::{Clock as _, SystemClock};
use forebay_cache::store::disk::{DiskConfig, DiskStore};
use forebay_config::Config;

use super::ask;
use crate::admin::inspect;
use crate::assemble::disk_config;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Figures of the disk tier.
    Stats(Place),
    /// Read and verify everything. What is damaged is dropped.
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
    look(verb).unwrap_or_else(|failure| {
        eprintln!("forebay: {failure}");
        ExitCode::from(2)
    })
}

fn look(verb: &Verb) -> Result<ExitCode, String> {
    let (Verb::Stats(place) | Verb::Check(place) | Verb::List { place, .. }) = verb;
    let config = forebay_config::load(&place.config).map_err(|report| report.to_string())?;
    let tier = config.disk.as_ref().ok_or("the configuration has no [cache.disk]")?;
    let tier = disk_config(tier, config.memory.max_object);
    // Looking must not make a directory.
    if !tier.path.is_dir() {
        return Err(format!("{}: there is no such directory", tier.path.display()));
    }
    let path = tier.path.display().to_string();
    match DiskStore::open(DiskConfig { takeover: false, ..tier }) {
        Ok(store) => {
            eprintln!("forebay: no instance is running; {path} is read");
            Ok(in_directory(verb, &store))
        }
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
            in_instance(verb, &config).map_err(|why| format!("{path}: {error}\n{why}"))
        }
        Err(error) => Err(format!("{path}: {error}")),
    }
}

fn in_directory(verb: &Verb, store: &DiskStore) -> ExitCode {
    match verb {
        Verb::Stats(_) => say(&inspect::stats(&store.stats())),
        Verb::Check(_) => {
            let report = store.check();
            say(&inspect::check(&report));
            if !report.is_sound() {
                return ExitCode::FAILURE;
            }
        }
        Verb::List { prefix, .. } => {
            let mut listed = Vec::new();
            store.list(prefix, SystemClock.now(), |each| {
                listed.push(each);
                true
            });
            listed.sort_by(|a, b| a.key.cmp(&b.key));
            listed.iter().for_each(|each| say(&inspect::line(each)));
        }
    }
    ExitCode::SUCCESS
}

fn in_instance(verb: &Verb, config: &Config) -> Result<ExitCode, String> {
    let admin = config.admin.as_ref().ok_or("hint: it has no admin listener to be asked by: see [admin]")?;
    let target = match verb {
        Verb::Stats(_) => "/cache/stats".to_owned(),
        Verb::Check(_) => "/cache/check".to_owned(),
        Verb::List { prefix, .. } => {
            let prefix = percent_encoding::utf8_percent_encode(prefix, percent_encoding::NON_ALPHANUMERIC);
            format!("/cache/list?prefix={prefix}")
        }
    };
    let mut lines = Vec::new();
    ask::lines(admin.address, &target, |line| match line.strip_prefix("checked ") {
        Some(entries) => eprintln!("forebay: {entries} entries checked"),
        None => lines.push(line.to_owned()),
    })?;
    eprintln!("forebay: answered by the running instance, http://{}", ask::address(admin.address));
    if matches!(verb, Verb::List { .. }) {
        // By URI, the last word.
        lines.sort_by(|a, b| a.rsplit(' ').next().cmp(&b.rsplit(' ').next()));
    }
    lines.iter().for_each(|line| say(&format!("{line}\n")));
    // What recovery found has been dropped long ago, and is no finding of this check.
    let is_damage = |line: &String| {
        line.strip_prefix("damaged ").is_some_and(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0))
    };
    let damaged = matches!(verb, Verb::Check(_)) && lines.iter().any(is_damage);
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Standard output may be a pipe that nobody reads to its end.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
