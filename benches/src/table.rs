//! The tables: for the terminal and the results' file, and for the README.

use std::fmt::Write as _;

use crate::idle;
use crate::peer::Peer;
use crate::result::{Measured, Report};
use crate::work::WORKS;

/// Where the README's table begins and ends.
pub const README_BEGIN: &str = "<!-- bench:begin -->";
/// See [`README_BEGIN`].
pub const README_END: &str = "<!-- bench:end -->";

/// Every number, Markdown: a line for each server and work, then the goals.
#[must_use]
pub fn full(report: &Report) -> String {
    let mut out = String::from(
        "| work | server | CPU µs a request | requests/s | Forebay's CPU over it | rounds, CPU µs |\n|---|---|---:|---:|---:|---|\n",
    );
    for measured in &report.measured {
        for (peer, samples) in &measured.samples {
            let (Some(median), Some(ratio)) = (measured.median(*peer), measured.ratio(*peer)) else { continue };
            let rounds: Vec<_> = samples.iter().map(|sample| format!("{:.1}", sample.cpu_micros)).collect();
            let _ = writeln!(
                out,
                "| {} | {} | {:.1} | {:.0} | {ratio:.2} | {} |",
                measured.work,
                peer.name(),
                median.cpu_micros,
                median.rate,
                rounds.join(" ")
            );
        }
    }
    if !report.idle.is_empty() {
        let _ = writeln!(out, "\n| idle connection ({} of them) | resident KiB each |\n|---|---:|", idle::CONNECTIONS);
        for (peer, kib) in &report.idle {
            let _ = writeln!(out, "| {} | {kib:.1} |", peer.name());
        }
    }
    if !report.misses.is_empty() {
        out += "\n| miss of 1 KiB, one at a time | CPU µs of the one that asks | median, µs | 99 %, µs |\n|---|---:|---:|---:|\n";
        for miss in &report.misses {
            let _ = writeln!(
                out,
                "| siblings asked before: {} | {:.0} | {:.0} | {:.0} |",
                miss.siblings, miss.cpu_micros, miss.median, miss.p99
            );
        }
    }
    out + "\n" + &goals(report)
}

fn goals(report: &Report) -> String {
    let mut out = String::from("| goal: Forebay's | at most | is | |\n|---|---:|---:|---|\n");
    let mut line = |what: &str, goal: f64, is: f64| {
        let verdict = if is <= goal { "reached" } else { "missed" };
        let _ = writeln!(out, "| {what} | {goal:.2} | {is:.2} | {verdict} |");
    };
    for measured in &report.measured {
        for (peer, goal, is) in measured.judged() {
            line(&format!("CPU, {}, over {}'s", measured.work, peer.name()), goal, is);
        }
        if let (Some(goal), Some(is)) = (measured.goal_over_hit, measured.ratio_to_hit()) {
            line(&format!("CPU, {}, over that of a {}", measured.work, WORKS[0].name), goal, is);
        }
    }
    if let Some(kib) = report.idle.get(&Peer::Forebay) {
        line("idle connection, KiB", idle::GOAL_KIB, *kib);
    }
    out
}

/// A line for each work, a column for each server: CPU µs a request and, in brackets, Forebay's CPU time over it.
#[must_use]
pub fn readme(report: &Report, machine: &[String]) -> String {
    let is_there = |peer: &&Peer| report.measured.iter().any(|measured| measured.samples.contains_key(peer));
    let peers: Vec<Peer> = Peer::ALL.iter().filter(is_there).copied().collect();
    let mut out = format!("{README_BEGIN}\n| CPU µs a request |");
    for peer in &peers {
        let _ = write!(out, " {} |", peer.name());
    }
    let _ = write!(out, "\n|---|{}\n", "---:|".repeat(peers.len()));
    for measured in &report.measured {
        let _ = write!(out, "| {} |", measured.work);
        for peer in &peers {
            let _ = write!(out, " {} |", cell(measured, *peer));
        }
        out.push('\n');
    }
    if !report.idle.is_empty() {
        out += "| idle connection, resident KiB |";
        for peer in &peers {
            let kib = report.idle.get(peer).map_or_else(|| "–".to_owned(), |kib| format!("{kib:.1}"));
            let _ = write!(out, " {kib} |");
        }
        out.push('\n');
    }
    let _ = write!(out, "\n{}.\n{README_END}\n", machine.join("; "));
    out
}

fn cell(measured: &Measured, peer: Peer) -> String {
    match (measured.median(peer), measured.ratio(peer)) {
        (Some(median), _) if peer == Peer::Forebay => format!("**{:.1}**", median.cpu_micros),
        (Some(median), Some(ratio)) => format!("{:.1} (×{ratio:.2})", median.cpu_micros),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::result::Sample;

    fn report() -> Report {
        let sample = |cpu_micros| vec![Sample { cpu_micros, rate: 1000.0 }];
        let samples = BTreeMap::from([(Peer::Forebay, sample(6.0)), (Peer::Nginx, sample(12.0))]);
        let measured = vec![Measured {
            work: "hit",
            goals: &[(Peer::Nginx, 0.4)],
            goal_over_hit: None,
            samples,
            hits: Vec::new(),
        }];
        Report { measured, idle: BTreeMap::from([(Peer::Nginx, 0.5)]), misses: Vec::new() }
    }

    #[test]
    fn a_missed_goal_is_called_missed() {
        let table = full(&report());
        assert!(table.contains("| hit | nginx | 12.0 | 1000 | 0.50 | 12.0 |"), "{table}");
        assert!(table.contains("| CPU, hit, over nginx's | 0.40 | 0.50 | missed |"), "{table}");
    }

    #[test]
    fn the_readme_has_a_column_for_each_server_measured() {
        let table = readme(&report(), &["Kernel: 6".to_owned()]);
        assert!(table.contains("| CPU µs a request | Forebay | nginx |\n|---|---:|---:|\n"), "{table}");
        assert!(table.contains("| hit | **6.0** | 12.0 (×0.50) |"), "{table}");
        assert!(table.starts_with(README_BEGIN) && table.trim_end().ends_with(README_END));
    }
}
