//! The model back into text: `forebay check --dump`, like `nginx -T`.

mod protection;
mod routing;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::model::{
    CacheRules, Check, Cluster, Config, Health, Icp, IcpPeer, Limits, Listen, LogTarget, ProxyProtocol, RefreshPattern,
    Resolver, Route, ServerName, SharedTier, Site, SitePurge, Sticky, Tcp, Upstream, UpstreamServer, UpstreamTls,
};
use crate::preset;
use crate::read::{
    BALANCE, CLIENT_CERTIFICATE, FORMATS, MODE, PARENT_BALANCE, PRESETS, PROTOCOL, PROXY_PROTOCOL, PROXY_VERSION,
    SET_COOKIE, SLASH, show_status,
};
use crate::values::coding::CODINGS;
use crate::values::{choice, duration, host_pattern, size};

impl Config {
    /// The configuration as TOML, every default written out. It parses to the same `Config` again, as long as host names
    /// resolve to the same addresses.
    ///
    /// The rules a preset filled in are written out as well; a route has those of its rules that differ from its site's.
    pub fn to_toml(&self) -> String {
        let mut out = Text::default();
        out.header("[server]");
        out.word("threads", self.server.threads);
        out.string("state_dir", &self.server.state_dir.to_string_lossy());
        if let Some(user) = &self.server.user {
            out.string("user", user);
        }
        out.duration("drain", self.server.drain);
        out.list("trusted_proxies", self.server.trusted_proxies.iter().map(ToString::to_string));
        out.list("explain_to", self.server.explain_to.iter().map(ToString::to_string));
        for listen in &self.listen {
            write_listen(listen, &mut out);
        }
        out.header("[admin]");
        match &self.admin {
            Some(admin) => {
                out.string("address", &admin.address.to_string());
                if let Some(token) = &admin.token {
                    out.string("token", token);
                }
            }
            None => out.word("off", true),
        }
        out.header("[log]");
        out.string("format", choice::word(self.log.format, &FORMATS));
        out.string(
            "path",
            &match &self.log.target {
                LogTarget::Off => "off".into(),
                LogTarget::Stdout => "-".into(),
                LogTarget::File(path) => path.to_string_lossy(),
            },
        );
        out.string("level", &self.log.level);
        write_limits(&self.limits, &mut out);
        out.header("[cache.memory]");
        out.size("size", self.memory.size);
        out.size("max_object", self.memory.max_object);
        if let Some(disk) = &self.disk {
            out.header("[cache.disk]");
            out.string("path", &disk.path.to_string_lossy());
            out.size("size", disk.size);
            out.size("max_object", disk.max_object);
        }
        if let Some(icp) = &self.icp {
            write_icp(icp, &mut out);
        }
        if let Some(shared) = &self.shared {
            write_shared(shared, &mut out);
        }
        if let Some(cluster) = &self.cluster {
            write_cluster(cluster, &mut out);
        }
        write_resolver(&self.resolver, &mut out);
        for upstream in &self.upstreams {
            write_upstream(upstream, &mut out);
        }
        for tcp in &self.tcp {
            self.write_tcp(tcp, &mut out);
        }
        for site in &self.sites {
            self.write_site(site, &mut out);
        }
        out.0
    }

    fn write_site(&self, site: &Site, out: &mut Text) {
        out.header("[[site]]");
        out.list("hosts", site.hosts.iter().map(host_pattern::show));
        if let Some(files) = &site.certificate {
            out.string("certificate", &files.certificate.to_string_lossy());
            out.string("key", &files.key.to_string_lossy());
        }
        if let Some(clients) = &site.client_certificate {
            out.string("client_ca", &clients.ca.to_string_lossy());
            if let Some(crl) = &clients.crl {
                out.string("client_crl", &crl.to_string_lossy());
            }
            out.string("client_certificate", choice::word(clients.required, &CLIENT_CERTIFICATE));
        }
        self.write_upstream_name(site.upstream, out);
        if let Some(root) = &site.root {
            out.string("root", &root.to_string_lossy());
        }
        out.list("index", site.index.iter().cloned());
        out.word("sendfile", site.sendfile);
        if let Some(preset) = site.preset {
            out.string("preset", choice::word(preset, &PRESETS));
        }
        out.list("compress", site.compress.iter().map(|coding| choice::word(*coding, &CODINGS).to_owned()));
        out.size("compress_min", site.compress_min);
        out.word("keep_tags", site.keep_tags);
        out.word("surrogate_capability", site.surrogate_capability);
        out.word("litespeed", site.litespeed);
        write_rules(&site.cache, None, out);
        protection::write(&site.protection, &preset::protection(site.preset), true, out);
        if site.https_redirect {
            out.word("https_redirect", true);
        }
        if let Some(host) = &site.canonical_host {
            out.string("canonical_host", host);
        }
        routing::edits("request_headers", &site.request_headers, out);
        routing::edits("response_headers", &site.response_headers, out);
        if let Some(purge) = &site.purge {
            write_purge(purge, out);
        }
        for route in &site.routes {
            self.write_route(route, site, out);
        }
    }

    fn write_route(&self, route: &Route, site: &Site, out: &mut Text) {
        out.header("[[site.route]]");
        out.string("path", &route.path);
        routing::conditions(&route.conditions, out);
        if let Some(required) = route.client_certificate {
            out.string("client_certificate", choice::word(required, &CLIENT_CERTIFICATE));
        }
        if route.upstream != site.upstream {
            self.write_upstream_name(route.upstream, out);
        }
        if let Some(root) = route.root.as_ref().filter(|root| Some(*root) != site.root.as_ref()) {
            out.string("root", &root.to_string_lossy());
        }
        out.word("offload", route.offload);
        let mut base = site.cache.clone();
        base.enabled &= !route.conditions.ask_more_than_the_key();
        write_rules(&route.cache, Some(&base), out);
        protection::write(&route.protection, &site.protection, false, out);
        routing::rewriting(&route.rewriting, out);
        routing::action(route.action.as_ref(), out);
        routing::edits("request_headers", &route.request_headers, out);
        routing::edits("response_headers", &route.response_headers, out);
    }

    fn write_tcp(&self, tcp: &Tcp, out: &mut Text) {
        out.header("[[tcp]]");
        out.string("listen", &tcp.listen.to_string());
        self.write_upstream_name(Some(tcp.upstream), out);
        if !tcp.sni.is_empty() {
            out.list("sni", tcp.sni.iter().map(host_pattern::show));
        }
        out.string("send_proxy", choice::word(tcp.send_proxy, &PROXY_VERSION));
        if tcp.proxy_protocol != ProxyProtocol::Off {
            out.string("proxy_protocol", choice::word(tcp.proxy_protocol, &PROXY_PROTOCOL));
        }
        out.list("proxy_from", tcp.proxy_from.iter().map(ToString::to_string));
        out.duration("idle_timeout", tcp.idle_timeout);
        out.word("connections", tcp.connections);
    }

    fn write_upstream_name(&self, index: Option<usize>, out: &mut Text) {
        if let Some(upstream) = index.and_then(|index| self.upstreams.get(index)) {
            out.string("upstream", &upstream.name);
        }
    }
}

fn write_purge(purge: &SitePurge, out: &mut Text) {
    out.header("[site.purge]");
    out.list("allow", purge.allow.iter().map(ToString::to_string));
    if let Some(key) = &purge.key {
        out.string("key_header", &key.header);
        out.string("key_value", &key.value);
    }
    if let Some(token) = &purge.token {
        out.string("token", token);
    }
    out.string("slash", choice::word(purge.slash, &SLASH));
    out.string("mode", choice::word(purge.mode, &MODE));
    out.word("not_cached", purge.not_cached as u16);
    if let Some(path) = &purge.get_path {
        out.string("get_path", path);
    }
}

fn write_listen(listen: &Listen, out: &mut Text) {
    out.header("[[listen]]");
    out.string("address", &listen.address.to_string());
    out.word("tls", listen.tls);
    out.word("http2", listen.http2);
    out.string("proxy_protocol", choice::word(listen.proxy_protocol, &PROXY_PROTOCOL));
    out.list("proxy_from", listen.proxy_from.iter().map(ToString::to_string));
}

fn write_limits(limits: &Limits, out: &mut Text) {
    out.header("[limits]");
    out.word("connections", limits.connections);
    out.word("connections_per_client", limits.connections_per_client);
    out.duration("head_timeout", limits.head_timeout);
    out.duration("handshake_timeout", limits.handshake_timeout);
    out.duration("keepalive_timeout", limits.keepalive_timeout);
    out.duration("body_timeout", limits.body_timeout);
    out.size("send_rate_floor", limits.send_rate_floor);
    out.duration("send_grace", limits.send_grace);
    out.size("target_size", limits.target_size as u64);
    out.size("head_size", limits.head_size as u64);
    out.word("fields", limits.fields);
    out.size("body_size", limits.body_size);
    out.word("h2_streams", limits.h2_streams);
}

/// How a Redis is logged in to, and its certificate checked.
fn write_redis_access(username: Option<&str>, password_file: Option<&Path>, ca: Option<&Path>, out: &mut Text) {
    if let Some(username) = username {
        out.string("username", username);
    }
    for (word, path) in [("password_file", password_file), ("ca", ca)] {
        if let Some(path) = path {
            out.string(word, &path.to_string_lossy());
        }
    }
}

fn write_shared(shared: &SharedTier, out: &mut Text) {
    out.header("[cache.shared]");
    out.string("redis", &shared.redis);
    write_redis_access(shared.username.as_deref(), shared.password_file.as_deref(), shared.ca.as_deref(), out);
    out.word("redis_cluster", shared.redis_cluster);
    out.size("max_object", shared.max_object);
    out.duration("max_lifetime", shared.max_lifetime);
    out.duration("deadline", shared.deadline);
}

fn write_cluster(cluster: &Cluster, out: &mut Text) {
    out.header("[cluster]");
    out.string("redis", &cluster.redis);
    out.string("node", &cluster.node);
    out.string("name", &cluster.name);
    write_redis_access(cluster.username.as_deref(), cluster.password_file.as_deref(), cluster.ca.as_deref(), out);
    out.duration("timeout", cluster.timeout);
    if let Some(path) = &cluster.secret_file {
        out.string("secret_file", &path.to_string_lossy());
    }
    out.duration("ticket_rotation", cluster.ticket_rotation);
}

fn write_icp(icp: &Icp, out: &mut Text) {
    out.header("[icp]");
    out.string("address", &icp.address.to_string());
    out.duration("timeout", icp.timeout);
    out.word("dead_after", icp.dead_after);
    out.duration("probe", icp.probe);
    out.list("allow", icp.allow.iter().map(ToString::to_string));
    out.word("rate", icp.rate);
    out.string("balance", choice::word(icp.balance, &PARENT_BALANCE));
    for sibling in &icp.siblings {
        out.header("[[icp.sibling]]");
        write_peer(sibling, out);
    }
    for parent in &icp.parents {
        out.header("[[icp.parent]]");
        write_peer(parent, out);
        out.word("weight", parent.weight);
    }
}

fn write_peer(peer: &IcpPeer, out: &mut Text) {
    if let Some(icp) = peer.icp {
        out.string("icp", &icp.to_string());
    }
    out.string("http", &peer.http);
    out.word("proxy_only", peer.proxy_only);
}

fn write_resolver(resolver: &Resolver, out: &mut Text) {
    out.header("[resolver]");
    out.list("servers", resolver.servers.iter().map(ToString::to_string));
    out.duration("min_ttl", resolver.min_ttl);
    out.duration("max_ttl", resolver.max_ttl);
    out.duration("timeout", resolver.timeout);
}

fn write_upstream(upstream: &Upstream, out: &mut Text) {
    out.header("[[upstream]]");
    out.string("name", &upstream.name);
    out.string("balance", choice::word(upstream.balance, &BALANCE));
    if let Some(name) = &upstream.hash_name {
        out.string("hash_name", name);
    }
    out.word("hash_balance_factor", upstream.hash_balance_factor);
    out.string("protocol", choice::word(upstream.protocol, &PROTOCOL));
    out.word("keepalive", upstream.keepalive);
    out.array("servers", upstream.servers.iter().map(server));
    if let Some(source) = upstream.source {
        out.string("source", &source.to_string());
    }
    out.word("queue", upstream.queue);
    out.duration("queue_timeout", upstream.queue_timeout);
    out.word("max_fails", upstream.max_fails);
    out.duration("fail_timeout", upstream.fail_timeout);
    out.duration("slow_start", upstream.slow_start);
    if let Some(health) = &upstream.health {
        out.word("health", self::health(health));
    }
    match &upstream.sticky {
        Some(Sticky::Inserted { name, key_file }) => {
            let key_file = key_file.as_ref().map(|file| format!(", key_file = {}", quote(&file.to_string_lossy())));
            out.word("sticky", format!("{{ cookie = {}{} }}", quote(name), key_file.unwrap_or_default()));
        }
        Some(Sticky::Application { name }) => {
            out.word("sticky", format!("{{ application_cookie = {} }}", quote(name)));
        }
        None => {}
    }
    if let Some(tls) = &upstream.tls {
        out.word("tls", upstream_tls(tls));
    }
    out.duration("drain_timeout", upstream.drain_timeout);
    match upstream.max_requests {
        Some(most) => out.word("max_requests", most),
        None => out.string("max_requests", "none"),
    }
    out.list("bots", upstream.bots.iter().cloned());
    out.duration("connect_timeout", upstream.connect_timeout);
    out.duration("read_timeout", upstream.read_timeout);
    out.duration("write_timeout", upstream.write_timeout);
}

fn health(health: &Health) -> String {
    let mut words = match &health.check {
        Check::Tcp => vec!["tcp = true".to_owned()],
        Check::Http { method, path, host, status, body } => {
            let mut words = vec![format!("path = {}, method = {}", quote(path), quote(method))];
            words.extend(host.as_ref().map(|host| format!("host = {}", quote(host))));
            words.push(format!("status = {}", quote(&show_status(status))));
            words.extend(body.as_ref().map(|body| format!("body = {}", quote(body))));
            words
        }
    };
    let times = [("interval", health.interval), ("jitter", health.jitter), ("timeout", health.timeout)];
    words.extend(times.map(|(word, time)| format!("{word} = {}", quote(&duration::show(time)))));
    words.push(format!("rise = {}, fall = {}", health.rise, health.fall));
    format!("{{ {} }}", words.join(", "))
}

fn upstream_tls(tls: &UpstreamTls) -> String {
    let mut words = Vec::new();
    let mut path = |word, path: &Path| words.push(format!("{word} = {}", quote(&path.to_string_lossy())));
    if let Some(ca) = &tls.ca {
        path("ca", ca);
    }
    if let Some(files) = &tls.client {
        path("certificate", &files.certificate);
        path("key", &files.key);
    }
    words.extend(tls.server_name.as_ref().map(|name| format!("server_name = {}", quote(name))));
    words.push(format!("verify = {}", tls.verify));
    format!("{{ {} }}", words.join(", "))
}

/// An entry of `servers`; what is rare stands there only where it is.
fn server(server: &UpstreamServer) -> String {
    let mut text = format!("{{ address = {}", quote(&server.address));
    // Shares in a service are for its records to say.
    if !matches!(server.name, Some(ServerName::Service(_))) {
        let _ = write!(text, ", weight = {}", server.weight);
    }
    // Writing to a string cannot fail.
    if server.max_connections > 0 {
        let _ = write!(text, ", max_connections = {}", server.max_connections);
    }
    if server.backup {
        text.push_str(", backup = true");
    }
    text + " }"
}

/// The rules that differ from `base`; all of them where there is none.
fn write_rules(rules: &CacheRules, base: Option<&CacheRules>, out: &mut Text) {
    let differs = |same: fn(&CacheRules, &CacheRules) -> bool| base.is_none_or(|base| !same(rules, base));
    if differs(|a, b| a.enabled == b.enabled) {
        out.string("cache", if rules.enabled { "on" } else { "off" });
    }
    if differs(|a, b| a.set_cookie == b.set_cookie) {
        out.string("set_cookie", choice::word(rules.set_cookie, &SET_COOKIE));
    }
    if differs(|a, b| a.bypass_cookies == b.bypass_cookies) {
        out.list("bypass_cookies", rules.bypass_cookies.iter().cloned());
    }
    if differs(|a, b| a.bypass_paths == b.bypass_paths) {
        out.list("bypass_paths", rules.bypass_paths.iter().cloned());
    }
    if differs(|a, b| a.bypass_params == b.bypass_params) {
        out.list("bypass_params", rules.bypass_params.iter().cloned());
    }
    if differs(|a, b| a.bypass_fields == b.bypass_fields) {
        out.list("bypass_fields", rules.bypass_fields.iter().cloned());
    }
    if differs(|a, b| a.ignore_params == b.ignore_params) {
        out.list("ignore_params", rules.ignore_params.iter().cloned());
    }
    if differs(|a, b| a.ignore_cookies == b.ignore_cookies) {
        out.list("ignore_cookies", rules.ignore_cookies.iter().cloned());
    }
    if differs(|a, b| a.max_queries == b.max_queries) {
        match rules.max_queries {
            Some(most) => out.word("max_queries", most),
            None => out.string("max_queries", "none"),
        }
    }
    if differs(|a, b| a.deception_armor == b.deception_armor) {
        out.word("deception_armor", rules.deception_armor);
    }
    if differs(|a, b| a.leak_canary == b.leak_canary) {
        match rules.leak_canary {
            Some(one_in) => out.word("leak_canary", one_in),
            None => out.string("leak_canary", "off"),
        }
    }
    if differs(|a, b| a.surrogate_control == b.surrogate_control) {
        out.word("surrogate_control", rules.surrogate_control);
    }
    if differs(|a, b| a.sort_query == b.sort_query) {
        out.word("sort_query", rules.sort_query);
    }
    if differs(|a, b| a.drop_cookies == b.drop_cookies) {
        out.word("drop_cookies", rules.drop_cookies);
    }
    if differs(|a, b| a.lifetimes == b.lifetimes) {
        let entries = rules.lifetimes.iter();
        let entries = entries.map(|(status, lifetime)| format!("\"{status}\" = {}", quote(&duration::show(*lifetime))));
        let entries = entries.collect::<Vec<_>>().join(", ");
        out.word("lifetimes", if entries.is_empty() { "{}".to_owned() } else { format!("{{ {entries} }}") });
    }
    if differs(|a, b| a.max_lifetime == b.max_lifetime) {
        match rules.max_lifetime {
            Some(lifetime) => out.duration("max_lifetime", lifetime),
            None => out.string("max_lifetime", "none"),
        }
    }
    if differs(|a, b| a.stale_while_revalidate == b.stale_while_revalidate) {
        out.duration("stale_while_revalidate", rules.stale_while_revalidate);
    }
    if differs(|a, b| a.stale_if_error == b.stale_if_error) {
        out.duration("stale_if_error", rules.stale_if_error);
    }
    if differs(|a, b| a.refresh_patterns == b.refresh_patterns) {
        out.array("refresh_pattern", rules.refresh_patterns.iter().map(refresh_pattern));
    }
}

fn refresh_pattern(rule: &RefreshPattern) -> String {
    format!(
        "{{ pattern = {}, ignore_case = {}, min = {}, percent = {}, max = {} }}",
        quote(&rule.pattern),
        rule.ignore_case,
        quote(&duration::show(rule.min)),
        rule.percent,
        quote(&duration::show(rule.max)),
    )
}

/// A string in the quotes it needs.
fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The text so far.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Widest line of a list of names.
    const WIDTH: usize = 100;

    fn header(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.line(header);
    }

    fn word(&mut self, word: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{word} = {value}");
    }

    fn string(&mut self, word: &str, value: &str) {
        self.word(word, quote(value));
    }

    fn duration(&mut self, word: &str, value: Duration) {
        self.string(word, &duration::show(value));
    }

    fn size(&mut self, word: &str, value: u64) {
        self.string(word, &size::show(value));
    }

    /// An array with an element on each line.
    fn array(&mut self, word: &str, elements: impl Iterator<Item = String>) {
        let elements: Vec<String> = elements.map(|element| format!("  {element},")).collect();
        self.lines(word, &elements);
    }

    /// An array of strings, as many on a line as there is room for.
    fn list(&mut self, word: &str, elements: impl Iterator<Item = String>) {
        let quoted: Vec<String> = elements.map(|element| quote(&element)).collect();
        let flat = quoted.join(", ");
        if word.len() + flat.len() <= Self::WIDTH {
            return self.word(word, format!("[{flat}]"));
        }
        let mut lines: Vec<String> = Vec::new();
        for element in quoted {
            match lines.last_mut() {
                Some(line) if line.len() + element.len() < Self::WIDTH => {
                    line.push(' ');
                    line.push_str(&element);
                    line.push(',');
                }
                _ => lines.push(format!("  {element},")),
            }
        }
        self.lines(word, &lines);
    }

    fn lines(&mut self, word: &str, lines: &[String]) {
        if lines.is_empty() {
            return self.word(word, "[]");
        }
        self.word(word, "[");
        for line in lines {
            self.line(line);
        }
        self.line("]");
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}
