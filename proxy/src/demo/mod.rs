//! The embedded demo: what `forebay run` serves without a configuration. Its configuration is an ordinary one.

mod origin;

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use clap::Args;
use forebay_config::{Config, Report};
use tempfile::TempDir;

use crate::listen::accept::Listener;

/// Where the demo listens.
#[derive(Debug, Args)]
pub(crate) struct Addresses {
    /// Demo: the address of plain HTTP.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", conflicts_with = "config")]
    http: SocketAddr,
    /// Demo: the address of HTTPS.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443", conflicts_with = "config")]
    https: SocketAddr,
    /// Demo: the address of the admin listener.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6081", conflicts_with = "config")]
    admin: SocketAddr,
}

/// Files of the demo's static part, by their paths beneath the root.
const FILES: [(&str, &str); 2] =
    [("style.css", include_str!("site/style.css")), ("water.svg", include_str!("site/water.svg"))];

/// A running demo: its directory goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Demo {
    directory: TempDir,
    text: String,
}

impl Demo {
    /// Writes the files and a self-signed certificate, and starts the slow origin.
    ///
    /// # Errors
    ///
    /// The temporary directory or a port cannot be had.
    pub(crate) fn start(addresses: &Addresses) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("forebay-demo-").tempdir()?;
        let root = directory.path().join("root");
        fs::create_dir(&root)?;
        for (name, content) in FILES {
            fs::write(root.join(name), content)?;
        }
        certificate(directory.path())?;
        let origin = TcpListener::bind("127.0.0.1:0")?;
        let text = words(addresses, directory.path(), origin.local_addr()?);
        origin::start(origin)?;
        Ok(Self { directory, text })
    }

    /// Its configuration, read like any other.
    ///
    /// # Errors
    ///
    /// When an address is not as a configuration may have it.
    pub(crate) fn config(&self) -> Result<Config, Report> {
        forebay_config::parse(&self.text, "demo")
    }

    /// What to open and what to try.
    pub(crate) fn invitation(&self, listeners: &[Listener], admin: Option<&TcpListener>) -> String {
        let address = |tls: bool| {
            let listener = listeners.iter().find(|listener| listener.settings.tls.is_some() == tls);
            listener.and_then(|listener| listener.socket.local_addr().ok()).map(|address| address.to_string())
        };
        let (http, https) = (address(false).unwrap_or_default(), address(true).unwrap_or_default());
        let admin = admin.and_then(|admin| admin.local_addr().ok()).map(|admin| admin.to_string()).unwrap_or_default();
        format!(
            "\n  No configuration given: this is the demo, a site with a page that takes half a second to make.\n\n  \
             Open   http://{http}/   https://{https}/   and for the operator http://{admin}/\n  \
             Try    curl -i http://{http}/          a MISS, half a second\n         \
             curl -i http://{http}/          a HIT, microseconds\n         \
             curl -i http://{http}/style.css a file, served from disk\n         \
             curl -ik --http2 https://{https}/\n         \
             curl -s http://{admin}/metrics | grep forebay_cache\n  \
             Next   forebay check FILE, then forebay run --config FILE; the README has a WordPress farm in ten lines\n  \
             Files  {}\n\n",
            self.directory.path().display()
        )
    }
}

fn words(addresses: &Addresses, directory: &Path, origin: SocketAddr) -> String {
    let Addresses { http, https, admin } = addresses;
    let directory = directory.display();
    format!(
        r#"[server]
state_dir = "{directory}/state"
[[listen]]
address = "{http}"
[[listen]]
address = "{https}"
tls = true
[admin]
address = "{admin}"
[[upstream]]
name = "origin"
servers = ["{origin}"]
[[site]]
hosts = ["*"]
certificate = "{directory}/certificate.pem"
key = "{directory}/key.pem"
upstream = "origin"
root = "{directory}/root"
"#
    )
}

fn certificate(directory: &Path) -> io::Result<()> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    fs::write(directory.join("certificate.pem"), made.cert.pem())?;
    write_private(&directory.join("key.pem"), &made.signing_key.serialize_pem())
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}
