//! Text with `{placeholders}`, filled in from a request.

use crate::stages::normalize::Target;

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Scheme,
    Host,
    Path,
    Query,
    Uri,
    Capture(usize),
}

impl Template {
    /// The config has seen to it that every placeholder is a known one.
    pub(super) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, inner)) = rest.split_once('{') {
            let (name, after) = inner.split_once('}').unwrap_or((inner, ""));
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name {
                "scheme" => Part::Scheme,
                "host" => Part::Host,
                "path" => Part::Path,
                "query" => Part::Query,
                "uri" => Part::Uri,
                number => Part::Capture(number.parse().unwrap_or(0)),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Self(parts)
    }

    /// `path` is what `{path}` stands for, `captures` what the groups of the route's expression found, from `{1}` on.
    pub(super) fn expand(&self, target: &Target, path: &str, captures: &[String]) -> String {
        let mut text = String::with_capacity(64);
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Scheme => text.push_str(target.scheme),
                Part::Host => text.push_str(target.host()),
                Part::Path => text.push_str(path),
                Part::Query => text.push_str(target.query.as_deref().unwrap_or_default()),
                Part::Uri => {
                    text.push_str(path);
                    if let Some(query) = &target.query {
                        text.push('?');
                        text.push_str(query);
                    }
                }
                Part::Capture(number) => {
                    let found = number.checked_sub(1).and_then(|index| captures.get(index));
                    text.push_str(found.map_or("", String::as_str));
                }
            }
        }
        text
    }
}
