//! A response, small and all in memory.

use std::fmt::Write as _;

use http::StatusCode;
use tokio::sync::mpsc;

/// One response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    content_type: &'static str,
    /// Further field lines, `name: value`. Fixed text only.
    fields: &'static [&'static str],
    /// One more.
    field: Option<String>,
    content: String,
    /// What follows, in chunks.
    pub(super) lines: Option<mpsc::Receiver<String>>,
}

impl Response {
    pub(super) fn new(status: StatusCode, content_type: &'static str, content: String) -> Self {
        Self { status, content_type, fields: &[], field: None, content, lines: None }
    }

    pub(super) fn text(status: StatusCode, content: impl Into<String>) -> Self {
        let mut content = content.into();
        content.push('\n');
        Self::new(status, "text/plain; charset=utf-8", content)
    }

    /// Content that comes by and by.
    pub(super) fn lines(lines: mpsc::Receiver<String>) -> Self {
        Self { lines: Some(lines), ..Self::new(StatusCode::OK, "text/plain; charset=utf-8", String::new()) }
    }

    /// Just the status and its name.
    pub(super) fn status(status: StatusCode) -> Self {
        Self::text(status, format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or_default()))
    }

    pub(super) fn with_fields(mut self, fields: &'static [&'static str]) -> Self {
        self.fields = fields;
        self
    }

    /// One more field line, without anything of a client's in it.
    pub(super) fn with_field(mut self, field: String) -> Self {
        self.field = Some(field);
        self
    }

    /// The bytes to send; `head` leaves the content away.
    pub(super) fn to_bytes(&self, head: bool) -> Vec<u8> {
        let mut text = String::with_capacity(self.content.len() + 512);
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        let length = match &self.lines {
            Some(_) => "Transfer-Encoding: chunked".to_owned(),
            None => format!("Content-Length: {}", self.content.len()),
        };
        // Writing into a string does not fail.
        let _ = write!(
            text,
            "HTTP/1.1 {} {}\r\nDate: {date}\r\nContent-Type: {}\r\n{length}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n",
            self.status.as_str(),
            self.status.canonical_reason().unwrap_or_default(),
            self.content_type,
        );
        for field in self.fields.iter().copied().chain(self.field.as_deref()) {
            text.push_str(field);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        if !head {
            text.push_str(&self.content);
        }
        text.into_bytes()
    }
}
