//! Configuration of Forebay: text in, a checked [`Config`] or a [`Report`] of every mistake out.
//!
//! The way of the text:
//!
//! 1. **Text → raw table.** `toml` parses the text into tables whose keys and values know the bytes they came from. A
//!    syntax error does not end the reading: the parser recovers and the rest is looked at as well.
//! 2. **Raw table → model.** One file of `read` for each table of the file takes its words out of a typed table reader
//!    (`table`), which remembers every word it was asked for. What is left when the reader is done is an unknown key,
//!    and the words asked for are the ones a hint can name. Strings become values in `values`, one file a kind. A
//!    [`preset`](model::Preset) fills the cache rules of a site before the site's own words.
//! 3. **Model → checked model.** What can only be known from elsewhere is looked up: host names of AP servers resolve,
//!    directories exist, certificates and keys parse and belong together.
//!
//! No step stops at the first mistake, and each mistake says where it stands. A [`Config`] exists only when there was
//! none at all. Nothing here binds a socket, starts a thread or keeps a file open.
//!
//! ```
//! let config = forebay_config::parse(
//!     r#"
//!     [[listen]]
//!     address = "127.0.0.1:8080"
//!     [[upstream]]
//!     name = "ap"
//!     servers = [{ address = "127.0.0.1:8081" }]
//!     [[site]]
//!     hosts = ["*"]
//!     upstream = "ap"
//!     "#,
//!     "forebay.toml",
//! )
//! .map_err(|report| report.to_string())?;
//! assert_eq!(config.limits.fields, 100);
//!
//! let report = forebay_config::parse("[admin]\nadress = '127.0.0.1:6082'", "forebay.toml").unwrap_err();
//! assert_eq!((report.mistakes[0].line, report.mistakes[0].column), (2, 1));
//! assert_eq!(report.mistakes[0].hint.as_deref(), Some("did you mean `address`?"));
//! # Ok::<(), String>(())
//! ```

mod check;
mod dump;
pub mod model;
mod places;
mod preset;
mod read;
mod reading;
mod report;
mod source;
mod table;
mod values;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;

pub use check::warnings;
pub use model::Config;
pub use places::{Part, Places, Within};
pub use report::{Mistake, Report};

/// Largest file that is read. Nobody writes such a configuration; `/dev/zero` does.
const FILE_SIZE_MAX: u64 = 16 << 20;

/// The users of a htpasswd file and the hashes of their passwords, bcrypt or argon2.
///
/// # Errors
///
/// In words: it cannot be read, names nobody, or has a line that is not understood.
pub fn htpasswd(path: &Path) -> Result<Vec<(String, String)>, String> {
    check::htpasswd::read(path).map_err(|wrong| wrong.message)
}

/// A server of an upstream by its address, its name or that of a service (`srv:…`); nothing is looked up.
///
/// # Errors
///
/// In words: it is none of these.
pub fn server(text: &str) -> Result<model::UpstreamServer, String> {
    read::server_words(text).map_err(|wrong| wrong.message)
}

/// What verifies the certificates of a site's visitors.
///
/// # Errors
///
/// In words: a file cannot be read, or does not hold what it should.
pub fn client_verifier(words: &model::ClientCertificate) -> Result<Arc<dyn ClientCertVerifier>, String> {
    check::certificate::of_clients(words).map_err(|wrong| wrong.message)
}

/// Reads and checks a configuration file.
///
/// Certificates, keys, directories and host names it speaks of are looked up; no socket is bound.
///
/// # Errors
///
/// A [`Report`] of every mistake. A file that cannot be read, is larger than 16 MiB or is not UTF-8 is one mistake.
pub fn load(path: &Path) -> Result<Config, Report> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| Report::of_file(&name, format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > FILE_SIZE_MAX {
        return Err(Report::of_file(&name, "is larger than 16 MiB".to_owned()));
    }
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text, &name),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            Err(source::Source::new(&name, &String::from_utf8_lossy(error.as_bytes())).one_mistake(
                valid..valid,
                "this byte is not UTF-8".to_owned(),
                "save the file as UTF-8",
            ))
        }
    }
}

/// Checks a configuration text; `name` is the file name that mistakes are reported with.
///
/// A byte order mark and CRLF line ends are fine. Paths must be absolute: the text has no directory to be relative to.
///
/// # Errors
///
/// A [`Report`] of every mistake, in the order of the text.
pub fn parse(text: &str, name: &str) -> Result<Config, Report> {
    parse_with(text, name, reading::system_resolver)
}

/// [`parse`] with the way host names are resolved as an argument.
fn parse_with(text: &str, name: &str, resolve: reading::Resolve) -> Result<Config, Report> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = source::Source::new(name, text);
    let reading = reading::Reading::new(&source, resolve);
    let (root, errors) = toml::de::DeTable::parse_recoverable(text);
    for error in &errors {
        reading.syntax_error(error);
    }
    let config = read::config(&reading, root);
    reading.finish(config)
}

/// The word for a way to balance.
#[must_use]
pub fn balance_word(balance: model::Balance) -> &'static str {
    values::choice::word(balance, &read::BALANCE)
}

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod load_tests;
