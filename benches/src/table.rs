//! The tables: for the terminal and the results' file, and for the README.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::peer::Peer;
use crate::result::{Measured, Report, median};
use crate::work::WORKS;
use crate::{idle, latency};

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
    for (tls, all) in [(false, &report.idle), (true, &report.idle_tls)].into_iter().filter(|(_, all)| !all.is_empty()) {
        let (what, count) = (if tls { "idle TLS connection" } else { "idle connection" }, idle::connections(tls));
        let _ = writeln!(out, "\n| {what} ({count} of them) | resident KiB each |\n|---|---:|");
        for (peer, kib) in all {
            let _ = writeln!(out, "| {} | {kib:.1} |", peer.name());
        }
    }
    if !report.latencies.is_empty() {
        let share = 100.0 * latency::SHARE;
        let _ = writeln!(
            out,
            "\n| 1 KiB memory hit at {share:.0} % of the server's peak | requests/s | median, µs | 99 %, µs | rounds, 99 % |\n|---|---:|---:|---:|---|"
        );
        for (peer, rounds) in &report.latencies {
            let of = |value: fn(&latency::Latency) -> f64| median(rounds.iter().map(value)).unwrap_or_default();
            let all: Vec<_> = rounds.iter().map(|round| format!("{:.0}", round.p99)).collect();
            let (rate, half, p99) = (of(|round| round.rate), of(|round| round.median), of(|round| round.p99));
            let _ = writeln!(out, "| {} | {rate:.0} | {half:.0} | {p99:.0} | {} |", peer.name(), all.join(" "));
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
    if let (Some(ours), Some(best)) = (report.p99(Peer::Forebay), report.best_p99()) {
        line("99 % of hits at 70 % of the peak, over the best peer's", 1.0, ours / best);
    }
    if let Some(kib) = report.idle.get(&Peer::Forebay) {
        line("idle connection, KiB", idle::GOAL_KIB, *kib);
    }
    if let Some(kib) = report.idle_tls.get(&Peer::Forebay) {
        line("idle TLS connection, KiB", idle::GOAL_TLS_KIB, *kib);
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
    let p99 = peers.iter().filter_map(|peer| Some((*peer, report.p99(*peer)?))).collect();
    let what = format!("1 KiB hit at {:.0} % of the server's peak: 99 %, µs", 100.0 * latency::SHARE);
    row(&mut out, &what, 0, &p99, &peers);
    row(&mut out, "idle connection, resident KiB", 1, &report.idle, &peers);
    row(&mut out, "idle TLS connection, resident KiB", 1, &report.idle_tls, &peers);
    let _ = write!(out, "\n{}.\n{README_END}\n", machine.join("; "));
    out
}

/// A line of numbers that are no CPU times.
fn row(out: &mut String, what: &str, digits: usize, values: &BTreeMap<Peer, f64>, peers: &[Peer]) {
    if values.is_empty() {
        return;
    }
    let _ = write!(out, "| {what} |");
    for peer in peers {
        let _ = match values.get(peer) {
            Some(value) if *peer == Peer::Forebay => write!(out, " **{value:.digits$}** |"),
            Some(value) => write!(out, " {value:.digits$} |"),
            None => write!(out, " – |"),
        };
    }
    out.push('\n');
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
        Report { measured, idle: BTreeMap::from([(Peer::Nginx, 0.5)]), ..Report::default() }
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
