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
    /// Add a server to a pool, until the next reload.
    Add(New),
    /// Take a server out of its pool, until the next reload: it finishes what it has.
    Remove(Gone),
}

/// A server that is to be.
#[derive(Debug, Args)]
pub(super) struct New {
    /// The pool, as the configuration names it.
    pool: String,
    /// Its address (192.168.0.103:80), its name, or that of a service (srv:_http._tcp.ap.example.com).
    server: String,
    /// Its share of requests, 0 to 1000.
    #[arg(long)]
    weight: Option<u32>,
    /// Requests it may have in flight; 0: any number.
    #[arg(long)]
    max_connections: Option<u32>,
    /// Ask it only while no other can be asked.
    #[arg(long)]
    backup: bool,
    #[command(flatten)]
    place: Place,
}

/// A server that is to be no more.
#[derive(Debug, Args)]
pub(super) struct Gone {
    /// The pool, as the configuration names it.
    pool: String,
    /// The server as `list` names it, or its address.
    server: String,
    #[command(flatten)]
    place: Place,
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
        Verb::Add(new) => {
            let target = format!("{}/add{}", target([&new.pool, &new.server]), new.query());
            return outcome(ask(&new.place, "POST", &target), |_| String::new());
        }
        Verb::Remove(gone) => {
            let target = format!("{}/remove", target([&gone.pool, &gone.server]));
            return outcome(ask(&gone.place, "POST", &target), |_| String::new());
        }
    };
    outcome(ask(&named.place, "POST", &format!("{}/{word}", target(&named.name))), |_| String::new())
}

/// The path of a pool or server.
fn target<'a>(parts: impl IntoIterator<Item = &'a String>) -> String {
    parts.into_iter().fold("/upstreams".to_owned(), |mut target, part| {
        // Writing to a string cannot fail.
        let _ = write!(target, "/{}", utf8_percent_encode(part, NON_ALPHANUMERIC));
        target
    })
}

impl New {
    fn query(&self) -> String {
        let weight = self.weight.map(|weight| format!("weight={weight}"));
        let most = self.max_connections.map(|most| format!("max_connections={most}"));
        let backup = self.backup.then(|| "backup=true".to_owned());
        let words: Vec<String> = [weight, most, backup].into_iter().flatten().collect();
        if words.is_empty() { String::new() } else { format!("?{}", words.join("&")) }
    }
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
    let mut rows = vec![["POOL", "SERVER", "STATE", "WEIGHT", "ACTIVE", "REQUESTS", "ERRORS", "BY"].map(str::to_owned)];
    let mut names = vec![["POOL", "NAME", "STATE", "SERVERS", "TTL", "COMPLAINT"].map(str::to_owned)];
    for pool in array(answer, "upstreams") {
        let of_pool = text(&pool, "name");
        for server in array(&pool, "servers") {
            let of = |name| text(&server, name);
            let backup = if server.get("backup") == Some(&Value::Bool(true)) { " backup" } else { "" };
            let weight = format!("{}{backup}", of("weight"));
            // What a name stands for is told apart by its address.
            let shown = if of("origin") == "name" { "address" } else { "name" };
            let (server, by) = (of(shown), of("origin"));
            rows.push([of_pool.clone(), server, of("state"), weight, of("active"), of("requests"), of("errors"), by]);
        }
        for name in array(&pool, "names") {
            let of = |word| text(&name, word).replace("null", "");
            names.push([of_pool.clone(), of("name"), of("state"), of("servers"), of("ttl"), of("complaint")]);
        }
    }
    let names = if names.len() > 1 { format!("\n{}", aligned(&names)) } else { String::new() };
    aligned(&rows) + &names
}

/// Rows, each column as wide as its widest cell.
fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
