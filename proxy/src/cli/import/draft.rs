//! A configuration of ours while it is put together, and what did not fit into it.

use std::fmt::Write as _;

use super::units;

/// Smallest disk tier and memory tier there can be.
const DISK_LEAST: u64 = 32 << 20;
const MEMORY_LEAST: u64 = 1 << 20;

/// What has been understood so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Words of `[server]`, `[limits]`, `[log]`, with their values as TOML.
    pub(super) server: Words,
    pub(super) limits: Words,
    pub(super) log: Words,
    /// Address, and whether it is for TLS.
    pub(super) listen: Vec<(String, bool)>,
    pub(super) memory: Option<u64>,
    pub(super) memory_object: Option<u64>,
    /// Directory and size.
    pub(super) disk: Option<(String, u64)>,
    pub(super) disk_object: Option<u64>,
    /// `[icp]` and its peers, each a header with its words.
    pub(super) icp: Option<Words>,
    pub(super) peers: Vec<(&'static str, Words)>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) sites: Vec<Site>,
    /// Line, what stands there, why it was left.
    pub(super) left: Vec<(usize, String, String)>,
}

/// Words with their values as TOML, in order; a later value replaces an earlier one.
#[derive(Debug, Default, Clone)]
pub(super) struct Words(Vec<(String, String)>);

/// An `[[upstream]]`.
#[derive(Debug, Default, Clone)]
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) servers: Vec<Server>,
    pub(super) words: Words,
}

/// One of its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) address: String,
    pub(super) weight: u32,
    pub(super) max_connections: Option<u32>,
    pub(super) backup: bool,
}

impl Server {
    pub(super) fn new(address: &str, weight: u32) -> Self {
        Self { address: address.to_owned(), weight, max_connections: None, backup: false }
    }

    /// As an element of `servers`.
    fn show(&self) -> String {
        let mut words = vec![format!("address = {}", quote(&self.address))];
        if self.weight != 1 {
            words.push(format!("weight = {}", self.weight));
        }
        if let Some(most) = self.max_connections {
            words.push(format!("max_connections = {most}"));
        }
        if self.backup {
            words.push("backup = true".to_owned());
        }
        if words.len() == 1 { quote(&self.address) } else { format!("{{ {} }}", words.join(", ")) }
    }
}

/// A `[[site]]`.
#[derive(Debug, Default, Clone)]
pub(super) struct Site {
    pub(super) hosts: Vec<String>,
    pub(super) words: Words,
    /// `refresh_pattern` lines of Squid.
    pub(super) patterns: Vec<String>,
    /// `[[site.route]]`: path, words.
    pub(super) routes: Vec<(String, Words)>,
}

/// A string as TOML has it.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Strings as a TOML array.
pub(super) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", items.into_iter().map(quote).collect::<Vec<_>>().join(", "))
}

impl Words {
    /// Sets a word to a value as TOML has it.
    pub(super) fn raw(&mut self, word: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == word) {
            Some((_, old)) => *old = value,
            None => self.0.push((word.to_owned(), value)),
        }
    }

    /// Sets a word to a string.
    pub(super) fn text(&mut self, word: &str, value: &str) {
        self.raw(word, quote(value));
    }

    /// Adds those of `others`.
    pub(super) fn extend(&mut self, others: &Self) {
        for (word, value) in &others.0 {
            self.raw(word, value.as_str());
        }
    }

    pub(super) fn value(&self, word: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == word).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|(known, _)| known == word)
    }

    fn write(&self, header: &str, out: &mut String) {
        let _ = write!(out, "\n{header}\n");
        for (word, value) in &self.0 {
            let _ = writeln!(out, "{word} = {value}");
        }
    }
}

impl Draft {
    /// Notes what is not translated.
    pub(super) fn leave(&mut self, line: usize, what: &str, why: &str) {
        let what: String = what.split_whitespace().collect::<Vec<_>>().join(" ");
        self.left.push((line, what, why.to_owned()));
    }

    /// A listener, once.
    pub(super) fn listen(&mut self, address: String, tls: bool) {
        if !self.listen.iter().any(|(known, _)| *known == address) {
            self.listen.push((address, tls));
        }
    }

    /// The upstream of this name, made where there is none.
    pub(super) fn upstream(&mut self, name: &str) -> &mut Upstream {
        let at = self.upstreams.iter().position(|upstream| upstream.name == name).unwrap_or_else(|| {
            self.upstreams.push(Upstream { name: name.to_owned(), ..Upstream::default() });
            self.upstreams.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position of one that is there")]
        &mut self.upstreams[at]
    }

    /// The configuration as text.
    pub(super) fn render(&self, program: &str, path: &str) -> String {
        let mut out = format!("# From {program}'s {}.\n", printable(path));
        if !self.left.is_empty() {
            out.push_str("# Not translated, by line:\n");
            for (line, what, why) in &self.left {
                let _ = writeln!(out, "#   {line}: {} ({})", printable(what), printable(why));
            }
        }
        if !self.server.0.is_empty() {
            self.server.write("[server]", &mut out);
        }
        for (address, tls) in &self.listen {
            let mut words = Words::default();
            words.text("address", address);
            if *tls {
                words.raw("tls", "true");
            }
            words.write("[[listen]]", &mut out);
        }
        for (header, words) in [("[log]", &self.log), ("[limits]", &self.limits)] {
            if !words.0.is_empty() {
                words.write(header, &mut out);
            }
        }
        self.render_tiers(&mut out);
        if let Some(icp) = &self.icp {
            icp.write("[icp]", &mut out);
            for (header, words) in &self.peers {
                words.write(header, &mut out);
            }
        }
        for upstream in &self.upstreams {
            let mut words = Words::default();
            words.text("name", &upstream.name);
            let servers: Vec<_> = upstream.servers.iter().map(Server::show).collect();
            words.raw("servers", format!("[{}]", servers.join(", ")));
            words.0.extend(upstream.words.0.iter().cloned());
            words.write("[[upstream]]", &mut out);
        }
        for site in &self.sites {
            site.render(&mut out);
        }
        out
    }

    fn render_tiers(&self, out: &mut String) {
        let object = |words: &mut Words, object: Option<u64>, size: u64| {
            if let Some(object) = object.filter(|object| *object >= 1024) {
                words.text("max_object", &units::show(object.min(size / 4)));
            }
        };
        if self.memory.is_some() || self.memory_object.is_some() {
            let size = self.memory.unwrap_or(256 << 20).max(MEMORY_LEAST);
            let mut words = Words::default();
            words.text("size", &units::show(size));
            object(&mut words, self.memory_object, size);
            words.write("[cache.memory]", out);
        }
        if let Some((path, size)) = &self.disk {
            let size = (*size).max(DISK_LEAST);
            let mut words = Words::default();
            words.text("path", path);
            words.text("size", &units::show(size));
            object(&mut words, self.disk_object, size);
            words.write("[cache.disk]", out);
        }
    }
}

impl Site {
    fn render(&self, out: &mut String) {
        let mut words = Words::default();
        words.raw("hosts", list(self.hosts.iter().map(String::as_str)));
        words.0.extend(self.words.0.iter().cloned());
        if !self.patterns.is_empty() {
            let lines: String = self.patterns.iter().map(|line| format!("  {{ line = {} }},\n", quote(line))).collect();
            words.raw("refresh_pattern", format!("[\n{lines}]"));
        }
        words.write("[[site]]", out);
        for (path, route) in &self.routes {
            let mut words = Words::default();
            words.text("path", path);
            words.0.extend(route.0.iter().cloned());
            words.write("[[site.route]]", out);
        }
    }
}

/// A backup stands in for others: where all are, none is.
pub(super) fn not_all_backups(upstream: &mut Upstream) {
    if upstream.servers.iter().all(|server| server.backup) {
        for server in &mut upstream.servers {
            server.backup = false;
        }
    }
}

/// What may stand in a comment.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
