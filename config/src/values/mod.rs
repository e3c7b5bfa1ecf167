//! Strings of the file as values: one file a kind. Nothing here knows where in the file a string stood.

pub(crate) mod address;
pub(crate) mod choice;
pub(crate) mod coding;
pub(crate) mod duration;
pub(crate) mod host_pattern;
pub(crate) mod name_pattern;
pub(crate) mod network;
pub(crate) mod path;
pub(crate) mod path_pattern;
pub(crate) mod rate;
pub(crate) mod regular_expression;
pub(crate) mod secret;
pub(crate) mod size;
pub(crate) mod squid_line;
pub(crate) mod status;
pub(crate) mod template;
pub(crate) mod upstream_name;

use std::fmt::Display;

/// Why a string is not a value of the kind that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }

    pub(crate) fn out_of_range(value: impl Display, least: impl Display, most: impl Display) -> Self {
        let (least, most) = (least.to_string(), most.to_string());
        Self::new(format!("{value} is out of range"), format!("choose a value from {least} to {most}"))
    }
}

/// A string as it is quoted in a message: short, in double quotes.
pub(crate) fn quoted(text: &str) -> String {
    const MAX: usize = 60;
    if text.chars().count() <= MAX {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(MAX).collect();
    format!("{:?}", format!("{start}…"))
}

/// What other programs call a word of ours.
const SYNONYMS: [(&str, &str); 17] = [
    ("regex", "pattern"),
    ("server_name", "hosts"),
    ("domain", "hosts"),
    ("domains", "hosts"),
    ("document_root", "root"),
    ("ssl", "tls"),
    ("ssl_certificate", "certificate"),
    ("ssl_certificate_key", "key"),
    ("cert", "certificate"),
    ("private_key", "key"),
    ("proxy_pass", "upstream"),
    ("backend", "upstream"),
    ("location", "route"),
    ("bind", "listen"),
    ("port", "address"),
    ("workers", "threads"),
    ("worker_processes", "threads"),
];

/// The one of `known` that was most likely meant by `word`.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Longer than any word of ours and its typing errors: not worth a comparison that takes the square of the length.
    if word.len() > 64 {
        return None;
    }
    let folded = word.to_ascii_lowercase().replace('-', "_");
    let synonym = SYNONYMS.iter().find(|(theirs, _)| *theirs == folded).map(|(_, ours)| *ours);
    if let Some(found) = known.iter().find(|ours| Some(**ours) == synonym) {
        return Some(found);
    }
    let near = |candidate: &&'k str| {
        let candidate = candidate.to_ascii_lowercase().replace('-', "_");
        let distance = strsim::osa_distance(&folded, &candidate);
        let shorter = candidate.len().min(folded.len());
        // Between words of two letters every one is near every other: these have to begin alike.
        let alike = shorter > 2 || folded.chars().next() == candidate.chars().next();
        (alike && distance <= 1 + shorter / 4).then_some(distance)
    };
    let mut found: Vec<(usize, &str)> = known.iter().filter_map(|word| Some((near(word)?, *word))).collect();
    found.sort_by_key(|(distance, _)| *distance);
    match found.as_slice() {
        // "of" is as near to "on" as it is to "off".
        [(first, _), (second, _), ..] if first == second && folded.len() <= 2 => None,
        [(_, word), ..] => Some(word),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_despite_a_typing_error() {
        let known = ["hosts", "upstream", "root", "set_cookie"];
        assert_eq!(nearest("upstrem", &known), Some("upstream"));
        assert_eq!(nearest("Upstream", &known), Some("upstream"));
        assert_eq!(nearest("host", &known), Some("hosts"));
        assert_eq!(nearest("app", &["ap", "api_v2"]), Some("ap"));
        assert_eq!(nearest("set-cookie", &known), Some("set_cookie"));
    }

    #[test]
    fn a_word_of_nginx_finds_ours() {
        assert_eq!(nearest("server_name", &["hosts", "root"]), Some("hosts"));
    }

    #[test]
    fn nothing_is_near_a_word_of_another_meaning() {
        assert_eq!(nearest("banana", &["hosts", "upstream", "root"]), None);
        assert_eq!(nearest("no", &["on", "off"]), None);
        assert_eq!(nearest("of", &["on", "off"]), None);
        assert_eq!(nearest(&"hosts".repeat(1000), &["hosts"]), None);
    }

    #[test]
    fn a_synonym_is_named_only_where_its_word_exists() {
        assert_eq!(nearest("server_name", &["address", "tls"]), None);
    }
}
