//! The status page: one HTML document without script, links or assets, made anew every few seconds.

use std::fmt::Write as _;
use std::time::Duration;

use super::status::{SiteStatus, StatusReport, TierStatus, UpstreamStatus};

const STYLE: &str = include_str!("page.css");

/// The page. `reasons` say why the proxy is not ready.
pub(super) fn render(report: &StatusReport, reasons: &[String]) -> String {
    let mut page = String::with_capacity(8 * 1024);
    // Writing into a string does not fail, here and below.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"refresh\" content=\"5\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Forebay</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>Forebay</h1><p>{} &middot; up {}</p>{}</header>\n<main>\n",
        escape(&report.version),
        duration(report.uptime),
        if reasons.is_empty() { "<p class=\"badge good\">ready</p>" } else { "<p class=\"badge bad\">not ready</p>" }
    );
    if !reasons.is_empty() {
        page.push_str("<ul class=\"reasons\">");
        for reason in reasons {
            let _ = write!(page, "<li>{}</li>", escape(reason));
        }
        page.push_str("</ul>\n");
    }
    figures(&mut page, report);
    tiers(&mut page, &report.tiers);
    sites(&mut page, &report.sites);
    for upstream in &report.upstreams {
        servers(&mut page, upstream);
    }
    page.push_str("</main>\n<footer>/metrics &middot; /ready &middot; /live</footer>\n</body>\n</html>\n");
    page
}

fn figures(page: &mut String, report: &StatusReport) {
    let connections = &report.connections;
    let figures = [
        ("requests", thousands(report.requests), String::new()),
        ("answered without an AP server", ratio(report.served, report.requests), String::new()),
        ("fills in flight", thousands(report.fills_in_flight), String::new()),
        (
            "connections",
            thousands(connections.open),
            format!("of {}; {} refused", thousands(connections.limit), thousands(connections.refused)),
        ),
    ];
    page.push_str("<section class=\"figures\">\n");
    for (name, value, detail) in figures {
        let _ = writeln!(page, "<div><strong>{value}</strong><span>{name}</span><small>{detail}</small></div>");
    }
    page.push_str("</section>\n");
}

fn tiers(page: &mut String, tiers: &[TierStatus]) {
    table(page, "Cache", &["tier", "objects", "bytes", "of", "filled", "hits", "misses", "hit ratio"], |page| {
        for tier in tiers {
            let filled = ratio(tier.bytes, tier.capacity);
            let _ = writeln!(
                page,
                "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td>\
                 <td><meter min=\"0\" max=\"{}\" value=\"{}\">{filled}</meter> {filled}</td>\
                 <td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&tier.name),
                thousands(tier.objects),
                bytes(tier.bytes),
                bytes(tier.capacity),
                tier.capacity.max(1),
                tier.bytes,
                thousands(tier.hits),
                thousands(tier.misses),
                ratio(tier.hits, tier.hits.saturating_add(tier.misses)),
            );
        }
    });
}

fn sites(page: &mut String, sites: &[SiteStatus]) {
    table(page, "Sites", &["site", "hosts", "upstream", "requests", "without an AP server"], |page| {
        for site in sites {
            let _ = writeln!(
                page,
                "<tr><th>{}</th><td class=\"text\">{}</td><td class=\"text\">{}</td><td>{}</td><td>{}</td></tr>",
                escape(&site.label),
                escape(&site.hosts.join(", ")),
                escape(site.upstream.as_deref().unwrap_or("none")),
                thousands(site.requests),
                ratio(site.served, site.requests),
            );
        }
    });
}

fn servers(page: &mut String, upstream: &UpstreamStatus) {
    let title = format!("Upstream {}", upstream.name);
    table(page, &title, &["server", "state", "weight", "in flight", "requests", "errors"], |page| {
        for server in &upstream.servers {
            let class = if server.state == "up" { "good" } else { "bad" };
            let _ = writeln!(
                page,
                "<tr><th>{}</th><td class=\"text\"><span class=\"badge {class}\">{}</span></td>\
                 <td>{}{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&server.name),
                server.state,
                server.weight,
                if server.backup { " backup" } else { "" },
                server.active,
                thousands(server.requests),
                thousands(server.errors),
            );
        }
    });
}

fn table(page: &mut String, title: &str, columns: &[&str], rows: impl FnOnce(&mut String)) {
    let _ = write!(page, "<section>\n<h2>{}</h2>\n<div class=\"scroll\"><table>\n<tr>", escape(title));
    for column in columns {
        let _ = write!(page, "<th scope=\"col\">{column}</th>");
    }
    page.push_str("</tr>\n");
    rows(page);
    page.push_str("</table></div>\n</section>\n");
}

/// Text for HTML content and double-quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share in percent, rounded down to tenths so that 100 % means all.
fn ratio(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "\u{2013}".to_owned();
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// Bytes in binary units, with one decimal.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = "B";
    let mut tenths = u128::from(bytes) * 10;
    for larger in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{}.{} {unit}", tenths / 10, tenths % 10) }
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests;
