//! `forebay simulate`: a log against a configuration and sizes of cache.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;
use forebay_config::model::HostPattern;
use forebay_config::{Config, Places};
use http::HeaderMap;
use indicatif::{ProgressBar, ProgressStyle};

use crate::assemble;
use crate::explain::field;
use crate::simulate::{Assumed, Simulation, Summary};

/// Longest line that is read; what is longer is none of a log.
const LINE: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Access logs, in the order of time: combined (nginx, Apache), combined+cache, squid or json; `-` is standard input,
    /// `.gz` is unpacked.
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// The configuration to be tried.
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: PathBuf,
    /// Sizes of the cache: `64MiB,256MiB,1GiB`. Without it: that of the configuration, and up to sixteen times as much.
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    memory: Vec<ByteSize>,
    /// Host of lines that name none. Without it: the first of the configuration.
    #[arg(long)]
    host: Option<String>,
    /// Lines that do not say so came by https.
    #[arg(long)]
    https: bool,
    /// A field of every response, for logs do not hold them: `--response 'Cache-Control: max-age=600'`. May be repeated.
    #[arg(long, value_name = "FIELD")]
    response: Vec<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Exit 1 when a file cannot be read, or no line of it could be.
pub(super) fn simulate(asked: &Simulate) -> ExitCode {
    let summary = match run(asked) {
        Ok(summary) => summary,
        Err(failure) => {
            eprintln!("forebay: {failure}");
            return ExitCode::FAILURE;
        }
    };
    let text = if asked.json {
        serde_json::to_string_pretty(&summary).map(|json| json + "\n").unwrap_or_default()
    } else {
        summary.text()
    };
    let _ = io::stdout().write_all(text.as_bytes());
    if summary.requests == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run(asked: &Simulate) -> Result<Summary, String> {
    let config = forebay_config::load(&asked.config).map_err(|report| report.to_string())?;
    let mut response = HeaderMap::new();
    for line in &asked.response {
        let (name, value) = field(line)?;
        response.append(name, value);
    }
    let host = asked.host.clone().unwrap_or_else(|| first_host(&config));
    let sizes = match asked.memory.as_slice() {
        [] => [1, 4, 16].map(|times| config.memory.size.saturating_mul(times)).to_vec(),
        sizes => sizes.iter().map(|size| size.as_u64().max(1 << 20)).collect(),
    };
    let (runtime, _directory) =
        assemble::offline(config, Places::read(&asked.config)).map_err(|error| error.to_string())?;
    let mut simulation = Simulation::new(runtime, Assumed { host, https: asked.https, response }, &sizes);
    let tasks =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    for log in &asked.logs {
        let read = tasks.block_on(replay(&mut simulation, log));
        read.map_err(|error| format!("{}: {error}", log.display()))?;
    }
    Ok(simulation.finish())
}

fn first_host(config: &Config) -> String {
    let hosts = config.sites.iter().flat_map(|site| &site.hosts);
    let named = hosts.filter_map(|host| match host {
        HostPattern::Exact(name) => Some(name.clone()),
        HostPattern::Wildcard(_) | HostPattern::Any => None,
    });
    named.into_iter().next().unwrap_or_else(|| "localhost".to_owned())
}

async fn replay(simulation: &mut Simulation, log: &Path) -> io::Result<()> {
    let (reader, progress) = open(log)?;
    let mut reader = BufReader::with_capacity(256 * 1024, reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let whole = line.last() == Some(&b'\n');
        if !whole && line.len() as u64 == LINE {
            skip_line(&mut reader)?;
        }
        simulation.line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])).await;
    }
    progress.finish_and_clear();
    Ok(())
}

/// Reads on to the end of the line.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (length, ended) = match memchr::memchr(b'\n', buffer) {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(length);
        if ended {
            return Ok(());
        }
    }
}

/// The file, unpacked where it is packed, and the bar that shows how far it was read.
fn open(log: &Path) -> io::Result<(Box<dyn Read>, ProgressBar)> {
    if log.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), ProgressBar::hidden()));
    }
    let file = File::open(log)?;
    let length = file.metadata()?.len();
    let progress = if io::stderr().is_terminal() { ProgressBar::new(length) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let read = progress.wrap_read(file);
    if log.extension().is_some_and(|extension| extension == "gz") {
        return Ok((Box::new(flate2::read::MultiGzDecoder::new(read)), progress));
    }
    Ok((Box::new(read), progress))
}
