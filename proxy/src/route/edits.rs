//! Changes of fields: removed first, then set, then added.

use forebay_config::model;
use http::{HeaderMap, HeaderName, HeaderValue};

/// `request_headers` or `response_headers`. Framing and connection fields are not among them: the config refuses those.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edits {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

impl Edits {
    /// Those of a site, then those of its route.
    ///
    /// # Errors
    ///
    /// A name or value that is not as `check` found it.
    pub(crate) fn new(site: &model::FieldEdits, route: Option<&model::FieldEdits>) -> Result<Self, String> {
        let mut edits = Self::default();
        for words in std::iter::once(site).chain(route) {
            for name in &words.remove {
                let name = self::name(name)?;
                // What the route takes out, the site does not put in.
                edits.set.retain(|(set, _)| *set != name);
                edits.add.retain(|(added, _)| *added != name);
                edits.remove.push(name);
            }
            for (name, value) in &words.set {
                let (name, value) = line(name, value)?;
                edits.set.retain(|(set, _)| *set != name);
                edits.add.retain(|(added, _)| *added != name);
                edits.set.push((name, value));
            }
            for (name, value) in &words.add {
                edits.add.push(line(name, value)?);
            }
        }
        Ok(edits)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    pub(crate) fn apply(&self, fields: &mut HeaderMap) {
        for name in &self.remove {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            fields.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            fields.append(name, value.clone());
        }
    }
}

fn name(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|error| format!("field {text:?}: {error}"))
}

fn line(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let value = HeaderValue::try_from(value).map_err(|error| format!("field {name:?}: {error}"))?;
    Ok((self::name(name)?, value))
}
