//! What is asked: a URL, and the request to imagine for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::http::{Request, RequestBody};
use crate::listen::Connection;

/// A request to be explained.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) url: String,
    pub(crate) method: Method,
    pub(crate) fields: HeaderMap,
    /// Send it through.
    pub(crate) live: bool,
}

impl Question {
    /// From the words of a command line or of the admin listener.
    ///
    /// # Errors
    ///
    /// Which of them is not as it must be.
    pub(crate) fn new<'a>(
        url: &str,
        method: &str,
        lines: impl IntoIterator<Item = &'a str>,
        live: bool,
    ) -> Result<Self, String> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("{method:?} is no method"))?;
        let mut fields = HeaderMap::new();
        for line in lines {
            let (name, value) = field(line)?;
            fields.append(name, value);
        }
        let question = Self { url: with_scheme(url), method, fields, live };
        question.request().map(|_| question)
    }

    /// The request as it would arrive: from this machine, by HTTP/1.1.
    ///
    /// # Errors
    ///
    /// The URL is none of http or https.
    pub(crate) fn request(&self) -> Result<(Connection, Request), String> {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", ""));
        let tls = match scheme {
            "http" => None,
            "https" => Some("TLSv1.3"),
            _ => return Err(format!("{:?} is no URL of http or https", self.url)),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.is_empty() {
            return Err(format!("{:?} names no host", self.url));
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let mut fields = self.fields.clone();
        if !fields.contains_key(HOST) {
            let host = HeaderValue::from_str(authority).map_err(|_| format!("{authority:?} is no host"))?;
            fields.insert(HOST, host);
        }
        let client = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let request = Request {
            method: self.method.clone(),
            target: Bytes::from(target),
            version: Version::HTTP_11,
            fields,
            body: RequestBody::Empty,
            continue_wanted: None,
        };
        Ok((Connection { client, tls, visitor: None }, request))
    }
}

/// `Name: value`
///
/// # Errors
///
/// It is none.
pub(crate) fn field(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("{line:?} is no field: write 'Name: value'"))?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| format!("{name:?} is no field name"))?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| format!("{value:?} is no field value"))?;
    Ok((name, value))
}

fn with_scheme(url: &str) -> String {
    if url.contains("://") { url.to_owned() } else { format!("http://{url}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Result<(String, String, bool), String> {
        let (connection, request) = Question::new(url, "GET", [], false)?.request()?;
        let host = request.fields.get(HOST).unwrap().to_str().unwrap().to_owned();
        Ok((host, String::from_utf8(request.target.to_vec()).unwrap(), connection.tls.is_some()))
    }

    #[test]
    fn urls_are_taken_apart_as_clients_do() {
        let found = |host: &str, target: &str, tls| Ok((host.to_owned(), target.to_owned(), tls));
        assert_eq!(parts("https://a.test/x?y#z"), found("a.test", "/x?y", true));
        assert_eq!(parts("a.test"), found("a.test", "/", false));
        assert_eq!(parts("http://a.test:81?q"), found("a.test:81", "/?q", false));
    }

    #[test]
    fn what_is_no_question_is_said_to_be_none() {
        for (url, method, line) in [
            ("ftp://a.test/", "GET", "A: b"),
            ("http:///x", "GET", "A: b"),
            ("http://a.test/", "G T", "A: b"),
            ("http://a.test/", "GET", "nonsense"),
            ("http://a.test/", "GET", "a b: c"),
        ] {
            assert!(Question::new(url, method, [line], false).is_err(), "{url} {method} {line}");
        }
    }
}
