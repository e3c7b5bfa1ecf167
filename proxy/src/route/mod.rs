//! Routes: which requests they are for, what becomes of their path, what they answer by themselves, which fields they
//! change. Compiled from the config's words.

mod edits;
mod matcher;
mod paths;
mod template;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use forebay_config::model;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

pub(crate) use self::edits::Edits;
pub(crate) use self::matcher::Matcher;
pub(crate) use self::paths::PathRules;
use self::template::Template;
use crate::guard::Guard;
use crate::http::{Answer, Refusal};
use crate::site::{Rules, merge_slashes};
use crate::stages::normalize::{Target, is_unambiguous};
use crate::stages::offload::Root;
use crate::upstream::Pool;

/// A `[[site.route]]`, or the site's own words.
#[derive(Debug)]
pub(crate) struct Route {
    pub(super) prefix: String,
    pub(crate) matcher: Matcher,
    /// For visitors with a certificate alone.
    pub(crate) certified: bool,
    /// `None`: files alone.
    pub(crate) pool: Option<Arc<Pool>>,
    /// Where its files are; `None`: there are none.
    pub(crate) root: Option<Arc<Root>>,
    pub(crate) rules: Rules,
    /// Who may use it, and how often; `None`: whoever, as often as they like.
    pub(crate) guard: Option<Arc<Guard>>,
    /// Largest request content, bytes, where it is not that of `limits.body_size`; 0: no limit.
    pub(crate) body_size: Option<u64>,
    pub(crate) rewriting: Option<Rewriting>,
    pub(crate) action: Option<Action>,
    pub(crate) request_edits: Edits,
    /// `None`: answers leave as they are.
    pub(crate) response_edits: Option<Arc<Edits>>,
}

/// What a request is routed by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// In comparison form.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) fields: &'a HeaderMap,
    pub(crate) client: IpAddr,
}

impl Route {
    /// The path as the config has it; `/` for the site's own words.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether what is stored may be sent as it is stored: then the short way may answer.
    pub(crate) fn is_plain(&self) -> bool {
        self.rewriting.is_none() && self.action.is_none() && self.response_edits.is_none()
    }

    /// Whether `Authorization` is for us, and no AP server is to see it.
    pub(crate) fn withholds_authorization(&self) -> bool {
        self.guard.as_ref().and_then(|guard| guard.users.as_ref()).is_some_and(|users| !users.forward)
    }
}

/// What the upstream and the root see in place of the client's path.
#[derive(Debug)]
pub(crate) struct Rewriting {
    strip: Option<String>,
    template: Option<Template>,
}

/// A path that was rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub(crate) path: String,
    /// Parameters that the template gave.
    query: Option<String>,
}

impl Rewriting {
    pub(crate) fn new(words: &model::Rewriting) -> Option<Self> {
        let strip = words.strip_prefix.clone();
        let template = words.rewrite.as_deref().map(Template::new);
        (strip.is_some() || template.is_some()).then_some(Self { strip, template })
    }

    /// The path in place of that of `target`.
    ///
    /// # Errors
    ///
    /// 400 where it would be one with more than one reading, or lead upwards.
    pub(crate) fn apply(&self, target: &Target, matcher: &Matcher) -> Result<Rewritten, Refusal> {
        let merged = merge_slashes(&target.path);
        let mut path = merged.as_ref();
        if let Some(stripped) = self.strip.as_deref().and_then(|prefix| path.strip_prefix(prefix)) {
            path = stripped;
        }
        let rooted = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (path, query) = match &self.template {
            None => (rooted, None),
            Some(template) => {
                let captures = matcher.captures(&merged);
                let whole = template.expand(target, &rooted, &captures);
                match whole.split_once('?') {
                    Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
                    None => (whole, None),
                }
            }
        };
        if path.starts_with('/') && is_unambiguous(&path) {
            Ok(Rewritten { path, query })
        } else {
            Err(Refusal::bad("rewrite"))
        }
    }
}

impl Rewritten {
    /// The path, with the query of `path_query` behind it.
    pub(crate) fn with_query_of(&self, path_query: &str) -> String {
        let theirs = path_query.split_once('?').map(|(_, query)| query);
        match (&self.query, theirs) {
            (None, None) => self.path.clone(),
            (Some(query), None) => format!("{}?{query}", self.path),
            (None, Some(query)) => format!("{}?{query}", self.path),
            (Some(ours), Some(theirs)) => format!("{}?{ours}&{theirs}", self.path),
        }
    }
}

/// What a route answers by itself.
#[derive(Debug)]
pub(crate) enum Action {
    Redirect { to: Template, status: StatusCode },
    Respond { status: StatusCode, body: Bytes, content_type: HeaderValue },
}

impl Action {
    /// # Errors
    ///
    /// A value that is not as `check` found it.
    pub(crate) fn new(words: &model::Action) -> Result<Self, String> {
        let code = |status: u16| StatusCode::from_u16(status).map_err(|error| error.to_string());
        Ok(match words {
            model::Action::Redirect { to, status } => Self::Redirect { to: Template::new(to), status: code(*status)? },
            model::Action::Respond { status, body, content_type } => Self::Respond {
                status: code(*status)?,
                body: Bytes::from(body.clone()),
                content_type: HeaderValue::try_from(content_type).map_err(|error| error.to_string())?,
            },
        })
    }

    pub(crate) fn answer(&self, target: &Target, matcher: &Matcher) -> Answer {
        match self {
            Self::Redirect { to, status } => {
                let path = merge_slashes(&target.path);
                redirect(*status, &to.expand(target, &path, &matcher.captures(&path)))
            }
            Self::Respond { status, body, content_type } => {
                let mut fields = HeaderMap::new();
                if !body.is_empty() {
                    fields.insert(CONTENT_TYPE, content_type.clone());
                }
                Answer::whole(*status, fields, body.clone())
            }
        }
    }
}

/// An answer that leads elsewhere. A path that begins with two slashes would name a host.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Answer {
    let location = match location.strip_prefix('/') {
        Some(rest) => format!("/{}", rest.trim_start_matches('/')),
        None => location.to_owned(),
    };
    let mut fields = HeaderMap::new();
    match HeaderValue::try_from(location) {
        Ok(location) => drop(fields.insert(LOCATION, location)),
        // A target is visible ASCII, and so are the words of the config.
        Err(_) => return Answer::empty(StatusCode::INTERNAL_SERVER_ERROR, fields),
    }
    Answer::empty(status, fields)
}

#[cfg(test)]
mod tests;
