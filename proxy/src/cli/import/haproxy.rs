//! haproxy.cfg: frontends, backends and listen sections of `mode http`.

use std::collections::BTreeMap;

use super::draft::{Draft, Server, Site, Words, not_all_backups};
use super::units;

#[derive(Debug, Default)]
struct Section {
    kind: String,
    name: String,
    /// Line, words.
    lines: Vec<(usize, Vec<String>)>,
}

/// Translates.
pub(super) fn translate(text: &str) -> Draft {
    let mut draft = Draft::default();
    let sections = sections(text);
    let mut timeouts = Words::default();
    for section in sections.iter().filter(|section| matches!(section.kind.as_str(), "global" | "defaults")) {
        defaults(section, &mut timeouts, &mut draft);
    }
    for section in sections.iter().filter(|section| matches!(section.kind.as_str(), "backend" | "listen")) {
        backend(section, &timeouts, &mut draft);
    }
    for section in sections.iter().filter(|section| matches!(section.kind.as_str(), "frontend" | "listen")) {
        frontend(section, &mut draft);
    }
    for section in &sections {
        if !matches!(section.kind.as_str(), "global" | "defaults" | "backend" | "listen" | "frontend") {
            for (line, words) in &section.lines {
                draft.leave(*line, &words.join(" "), &format!("in a section `{}`", section.kind));
            }
        }
    }
    draft
}

fn sections(text: &str) -> Vec<Section> {
    const KINDS: [&str; 12] = [
        "global",
        "defaults",
        "frontend",
        "backend",
        "listen",
        "cache",
        "peers",
        "resolvers",
        "userlist",
        "mailers",
        "program",
        "http-errors",
    ];
    let mut out: Vec<Section> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        let Some(first) = words.first() else { continue };
        if KINDS.contains(&first.as_str()) && !line.starts_with([' ', '\t']) {
            let name = words.get(1).cloned().unwrap_or_default();
            out.push(Section { kind: first.clone(), name, lines: Vec::new() });
        } else if let Some(section) = out.last_mut() {
            section.lines.push((index + 1, words));
        }
    }
    out
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn defaults(section: &Section, timeouts: &mut Words, draft: &mut Draft) {
    for (line, words) in &section.lines {
        match strs(words).as_slice() {
            ["mode", "http"] | ["daemon"] => {}
            ["maxconn", most] if section.kind == "global" && most.parse::<u32>().is_ok() => {
                draft.limits.raw("connections", *most);
            }
            ["user", user] => draft.server.text("user", user),
            ["nbthread", count] if count.parse::<u16>().is_ok() => draft.server.raw("threads", *count),
            ["timeout", what, time] if timeout(what, time, timeouts, draft) => {}
            _ => draft.leave(*line, &words.join(" "), "no counterpart"),
        }
    }
}

/// A bare number is milliseconds.
fn timeout(what: &str, time: &str, upstream: &mut Words, draft: &mut Draft) -> bool {
    let Some(time) = units::duration(time, None, "ms") else { return false };
    match what {
        "connect" => upstream.text("connect_timeout", &time),
        "server" => upstream.text("read_timeout", &time),
        "client" => draft.limits.text("body_timeout", &time),
        "http-request" => draft.limits.text("head_timeout", &time),
        "http-keep-alive" => draft.limits.text("keepalive_timeout", &time),
        _ => return false,
    }
    true
}

fn backend(section: &Section, timeouts: &Words, draft: &mut Draft) {
    let mut words = timeouts.clone();
    let mut servers = Vec::new();
    let is_listen = section.kind == "listen";
    for (line, found) in &section.lines {
        match strs(found).as_slice() {
            ["mode", "http"] | ["hash-type", "consistent"] => {}
            ["balance", found @ ..] if balance(*line, found, &mut words, draft) => {}
            ["hash-balance-factor", percent] if percent.parse::<u32>().is_ok_and(|percent| percent > 100) => {
                words.raw("hash_balance_factor", *percent);
            }
            ["server", _, address, options @ ..] => {
                let mut server = Server::new(address, 1);
                let mut rest = options.iter();
                while let Some(option) = rest.next() {
                    let mut number = || rest.next().and_then(|number| number.parse::<u32>().ok());
                    match *option {
                        "weight" => server.weight = number().unwrap_or(1),
                        "maxconn" => server.max_connections = number().filter(|number| *number > 0),
                        "backup" => server.backup = true,
                        "disabled" => server.weight = 0,
                        other => draft.leave(*line, other, "option of a server"),
                    }
                }
                servers.push(server);
            }
            ["option", "http-server-close" | "httpclose"] => words.raw("keepalive", "false"),
            ["option", "http-keep-alive"] => words.raw("keepalive", "true"),
            ["timeout", what, time] if timeout(what, time, &mut words, draft) => {}
            // Read with the frontends.
            ["bind" | "acl" | "use_backend" | "default_backend", ..] if is_listen => {}
            _ => draft.leave(*line, &found.join(" "), "no counterpart"),
        }
    }
    if servers.is_empty() {
        return;
    }
    let upstream = draft.upstream(&name(&section.name));
    (upstream.servers, upstream.words) = (servers, words);
    not_all_backups(upstream);
}

/// How a server is chosen; whether there is such a way here.
fn balance(line: usize, found: &[&str], upstream: &mut Words, draft: &mut Draft) -> bool {
    let [way, options @ ..] = found else { return false };
    let way = if *way == "hash" { options.first().copied().unwrap_or_default() } else { *way };
    let (word, argument) = way.split_once('(').unwrap_or((way, ""));
    let argument = argument.trim_end_matches(')');
    let (ours, hash_name) = match word {
        "roundrobin" | "static-rr" => ("round-robin", None),
        "leastconn" => ("least-connections", None),
        "random" => ("random-two", None),
        "first" => ("first", None),
        "source" | "src" => ("hash-client", None),
        "uri" | "path" | "pathq" | "url" => ("hash-uri", None),
        "hdr" | "req.hdr" if !argument.is_empty() => ("hash-header", Some(argument)),
        "req.cook" if !argument.is_empty() => ("hash-cookie", Some(argument)),
        _ => return false,
    };
    if ours != "round-robin" {
        upstream.text("balance", ours);
    }
    if let Some(name) = hash_name {
        upstream.text("hash_name", name);
    }
    if way == found.first().copied().unwrap_or_default() && !options.is_empty() {
        draft.leave(line, &options.join(" "), "option of balance");
    }
    true
}

fn name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect()
}

fn frontend(section: &Section, draft: &mut Draft) {
    let mut acls: BTreeMap<&str, (&str, Vec<&str>)> = BTreeMap::new();
    let mut any = Site { hosts: vec!["*".to_owned()], ..Site::default() };
    let mut sites: Vec<Site> = Vec::new();
    let own = section.kind == "listen";
    let mut caches = false;
    if own {
        any.words.text("upstream", &name(&section.name));
    }
    for (line, found) in &section.lines {
        let known = |name: &str| draft.upstreams.iter().any(|upstream| upstream.name == self::name(name));
        match strs(found).as_slice() {
            ["bind", address, options @ ..] => bind(*line, address, options, &mut any.words, draft),
            ["acl", acl, kind, values @ ..] => {
                let values = values.iter().filter(|value| **value != "-i").copied();
                acls.entry(acl).or_insert((kind, Vec::new())).1.extend(values);
            }
            ["default_backend", backend] if known(backend) => any.words.text("upstream", &name(backend)),
            ["use_backend", backend, "if", acl] if known(backend) => match acls.get(acl) {
                Some(("hdr(host)" | "req.hdr(host)" | "hdr_dom(host)", hosts)) => {
                    let mut site =
                        Site { hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(), ..Site::default() };
                    site.words.text("upstream", &name(backend));
                    sites.push(site);
                }
                Some(("path_beg" | "path", paths)) => {
                    for path in paths {
                        let mut route = Words::default();
                        route.text("upstream", &name(backend));
                        any.routes.push(((*path).to_owned(), route));
                    }
                }
                _ => draft.leave(*line, &found.join(" "), "only hosts and paths choose here"),
            },
            ["mode", "http"] => {}
            ["http-request", "cache-use", ..] | ["http-response", "cache-store", ..] => caches = true,
            // Read with the backends.
            _ if own => {}
            ["timeout", what, time] if timeout(what, time, &mut Words::default(), draft) => {}
            ["maxconn", most] if most.parse::<u32>().is_ok() => draft.limits.raw("connections", *most),
            _ => draft.leave(*line, &found.join(" "), "no counterpart"),
        }
    }
    if !caches {
        // Nothing is stored there that nobody asked to store.
        any.words.text("cache", "off");
    }
    for mut site in sites {
        if !caches {
            site.words.text("cache", "off");
        }
        if let (Some(certificate), Some(key)) = (any.words.value("certificate"), any.words.value("key")) {
            let (certificate, key) = (certificate.to_owned(), key.to_owned());
            site.words.raw("certificate", certificate);
            site.words.raw("key", key);
        }
        if !draft.sites.iter().any(|other| other.hosts == site.hosts) {
            draft.sites.push(site);
        }
    }
    if any.words.has("upstream") && !draft.sites.iter().any(|other| other.hosts == any.hosts) {
        draft.sites.push(any);
    }
}

fn bind(line: usize, addresses: &str, options: &[&str], site: &mut Words, draft: &mut Draft) {
    let mut tls = false;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match *option {
            "ssl" => tls = true,
            "crt" => {
                // One file with both.
                let path = options.next().copied().unwrap_or_default();
                site.text("certificate", path);
                site.text("key", path);
            }
            "alpn" => drop(options.next()),
            other => draft.leave(line, other, "option of a bind"),
        }
    }
    for address in addresses.split(',') {
        match units::listen(address) {
            Some(address) => draft.listen(address, tls),
            None => draft.leave(line, address, "write a numeric address"),
        }
    }
}
