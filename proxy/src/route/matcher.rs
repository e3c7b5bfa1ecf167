//! Which requests a route is for.

use std::cmp::Reverse;

use forebay_config::model::{self, Wanted};
use http::{HeaderMap, HeaderName, Method};
use ipnet::IpNet;
use regex::Regex;

use super::Asked;
use crate::guard::cookie;
use crate::site::PathRule;

/// The path of a route, and its conditions.
#[derive(Debug)]
pub(crate) struct Matcher {
    path: PathRule,
    suffixes: Vec<String>,
    regex: Option<Regex>,
    /// What the path does not tell.
    conditions: Option<Conditions>,
}

#[derive(Debug)]
struct Conditions {
    methods: Vec<Method>,
    headers: Vec<(HeaderName, Value)>,
    cookies: Vec<(String, Value)>,
    query: Vec<(String, Value)>,
    from: Vec<IpNet>,
}

#[derive(Debug)]
enum Value {
    Present,
    Exactly(Vec<u8>),
    Matching(Regex),
}

impl Value {
    fn new(wanted: &Wanted) -> Result<Self, String> {
        Ok(match wanted {
            Wanted::Present => Self::Present,
            Wanted::Exactly(text) => Self::Exactly(text.clone().into_bytes()),
            Wanted::Matching(pattern) => Self::Matching(compile(pattern)?),
        })
    }

    fn is(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exactly(text) => value == text.as_slice(),
            Self::Matching(regex) => std::str::from_utf8(value).is_ok_and(|text| regex.is_match(text)),
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| format!("regex {pattern:?}: {error}"))
}

impl Matcher {
    /// # Errors
    ///
    /// An expression that does not compile, in words.
    pub(crate) fn new(path: &str, words: &model::Conditions) -> Result<Self, String> {
        let pairs = |conditions: &[model::Condition]| {
            let made = conditions.iter().map(|one| Ok((one.name.clone(), Value::new(&one.value)?)));
            made.collect::<Result<Vec<_>, String>>()
        };
        let headers = pairs(&words.headers)?.into_iter().filter_map(|(name, value)| Some((name.parse().ok()?, value)));
        let conditions = Conditions {
            methods: words.methods.iter().filter_map(|method| method.parse().ok()).collect(),
            headers: headers.collect(),
            cookies: pairs(&words.cookies)?,
            query: pairs(&words.query)?,
            from: words.from.clone(),
        };
        Ok(Self {
            path: PathRule::new(path),
            suffixes: words.suffixes.clone(),
            regex: words.regex.as_deref().map(compile).transpose()?,
            conditions: words.ask_more_than_the_path().then_some(conditions),
        })
    }

    /// For every path.
    pub(crate) fn any() -> Self {
        Self { path: PathRule::new("/"), suffixes: Vec::new(), regex: None, conditions: None }
    }

    /// In which order routes are asked: whole paths, then by length, longest first; among the same those first that want
    /// more. Within these the order of the file stays.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        let (prefix, length) = match &self.path {
            PathRule::Whole(path) => (false, path.len()),
            PathRule::Prefix(path) => (true, path.len()),
            PathRule::Anywhere(_) => (true, 1),
        };
        let plain = self.conditions.is_none() && self.regex.is_none() && self.suffixes.is_empty();
        (prefix, Reverse(length), plain)
    }

    /// Whether it could be for `path` (slashes merged), as far as that alone tells.
    pub(crate) fn matches_path(&self, path: &str) -> bool {
        self.path.matches(path)
            && (self.suffixes.is_empty() || self.suffixes.iter().any(|suffix| path.ends_with(suffix.as_str())))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(path))
    }

    /// Whether the path alone tells.
    pub(crate) fn is_by_path(&self) -> bool {
        self.conditions.is_none()
    }

    /// Whether the request, whose path matches, is all else it has to be.
    pub(crate) fn matches_rest(&self, asked: &Asked<'_>) -> bool {
        self.conditions.as_ref().is_none_or(|conditions| conditions.hold(asked))
    }

    /// What the groups of the expression find in `path`.
    pub(crate) fn captures(&self, path: &str) -> Vec<String> {
        let Some(captures) = self.regex.as_ref().and_then(|regex| regex.captures(path)) else { return Vec::new() };
        captures.iter().skip(1).map(|group| group.map_or_else(String::new, |group| group.as_str().to_owned())).collect()
    }
}

impl Conditions {
    fn hold(&self, asked: &Asked<'_>) -> bool {
        (self.methods.is_empty() || self.methods.contains(asked.method))
            && (self.from.is_empty() || self.from.iter().any(|network| network.contains(&asked.client)))
            && self.headers.iter().all(|(name, value)| has_field(asked.fields, name, value))
            && self.cookies.iter().all(|(name, value)| cookie(asked.fields, name).is_some_and(|found| value.is(found)))
            && self.query.iter().all(|(name, value)| has_parameter(asked.query, name, value))
    }
}

fn has_field(fields: &HeaderMap, name: &HeaderName, value: &Value) -> bool {
    fields.get_all(name).iter().any(|line| value.is(line.as_bytes()))
}

fn has_parameter(query: Option<&str>, name: &str, value: &Value) -> bool {
    query.unwrap_or_default().split('&').any(|pair| {
        let (key, found) = pair.split_once('=').unwrap_or((pair, ""));
        key == name && value.is(found.as_bytes())
    })
}
