//! `forebay upstream`: the pools of a running instance, by its admin listener.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// Longest wait for the admin listener, which answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Pools and their servers: state, weight, requests in flight.
    List(Place),
    /// Give a server nothing new: it finishes what it has, and keeps its sessions for drain_timeout.
    Drain(Named),
    /// Give a server nothing new at all, sessions included.
    Disable(Named),
    /// Give a server requests again; what it failed at is forgotten.
    Ready(Named),
}

/// A server of a running instance.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The server as the configuration or `list` names it; without a pool before it, in all that have it.
    #[arg(value_name = "[POOL] SERVER", num_args = 1..=2, required = true)]
    name: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// A running instance.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The configuration file that names the admin listener.
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: PathBuf,
    /// The admin listener itself.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

/// Exit 0; 1 when the instance refuses; 2 when it cannot be asked.
pub(super) fn upstream(verb: &Verb) -> ExitCode {
    let (word, named) = match verb {
        Verb::List(place) => return outcome(ask(place, "GET", "/upstreams"), list),
        Verb::Drain(named) => ("drain", named),
        Verb::Disable(named) => ("disable", named),
        Verb::Ready(named) => ("ready", named),
    };
    let mut target = "/upstreams".to_owned();
    for part in &named.name {
        // Writing to a string cannot fail.
        let _ = write!(target, "/{}", utf8_percent_encode(part, NON_ALPHANUMERIC));
    }
    outcome(ask(&named.place, "POST", &format!("{target}/{word}")), |_| String::new())
}

fn outcome(answer: Result<(u16, Value), String>, show: impl Fn(&Value) -> String) -> ExitCode {
    match answer {
        Ok((200, value)) => {
            // Standard output may be a pipe that nobody reads to its end.
            let _ = std::io::stdout().write_all(show(&value).as_bytes());
            ExitCode::SUCCESS
        }
        Ok((status, value)) => {
            let error = value.get("error").and_then(Value::as_str).map_or_else(|| status.to_string(), str::to_owned);
            eprintln!("forebay: {error}");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("forebay: {failure}");
            ExitCode::from(2)
        }
    }
}

fn ask(place: &Place, method: &str, target: &str) -> Result<(u16, Value), String> {
    let address = match place.admin {
        Some(address) => address,
        None => {
            let config = forebay_config::load(&place.config).map_err(|report| report.to_string())?;
            config.admin.ok_or("the configuration has no admin listener")?.address
        }
    };
    let failed = |error: std::io::Error| format!("admin listener {address}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let understood = || {
        let (head, content) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(content).unwrap_or(Value::Null)))
    };
    understood().ok_or_else(|| format!("{address} is not an admin listener"))
}

fn list(answer: &Value) -> String {
    let array = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, name: &str| match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let mut rows = vec![["POOL", "SERVER", "STATE", "WEIGHT", "ACTIVE", "REQUESTS", "ERRORS"].map(str::to_owned)];
    for pool in array(answer, "upstreams") {
        for server in array(&pool, "servers") {
            let of = |name| text(&server, name);
            let backup = if server.get("backup") == Some(&Value::Bool(true)) { " backup" } else { "" };
            let weight = format!("{}{backup}", of("weight"));
            let name = text(&pool, "name");
            rows.push([name, of("name"), of("state"), weight, of("active"), of("requests"), of("errors")]);
        }
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
