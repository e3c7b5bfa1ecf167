//! The load generators: wrk for HTTP/1.1, h2load for HTTP/2, `openssl s_time` for TLS sessions that are resumed. A fixed number of connections for a fixed time.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

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
    /// On connections for one request each, whose TLS sessions are resumed.
    pub resumes: bool,
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
    if load.resumes {
        return resume(load.path, address, seconds);
    }
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

/// Programs that resume, each a connection at a time.
const RESUMING: usize = 8;

/// Connections for one request each, all but the first of each program resumed.
fn resume(path: &str, address: SocketAddr, seconds: u32) -> Result<Outcome> {
    // What it adds, ` HTTP/1.0`, becomes the value of the last field.
    let target = format!("{path} HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\nX-End:");
    let mut command = Command::new("openssl");
    command.args(["s_time", "-reuse", "-tls1_3", "-time", &seconds.to_string(), "-www", &target]);
    command.args(["-connect", &address.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let programs = (0..RESUMING).map(|_| command.spawn()).collect::<std::io::Result<Vec<_>>>()?;
    let mut sum = Outcome { requests: 0, rate: 0.0, bytes: 0.0 };
    for program in programs {
        let output = program.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let outcome = parse_s_time(&text).filter(|_| output.status.success());
        let outcome = outcome
            .ok_or_else(|| format!("{command:?} met errors:\n{text}{}", String::from_utf8_lossy(&output.stderr)))?;
        sum = Outcome {
            requests: sum.requests + outcome.requests,
            rate: sum.rate + outcome.rate,
            bytes: sum.bytes + outcome.bytes,
        };
    }
    Ok(sum)
}

/// `None` also when a session was not resumed: each connection is a letter, `r` where it was.
fn parse_s_time(text: &str) -> Option<Outcome> {
    let (_, timed) = text.split_once("starting")?;
    let resumed = timed.trim_start().lines().next()?.bytes().filter(|byte| *byte == b'r').count() as u64;
    let totals = timed.lines().find(|line| line.contains(" real seconds, "))?;
    let mut words = totals.split_whitespace();
    let requests = words.next()?.parse::<u64>().ok()?;
    let seconds = words.nth(2)?.parse::<f64>().ok()?;
    let bytes = words.nth(2)?.parse::<f64>().ok()?;
    let all = requests > 0 && resumed >= requests;
    all.then(|| Outcome { requests, rate: requests as f64 / seconds.max(1.0), bytes: bytes * requests as f64 })
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

    const S_TIME: &str = "Collecting connection statistics for 1 seconds\n*\n\n\nNow timing with session id reuse.\nstarting\nrrr\n\n\
        3 connections in 0.12s; 25.00 connections/user sec, bytes read 4200\n3 connections in 2 real seconds, 1400 bytes read per connection\n";

    #[test]
    fn s_time_is_understood_and_full_handshakes_are_errors() {
        assert_eq!(parse_s_time(S_TIME), Some(Outcome { requests: 3, rate: 1.5, bytes: 4200.0 }));
        assert_eq!(parse_s_time(&S_TIME.replace("rrr", "r*r")), None);
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
