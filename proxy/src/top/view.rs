//! One look at an instance, and what changed since the last: as rows, for a terminal or for a file.

use std::fmt::Write as _;
use std::time::Duration;

use super::report::{SiteTop, TopReport};

/// A look to be shown.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) report: TopReport,
    /// Requests a second of each site since the look before; `None` at the first.
    rates: Vec<Option<f64>>,
}

/// A table: its title, the heads of its columns, its rows. Numbers stand right, the last column left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) heads: &'static [&'static str],
    pub(crate) rows: Vec<Vec<String>>,
}

// === impl View ===

impl View {
    pub(crate) fn new(report: TopReport, before: Option<&TopReport>) -> Self {
        let rates = report.sites.iter().map(|site| rate(site, &report, before?)).collect();
        Self { report, rates }
    }

    /// All sites, one a row.
    pub(crate) fn sites(&self) -> Table {
        let rows = self.report.sites.iter().zip(&self.rates).map(|(site, rate)| {
            vec![
                rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")),
                site.hit_ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0)),
                site.requests.to_string(),
                site.hits.to_string(),
                site.forwarded.to_string(),
                site.files.to_string(),
                format!("{:.1}", site.origin_ms),
                saved(site.saved_seconds),
                site.site.clone(),
            ]
        });
        Table {
            title: format!("Sites, since start {} ago", seconds(self.report.uptime_ms / 1000)),
            heads: &["req/s", "hit ratio", "requests", "hits", "forwarded", "files", "origin ms", "saved", "site"],
            rows: rows.collect(),
        }
    }

    /// What is told of one site.
    pub(crate) fn lists(&self, site: &SiteTop) -> [Table; 4] {
        let last = format!("last {}", seconds(self.report.window));
        let reasons = site.reasons.iter().map(|row| vec![row.count.to_string(), row.code.clone()]);
        let misses = site.misses.iter().map(|row| vec![row.count.to_string(), format!("{} {}", row.code, row.path)]);
        let parameters =
            site.parameters.iter().map(|row| vec![row.misses.to_string(), row.values.to_string(), row.name.clone()]);
        let slow = site.slow.iter().map(|row| {
            let mean = row.total_ms / row.requests.max(1);
            let numbers = [row.requests, mean, row.longest_ms, row.total_ms];
            numbers.iter().map(ToString::to_string).chain([row.path.clone()]).collect()
        });
        [
            Table { title: format!("Why not a hit, {last}"), heads: &["count", "reason"], rows: reasons.collect() },
            Table {
                title: format!("Most forwarded, {last}"),
                heads: &["count", "reason, path"],
                rows: misses.collect(),
            },
            Table {
                title: format!("Parameters in keys that missed, {last}"),
                heads: &["misses", "values", "parameter"],
                rows: parameters.collect(),
            },
            Table {
                title: format!("Costliest at the AP servers, {last}"),
                heads: &["requests", "mean ms", "longest ms", "total ms", "path"],
                rows: slow.collect(),
            },
        ]
    }

    /// All of it as text.
    pub(crate) fn plain(&self) -> String {
        let mut text = self.sites().plain();
        for site in &self.report.sites {
            let lists = self.lists(site);
            if lists.iter().all(|list| list.rows.is_empty()) {
                continue;
            }
            let _ = write!(text, "\n== {}\n", site.site);
            for list in lists.iter().filter(|list| !list.rows.is_empty()) {
                text.push('\n');
                text.push_str(&list.plain());
            }
        }
        text
    }
}

fn rate(site: &SiteTop, now: &TopReport, before: &TopReport) -> Option<f64> {
    let old = before.sites.iter().find(|old| old.site == site.site)?;
    let elapsed = Duration::from_millis(now.uptime_ms.checked_sub(before.uptime_ms)?);
    let requests = u32::try_from(site.requests.checked_sub(old.requests)?).unwrap_or(u32::MAX);
    (!elapsed.is_zero()).then(|| f64::from(requests) / elapsed.as_secs_f64())
}

fn saved(saved: f64) -> String {
    if saved < 60.0 {
        format!("{saved:.1}s")
    } else {
        humantime::format_duration(Duration::from_secs(saved.round().max(0.0) as u64)).to_string()
    }
}

fn seconds(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

// === impl Table ===

impl Table {
    /// Width of each column but the last, which takes what is left.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let width = |(index, head): (usize, &&str)| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
            cells.chain([head.len()]).max().unwrap_or(0)
        };
        self.heads.iter().enumerate().take(self.heads.len().saturating_sub(1)).map(width).collect()
    }

    /// Title, heads and rows, each a line.
    pub(crate) fn plain(&self) -> String {
        let widths = self.widths();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for (index, cell) in cells.enumerate() {
                match widths.get(index) {
                    Some(width) => drop(write!(line, "{cell:>width$}  ")),
                    None => line.push_str(cell),
                }
            }
            line.push('\n');
            line
        };
        let mut text = format!("{}\n", self.title);
        text.push_str(&line(&mut self.heads.iter().copied()));
        for row in &self.rows {
            text.push_str(&line(&mut row.iter().map(String::as_str)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(requests: u64, uptime_ms: u64) -> TopReport {
        let site = SiteTop { site: "a.test".to_owned(), requests, hits: 3, forwarded: 1, ..SiteTop::default() };
        TopReport { window: 300, uptime_ms, sites: vec![site] }
    }

    #[test]
    fn rates_are_what_happened_between_two_looks() {
        let first = report(100, 1000);
        assert_eq!(View::new(first.clone(), None).rates, [None]);
        assert_eq!(View::new(report(150, 3000), Some(&first)).rates, [Some(25.0)]);
        assert_eq!(View::new(report(5, 10), Some(&first)).rates, [None], "it was restarted");
    }

    #[test]
    fn numbers_stand_right_and_names_left() {
        let view = View::new(report(100, 61_000), None);
        let expected = "Sites, since start 1m 1s ago\n\
                        req/s  hit ratio  requests  hits  forwarded  files  origin ms  saved  site\n    \
                        -     75.0 %       100     3          1      0        0.0   0.0s  a.test\n";
        assert_eq!(view.plain(), expected);
    }
}
