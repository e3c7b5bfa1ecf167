//! Which target URIs a response to an unsafe request invalidates (RFC 9111 section 4.4).

use http::header::{CONTENT_LOCATION, HeaderName, LOCATION};
use http::uri::Scheme;
use http::{HeaderMap, Method, StatusCode, Uri};

/// An absolute target URI of HTTP, in parts. Scheme and authority are in lower case and without the default port; path
/// and query are as they were written, but for dot segments of references.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetUri {
    /// `http` or `https`
    pub scheme: String,
    /// `host` or `host:port`
    pub authority: String,
    /// Path; begins with `/`.
    pub path: String,
    /// What follows `?`.
    pub query: Option<String>,
}

impl TargetUri {
    /// Parses an absolute `http` or `https` URI; a fragment is dropped. `None` if it is none, or holds user information.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme().filter(|scheme| **scheme == Scheme::HTTP || **scheme == Scheme::HTTPS)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let default_port = if *scheme == Scheme::HTTP { 80 } else { 443 };
        let host = authority.host().to_ascii_lowercase();
        let authority = match authority.port_u16() {
            Some(port) if port != default_port => format!("{host}:{port}"),
            _ => host,
        };
        Some(Self {
            scheme: scheme.as_str().to_owned(),
            authority,
            path: remove_dot_segments(uri.path()),
            query: uri.query().map(ToOwned::to_owned),
        })
    }

    /// Resolves a reference found in a response to a request for this URI (RFC 3986 section 5.2).
    #[must_use]
    pub fn resolve(&self, reference: &str) -> Option<Self> {
        let reference = reference.trim_matches([' ', '\t']);
        let reference = reference.split_once('#').map_or(reference, |(before, _)| before);
        if has_scheme(reference) {
            return Self::parse(reference);
        }
        if reference.starts_with("//") {
            return Self::parse(&format!("{}:{reference}", self.scheme));
        }
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (reference, None),
        };
        let (path, query) = match path {
            "" => (self.path.clone(), query.or_else(|| self.query.clone().filter(|_| reference.is_empty()))),
            path if path.starts_with('/') => (remove_dot_segments(path), query),
            path => {
                let directory = self.path.rsplit_once('/').map_or("", |(directory, _)| directory);
                (remove_dot_segments(&format!("{directory}/{path}")), query)
            }
        };
        Some(Self { scheme: self.scheme.clone(), authority: self.authority.clone(), path, query })
    }

    /// Whether both have the same origin (RFC 9110 section 4.3.1).
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.authority == other.authority
    }

    /// Whether the response's `Content-Location` names this very URI.
    #[must_use]
    pub fn is_content_location_of(&self, response: &HeaderMap) -> bool {
        self.reference(response, &CONTENT_LOCATION).is_some_and(|uri| uri == *self)
    }

    fn reference(&self, response: &HeaderMap, name: &HeaderName) -> Option<Self> {
        self.resolve(response.get(name)?.to_str().ok()?)
    }
}

impl std::fmt::Display for TargetUri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)?;
        self.query.as_ref().map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// RFC 3986 section 5.2.4, for paths that begin with `/` (an empty one becomes `/`).
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Whether the method is known to be safe (RFC 9110 section 9.2.1, and the registry of methods). One that is not known is
/// not (RFC 9111 section 4.4).
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY")
}

/// The target URIs whose stored responses a response with `status` to an unsafe `method` for `target` invalidates: the
/// target itself, and `Location` and `Content-Location` if they have its origin. Nothing if the method is safe or the
/// status an error.
#[must_use]
pub fn invalidated(method: &Method, status: StatusCode, target: &TargetUri, response: &HeaderMap) -> Vec<TargetUri> {
    if is_safe(method) || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let mut uris = vec![target.clone()];
    for name in [LOCATION, CONTENT_LOCATION] {
        let uri = target.reference(response, &name).filter(|uri| uri.same_origin(target));
        uris.extend(uri.filter(|uri| !uris.contains(uri)));
    }
    uris
}

#[cfg(test)]
#[path = "invalidation_tests.rs"]
mod tests;
