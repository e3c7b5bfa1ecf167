//! A finding in a paragraph.

use std::fmt::Write as _;
use std::time::Duration;

use super::finding::{Finding, Key, Lifetime, Live, Rule, Stored, Told};
use crate::account::entry::{CacheOutcome, StaleReason};

/// The finding for a person at a terminal.
pub(super) fn text(finding: &Finding) -> String {
    let mut text = String::new();
    if let Some(live) = &finding.live {
        paragraph(&mut text, &self::live(live));
        for line in &live.fields {
            let _ = writeln!(text, "    {line}");
        }
        text.push_str(if live.fields.is_empty() { "The next one: " } else { "\nThe next one: " });
    }
    let _ = write!(text, "{} {}: {}\n\n", finding.method, finding.url, headline(finding));
    let mut sentences = Vec::new();
    if let Some(reason) = &finding.reason {
        sentences.push(told(reason));
    }
    if let Some(rule) = &finding.rule {
        sentences.push(format!("What decided is {}.", by(rule)));
    }
    place(finding, &mut sentences);
    if let Some(key) = &finding.key {
        self::key(key, &mut sentences);
    }
    cookies(finding, &mut sentences);
    if let Some(stored) = &finding.stored {
        self::stored(stored, finding.variants, &mut sentences);
    }
    not_stored(finding, &mut sentences);
    paragraph(&mut text, &sentences);
    if !finding.change.is_empty() {
        let changes: Vec<String> = std::iter::once("To change it:".to_owned()).chain(finding.change.clone()).collect();
        paragraph(&mut text, &changes);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn headline(finding: &Finding) -> String {
    let word = finding.outcome.word();
    let code = finding.reason.as_ref().map(|told| told.code.as_str());
    let meaning = match finding.outcome {
        CacheOutcome::Hit => "it is answered by a fresh stored response",
        CacheOutcome::Stale(StaleReason::Revalidate) => {
            "it is answered by a stale stored response, and a fresh one is fetched behind it"
        }
        CacheOutcome::Stale(_) => "it is answered by a stale stored response",
        CacheOutcome::Miss => "it is forwarded, and the response may be stored",
        CacheOutcome::Pass => "it is forwarded for this visitor alone",
        CacheOutcome::Offload => "it is answered by a file beneath `root`",
        CacheOutcome::Error => "it is refused",
        CacheOutcome::Revalidated | CacheOutcome::Collapsed | CacheOutcome::None => "it is answered here",
    };
    let status = finding.status.map(|status| format!(", status {status}")).unwrap_or_default();
    match code {
        Some(code) => format!("{word} ({code}): {meaning}{status}."),
        None => format!("{word}: {meaning}{status}."),
    }
}

fn told(told: &Told) -> String {
    if told.sentence.is_empty() { format!("The reason is `{}`.", told.code) } else { told.sentence.to_owned() }
}

/// `bypass_cookies "wordpress_logged_in_*" (by the preset, forebay.toml:12)`
fn by(rule: &Rule) -> String {
    let value = rule.value.as_ref().map(|value| format!(" \"{value}\"")).unwrap_or_default();
    let place = match (&rule.place, rule.by_preset) {
        (Some(place), true) => format!(" (by the preset, {place})"),
        (Some(place), false) => format!(" ({place})"),
        (None, _) => String::new(),
    };
    format!("`{}`{value}{place}", rule.word)
}

fn place(finding: &Finding, sentences: &mut Vec<String>) {
    let at = |place: &Option<String>| place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let Some(site) = &finding.site else { return };
    let mut sentence = format!("The site is {}{}", site.name, at(&site.place));
    match &finding.route {
        Some(route) => drop(write!(sentence, ", its route {}{}", route.name, at(&route.place))),
        None => sentence.push_str(", by its own words"),
    }
    match &finding.upstream {
        Some(upstream) => drop(write!(sentence, "; its upstream is {upstream}.")),
        None => sentence.push_str("; it has files alone."),
    }
    sentences.push(sentence);
}

fn key(key: &Key, sentences: &mut Vec<String>) {
    let mut sentence = format!("The key is {}", key.key);
    for ignored in &key.ignored {
        let _ = write!(sentence, "; {} is not part of it by {}", ignored.parameter, by(&ignored.rule));
    }
    if key.sorted && key.key.contains('&') {
        sentence.push_str("; its parameters are sorted");
    }
    sentence.push('.');
    sentences.push(sentence);
}

fn cookies(finding: &Finding, sentences: &mut Vec<String>) {
    let of = |dropped: bool| {
        let names: Vec<&str> = finding
            .cookies
            .iter()
            .filter(|cookie| cookie.dropped == dropped)
            .map(|cookie| cookie.name.as_str())
            .collect();
        names.join(", ")
    };
    let (dropped, forwarded) = (of(true), of(false));
    if !dropped.is_empty() {
        sentences.push(format!("Cookies that are not forwarded, for `drop_cookies` says so: {dropped}."));
    }
    if !forwarded.is_empty() {
        sentences.push(format!(
            "Cookies that are forwarded: {forwarded}. So nothing but the response's own word gives it a lifetime."
        ));
    }
}

fn stored(stored: &Stored, variants: usize, sentences: &mut Vec<String>) {
    let state = match stored.ttl {
        ttl @ 1.. => format!("fresh for {} more", seconds(ttl.unsigned_abs())),
        0 => "no longer fresh".to_owned(),
        ttl => format!("stale for {}", seconds(ttl.unsigned_abs())),
    };
    sentences.push(format!(
        "Stored on the {} tier: status {}, {}, {} old, {state}.",
        stored.tier,
        stored.status,
        bytesize::ByteSize(stored.bytes).display().iec(),
        seconds(stored.age),
    ));
    sentences.push(lifetime(&stored.lifetime));
    let windows =
        [("while it is validated", stored.stale_while_revalidate), ("if the origin fails", stored.stale_if_error)];
    let windows: Vec<String> = windows
        .iter()
        .filter(|(_, window)| *window > 0)
        .map(|(when, window)| format!("for {} {when}", seconds(*window)))
        .collect();
    if !windows.is_empty() {
        sentences.push(format!("Stale it may be used {}.", windows.join(", and ")));
    }
    let vary =
        if stored.vary.is_empty() { String::new() } else { format!("; it varies on {}", stored.vary.join(", ")) };
    let variants =
        if variants == 1 { "There is one variant".to_owned() } else { format!("There are {variants} variants") };
    sentences.push(format!("{variants}{vary}."));
    if !stored.tags.is_empty() {
        sentences.push(format!("Tags: {}.", stored.tags.join(", ")));
    }
}

fn lifetime(lifetime: &Lifetime) -> String {
    let who = match (&lifetime.field, &lifetime.rule, lifetime.source) {
        (Some(field), _, "heuristic") => format!("a tenth of the age that the response tells (`{field}`)"),
        (Some(field), ..) => format!("the response itself (`{field}`)"),
        (None, Some(rule), _) => by(rule),
        (None, None, "none") => return "Nothing gives it a lifetime: it is validated each time.".to_owned(),
        (None, None, source) => format!("`{source}`"),
    };
    let cut = lifetime.ceiling.as_ref().map(|rule| format!(", cut by {}", by(rule))).unwrap_or_default();
    format!("Its lifetime is {}, by {who}{cut}.", seconds(lifetime.seconds))
}

fn not_stored(finding: &Finding, sentences: &mut Vec<String>) {
    if finding.in_flight {
        sentences.push("It is being fetched now.".to_owned());
    }
    if let Some(told) = finding.not_stored.as_ref().filter(|_| finding.stored.is_none()) {
        sentences.push(format!("The last response, a moment ago, was not stored (`{}`): {}", told.code, told.sentence));
        return;
    }
    let Some(would_be) = &finding.would_be else { return };
    if would_be.source == "none" {
        sentences.push("A response that says nothing itself gets no lifetime here.".to_owned());
    } else {
        sentences.push(format!("If the response says nothing itself: {}", lower(&lifetime(would_be))));
    }
}

fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn live(live: &Live) -> Vec<String> {
    let server = live.server.as_ref().map(|server| format!(" by {server}")).unwrap_or_default();
    let stored = if live.stored { ", and it was stored" } else { "" };
    let mut sentences = vec![format!(
        "Sent through, it was answered{server} with {} after {} ms, {}: {}{stored}.",
        live.status,
        live.milliseconds,
        bytesize::ByteSize(live.bytes).display().iec(),
        live.outcome,
    )];
    if let Some(reason) = &live.reason {
        sentences.push(format!("`{}`: {}", reason.code, told(reason)));
    }
    sentences
}

fn seconds(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// Appends sentences, wrapped for a terminal.
fn paragraph(text: &mut String, sentences: &[String]) {
    const WIDTH: usize = 100;
    let mut column = 0;
    for word in sentences.iter().flat_map(|sentence| sentence.split(' ')) {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    if column > 0 {
        text.push_str("\n\n");
    }
}
