//! A response as a client saw it.

use std::fmt;

/// A complete, well-formed response. Bodies are kept as they were coded (`Content-Encoding` is not undone).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Final status code.
    pub status: u16,
    /// Status codes of the interim (1xx) responses before it.
    pub interim: Vec<u16>,
    /// Field lines in order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// Content, transfer coding removed.
    pub body: Vec<u8>,
    /// Head as it came, for HTTP/1.1.
    pub head: String,
    /// Trailer section, names in lower case.
    pub trailers: Vec<(String, String)>,
}

// === impl Answer ===

impl Answer {
    /// Value of the only field line of this name.
    ///
    /// # Panics
    /// When there are several.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.lines(name);
        let first = lines.next();
        assert!(lines.next().is_none(), "{name} came more than once: {self}");
        first
    }

    /// Values of all field lines of this name.
    pub fn lines<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = name.to_ascii_lowercase();
        self.fields.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    /// Content as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text content")
    }

    /// What `X-Cache` says, empty when absent.
    #[must_use]
    pub fn cache(&self) -> &str {
        self.field("x-cache").unwrap_or_default()
    }

    /// What `Cache-Status` says, empty when absent.
    #[must_use]
    pub fn cache_status(&self) -> &str {
        self.field("cache-status").unwrap_or_default()
    }

    /// `Age` in seconds.
    #[must_use]
    pub fn age(&self) -> Option<u64> {
        self.field("age").map(|age| age.parse().expect("Age is a number"))
    }

    /// Content with `Content-Encoding` undone.
    ///
    /// # Panics
    /// On an unknown or broken coding.
    #[must_use]
    pub fn decoded(&self) -> Vec<u8> {
        use std::io::Read as _;
        let mut plain = Vec::new();
        match self.field("content-encoding") {
            None => plain.clone_from(&self.body),
            Some("gzip") => {
                flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut plain).expect("gzip content");
            }
            Some("br") => {
                brotli::Decompressor::new(&self.body[..], 4096).read_to_end(&mut plain).expect("brotli content");
            }
            Some("zstd") => plain = zstd::decode_all(&self.body[..]).expect("zstd content"),
            Some(other) => panic!("unknown coding {other}"),
        }
        plain
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {value}")?;
        }
        let shown = self.body.get(..200).unwrap_or(&self.body);
        write!(f, "({} bytes) {}", self.body.len(), String::from_utf8_lossy(shown))
    }
}

/// Why no complete response was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The connection ended before the first byte of a response.
    Closed,
    /// The connection ended within a response.
    Truncated {
        /// Status of the response that was cut.
        status: Option<u16>,
        /// What had come of its content.
        body: Vec<u8>,
    },
    /// Nothing came for as long as the test is patient.
    Timeout,
    /// Bytes that are no HTTP/1.1 response.
    Malformed(String),
    /// HTTP/2: the stream was reset, with this error code.
    Reset(u32),
}
