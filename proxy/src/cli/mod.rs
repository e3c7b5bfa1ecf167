//! The command line: one file a verb.

mod ask;
mod cache;
mod check;
mod completions;
mod doctor;
mod explain;
mod import;
mod purge;
mod reasons;
mod run;
mod simulate;
mod top;
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Where packages and the systemd unit put it.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/forebay/forebay.toml";

/// What `forebay cache` ends with.
const CACHE_EXITS: &str = "Exit: 0 all is well, 1 `check` found damage, 2 the tier cannot be looked at.";

/// A caching reverse proxy with static offload for PHP and WordPress farms.
#[derive(Debug, Parser)]
#[command(
    name = "forebay",
    version = concat!(env!("CARGO_PKG_VERSION"), " (pingora 0.9.1, rustls 0.23, HTTP/1.1, HTTP/2, TLS 1.2 and 1.3)"),
    after_help = "Examples:\n  \
        forebay run                                  a demo on http://127.0.0.1:8080, nothing to configure\n  \
        forebay check /etc/forebay/forebay.toml      every mistake at once, with line and hint\n  \
        forebay run --config /etc/forebay/forebay.toml\n\n\
        Signals: TERM drains and ends, INT ends, HUP reloads the configuration, USR1 reopens the log.",
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Check a configuration and exit, as nginx -t does.
    #[arg(short = 't', value_name = "FILE", num_args = 0..=1)]
    test: Option<Option<PathBuf>>,
    /// As -t, and print the configuration with every default filled in.
    #[arg(short = 'T', value_name = "FILE", num_args = 0..=1)]
    dump: Option<Option<PathBuf>>,
    /// The configuration for -t and -T.
    #[arg(short = 'c', value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve, in the foreground. Without --config: an embedded demo site.
    Run(Run),
    /// Check a configuration file: all mistakes at once, exit 1 if there are any.
    Check(Check),
    /// See the pools of a running instance, and drain, disable or make ready their servers.
    #[command(subcommand)]
    Upstream(upstream::Verb),
    /// Purge a running instance's cache, by its admin listener.
    Purge(purge::Purge),
    /// Look at the disk tier, of a running instance (by its admin listener) or a stopped one.
    #[command(subcommand, after_help = CACHE_EXITS)]
    Cache(cache::Verb),
    /// Turn a configuration of Squid, nginx or HAProxy into one of Forebay; what is left out is listed by line.
    Import(Import),
    /// Say what becomes of a request, why, and what to change to make it a hit.
    Explain(explain::Explain),
    /// Visit a site as its visitors do, and say what is good and what is wrong.
    Doctor(doctor::Doctor),
    /// Replay an access log against a configuration and sizes of cache.
    Simulate(simulate::Simulate),
    /// What a running instance forwards and why: sites, reasons, parameters, costly pages.
    Top(top::Top),
    /// What the reason codes of Cache-Status and the log mean, and what to change.
    Reasons(reasons::Reasons),
    /// Print what completes the words of this command in a shell: `forebay completions bash`.
    Completions(completions::Completions),
    /// Write the manual pages into a directory.
    Man(completions::Man),
}

#[derive(Debug, Args)]
struct Run {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the demo listens.
    #[command(flatten)]
    demo: crate::demo::Addresses,
}

#[derive(Debug, Args)]
struct Check {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Print the configuration with every default filled in.
    #[arg(long)]
    dump: bool,
}

#[derive(Debug, Args)]
struct Import {
    /// squid.conf, nginx.conf or haproxy.cfg.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Which of them it is; guessed otherwise.
    #[arg(long, value_name = "PROGRAM")]
    from: Option<import::From>,
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.verb {
        Some(Verb::Purge(asked)) => purge::purge(&asked),
        Some(Verb::Run(run)) => run::run(run.config.as_deref(), &run.demo),
        Some(Verb::Cache(verb)) => cache::cache(&verb),
        Some(Verb::Import(import)) => import::import(&import.file, import.from),
        Some(Verb::Explain(asked)) => explain::explain_url(&asked),
        Some(Verb::Doctor(asked)) => doctor::doctor(&asked),
        Some(Verb::Simulate(asked)) => simulate::simulate(&asked),
        Some(Verb::Top(asked)) => top::top(&asked),
        Some(Verb::Reasons(reasons)) => reasons::reasons(&reasons),
        Some(Verb::Completions(completions)) => completions::completions(&completions),
        Some(Verb::Man(man)) => completions::man(&man),
        Some(Verb::Upstream(verb)) => upstream::upstream(&verb),
        Some(Verb::Check(check)) => check::check(&check.config, check.dump),
        None => {
            let dump = cli.dump.is_some();
            let named = cli.test.flatten().or_else(|| cli.dump.flatten());
            check::check(&named.unwrap_or(cli.config), dump)
        }
    }
}
