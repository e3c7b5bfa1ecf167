//! Which requests a route is for, and what becomes of them.

use ipnet::IpNet;

/// What a request must be, beyond its path, for a route to be its route. All that is given has to hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// `suffix`: endings of the path, one of which it has.
    pub suffixes: Vec<String>,
    /// `regex`: a regular expression, searched in the path. Compiles.
    pub regex: Option<String>,
    /// `methods`: one of these.
    pub methods: Vec<String>,
    /// `headers`: fields, in lower case.
    pub headers: Vec<Condition>,
    /// `cookies`
    pub cookies: Vec<Condition>,
    /// `query`: parameters, as they stand in the URL.
    pub query: Vec<Condition>,
    /// `from`: networks, one of which the client is of.
    pub from: Vec<IpNet>,
}

impl Conditions {
    /// Whether the path alone does not decide.
    pub fn ask_more_than_the_path(&self) -> bool {
        !self.query.is_empty() || self.ask_more_than_the_key()
    }

    /// Whether the cache key, which is scheme, host, path and query, does not decide.
    pub fn ask_more_than_the_key(&self) -> bool {
        !(self.methods.is_empty() && self.headers.is_empty() && self.cookies.is_empty() && self.from.is_empty())
    }
}

/// A name, and what its value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Of a field, a cookie or a parameter.
    pub name: String,
    /// What is wanted of it.
    pub value: Wanted,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `"*"`: whatever, but there.
    Present,
    /// The text.
    Exactly(String),
    /// `"~…"`: matched by the regular expression, which compiles.
    Matching(String),
}

/// What the upstream and the root see in place of the client's path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewriting {
    /// `strip_prefix`: taken off the front of the path.
    pub strip_prefix: Option<String>,
    /// `rewrite`: a template, begins with `/`.
    pub rewrite: Option<String>,
}

/// What a route answers by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `redirect` and `status`.
    Redirect {
        /// A template of the new location.
        to: String,
        /// 301, 302, 303, 307 or 308. Default 302.
        status: u16,
    },
    /// `respond`
    Respond {
        /// 200 to 599.
        status: u16,
        /// Default: empty.
        body: String,
        /// Default `text/plain; charset=utf-8`.
        content_type: String,
    },
}

/// `request_headers`, `response_headers`: removed first, then set, then added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldEdits {
    /// Put in place of all lines of the name. Names in lower case.
    pub set: Vec<(String, String)>,
    /// Lines put beside those that are there.
    pub add: Vec<(String, String)>,
    /// Names whose lines are taken out.
    pub remove: Vec<String>,
}

impl FieldEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}
