//! `forebay purge`: asks a running instance, by its admin listener, to purge.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::ask::{self, Ask};

/// What to purge; one of the first six.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group(
    ArgGroup::new("what").required(true).multiple(true).args(["url", "prefix", "regex", "tag", "host", "all"])
))]
pub(super) struct Purge {
    /// This URL, in all variants: `https://www.example.com/hello/`
    #[arg(value_name = "URL", conflicts_with_all = ["prefix", "regex", "tag", "all"])]
    url: Option<String>,
    /// All that begins so: `https://www.example.com/blog/`, or `/blog/` with --host
    #[arg(long, value_name = "URL", conflicts_with_all = ["regex", "tag", "all"])]
    prefix: Option<String>,
    /// All whose path and query match this expression from their beginning on.
    #[arg(long, value_name = "EXPRESSION", conflicts_with_all = ["tag", "all"])]
    regex: Option<String>,
    /// All that carry this tag; may be given several times.
    #[arg(long, value_name = "TAG", conflicts_with = "all")]
    tag: Vec<String>,
    /// Everything of this host; with --prefix, --regex or --tag those of this host alone.
    #[arg(long, value_name = "HOST", conflicts_with = "all")]
    host: Option<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    how: How,
}

/// How to purge, and where.
#[derive(Debug, Args)]
struct How {
    /// Make stale rather than remove: the old page may be served while the new one is fetched.
    #[arg(long)]
    soft: bool,
    /// Tell what each node of the cluster did; exit 1 unless all of them have done it.
    #[arg(long, conflicts_with = "dry_run")]
    all_nodes: bool,
    /// Count, and purge nothing.
    #[arg(long)]
    dry_run: bool,
    /// The configuration that names the admin listener.
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: PathBuf,
    /// The admin listener: `127.0.0.1:6081`
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// The token of the admin listener, where --admin names it.
    #[arg(long, value_name = "TOKEN", requires = "admin")]
    token: Option<String>,
}

/// Exit 0: purged; 1: refused; 2: nobody could be asked.
pub(super) fn purge(purge: &Purge) -> ExitCode {
    let (address, token) = match listener(&purge.how) {
        Ok(found) => found,
        Err(failure) => {
            eprintln!("forebay: {failure}");
            return ExitCode::from(2);
        }
    };
    match ask::purge(&address.to_string(), token.as_deref(), &document(purge)) {
        Ask::Answered(answer) => {
            let count = answer.get("count").and_then(Value::as_u64).unwrap_or(0);
            let kind = answer.get("result").and_then(Value::as_str).unwrap_or("all");
            let done = if purge.how.dry_run { "would be purged" } else { "purged" };
            let _ = writeln!(std::io::stdout(), "{kind}: {done}; {count} stored responses found at once");
            if purge.how.all_nodes { nodes(&answer) } else { ExitCode::SUCCESS }
        }
        Ask::Refused(answer) => {
            let document: Value = serde_json::from_str(&answer).unwrap_or(Value::Null);
            let reason = document.get("message").and_then(Value::as_str);
            eprintln!("forebay: refused: {}", reason.unwrap_or(&answer));
            ExitCode::FAILURE
        }
        Ask::Nobody(failure) => {
            eprintln!("forebay: {failure}");
            ExitCode::from(2)
        }
    }
}

/// A line for each node.
fn nodes(answer: &Value) -> ExitCode {
    let Some(nodes) = answer["nodes"].as_array() else {
        eprintln!("forebay: the instance is in no cluster\nhint: [cluster] in its configuration");
        return ExitCode::FAILURE;
    };
    let mut all = true;
    for node in nodes {
        let (name, status) = (node["node"].as_str().unwrap_or("?"), node["status"].as_str().unwrap_or("?"));
        let name = if name == "*" { "all others" } else { name };
        let line = match node["count"].as_u64() {
            Some(count) => format!("{name}: {status}, {count}"),
            None => format!("{name}: {status}"),
        };
        let _ = writeln!(std::io::stdout(), "{line}");
        all &= status == "ok";
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn document(purge: &Purge) -> Value {
    let mut document = json!({ "soft": purge.how.soft, "dry_run": purge.how.dry_run });
    let mut put = |word: &str, value: Value| {
        if let Some(document) = document.as_object_mut() {
            document.insert(word.to_owned(), value);
        }
    };
    if let Some(host) = &purge.host {
        put("host", json!(host));
    }
    match purge {
        Purge { url: Some(url), .. } => put("url", json!(url)),
        Purge { prefix: Some(prefix), .. } => put("prefix", json!(prefix)),
        Purge { regex: Some(regex), .. } => put("regex", json!(regex)),
        Purge { tag, .. } if !tag.is_empty() => put("tags", json!(tag)),
        _ => put("everything", json!(true)),
    }
    document
}

fn listener(how: &How) -> Result<(SocketAddr, Option<String>), String> {
    if let Some(address) = how.admin {
        return Ok((address, how.token.clone()));
    }
    let config = forebay_config::load(&how.config).map_err(|report| report.to_string())?;
    let admin = config.admin.ok_or("the configuration has no admin listener\nhint: name one with --admin")?;
    let mut address = admin.address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    Ok((address, admin.token))
}
