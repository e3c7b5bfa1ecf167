//! squid.conf, of an accelerator: Squid 2.x to 7.

use std::collections::BTreeMap;

use super::draft::{Draft, Server, Site, Words, list};
use super::units;

/// Directives without a counterpart, and why there is none.
const NEEDLESS: [(&str, &str); 24] = [
    ("visible_hostname", "answers name no host of ours"),
    ("unique_hostname", "each instance has a name of its own by itself"),
    ("hierarchy_stoplist", "only what can be stored asks siblings"),
    ("cache_log", "errors go to standard error"),
    ("cache_store_log", "the access log tells what was stored"),
    ("pid_filename", "the service manager knows the process"),
    ("coredump_dir", "no core is written"),
    ("client_persistent_connections", "connections of clients are kept; see limits.keepalive_timeout"),
    ("collapsed_forwarding", "requests are always collapsed"),
    ("half_closed_clients", "always off"),
    ("via", "always on"),
    ("forwarded_for", "always on"),
    ("shutdown_lifetime", "see server.drain"),
    ("cache_replacement_policy", "W-TinyLFU in memory, second chance on disk"),
    ("memory_replacement_policy", "W-TinyLFU"),
    ("cache_swap_low", "the disk tier never takes more than its size"),
    ("cache_swap_high", "the disk tier never takes more than its size"),
    ("buffered_logs", "a thread of its own writes the log"),
    ("log_icp_queries", "see forebay_icp_answers_total"),
    ("digest_generation", "cache digests are not there"),
    ("dns_nameservers", "see `servers` of [resolver]"),
    ("fqdncache_size", "names are resolved by the system"),
    ("ipcache_size", "names are resolved by the system"),
    ("workers", "see server.threads"),
];

/// Options of `cache_peer` that make no difference here.
const HARMLESS: [&str; 7] =
    ["no-digest", "no-netdb-exchange", "no-delay", "default", "allow-miss", "forceddomain", "connection-auth=off"];

#[derive(Debug, Default)]
struct Reader {
    draft: Draft,
    site: Site,
    /// Lists by name: type and values.
    acls: BTreeMap<String, (String, Vec<String>)>,
    default_site: Option<String>,
    icp_ip: Option<String>,
    icp_port: Option<u16>,
    icp: Words,
    parents: Vec<Peer>,
    accel: (Option<String>, Option<String>),
    upstream: Words,
}

#[derive(Debug)]
struct Peer {
    http: String,
    words: Words,
    weight: u32,
    is_origin: bool,
}

/// Translates.
pub(super) fn translate(text: &str) -> Draft {
    let mut reader = Reader::default();
    for (number, line) in lines(text) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [directive, arguments @ ..] = words.as_slice()
            && let Err(why) = reader.directive(number, directive, arguments)
        {
            reader.draft.leave(number, &line, &why);
        }
    }
    reader.finish()
}

/// Lines without comments, those that end in a backslash joined, each with its number.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let (line, more) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match out.last_mut().filter(|_| goes_on) {
            Some((_, whole)) => whole.extend([" ", line]),
            None => out.push((index + 1, line.to_owned())),
        }
        goes_on = more;
    }
    out.retain(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    out
}

impl Reader {
    /// Takes a line in, or says why not.
    fn directive(&mut self, number: usize, name: &str, arguments: &[&str]) -> Result<(), String> {
        let nonsense = || "not understood".to_owned();
        let first = arguments.first().copied();
        let second = arguments.get(1).copied();
        let bytes = || first.and_then(|number| units::bytes(number, second)).ok_or_else(nonsense);
        let time = |default| first.and_then(|number| units::duration(number, second, default)).ok_or_else(nonsense);
        match name {
            "http_port" | "https_port" => return self.port(number, name == "https_port", arguments),
            "cache_peer" => return self.peer(number, arguments),
            "acl" => {
                if let [name, kind, values @ ..] = arguments {
                    let values = values.iter().map(|value| (*value).to_owned());
                    self.acls
                        .entry((*name).to_owned())
                        .or_insert_with(|| ((*kind).to_owned(), Vec::new()))
                        .1
                        .extend(values);
                }
            }
            "http_access" => return self.http_access(arguments),
            "icp_access" => return self.icp_access(arguments),
            "icp_port" | "udp_port" => {
                self.icp_port = Some(first.and_then(|port| port.parse().ok()).ok_or_else(nonsense)?)
            }
            "udp_incoming_address" => self.icp_ip = first.map(ToOwned::to_owned),
            "tcp_outgoing_address" if arguments.len() == 1 => self.upstream.text("source", first.unwrap_or_default()),
            "icp_query_timeout" if first == Some("0") => {}
            "icp_query_timeout" | "maximum_icp_query_timeout" => self.icp.text("timeout", &time("ms")?),
            "cache_mem" => self.draft.memory = Some(bytes()?),
            "maximum_object_size_in_memory" => self.draft.memory_object = Some(bytes()?),
            "maximum_object_size" => self.draft.disk_object = Some(bytes()?),
            "cache_dir" => return self.cache_dir(number, arguments),
            "refresh_pattern" => return self.refresh_pattern(arguments),
            "server_persistent_connections" => self.upstream.raw("keepalive", (first == Some("on")).to_string()),
            "connect_timeout" => self.upstream.text("connect_timeout", &time("s")?),
            "read_timeout" => self.upstream.text("read_timeout", &time("s")?),
            "write_timeout" => self.upstream.text("write_timeout", &time("s")?),
            "request_timeout" => self.draft.limits.text("head_timeout", &time("s")?),
            "persistent_request_timeout" | "client_idle_pconn_timeout" => {
                self.draft.limits.text("keepalive_timeout", &time("s")?);
            }
            "request_body_max_size" => self.draft.limits.text("body_size", &units::show(bytes()?)),
            "request_header_max_size" => {
                self.draft.limits.text("head_size", &units::show(bytes()?.clamp(1 << 10, 1 << 20)));
            }
            "negative_ttl" => {
                let lifetime = time("s")?;
                self.site.words.raw("lifetimes", format!("{{ \"404\" = \"{lifetime}\", \"410\" = \"{lifetime}\" }}"));
            }
            "cache_effective_user" => self.draft.server.text("user", first.ok_or_else(nonsense)?),
            "access_log" | "cache_access_log" => return self.access_log(arguments),
            "httpd_accel_host" => self.accel.0 = first.filter(|host| *host != "virtual").map(ToOwned::to_owned),
            "httpd_accel_port" => self.accel.1 = first.filter(|port| *port != "0").map(ToOwned::to_owned),
            "httpd_accel_single_host" | "httpd_accel_uses_host_header" | "httpd_accel_with_proxy" => {}
            _ => {
                let known = NEEDLESS.iter().find(|(known, _)| *known == name).map(|(_, why)| (*why).to_owned());
                return Err(known.unwrap_or_else(|| "no counterpart".to_owned()));
            }
        }
        Ok(())
    }

    fn port(&mut self, number: usize, tls: bool, arguments: &[&str]) -> Result<(), String> {
        let [address, options @ ..] = arguments else { return Err("no port".to_owned()) };
        let address = units::listen(address).ok_or("write a numeric address")?;
        let mut is_accel = false;
        for option in options {
            match option.split_once('=') {
                Some(("defaultsite", host)) => {
                    is_accel = true;
                    self.default_site = Some(host.split(':').next().unwrap_or(host).to_owned());
                }
                Some(("cert" | "tls-cert", path)) => {
                    self.site.words.text("certificate", path);
                    if !self.site.words.has("key") {
                        self.site.words.text("key", path);
                    }
                }
                Some(("key" | "tls-key", path)) => self.site.words.text("key", path),
                None if matches!(*option, "accel" | "vhost" | "no-vhost") => is_accel = true,
                _ => self.draft.leave(number, option, "option of a port"),
            }
        }
        if !is_accel && self.accel.0.is_none() && !tls {
            self.draft.leave(number, "forward proxying", "this is a reverse proxy; the port is one for its sites");
        }
        self.draft.listen(address, tls);
        Ok(())
    }

    fn peer(&mut self, number: usize, arguments: &[&str]) -> Result<(), String> {
        let [host, kind, http, icp, options @ ..] = arguments else { return Err("not understood".to_owned()) };
        let host = if host.contains(':') { format!("[{host}]") } else { (*host).to_owned() };
        let mut peer = Peer { http: format!("{host}:{http}"), words: Words::default(), weight: 1, is_origin: false };
        let mut asks = !matches!(*icp, "0" | "7");
        let mut carp = false;
        for option in options {
            match option.split_once('=') {
                Some(("weight", weight)) => peer.weight = weight.parse().map_err(|_| "the weight is no number")?,
                Some(("name", _)) => {}
                None if *option == "originserver" => peer.is_origin = true,
                None if *option == "no-query" => asks = false,
                None if *option == "proxy-only" => peer.words.raw("proxy_only", "true"),
                None if *option == "round-robin" => {}
                None if *option == "carp" => carp = true,
                _ if HARMLESS.contains(option) => {}
                _ => self.draft.leave(number, option, "option of a peer"),
            }
        }
        if asks {
            peer.words.text("icp", &format!("{host}:{icp}"));
        }
        peer.words.text("http", &peer.http);
        match *kind {
            "sibling" if asks => self.draft.peers.push(("[[icp.sibling]]", peer.words)),
            "sibling" => return Err("a sibling that is not asked (digests, HTCP) is of no use here".to_owned()),
            "parent" => {
                if carp {
                    self.icp.text("balance", "hash-uri");
                }
                self.parents.push(peer);
            }
            _ => return Err("neither sibling nor parent".to_owned()),
        }
        Ok(())
    }

    fn http_access(&mut self, arguments: &[&str]) -> Result<(), String> {
        match arguments {
            ["allow" | "deny", "all"] => Ok(()),
            ["allow", names @ ..] => {
                let lists: Vec<_> = names.iter().filter_map(|name| self.acls.get(*name)).collect();
                let is_domains = |list: &&(String, Vec<String>)| list.0 == "dstdomain";
                if lists.len() != names.len() || !lists.iter().all(is_domains) {
                    return Err("access is not restricted here: do it in the firewall, or before".to_owned());
                }
                let domains: Vec<String> = lists.iter().flat_map(|list| list.1.clone()).collect();
                for domain in domains {
                    let domain = domain.to_ascii_lowercase();
                    match domain.strip_prefix('.') {
                        Some(parent) => self.site.hosts.extend([parent.to_owned(), format!("*.{parent}")]),
                        None => self.site.hosts.push(domain),
                    }
                }
                Ok(())
            }
            _ => Err("access is not restricted here: do it in the firewall, or before".to_owned()),
        }
    }

    fn icp_access(&mut self, arguments: &[&str]) -> Result<(), String> {
        match arguments {
            ["allow", "all"] => Err("peers are allowed; name others in icp.allow".to_owned()),
            ["deny", ..] => Ok(()),
            ["allow", name] => {
                let list = self.acls.get(*name).filter(|(kind, _)| kind == "src");
                let (_, networks) = list.ok_or("only lists of addresses are understood")?;
                let sound =
                    |text: &&String| text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok();
                self.icp.raw("allow", list_of(networks.iter().filter(sound)));
                Ok(())
            }
            _ => Err("only lists of addresses are understood".to_owned()),
        }
    }

    fn cache_dir(&mut self, number: usize, arguments: &[&str]) -> Result<(), String> {
        let [kind, path, size, options @ ..] = arguments else { return Err("not understood".to_owned()) };
        if *kind == "null" {
            return Ok(());
        }
        let size =
            size.parse::<u64>().ok().and_then(|size| size.checked_mul(1 << 20)).ok_or("the size is no number")?;
        // A stripe of COSS is a file, or a device; the others are directories with files that are Squid's.
        let parent = if *kind == "coss" { path.rsplit_once('/').map_or("", |(parent, _)| parent) } else { path };
        match &mut self.draft.disk {
            None => self.draft.disk = Some((format!("{}/forebay", parent.trim_end_matches('/')), size)),
            Some((_, total)) => {
                *total += size;
                self.draft.leave(number, path, "one directory for all: its size was added to the first one");
            }
        }
        for option in options.iter().filter(|option| option.contains('=')) {
            match option.split_once('=') {
                Some(("max-size", most)) => {
                    let most: u64 = most.parse().map_err(|_| "max-size is no number")?;
                    let most = self.draft.disk_object.map_or(most, |other| other.max(most));
                    self.draft.disk_object = Some(most);
                }
                _ => self.draft.leave(number, option, "the disk tier is a log of segments: nothing to set"),
            }
        }
        Ok(())
    }

    fn refresh_pattern(&mut self, arguments: &[&str]) -> Result<(), String> {
        let end = if arguments.first() == Some(&"-i") { 5 } else { 4 };
        let (line, options) = arguments.split_at_checked(end).ok_or("not understood")?;
        if line.iter().any(|word| word.starts_with("^ftp:") || word.starts_with("^gopher:")) {
            return Err("only HTTP is spoken".to_owned());
        }
        self.site.patterns.push(line.join(" "));
        if options.is_empty() { Ok(()) } else { Err(format!("the rule is there, without {}", options.join(" "))) }
    }

    fn access_log(&mut self, arguments: &[&str]) -> Result<(), String> {
        let [path, rest @ ..] = arguments else { return Err("not understood".to_owned()) };
        let path = path.split_once(':').map_or(*path, |(_, path)| path);
        if *arguments == ["none"] || path == "none" {
            self.draft.log.text("path", "off");
            return Ok(());
        }
        if !path.starts_with('/') {
            return Err("only files are written to".to_owned());
        }
        self.draft.log.text("path", path);
        let format = rest.iter().map(|word| word.strip_prefix("logformat=").unwrap_or(word)).next().unwrap_or("squid");
        match format {
            "squid" => self.draft.log.text("format", "squid"),
            "combined" | "common" => self.draft.log.text("format", "combined"),
            other => return Err(format!("the format {other} is not there: squid, combined, json are")),
        }
        Ok(())
    }

    fn finish(mut self) -> Draft {
        if let (Some(host), port) = &self.accel {
            let http = format!("{host}:{}", port.as_deref().unwrap_or("80"));
            self.parents.push(Peer { http, words: Words::default(), weight: 1, is_origin: true });
        }
        // Without servers of their own, parents are what the sites are fetched from.
        let has_origin = self.parents.iter().any(|peer| peer.is_origin);
        let (origins, parents): (Vec<_>, Vec<_>) =
            self.parents.into_iter().partition(|peer| peer.is_origin || !has_origin);
        if !origins.is_empty() {
            let upstream = self.draft.upstream("ap");
            upstream.servers =
                origins.into_iter().map(|peer| Server::new(&peer.http, peer.weight.clamp(0, 1000))).collect();
            upstream.words = self.upstream;
            self.site.words.text("upstream", "ap");
        }
        for mut parent in parents {
            if parent.weight != 1 {
                parent.words.raw("weight", parent.weight.to_string());
            }
            self.draft.peers.push(("[[icp.parent]]", parent.words));
        }
        if !self.draft.peers.is_empty() {
            let mut icp = Words::default();
            let ip = self.icp_ip.as_deref().unwrap_or("0.0.0.0");
            icp.text("address", &format!("{ip}:{}", self.icp_port.unwrap_or(3130)));
            icp.extend(&self.icp);
            self.draft.icp = Some(icp);
        }
        if self.site.hosts.is_empty() {
            self.site.hosts.push("*".to_owned());
        } else if let Some(host) = self.default_site.filter(|host| !self.site.hosts.contains(host)) {
            self.site.hosts.push(host);
        }
        if self.draft.listen.is_empty() {
            self.draft.listen("0.0.0.0:80".to_owned(), false);
        }
        self.draft.sites.push(self.site);
        self.draft
    }
}

fn list_of<'a>(items: impl Iterator<Item = &'a String>) -> String {
    list(items.map(String::as_str))
}
