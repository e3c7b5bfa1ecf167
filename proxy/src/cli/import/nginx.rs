//! nginx.conf: upstreams, servers, locations by prefix, the words of proxying, caching and TLS.

use super::draft::{Draft, Server, Site, Words, list, not_all_backups, quote};
use super::units;

/// A directive: its line, its words, what stands in its braces.
#[derive(Debug)]
struct Directive {
    line: usize,
    words: Vec<String>,
    block: Option<Vec<Self>>,
}

/// Deepest nesting that is read; more is no configuration.
const DEPTH: usize = 16;

/// Directives without a counterpart, and why there is none.
const NEEDLESS: [(&str, &str); 24] = [
    ("worker_connections", "see limits.connections"),
    ("sendfile", "files are sent without"),
    ("tcp_nopush", "heads and content leave together"),
    ("tcp_nodelay", "always on"),
    ("proxy_http_version", "HTTP/1.1"),
    ("proxy_set_header", "Host, X-Forwarded-* and Forwarded are set by themselves"),
    ("proxy_redirect", "hosts are the same on both sides"),
    ("proxy_buffering", "a slow client never holds an AP worker"),
    ("proxy_buffers", "a slow client never holds an AP worker"),
    ("proxy_buffer_size", "a slow client never holds an AP worker"),
    ("proxy_cache_key", "scheme, host, path and query; see ignore_params"),
    ("proxy_cache_lock", "requests are always collapsed"),
    ("proxy_cache_methods", "GET and HEAD, and POST where it says so"),
    ("proxy_cache_revalidate", "always on"),
    ("proxy_cache_background_update", "see stale_while_revalidate"),
    ("proxy_cache_min_uses", "W-TinyLFU admits what is asked for again"),
    ("ssl_protocols", "TLS 1.2 and 1.3"),
    ("ssl_ciphers", "rustls chooses"),
    ("ssl_prefer_server_ciphers", "rustls chooses"),
    ("ssl_session_cache", "tickets resume sessions"),
    ("ssl_session_timeout", "tickets resume sessions"),
    ("default_type", "by extension"),
    ("gzip_types", "by what is worth compressing"),
    ("pid", "the service manager knows the process"),
];

/// Translates.
pub(super) fn translate(text: &str) -> Draft {
    let mut tokens = tokens(text).into_iter().peekable();
    let directives = block(&mut tokens, 0);
    let mut draft = Draft::default();
    let mut zones = Vec::new();
    outer(&directives, &mut draft, &mut zones);
    if draft.listen.is_empty() {
        draft.listen("0.0.0.0:80".to_owned(), false);
    }
    draft
}

/// Words, `{`, `}` and `;`, each with its line.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    let mut word = String::new();
    let mut started = 0;
    while let Some(c) = chars.next() {
        match c {
            '#' if word.is_empty() => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' | '\'' if word.is_empty() => {
                started = line;
                while let Some(inner) = chars.next().filter(|inner| *inner != c) {
                    line += usize::from(inner == '\n');
                    word.push(if inner == '\\' { chars.next().unwrap_or_default() } else { inner });
                }
                out.push((started, format!("\u{1}{}", std::mem::take(&mut word))));
            }
            '{' | '}' | ';' if !(c == '{' && word.ends_with('$')) => {
                if !word.is_empty() {
                    out.push((started, std::mem::take(&mut word)));
                }
                out.push((line, c.to_string()));
            }
            c if c.is_whitespace() => {
                if !word.is_empty() {
                    out.push((started, std::mem::take(&mut word)));
                }
            }
            c => {
                if word.is_empty() {
                    started = line;
                }
                word.push(c);
            }
        }
        line += usize::from(c == '\n');
    }
    out
}

/// Directives up to the end of the block.
fn block(tokens: &mut std::iter::Peekable<std::vec::IntoIter<(usize, String)>>, depth: usize) -> Vec<Directive> {
    let mut out = Vec::new();
    let (mut words, mut line) = (Vec::new(), 0);
    while let Some((at, token)) = tokens.next() {
        match token.as_str() {
            "}" => return out,
            ";" => {
                if !words.is_empty() {
                    out.push(Directive { line, words: std::mem::take(&mut words), block: None });
                }
            }
            "{" if depth < DEPTH => {
                let inner = block(tokens, depth + 1);
                out.push(Directive { line, words: std::mem::take(&mut words), block: Some(inner) });
            }
            _ => {
                if words.is_empty() {
                    line = at;
                }
                words.push(token.trim_start_matches('\u{1}').to_owned());
            }
        }
    }
    out
}

fn words(directive: &Directive) -> Vec<&str> {
    directive.words.iter().map(String::as_str).collect()
}

fn leave(draft: &mut Draft, directive: &Directive) {
    let name = directive.words.first().map(String::as_str).unwrap_or_default();
    let why = NEEDLESS.iter().find(|(known, _)| *known == name).map_or("no counterpart", |(_, why)| why);
    draft.leave(directive.line, &directive.words.join(" "), why);
}

/// Outside of servers.
fn outer(directives: &[Directive], draft: &mut Draft, zones: &mut Vec<String>) {
    // Servers are read last: what is said behind them is for them as well.
    let is_server = |directive: &&Directive| directive.words.first().is_some_and(|name| name == "server");
    let (servers, others): (Vec<_>, Vec<_>) = directives.iter().partition(is_server);
    let mut shared = Words::default();
    for directive in others {
        match (words(directive).as_slice(), &directive.block) {
            (["http" | "events"], Some(block)) => outer(block, draft, zones),
            (["upstream", name], Some(block)) => upstream(name, block, draft),
            (["worker_processes", "auto"], None) => {}
            (["worker_processes", count], None) if count.parse::<u16>().is_ok() => draft.server.raw("threads", *count),
            (["user", user, ..], None) => draft.server.text("user", user),
            (["proxy_cache_path", path, options @ ..], None) => cache_path(directive, path, options, draft, zones),
            (["access_log", ..], None) => access_log(directive, draft),
            (["set_real_ip_from", network], None) => {
                draft.server.raw("trusted_proxies", list([*network]));
            }
            _ if setting(directive, draft, &mut shared) => {}
            _ => leave(draft, directive),
        }
    }
    for directive in servers {
        if let Some(block) = &directive.block {
            server(directive, block, &shared, draft);
        }
    }
}

fn upstream(name: &str, block: &[Directive], draft: &mut Draft) {
    for directive in block {
        match words(directive).as_slice() {
            ["server", address, options @ ..] => {
                let mut server = Server::new(&with_port(address), 1);
                for option in options {
                    let (word, value) = option.split_once('=').unwrap_or((option, ""));
                    match (word, value.parse()) {
                        ("weight", Ok(number)) => server.weight = number,
                        ("max_conns", Ok(number)) => server.max_connections = Some(number).filter(|number| *number > 0),
                        ("down", _) => server.weight = 0,
                        ("backup", _) => server.backup = true,
                        _ => draft.leave(directive.line, option, "option of a server"),
                    }
                }
                if address.starts_with("unix:") {
                    leave(draft, directive);
                } else {
                    draft.upstream(name).servers.push(server);
                }
            }
            ["keepalive", _] => draft.upstream(name).words.raw("keepalive", "true"),
            found => match balance(found) {
                Some((balance, hash_name)) => {
                    let words = &mut draft.upstream(name).words;
                    words.text("balance", balance);
                    if let Some(hash_name) = hash_name {
                        words.text("hash_name", &hash_name);
                    }
                }
                None => leave(draft, directive),
            },
        }
    }
    if let Some(upstream) = draft.upstreams.iter_mut().find(|upstream| upstream.name == name) {
        not_all_backups(upstream);
    }
}

/// Our word for how a server is chosen, and what is hashed.
fn balance(words: &[&str]) -> Option<(&'static str, Option<String>)> {
    match words {
        ["least_conn"] => Some(("least-connections", None)),
        ["least_time", ..] => Some(("least-time", None)),
        ["ip_hash"] => Some(("hash-client", None)),
        ["random"] | ["random", "two"] | ["random", "two", "least_conn"] => Some(("random-two", None)),
        ["random", "two", _] => Some(("least-time", None)),
        ["hash", variable] | ["hash", variable, "consistent"] => match *variable {
            "$request_uri" | "$uri" | "$scheme$proxy_host$request_uri" | "$host$request_uri" | "$host$uri" => {
                Some(("hash-uri", None))
            }
            "$remote_addr" | "$binary_remote_addr" => Some(("hash-client", None)),
            "$host" | "$http_host" => Some(("hash-header", Some("Host".to_owned()))),
            _ => variable
                .strip_prefix("$http_")
                .map(|field| ("hash-header", Some(field.replace('_', "-"))))
                .or_else(|| variable.strip_prefix("$cookie_").map(|cookie| ("hash-cookie", Some(cookie.to_owned())))),
        },
        _ => None,
    }
}

fn with_port(address: &str) -> String {
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { address.to_owned() } else { format!("{address}:80") }
}

fn cache_path(directive: &Directive, path: &str, options: &[&str], draft: &mut Draft, zones: &mut Vec<String>) {
    let size = options.iter().find_map(|option| units::bytes(option.strip_prefix("max_size=")?, None));
    if !zones.is_empty() {
        return draft.leave(directive.line, path, "one disk tier for all sites");
    }
    zones.push(path.to_owned());
    let path = format!("{}/forebay", path.trim_end_matches('/'));
    if size.is_none() {
        draft.leave(directive.line, "proxy_cache_path without max_size", "the disk tier has 8GiB: change it");
    }
    draft.disk = Some((path, size.unwrap_or(8 << 30)));
}

fn access_log(directive: &Directive, draft: &mut Draft) {
    match words(directive).as_slice() {
        ["access_log", "off"] => draft.log.text("path", "off"),
        ["access_log", path] | ["access_log", path, "combined" | "main", ..] if path.starts_with('/') => {
            draft.log.text("path", path);
            draft.log.text("format", "combined");
        }
        _ => leave(draft, directive),
    }
}

/// Words that may stand outside of servers, in them and in locations; whether this is one.
fn setting(directive: &Directive, draft: &mut Draft, words: &mut Words) -> bool {
    let all = self::words(directive);
    let [name, first, rest @ ..] = all.as_slice() else { return false };
    let time = units::duration(first, None, "s");
    match (*name, time) {
        ("keepalive_timeout", Some(time)) => draft.limits.text("keepalive_timeout", &time),
        ("client_header_timeout", Some(time)) => draft.limits.text("head_timeout", &time),
        ("client_body_timeout", Some(time)) => draft.limits.text("body_timeout", &time),
        ("client_max_body_size", _) => match units::bytes(first, None) {
            Some(size) => draft.limits.text("body_size", &units::show(size)),
            None => return false,
        },
        ("gzip", _) => {
            words.raw("compress", if *first == "on" { list(["zstd", "br", "gzip"]) } else { list([]) });
        }
        ("root", _) if rest.is_empty() => words.text("root", first),
        ("index", _) => words.raw("index", list(all.iter().skip(1).copied())),
        ("ssl_certificate", _) => words.text("certificate", first),
        ("ssl_certificate_key", _) => words.text("key", first),
        ("proxy_cache", _) => words.text("cache", if *first == "off" { "off" } else { "on" }),
        ("proxy_cache_valid", _) => return valid(&all, words),
        ("proxy_cache_bypass" | "proxy_no_cache", _) => return bypass(&all, words),
        ("proxy_cache_use_stale", _) => words.text("stale_if_error", "1h"),
        ("proxy_ignore_headers", _) if rest.is_empty() && *first == "Set-Cookie" => words.text("set_cookie", "strip"),
        _ => return false,
    }
    true
}

/// `proxy_cache_valid 200 302 10m;`
fn valid(all: &[&str], words: &mut Words) -> bool {
    let [_, statuses @ .., time] = all else { return false };
    let Some(time) = units::duration(time, None, "s") else { return false };
    let statuses = if statuses.is_empty() { &["200", "301", "302"][..] } else { statuses };
    if !statuses.iter().all(|status| status.parse::<u16>().is_ok_and(|status| (200..600).contains(&status))) {
        return false;
    }
    let old = words.value("lifetimes").unwrap_or_default().trim_matches(['{', '}', ' ']).to_owned();
    let new = statuses.iter().map(|status| format!("{} = {}", quote(status), quote(&time)));
    let all: Vec<String> = Some(old).filter(|old| !old.is_empty()).into_iter().chain(new).collect();
    words.raw("lifetimes", format!("{{ {} }}", all.join(", ")));
    true
}

/// `proxy_cache_bypass $cookie_session $arg_nocache;`
fn bypass(all: &[&str], words: &mut Words) -> bool {
    let named = |prefix: &str| all.iter().skip(1).filter_map(|word| word.strip_prefix(prefix)).collect::<Vec<_>>();
    let (cookies, params) = (named("$cookie_"), named("$arg_"));
    if cookies.len() + params.len() + 1 != all.len() {
        return false;
    }
    if !cookies.is_empty() {
        words.raw("bypass_cookies", list(cookies));
    }
    if !params.is_empty() {
        words.raw("bypass_params", list(params));
    }
    true
}

fn server(of: &Directive, block: &[Directive], shared: &Words, draft: &mut Draft) {
    let mut site = Site { words: shared.clone(), ..Site::default() };
    let mut listened = false;
    for directive in block {
        match (words(directive).as_slice(), &directive.block) {
            (["listen", address, options @ ..], _) => {
                let tls = options.contains(&"ssl");
                match units::listen(address) {
                    Some(address) => draft.listen(address, tls),
                    None => leave(draft, directive),
                }
                listened = true;
            }
            (["server_name", names @ ..], _) => {
                for name in names {
                    match *name {
                        "_" | "" => site.hosts.push("*".to_owned()),
                        name if name.starts_with('~') => draft.leave(directive.line, name, "hosts are no expressions"),
                        name => match name.strip_prefix('.') {
                            Some(parent) => site.hosts.extend([parent.to_owned(), format!("*.{parent}")]),
                            None => site.hosts.push(name.to_owned()),
                        },
                    }
                }
            }
            (["access_log", ..], _) => access_log(directive, draft),
            (["location", path] | ["location", "^~" | "=", path], Some(inner)) if path.starts_with('/') => {
                location(path, inner, &mut site, draft);
            }
            _ if setting(directive, draft, &mut site.words) => {}
            _ => leave(draft, directive),
        }
    }
    if !listened {
        draft.listen("0.0.0.0:80".to_owned(), false);
    }
    if site.hosts.is_empty() {
        site.hosts.push("*".to_owned());
    }
    if !site.words.has("upstream") && !site.words.has("root") {
        return draft.leave(of.line, &format!("server {}", site.hosts.join(" ")), "it neither proxies nor has files");
    }
    if !site.words.has("cache") {
        // Nothing is stored there that nobody asked to store.
        site.words.text("cache", "off");
    }
    // Two servers of one name, one for each port, are one site here.
    let twin = draft.sites.iter_mut().find(|other| other.hosts == site.hosts);
    match twin {
        Some(other) => {
            other.words.extend(&site.words);
            other.routes.extend(site.routes);
        }
        None => draft.sites.push(site),
    }
}

fn location(path: &str, block: &[Directive], site: &mut Site, draft: &mut Draft) {
    let mut route = Words::default();
    for directive in block {
        match words(directive).as_slice() {
            ["proxy_pass", url] => match pass(url, draft) {
                Some(upstream) => route.text("upstream", &upstream),
                None => leave(draft, directive),
            },
            ["root", root] => {
                if site.words.has("root") {
                    leave(draft, directive);
                } else {
                    site.words.text("root", root);
                }
            }
            ["proxy_connect_timeout" | "proxy_read_timeout" | "proxy_send_timeout", time] => {
                let word = match directive.words.first().map(String::as_str) {
                    Some("proxy_connect_timeout") => "connect_timeout",
                    Some("proxy_read_timeout") => "read_timeout",
                    _ => "write_timeout",
                };
                let name = route.value("upstream").map(|name| name.trim_matches('"').to_owned());
                match (units::duration(time, None, "s"), name) {
                    (Some(time), Some(name)) => draft.upstream(&name).words.text(word, &time),
                    _ => leave(draft, directive),
                }
            }
            _ if setting(directive, draft, &mut route) => {}
            _ => leave(draft, directive),
        }
    }
    if path == "/" {
        site.words.extend(&route);
    } else if route.is_empty() {
        // The site's own words are the same.
    } else {
        site.routes.push((path.to_owned(), route));
    }
}

/// The upstream of a URL; a host without an `upstream` block gets one.
fn pass(url: &str, draft: &mut Draft) -> Option<String> {
    let host = url.strip_prefix("http://")?;
    let (host, path) = host.split_once('/').unwrap_or((host, ""));
    // With a path the target would be rewritten; variables are known at run time alone.
    if !path.is_empty() || host.is_empty() || host.contains('$') || host.starts_with("unix:") {
        return None;
    }
    if draft.upstreams.iter().any(|upstream| upstream.name == host) {
        return Some(host.to_owned());
    }
    let name: String = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let upstream = draft.upstream(&name);
    if upstream.servers.is_empty() {
        upstream.servers.push(Server::new(&with_port(host), 1));
    }
    Some(name)
}
