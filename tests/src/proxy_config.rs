//! A configuration for a test: sensible defaults, and the lines that the test is about.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::certs;
use crate::client_h1::HOST;
use crate::origin::Origin;
use crate::proxy::Proxy;

/// Builds a configuration file. Each method adds TOML lines to a table; a key given there replaces the default.
#[derive(Default)]
#[must_use]
pub struct ProxyConfig {
    servers: Vec<(SocketAddr, u32)>,
    server: String,
    http: String,
    https: String,
    admin: String,
    log: String,
    limits: String,
    memory: String,
    disk: Option<String>,
    upstream: String,
    site: String,
    extra: String,
    names: Vec<String>,
}

// === impl ProxyConfig ===

impl ProxyConfig {
    /// One site for any host name, an http and an https listener, and the admin listener; no upstream yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more AP server of the site's upstream.
    pub fn origin(self, origin: &Origin) -> Self {
        self.server_at(origin.address(), 1)
    }

    /// One more AP server at this address with this weight.
    pub fn server_at(mut self, address: SocketAddr, weight: u32) -> Self {
        self.servers.push((address, weight));
        self
    }

    /// Lines of `[server]`.
    pub fn server(self, lines: &str) -> Self {
        Self { server: self.server + lines + "\n", ..self }
    }

    /// Lines of the `[[listen]]` without TLS.
    pub fn http(self, lines: &str) -> Self {
        Self { http: self.http + lines + "\n", ..self }
    }

    /// Lines of the `[[listen]]` with TLS.
    pub fn https(self, lines: &str) -> Self {
        Self { https: self.https + lines + "\n", ..self }
    }

    /// Lines of `[admin]`.
    pub fn admin(self, lines: &str) -> Self {
        Self { admin: self.admin + lines + "\n", ..self }
    }

    /// Lines of `[log]`.
    pub fn log(self, lines: &str) -> Self {
        Self { log: self.log + lines + "\n", ..self }
    }

    /// Lines of `[limits]`.
    pub fn limits(self, lines: &str) -> Self {
        Self { limits: self.limits + lines + "\n", ..self }
    }

    /// Lines of `[cache.memory]`.
    pub fn memory(self, lines: &str) -> Self {
        Self { memory: self.memory + lines + "\n", ..self }
    }

    /// A disk tier with these lines of `[cache.disk]`; by default 64 MiB beneath the proxy's directory.
    pub fn disk(self, lines: &str) -> Self {
        Self { disk: Some(self.disk.unwrap_or_default() + lines + "\n"), ..self }
    }

    /// Lines of the `[[upstream]]`.
    pub fn upstream(self, lines: &str) -> Self {
        Self { upstream: self.upstream + lines + "\n", ..self }
    }

    /// Lines of the `[[site]]`, tables beneath it last.
    pub fn site(self, lines: &str) -> Self {
        Self { site: self.site + lines + "\n", ..self }
    }

    /// Files beneath this directory are offloaded.
    pub fn root(self, root: &Path) -> Self {
        self.site(&format!("root = {:?}", root.canonicalize().expect("root")))
    }

    /// Tables after the site: more sites, listeners, upstreams. `{certs}` stands for [`Self::write`]'s directory.
    pub fn extra(self, tables: &str) -> Self {
        Self { extra: self.extra + tables + "\n", ..self }
    }

    /// Names in the site's certificate. Default: the usual host, its subdomains and `localhost`.
    pub fn certified_for(self, names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), ..self }
    }

    /// The file's text; certificates are written into `directory`.
    #[must_use]
    pub fn write(&self, directory: &Path) -> String {
        let mut names: Vec<_> = self.names.iter().map(String::as_str).collect();
        if names.is_empty() {
            names.extend([HOST, "*.site.test", "localhost", "127.0.0.1"]);
        }
        let site = certs::site(directory, &names);
        let mut out = String::new();
        let mut table = |name: &str, defaults: &[(&str, String)], lines: &str| {
            writeln!(out, "{name}").expect("write");
            let keys: Vec<_> = lines
                .lines()
                .take_while(|line| !line.trim_start().starts_with('['))
                .filter_map(|line| line.split_once('='))
                .map(|(key, _)| key.trim())
                .collect();
            for (key, value) in defaults.iter().filter(|(key, _)| !keys.contains(key)) {
                writeln!(out, "{key} = {value}").expect("write");
            }
            writeln!(out, "{lines}").expect("write");
        };
        let text = |text: &str| format!("{text:?}");
        let any_port = || ("address", text("127.0.0.1:0"));
        let state = directory.join("state");
        std::fs::create_dir_all(&state).expect("state directory");
        table("[server]", &[("threads", "2".into()), ("state_dir", format!("{state:?}"))], &self.server);
        table("[[listen]]", &[any_port()], &self.http);
        table("[[listen]]", &[any_port(), ("tls", "true".into())], &self.https);
        table("[admin]", &[any_port()], &self.admin);
        table("[log]", &[("path", text("-"))], &self.log);
        table("[limits]", &[], &self.limits);
        table("[cache.memory]", &[("size", text("64MiB"))], &self.memory);
        if let Some(disk) = &self.disk {
            let path = ("path", format!("{:?}", directory.join("cache")));
            table("[cache.disk]", &[path, ("size", text("64MiB"))], disk);
        }
        let mut defaults = vec![
            ("hosts", "[\"*\"]".to_owned()),
            ("certificate", format!("{:?}", site.certificate)),
            ("key", format!("{:?}", site.key)),
        ];
        if !self.servers.is_empty() {
            let servers = self
                .servers
                .iter()
                .map(|(address, weight)| format!("{{ address = \"{address}\", weight = {weight} }}"));
            let servers = format!("[{}]", servers.collect::<Vec<_>>().join(", "));
            table("[[upstream]]", &[("name", text("ap")), ("servers", servers)], &self.upstream);
            defaults.push(("upstream", text("ap")));
        }
        table("[[site]]", &defaults, &self.site);
        out + &self.extra.replace("{certs}", directory.to_str().expect("UTF-8 path"))
    }

    /// Starts the binary with this configuration.
    #[must_use]
    pub fn start(&self) -> Proxy {
        let directory = tempfile::tempdir().expect("temporary directory");
        let text = self.write(directory.path());
        Proxy::start_in(directory, &text)
    }
}
