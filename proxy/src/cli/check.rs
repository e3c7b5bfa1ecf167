//! `forebay check`: everything that can be known without serving.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Prints every mistake and warning; exit 0 when the file can be served, 1 when not. Nothing is bound or written.
pub(super) fn check(path: &Path, dump: bool) -> ExitCode {
    let config = match forebay_config::load(path) {
        Ok(config) => config,
        Err(report) => {
            eprintln!("{report}");
            return ExitCode::FAILURE;
        }
    };
    for warning in forebay_config::warnings(&config) {
        eprintln!("warning: {warning}");
    }
    if dump {
        let _ = std::io::stdout().write_all(config.to_toml().as_bytes());
    } else {
        eprintln!("{}: the configuration is good", path.display());
    }
    ExitCode::SUCCESS
}
