//! Where and when a run was made.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use crate::peer::Peer;

/// Lines that say so: date, processor, kernel, versions.
#[must_use]
pub fn description(peers: &[Peer]) -> Vec<String> {
    let first = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let versions = peers.iter().filter(|peer| **peer != Peer::Floor);
    let versions: Vec<_> =
        versions.filter_map(|peer| Some(format!("{} {}", peer.name(), peer.version()?).trim().to_owned())).collect();
    vec![
        format!("Date: {}", date()),
        format!("Processor: {}", processor()),
        format!("Kernel: {}", first("/proc/sys/kernel/osrelease")),
        format!("Servers: {}", versions.join(", ")),
        format!("Load generators: wrk {}, h2load {}", tool("wrk", "-v"), tool("h2load", "--version")),
        format!("Load average at the end: {}", first("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")),
    ]
}

/// Today as `2031-12-24`, UTC.
#[must_use]
pub fn date() -> String {
    let now = httpdate::fmt_http_date(SystemTime::now());
    let words: Vec<&str> = now.split(' ').collect();
    let [_, day, month, year, ..] = words.as_slice() else { return now };
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| name == month).unwrap_or_default() + 1;
    format!("{year}-{month:02}-{day}")
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    let virtual_machine = if text.contains(" hypervisor") { ", a virtual machine" } else { "" };
    let model = value("model name").unwrap_or_default();
    let family = value("cpu family").unwrap_or_default();
    format!("{model} (family {family}), {cores} cores{virtual_machine}")
}

fn tool(program: &str, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else { return "?".to_owned() };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let version = text.split(['/', ' ']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.unwrap_or("?").trim().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_date_sorts_as_text() {
        let date = super::date();
        assert!(date.len() == 10 && date.starts_with("20") && date.as_bytes()[4] == b'-', "{date}");
    }
}
