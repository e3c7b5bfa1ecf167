//! `[[site]]`

use std::collections::HashMap;
use std::ops::Range;

use super::upstream::Pools;
use super::{cache_rules, client_certificate, protection, purge, route, routing};
use crate::check::certificate;
use crate::model::{CertificateFiles, Coding, HostPattern, Preset, Site};
use crate::preset;
use crate::reading::{Located, Reading};
use crate::table::{Item, Table};
use crate::values::{Wrong, choice, coding, host_pattern, path};

/// The words of `preset`.
pub(crate) const PRESETS: [(&str, Preset); 1] = [("wordpress", Preset::WordPress)];

/// Largest `compress_min`: 1 GiB.
const COMPRESS_MIN_MAX: u64 = 1 << 30;

pub(super) fn read(root: &mut Table<'_, '_>, pools: &Pools, tls: Option<&Range<usize>>) -> Vec<Site> {
    const HINT: &str = "say what to serve: [[site]] and beneath it hosts = [\"www.example.com\"] and upstream = \"…\"";
    let reading = root.reading;
    let Some(item) = root.require("site", HINT) else { return Vec::new() };
    let span = item.span.clone();
    let one_by_mistake = item.is_table();
    let tables = item.tables("[[site]]");
    if tables.is_empty() && !one_by_mistake {
        reading.misfit(&span, "there is no [[site]]", HINT);
    }
    let mut sites = Sites { pools, hosts: HashMap::new(), any_certificate: one_by_mistake };
    let list = tables.into_iter().map(|table| sites.one(table)).collect();
    if let Some(tls) = tls.filter(|_| !sites.any_certificate) {
        let hint = "give at least one [[site]] a certificate and a key";
        reading.misfit(tls, "`tls` without a certificate in any site", hint);
    }
    list
}

/// What the sites of a file are compared with.
struct Sites<'p> {
    pools: &'p Pools,
    /// Where each pattern was claimed.
    hosts: HashMap<HostPattern, Range<usize>>,
    any_certificate: bool,
}

impl Sites<'_> {
    fn one(&mut self, mut table: Table<'_, '_>) -> Site {
        let reading = table.reading;
        let hosts = self.hosts(&mut table);
        let certificate = self.certificate(&mut table);
        let client_certificate = client_certificate::read(&mut table);
        let upstream_item = table.take("upstream");
        let root_item = table.take("root");
        if upstream_item.is_none() && root_item.is_none() {
            let hint = "say where responses come from: upstream = \"…\", root = \"/var/www/html\" or both";
            reading.misfit(&table.span, "neither `upstream` nor `root` in [[site]]", hint);
        }
        let upstream = upstream_item.and_then(|item| self.pools.find(&item));
        let root = root_item.and_then(|item| item.parsed("/var/www/html", path::directory)).map(|found| found.value);
        let index = table
            .take("index")
            .and_then(|item| item.list("index.html", path::file_name))
            .map(|names| names.into_iter().map(|found| found.value).collect())
            .unwrap_or_else(|| vec!["index.html".to_owned()]);
        let sendfile = table.take("sendfile").and_then(|item| item.boolean()).unwrap_or(false);
        let preset = table
            .take("preset")
            .and_then(|item| item.parsed("wordpress", |text| choice::parse(text, &PRESETS)))
            .map(|found| found.value);
        let compress = table
            .take("compress")
            .and_then(|item| codings(item, reading))
            .unwrap_or_else(|| vec![Coding::Zstd, Coding::Brotli, Coding::Gzip]);
        let compress_min = table.take("compress_min").and_then(|item| item.size(0..=COMPRESS_MIN_MAX)).unwrap_or(1024);
        let purge = table.take("purge").and_then(|item| item.table("[site.purge]")).map(purge::read);
        let keep_tags = table.take("keep_tags").and_then(|item| item.boolean()).unwrap_or(false);
        let surrogate = table.take("surrogate_capability").and_then(|item| item.boolean()).unwrap_or(false);
        let litespeed = table.take("litespeed").and_then(|item| item.boolean()).unwrap_or(false);
        let cache = cache_rules::read(&mut table, preset::cache_rules(preset), "site");
        let protection = protection::read(&mut table, preset::protection(preset), "site");
        let https_redirect = table.take("https_redirect").and_then(|item| item.boolean()).unwrap_or(false);
        let canonical_host = canonical_host(&mut table, &hosts);
        let request_headers = routing::edits(&mut table, "request_headers");
        let response_headers = routing::edits(&mut table, "response_headers");
        let routes = table.take("route").map(|item| item.tables("[[site.route]]")).unwrap_or_default();
        table.finish();
        let mut site = Site {
            hosts,
            certificate,
            client_certificate,
            upstream,
            root,
            index,
            sendfile,
            preset,
            compress,
            compress_min,
            purge,
            keep_tags,
            surrogate_capability: surrogate,
            litespeed,
            cache,
            protection,
            https_redirect,
            canonical_host,
            request_headers,
            response_headers,
            routes: Vec::new(),
        };
        let mut seen = Vec::new();
        site.routes = routes.into_iter().filter_map(|table| route::read(table, &site, self.pools, &mut seen)).collect();
        site
    }

    fn hosts(&mut self, table: &mut Table<'_, '_>) -> Vec<HostPattern> {
        const HINT: &str = "name the hosts it is for: hosts = [\"www.example.com\"], or hosts = [\"*\"] for any";
        let reading = table.reading;
        let Some(item) = table.require("hosts", HINT) else { return Vec::new() };
        let span = item.span.clone();
        let Some(items) = item.array("\"www.example.com\"") else { return Vec::new() };
        if items.is_empty() {
            reading.mistake(&span, "`hosts` is empty", HINT);
        }
        let patterns = items.iter().filter_map(|item| item.element("www.example.com", host_pattern::parse));
        patterns.map(|found| self.claim(found, reading)).collect()
    }

    /// Notes that a pattern is taken, and reports when it was taken before.
    fn claim(&mut self, found: Located<HostPattern>, reading: &Reading<'_>) -> HostPattern {
        let Located { value: pattern, span } = found;
        match self.hosts.get(&pattern) {
            Some(first) => {
                let shown = host_pattern::show(&pattern);
                let hint = format!("line {} has it already: keep one of the two", reading.source.line(first.start));
                reading.mistake(&span, format!("`hosts`: {shown} is claimed twice"), hint);
            }
            None => {
                self.hosts.insert(pattern.clone(), span);
            }
        }
        pattern
    }

    /// `certificate` and `key`: both or neither, and they belong together.
    fn certificate(&mut self, table: &mut Table<'_, '_>) -> Option<CertificateFiles> {
        let reading = table.reading;
        let (certificate, key) = match (table.take("certificate"), table.take("key")) {
            (None, None) => return None,
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(item), None) => {
                self.any_certificate = true;
                reading.misfit(
                    &item.key,
                    "`certificate` without `key`",
                    "add key = \"/….key\", the same file if it holds both",
                );
                return None;
            }
            (None, Some(item)) => {
                self.any_certificate = true;
                reading.misfit(&item.key, "`key` without `certificate`", "add certificate = \"/….pem\"");
                return None;
            }
        };
        self.any_certificate = true;
        let certificate_path = certificate.parsed("/etc/forebay/www.pem", path::file);
        let key_path = key.parsed("/etc/forebay/www.key", path::file);
        let chain = certificate_path.as_ref().and_then(|path| report(&certificate, certificate::chain(&path.value)));
        let signer = key_path.as_ref().and_then(|path| report(&key, certificate::key(&path.value)));
        if let (Some(chain), Some(signer)) = (chain, signer) {
            report(&key, certificate::belong_together(chain, signer));
        }
        Some(CertificateFiles { certificate: certificate_path?.value, key: key_path?.value })
    }
}

/// The value, or the report of what is wrong with it.
fn report<T>(item: &Item<'_, '_>, found: Result<T, Wrong>) -> Option<T> {
    found.map_err(|wrong| item.wrong(wrong)).ok()
}

/// One of the site's own hosts, for all the others.
fn canonical_host(table: &mut Table<'_, '_>, hosts: &[HostPattern]) -> Option<String> {
    let item = table.take("canonical_host")?;
    let found = item.parsed("www.example.com", host_pattern::parse)?;
    let covers = |pattern: &HostPattern, name: &str| match pattern {
        HostPattern::Any => true,
        HostPattern::Exact(host) => host == name,
        HostPattern::Wildcard(parent) => name.strip_suffix(parent.as_str()).is_some_and(|sub| sub.ends_with('.')),
    };
    match found.value {
        HostPattern::Exact(name) if hosts.iter().any(|pattern| covers(pattern, &name)) => Some(name),
        HostPattern::Exact(name) => {
            let hint = format!("add {name:?} to `hosts`, or requests that are led there get 421");
            item.reading.misfit(&found.span, format!("`canonical_host`: {name} is not a host of the site"), hint);
            None
        }
        HostPattern::Wildcard(_) | HostPattern::Any => {
            item.wrong(Wrong::new("a canonical host is one name", "write it out: \"www.example.com\""));
            None
        }
    }
}

fn codings(item: Item<'_, '_>, reading: &Reading<'_>) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for found in item.list("gzip", coding::parse)? {
        if codings.contains(&found.value) {
            reading.mistake(&found.span, "`compress` names a coding twice", "keep one of the two");
        } else {
            codings.push(found.value);
        }
    }
    Some(codings)
}
