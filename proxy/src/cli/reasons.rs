//! `forebay reasons`: the vocabulary of `Cache-Status` and the access log.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::reason::{self, Reason};

#[derive(Debug, Args)]
pub(super) struct Reasons {
    /// One code: `set-cookie`. Without it: all of them, as the table of the manual.
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Exit 1 when there is no such code.
pub(super) fn reasons(asked: &Reasons) -> ExitCode {
    let found: Vec<Reason> =
        reason::all().filter(|reason| asked.code.as_ref().is_none_or(|code| reason.code == code)).collect();
    if found.is_empty() {
        eprintln!("forebay: there is no such code\nhint: `forebay reasons` prints them all");
        return ExitCode::FAILURE;
    }
    let text = if asked.json {
        let list: Vec<_> = found.iter().copied().map(Reason::to_json).collect();
        format!("{:#}\n", json!(list))
    } else if asked.code.is_some() {
        found.iter().map(|reason| format!("{}: {} {}\n", reason.kind.word(), reason.sentence, reason.change)).collect()
    } else {
        reason::markdown()
    };
    // A pipe that nobody reads to its end.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
