//! `forebay completions` and `forebay man`: what packages install beside the binary, made of the command line itself.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(super) struct Completions {
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Where the pages go: `forebay.1`, and one a verb.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

pub(super) fn completions(asked: &Completions) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(asked.shell, &mut super::Cli::command(), "forebay", &mut text);
    let _ = std::io::stdout().write_all(&text);
    ExitCode::SUCCESS
}

/// Exit 1 when they cannot be written.
pub(super) fn man(asked: &Man) -> ExitCode {
    match clap_mangen::generate_to(super::Cli::command(), &asked.directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forebay: {}: {error}", asked.directory.display());
            ExitCode::FAILURE
        }
    }
}
