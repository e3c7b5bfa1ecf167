//! `forebay import`: a configuration of Squid, nginx or HAProxy as one of ours. What has no counterpart, or is not
//! understood, is listed with its line rather than passed over: nobody should find out in production what is missing.

mod draft;
mod haproxy;
mod nginx;
mod squid;
mod units;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use self::draft::Draft;

/// Which program a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum From {
    /// squid.conf, versions 2 to 7.
    Squid,
    /// nginx.conf, or a file of sites-enabled.
    Nginx,
    /// haproxy.cfg
    Haproxy,
}

impl From {
    /// By words that the others do not have, at the beginning of a line.
    fn guess(text: &str) -> Option<Self> {
        const WORDS: [(From, &[&str]); 3] = [
            (From::Squid, &["http_port", "cache_peer", "http_access", "refresh_pattern", "cache_dir", "icp_port"]),
            (
                From::Nginx,
                &["server_name", "proxy_pass", "worker_connections", "location", "http", "events", "upstream"],
            ),
            (From::Haproxy, &["frontend", "backend", "defaults", "global", "bind", "default_backend", "balance"]),
        ];
        let first: Vec<&str> =
            text.lines().filter_map(|line| line.split([' ', '\t', '{', ';']).find(|w| !w.is_empty())).collect();
        let count = |words: &[&str]| first.iter().filter(|word| words.contains(word)).count();
        let (best, found) = WORDS.iter().map(|(from, words)| (*from, count(words))).max_by_key(|(_, found)| *found)?;
        (found > 0).then_some(best)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Squid => "Squid",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }
}

/// Prints the configuration; what was not translated goes to standard error as well. Exit 0 when `forebay check` would
/// find no mistake in it, 1 when something is left to do, 2 when nothing can be made of the file.
pub(super) fn import(path: &Path, from: Option<From>) -> ExitCode {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("{}: cannot be read: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let Some(from) = from.or_else(|| From::guess(&text)) else {
        eprintln!(
            "{}: neither Squid's, nginx's nor HAProxy's\nhint: say --from squid, nginx or haproxy",
            path.display()
        );
        return ExitCode::from(2);
    };
    let draft = translate(from, &text);
    let file = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let made = draft.render(from.name(), &file);
    let _ = std::io::stdout().write_all(made.as_bytes());
    for (line, what, why) in &draft.left {
        eprintln!("{}:{line}: not translated: {what} ({why})", path.display());
    }
    match forebay_config::parse(&made, "the result") {
        Ok(_) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("{report}");
            ExitCode::FAILURE
        }
    }
}

fn translate(from: From, text: &str) -> Draft {
    let mut draft = match from {
        From::Squid => squid::translate(text),
        From::Nginx => nginx::translate(text),
        From::Haproxy => haproxy::translate(text),
    };
    draft.left.sort_by_key(|(line, ..)| *line);
    draft
}
