//! `forebay doctor`: visits a site and says what is good and what is wrong.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;

use crate::doctor::{Examination, Ports, Severity, Visit};

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// A page that a stranger may see: `https://www.example.com/`
    #[arg(value_name = "URL")]
    url: String,
    /// Go to this address for this host: `www.example.com:192.0.2.10`. May be repeated.
    #[arg(long, value_name = "HOST:ADDRESS")]
    resolve: Vec<String>,
    /// Do not look at certificates.
    #[arg(long)]
    insecure: bool,
    /// Where http URLs without a port go.
    #[arg(long, default_value_t = 80, value_name = "PORT")]
    http_port: u16,
    /// Where https URLs without a port go.
    #[arg(long, default_value_t = 443, value_name = "PORT")]
    https_port: u16,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Exit 0 when all is good, 1 with warnings, 2 when something is wrong, 3 when the question makes no sense.
pub(super) fn doctor(asked: &Doctor) -> ExitCode {
    let names = match names(&asked.resolve) {
        Ok(names) => names,
        Err(wrong) => {
            eprintln!("forebay: {wrong}");
            return ExitCode::from(3);
        }
    };
    let url = if asked.url.contains("://") { asked.url.clone() } else { format!("https://{}", asked.url) };
    let ports = Ports { http: asked.http_port, https: asked.https_port };
    let visit = Visit { url, names, insecure: asked.insecure, ports };
    let examination = Examination::of(&visit);
    let text = if asked.json {
        serde_json::to_string_pretty(&examination).map(|json| json + "\n").unwrap_or_default()
    } else {
        examination.text()
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    match examination.worst {
        Severity::Good | Severity::Note => ExitCode::SUCCESS,
        Severity::Warning => ExitCode::from(1),
        Severity::Wrong => ExitCode::from(2),
    }
}

fn names(resolve: &[String]) -> Result<HashMap<String, IpAddr>, String> {
    let one = |text: &String| {
        let (host, address) = text.split_once(':')?;
        let address = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        Some((host.to_ascii_lowercase(), address))
    };
    let wrong = |text: &String| format!("--resolve {text}: write HOST:ADDRESS, as in www.example.com:192.0.2.10");
    resolve.iter().map(|text| one(text).ok_or_else(|| wrong(text))).collect()
}
