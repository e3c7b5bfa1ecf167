//! The load generators: wrk for HTTP/1.1, h2load for HTTP/2. A fixed number of connections for a fixed time.

use std::net::SocketAddr;
use std::process::Command;

use crate::Result;

/// Open connections.
pub const CONNECTIONS: usize = 32;

/// Connections of the HTTP/2 load, each with [`H2_STREAMS`] requests in flight.
pub const H2_CONNECTIONS: usize = 16;

/// Requests in flight on a connection.
pub const H2_STREAMS: usize = 10;

/// How many URLs are asked for. They differ in their query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urls {
    /// One.
    One,
    /// So many, in turn.
    Of(u32),
    /// Another one each time.
    Always,
}

impl Urls {
    /// What makes wrk do it.
    fn script(self) -> Option<String> {
        let query = match self {
            Self::One => return None,
            Self::Of(count) => format!("\"?\" .. n % {count}"),
            Self::Always => "\"?\" .. start .. \"-\" .. n".to_owned(),
        };
        let start = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
        Some(format!(
            "local n, start = 0, {start}\nfunction request()\n  n = n + 1\n  return wrk.format(nil, wrk.path .. {query})\nend\n"
        ))
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// By TLS.
    pub tls: bool,
    /// By HTTP/2 rather than 1.1.
    pub h2: bool,
    /// To where connections are passed on byte by byte.
    pub l4: bool,
    /// Path.
    pub path: &'static str,
    /// With how many queries.
    pub urls: Urls,
    /// Field lines beside the usual ones.
    pub fields: &'static [&'static str],
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Responses received.
    pub requests: u64,
    /// A second.
    pub rate: f64,
    /// Bytes received, heads included.
    pub bytes: f64,
}

/// Runs `load` against `address` for so many seconds.
///
/// # Errors
///
/// The tool fails, or a single response was an error.
pub fn run(load: &Load, address: SocketAddr, seconds: u32) -> Result<Outcome> {
    let url = format!("{}://{address}{}", if load.tls { "https" } else { "http" }, load.path);
    let mut command = if load.h2 { h2load(seconds) } else { wrk(seconds) };
    for field in load.fields {
        command.args(["-H", field]);
    }
    let script = tempfile::NamedTempFile::new()?;
    if let Some(text) = load.urls.script() {
        std::fs::write(script.path(), text)?;
        command.arg("-s").arg(script.path());
    }
    let output = command.arg(&url).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let outcome = if load.h2 { parse_h2load(&text) } else { parse_wrk(&text) };
    outcome.ok_or_else(|| format!("{command:?} met errors:\n{text}").into())
}

fn wrk(seconds: u32) -> Command {
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")]);
    command
}

fn h2load(seconds: u32) -> Command {
    let mut command = Command::new("h2load");
    command.args(["-t1", &format!("-c{H2_CONNECTIONS}"), &format!("-m{H2_STREAMS}"), &format!("-D{seconds}")]);
    command
}

/// `None` when there was an error, too.
fn parse_wrk(text: &str) -> Option<Outcome> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return None;
    }
    let totals = text.lines().find(|line| line.contains(" requests in "))?;
    let mut words = totals.split_whitespace();
    let requests = words.next()?.parse().ok()?;
    let bytes = size(words.nth(3)?)?;
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"))?;
    Some(Outcome { requests, rate: rate.trim().parse().ok()?, bytes })
}

fn parse_h2load(text: &str) -> Option<Outcome> {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let counted = |line: &str, what: &str| {
        let part = line.split(',').find(|part| part.trim().ends_with(what))?;
        part.split_whitespace().next()?.parse::<u64>().ok()
    };
    // Nothing is gained by measuring what was agreed on instead.
    line("Application protocol:").filter(|protocol| protocol.trim() == "h2")?;
    let requests = line("requests:")?;
    let answered = counted(line("status codes:")?, "2xx")?;
    if answered == 0 || counted(requests, "errored")? + counted(requests, "failed")? > 0 {
        return None;
    }
    let rate = line("finished in")?.split(',').find(|part| part.trim().ends_with("req/s"))?;
    let bytes = line("traffic:")?.trim().split([' ', '(']).next().and_then(size)?;
    Some(Outcome { requests: answered, rate: rate.split_whitespace().next()?.parse().ok()?, bytes })
}

/// `1.50MB` in bytes; both tools count in powers of 1024.
fn size(text: &str) -> Option<f64> {
    let text = text.trim_end_matches('B');
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let power = match unit {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * 1024_f64.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  \
        171370 requests in 1.10s, 212.60MB read\nRequests/sec: 155769.75\nTransfer/sec:    193.25MB\n";

    #[test]
    fn wrk_is_understood_and_its_errors_are_errors() {
        let bytes = 212.60 * 1024.0 * 1024.0;
        assert_eq!(parse_wrk(WRK), Some(Outcome { requests: 171_370, rate: 155_769.75, bytes }));
        assert_eq!(parse_wrk(&format!("{WRK}  Socket errors: connect 0, read 1, write 0, timeout 0\n")), None);
        assert_eq!(parse_wrk(&format!("{WRK}  Non-2xx or 3xx responses: 4\n")), None);
    }

    const H2LOAD: &str = "Application protocol: h2\nfinished in 3.00s, 80000.33 req/s, 84.50MB/s\n\
        requests: 240001 total, 240161 started, 240001 done, 240001 succeeded, 0 failed, 0 errored, 0 timeout\n\
        status codes: 240001 2xx, 0 3xx, 0 4xx, 0 5xx\n\
        traffic: 253.51MB (265825124) total, 4.13MB (4327228) headers (space savings 94.57%), 234.38MB (245761024) data\n";

    #[test]
    fn h2load_is_understood_and_its_errors_are_errors() {
        let outcome = parse_h2load(H2LOAD).unwrap();
        assert_eq!((outcome.requests, outcome.rate), (240_001, 80_000.33));
        assert_eq!(parse_h2load(&H2LOAD.replace("0 failed", "3 failed")), None);
        assert_eq!(parse_h2load(&H2LOAD.replace("protocol: h2", "protocol: http/1.1")), None);
    }
}
