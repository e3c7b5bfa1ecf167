//! `forebay explain`: asks the running instance, or the configuration alone where none runs.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::ask::{self, Ask};
use crate::assemble;
use crate::explain::{Question, explain};

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// What a visitor asks for: `https://www.example.com/shop/?color=red`
    #[arg(value_name = "URL")]
    url: String,
    /// A field of the request: `-H 'Cookie: a=b'`. May be repeated.
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    fields: Vec<String>,
    /// The method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Send the request through, and explain what came of it.
    #[arg(long)]
    live: bool,
    /// The configuration file: it names the admin listener, and is what is explained where no instance runs.
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: PathBuf,
    /// The admin listener of the instance to ask: `127.0.0.1:6081`.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
}

/// Exit 1 when there is nothing to ask, or the question makes no sense.
pub(super) fn explain_url(asked: &Explain) -> ExitCode {
    match answer(asked) {
        Ok(finding) => {
            let text = if asked.json {
                format!("{finding:#}\n")
            } else {
                finding.get("text").and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("forebay: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn answer(asked: &Explain) -> Result<Value, String> {
    let question = Question::new(&asked.url, &asked.method, asked.fields.iter().map(String::as_str), asked.live)?;
    let config = match &asked.admin {
        Some(_) => None,
        None => Some(forebay_config::load(&asked.config)),
    };
    let admin = match (&asked.admin, &config) {
        (Some(admin), _) => Some(admin.clone()),
        (None, Some(Ok(config))) => config.admin.as_ref().map(|admin| admin.address.to_string()),
        (None, _) => Some(ask::DEFAULT_ADMIN.to_owned()),
    };
    if let Some(admin) = admin {
        match ask::explain(&admin, &question) {
            Ask::Answered(finding) => return Ok(finding),
            Ask::Refused(why) => return Err(why),
            Ask::Nobody(why) if asked.admin.is_some() || asked.live => return Err(why),
            Ask::Nobody(_) => {}
        }
    }
    let config = config.unwrap_or_else(|| forebay_config::load(&asked.config)).map_err(|report| report.to_string())?;
    eprintln!("forebay: no instance runs: this is what {} says, with nothing stored", asked.config.display());
    let places = forebay_config::Places::read(&asked.config);
    let (runtime, _directory) = assemble::offline(config, places).map_err(|error| error.to_string())?;
    let tasks =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let finding = tasks.block_on(explain(&runtime, &question))?;
    serde_json::to_value(finding).map_err(|error| error.to_string())
}
