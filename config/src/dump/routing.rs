//! The words of routing.

use super::{Text, quote};
use crate::model::{Action, Condition, Conditions, FieldEdits, Rewriting, Wanted};

pub(super) fn conditions(conditions: &Conditions, out: &mut Text) {
    let mut list = |word, values: &[String]| {
        if !values.is_empty() {
            out.list(word, values.iter().cloned());
        }
    };
    list("suffix", &conditions.suffixes);
    list("methods", &conditions.methods);
    list("from", &conditions.from.iter().map(ToString::to_string).collect::<Vec<_>>());
    if let Some(regex) = &conditions.regex {
        out.string("regex", regex);
    }
    let mut values = |word, conditions: &[Condition]| {
        if !conditions.is_empty() {
            out.word(word, table(conditions.iter().map(|one| (one.name.as_str(), wanted(&one.value)))));
        }
    };
    values("headers", &conditions.headers);
    values("cookies", &conditions.cookies);
    values("query", &conditions.query);
}

fn wanted(value: &Wanted) -> String {
    match value {
        Wanted::Present => "*".to_owned(),
        Wanted::Exactly(text) => text.clone(),
        Wanted::Matching(pattern) => format!("~{pattern}"),
    }
}

/// An inline table of strings.
fn table<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{} = {}", quote(name), quote(&value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

pub(super) fn rewriting(rewriting: &Rewriting, out: &mut Text) {
    if let Some(prefix) = &rewriting.strip_prefix {
        out.string("strip_prefix", prefix);
    }
    if let Some(template) = &rewriting.rewrite {
        out.string("rewrite", template);
    }
}

pub(super) fn action(action: Option<&Action>, out: &mut Text) {
    match action {
        None => {}
        Some(Action::Redirect { to, status }) => {
            out.string("redirect", to);
            out.word("status", status);
        }
        Some(Action::Respond { status, body, content_type }) => {
            let (body, content_type) = (quote(body), quote(content_type));
            out.word("respond", format!("{{ status = {status}, body = {body}, content_type = {content_type} }}"));
        }
    }
}

pub(super) fn edits(word: &str, edits: &FieldEdits, out: &mut Text) {
    if edits.is_empty() {
        return;
    }
    let mut parts = Vec::new();
    let lines = |lines: &[(String, String)]| table(lines.iter().map(|(name, value)| (name.as_str(), value.clone())));
    if !edits.set.is_empty() {
        parts.push(format!("set = {}", lines(&edits.set)));
    }
    if !edits.add.is_empty() {
        parts.push(format!("add = {}", lines(&edits.add)));
    }
    if !edits.remove.is_empty() {
        parts
            .push(format!("remove = [{}]", edits.remove.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")));
    }
    out.word(word, format!("{{ {} }}", parts.join(", ")));
}
