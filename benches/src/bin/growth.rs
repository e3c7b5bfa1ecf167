//! `growth [--rounds N] [--stored N] [--write]`: whether a hit costs more when there is more of everything.

use std::fs;
use std::path::Path;
use std::time::Duration;

use forebay_benches::growth::{self, Size};
use forebay_benches::peer::Peer;
use forebay_benches::setting::Setting;
use forebay_benches::{CLIENT_CORE, Result, cpu, machine};

const USAGE: &str = "usage: growth [OPTIONS]
  --rounds N  rounds of a second of each case; medians are shown (3)
  --stored N  stored responses of the large case (1000000)
  --write     write benches/results/DATE-growth.md";

fn main() -> Result<()> {
    let mut size = Size { rounds: 3, time: Duration::from_secs(1), stored: 1_000_000 };
    let mut write = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--rounds" => size.rounds = value()?.parse::<u32>()?.max(1),
            "--stored" => size.stored = value()?.parse::<u64>()?.max(1),
            "--write" => write = true,
            _ => return Err(USAGE.into()),
        }
    }
    cpu::confine(CLIENT_CORE).map_err(|error| format!("{error}: a second core is needed"))?;
    cpu::raise_descriptor_limit()?;
    let directory = tempfile::Builder::new().prefix("forebay-bench-").tempdir()?;
    let setting = Setting::prepare(directory.path())?;
    let table = growth::table(&growth::measure(&setting, size)?);
    let machine: String = machine::description(&[Peer::Forebay]).iter().map(|line| format!("- {line}\n")).collect();
    println!("{machine}\n{table}");
    if write {
        let name = format!("results/{}-growth.md", machine::date());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let Size { rounds, time, .. } = size;
        let text = format!(
            "# When there is more of everything\n\n{machine}- {rounds} interleaved rounds of {time:?}, medians; the server alone on one core\n\n{table}"
        );
        fs::write(&path, text)?;
        eprintln!("written: {}", path.display());
    }
    Ok(())
}
