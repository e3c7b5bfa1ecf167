//! The resolved configuration: plain data, every default filled in, nothing left to guess.
//!
//! Values of these types have passed every check that needs no socket: names resolve to each other, regular
//! expressions compile, sizes and durations are within their ranges.

mod protection;
mod routing;
mod tcp;

mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use self::upstream::*;

pub use self::protection::{AccessRule, Auth, LimitKey, Over, Protection, Rate, RequestLimit, Suspect, Suspicion};
pub use self::routing::{Action, Condition, Conditions, FieldEdits, Rewriting, Wanted};
pub use self::tcp::{ProxyVersion, Tcp};

/// Everything one configuration file says, defaults included.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[server]`: the process.
    pub server: Server,
    /// `[[listen]]`: the public sockets, in the order of the file. Never empty.
    pub listen: Vec<Listen>,
    /// `[admin]`: the operator's socket. `None` when the table says `off = true`.
    pub admin: Option<Admin>,
    /// `[log]`: the access log.
    pub log: Log,
    /// `[limits]`: deadlines, rates and caps towards clients.
    pub limits: Limits,
    /// `[cache.memory]`: the memory tier.
    pub memory: MemoryTier,
    /// `[cache.disk]`: the disk tier. `None` without that table: stored responses are kept in memory alone.
    pub disk: Option<DiskTier>,
    /// `[icp]`: sibling caches and parents. `None` without that table: nobody is asked, and no UDP port is open.
    pub icp: Option<Icp>,
    /// `[[tcp]]`: connections that are passed on byte by byte.
    pub tcp: Vec<Tcp>,
    /// `[cache.shared]`: what other nodes have stored. `None` without that table.
    pub shared: Option<SharedTier>,
    /// `[cluster]`: other nodes that purges reach. `None` without that table.
    pub cluster: Option<Cluster>,
    /// `[resolver]`: how names of servers are looked up.
    pub resolver: Resolver,
    /// `[[upstream]]`: pools of AP servers.
    pub upstreams: Vec<Upstream>,
    /// `[[site]]`: what is served, in the order of the file. Never empty.
    pub sites: Vec<Site>,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Worker threads. Default 0: one a core.
    pub threads: usize,
    /// Directory for what must outlive a start (spool files). Default `/var/lib/forebay`.
    pub state_dir: PathBuf,
    /// User to become after the sockets are bound. Default: none, stay who we are.
    pub user: Option<String>,
    /// How long requests in flight may go on after SIGTERM. Default 30 s.
    pub drain: Duration,
    /// Addresses whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// Addresses of clients that are told the reason code (`detail` of `Cache-Status`). Default: loopback.
    pub explain_to: Vec<IpNet>,
}

/// `[[listen]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Address and port; `[::]:443` for IPv6; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// Whether connections start with TLS. Default false.
    pub tls: bool,
    /// Whether `h2` is offered by ALPN. Default: as `tls`.
    pub http2: bool,
    /// Whether a PROXY protocol header is expected. Default off.
    pub proxy_protocol: ProxyProtocol,
    /// Addresses a PROXY protocol header is accepted from. Must be given unless `proxy_protocol` is off.
    pub proxy_from: Vec<IpNet>,
}

/// What `proxy_protocol` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Never looked for: a header is a malformed request.
    Off,
    /// Understood when it is there and the peer is one of `proxy_from`.
    Optional,
    /// Connections without it, or from elsewhere, are closed.
    Required,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Default `127.0.0.1:6081`.
    pub address: SocketAddr,
    /// What a purge has to carry. Default none: who reaches the listener may purge.
    pub token: Option<String>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Default `combined+cache`.
    pub format: LogFormat,
    /// Where access log lines go. Default standard output.
    pub target: LogTarget,
    /// Level of the error log on standard error: `error`, `warn`, `info`, `debug`, `trace`. Default `info`.
    pub level: String,
}

/// What `log.format` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// NCSA combined, as nginx and Apache write it.
    Combined,
    /// Combined, then `Cache-Status`'s words, upstream and timings.
    CombinedCache,
    /// Squid's native format.
    Squid,
    /// One JSON object a line.
    Json,
}

/// What `log.path` may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// `"off"`
    Off,
    /// `"-"`
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open client connections, all listeners together. Default 10,000; range 1 to 1,000,000.
    pub connections: usize,
    /// Open connections of one client address (of IPv6: one /64). Default 0: no limit; range to 1,000,000. Not for
    /// `server.trusted_proxies`.
    pub connections_per_client: usize,
    /// A whole request head must have arrived this long after its first byte (after accept, for the first
    /// request of a connection). Default 10 s.
    pub head_timeout: Duration,
    /// A TLS handshake (and a PROXY header before it) must be done after this long. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long an idle keep-alive connection is kept. Default 60 s.
    pub keepalive_timeout: Duration,
    /// Longest pause while request content arrives. Default 60 s.
    pub body_timeout: Duration,
    /// Slowest reader that is served, in bytes a second, averaged over `send_grace`. Default 1 KiB; 0 turns it off.
    pub send_rate_floor: u64,
    /// How long a reader may stay beneath the floor before the connection is closed. Default 30 s.
    pub send_grace: Duration,
    /// Request target, bytes. Default 8 KiB, or `head_size` where that is less (414 above it).
    pub target_size: usize,
    /// Request line and all field lines together, bytes. Default 32 KiB (431 above it).
    pub head_size: usize,
    /// Field lines. Default 100 (431 above it).
    pub fields: usize,
    /// Largest request content, bytes, where the site or route does not say. Default 0: no limit (413 above it).
    pub body_size: u64,
    /// Concurrent streams of one h2 connection. Default 100.
    pub h2_streams: u32,
}

/// `[cache.memory]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryTier {
    /// Bytes for stored responses: fields, content and overhead. Default 256 MiB.
    pub size: u64,
    /// Largest stored response, bytes. Default 8 MiB, or `size` / 4 where that is less; at most `size` / 4.
    pub max_object: u64,
}

/// `[cache.disk]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskTier {
    /// Directory that belongs to the tier alone. Made where it is missing.
    pub path: PathBuf,
    /// Ceiling of all that is in the directory, bytes: overhead and fills in flight included. At least 32 MiB.
    pub size: u64,
    /// Largest stored response, bytes. Default 1 GiB, or `size` / 4 where that is less; at most `size` / 4, and 32 GiB.
    pub max_object: u64,
}

/// `[cache.shared]`: stored responses that all nodes find in Redis or Valkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTier {
    /// Where it is. Default: that of `[cluster]`, with the three words below.
    pub redis: String,
    /// User of Redis' ACL. Default: Redis' default user.
    pub username: Option<String>,
    /// File with the password. Default: none is sent.
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) that Redis' own is checked against. Default: those of the system.
    pub ca: Option<PathBuf>,
    /// Whether it is a Redis Cluster: `redis` is one of its nodes, which names the others. Default: no.
    pub redis_cluster: bool,
    /// Largest content that is written there, bytes. Default 1 MiB; range 1 KiB to 64 MiB.
    pub max_object: u64,
    /// Longest time for which something stays there, fresh or not. Default 1 d; range 1 s to 7 d.
    pub max_lifetime: Duration,
    /// Longest wait of a request for it. Default 25 ms; range 1 ms to 10 s.
    pub deadline: Duration,
}

/// `[cluster]`: purges reach every node through Redis or Valkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// `redis://host:port`, `rediss://` for TLS. Holds no password.
    pub redis: String,
    /// What this node is called. No two nodes of a cluster are called the same.
    pub node: String,
    /// What the keys in Redis begin with. Default `forebay`.
    pub name: String,
    /// User of Redis' ACL. Default: Redis' default user.
    pub username: Option<String>,
    /// File with the password. Default: none is sent.
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) that Redis' own is checked against. Default: those of the system.
    pub ca: Option<PathBuf>,
    /// Longest wait of a purge for the other nodes. Default 1 s; range 50 ms to 30 s.
    pub timeout: Duration,
    /// File with what nodes have in common and Redis must not know, 32 characters at least: keys of session tickets are
    /// sealed with it. Default: none, and every node has ticket keys of its own.
    pub secret_file: Option<PathBuf>,
    /// How long a key seals new tickets; they are taken for as long again. Default 6 h; range 5 s to 24 h.
    pub ticket_rotation: Duration,
}

/// `[icp]`: the Internet Cache Protocol, version 2 (RFC 2186).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Icp {
    /// UDP address to be asked at, and to ask from. Port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// Longest wait for the answers to one question. Default 2 s; range 10 ms to 60 s.
    pub timeout: Duration,
    /// Unanswered questions in a row after which a peer is not waited for. Default 1; range 1 to 1000.
    pub dead_after: u32,
    /// How often a peer that does not answer is asked whether it is back. Default 1 s; range 100 ms to 1 h.
    pub probe: Duration,
    /// Who is answered beside the peers below. Default: nobody.
    pub allow: Vec<IpNet>,
    /// Packets a second that are answered to one peer, and to all others of `allow` together. Default 10,000.
    pub rate: u32,
    /// Which parent takes a miss. Default round robin.
    pub balance: ParentBalance,
    /// `[[icp.sibling]]`: asked for what they have, never to fetch.
    pub siblings: Vec<IcpPeer>,
    /// `[[icp.parent]]`: fetch what no sibling has.
    pub parents: Vec<IcpPeer>,
}

/// `[[icp.sibling]]`, `[[icp.parent]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcpPeer {
    /// Where it is asked. `None`: a parent that is not asked, only used.
    pub icp: Option<SocketAddr>,
    /// Where it is fetched from, as written.
    pub http: String,
    /// What that resolved to.
    pub address: SocketAddr,
    /// Whether what comes from it is handed on without being stored here too. Default false.
    pub proxy_only: bool,
    /// Share of a parent in the misses. Default 1; range 1 to 1000.
    pub weight: u32,
}

/// What `icp.balance` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentBalance {
    /// By turns.
    RoundRobin,
    /// By the hash of the URI and each parent (rendezvous, CARP): one parent a URI.
    HashUri,
}

/// `[[site]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Never empty. No pattern is claimed by two sites.
    pub hosts: Vec<HostPattern>,
    /// Certificate chain and key, both or neither; read and matched against each other by `check`.
    pub certificate: Option<CertificateFiles>,
    /// `client_ca` and its companions: certificates of visitors. Default none: nobody is asked for one.
    pub client_certificate: Option<ClientCertificate>,
    /// Index into [`Config::upstreams`]. `None`: a purely static site (then `root` is given).
    pub upstream: Option<usize>,
    /// Directory of offloaded files. Absolute and existing.
    pub root: Option<PathBuf>,
    /// `sendfile`: whether the kernel sends files as they lie there. Default false.
    pub sendfile: bool,
    /// Names tried for a path that ends in `/`. Default `["index.html"]`.
    pub index: Vec<String>,
    /// The preset the rules below started from.
    pub preset: Option<Preset>,
    /// Codings responses are compressed with, best first. Default `["zstd", "br", "gzip"]`; empty: none.
    pub compress: Vec<Coding>,
    /// Smallest content that is compressed, bytes. Default 1 KiB.
    pub compress_min: u64,
    /// `[site.purge]`: purging on the public side. Default none: nobody may.
    pub purge: Option<SitePurge>,
    /// `keep_tags`: whether clients see the fields by which responses are tagged. Default false.
    pub keep_tags: bool,
    /// `surrogate_capability`: whether the upstream is told that responses can be purged by tag. Default false.
    pub surrogate_capability: bool,
    /// `litespeed`: whether the upstream's LSCache plugin drives this cache, by `X-LiteSpeed-*`. Default false.
    pub litespeed: bool,
    /// How the cache treats this site.
    pub cache: CacheRules,
    /// Who may do what, and how often.
    pub protection: Protection,
    /// `https_redirect`: whether requests without TLS are led to https. Default false.
    pub https_redirect: bool,
    /// `canonical_host`: the one name that requests for the site's others are led to. Lower case.
    pub canonical_host: Option<String>,
    /// Changes of what AP servers are sent.
    pub request_headers: FieldEdits,
    /// Changes of what clients are sent.
    pub response_headers: FieldEdits,
    /// `[[site.route]]`, in the order of the file. Which one takes a request: a whole path, then the longest prefix; of the same path
    /// those with conditions first.
    pub routes: Vec<Route>,
}

/// `[site.purge]`: who may purge by requests to the site itself. At least one of `allow`, `key` and `token` is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePurge {
    /// Addresses of clients that may.
    pub allow: Vec<IpNet>,
    /// A field that others have to send.
    pub key: Option<PurgeKey>,
    /// A bearer token that others have to send.
    pub token: Option<String>,
    /// What `PURGE /` means where nothing else in the request says it. Default the page.
    pub slash: PurgeSlash,
    /// Of purges of more than a URL that do not say it themselves. Default hard.
    pub mode: PurgeMode,
    /// Answer to the purge of a URL that is not cached. Default 200.
    pub not_cached: NotCached,
    /// Paths beneath this one purge what follows it, by GET. Default none.
    pub get_path: Option<String>,
}

/// `key_header` and `key_value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeKey {
    /// Name of the field, in lower case.
    pub header: String,
    /// What it must say.
    pub value: String,
}

/// What `slash` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeSlash {
    /// The page at `/`.
    Page,
    /// The whole host.
    Host,
}

/// What `mode` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeMode {
    /// Never used again.
    Hard,
    /// Stale.
    Soft,
}

/// What `not_cached` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCached {
    /// 200
    Ok = 200,
    /// 404
    NotFound = 404,
    /// 412
    PreconditionFailed = 412,
}

/// Which certificates of visitors are good, and who needs one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// `client_ca`: the authorities that sign them, PEM.
    pub ca: PathBuf,
    /// `client_crl`: those that were revoked, PEM. Default: none is known.
    pub crl: Option<PathBuf>,
    /// `client_certificate`: whether everybody needs one. Default true.
    pub required: bool,
}

/// Certificate chain and private key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Leaf first.
    pub certificate: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// One entry of `hosts`, lower case, without port and trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `www.example.com`
    Exact(String),
    /// `*.example.com`, held as `example.com`: any name beneath it, not the name itself.
    Wildcard(String),
    /// `*`
    Any,
}

/// What `preset` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// WordPress and the plugins that go with it.
    WordPress,
}

/// Content codings Forebay can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coding {
    /// `zstd` (RFC 8878)
    Zstd,
    /// `br` (RFC 7932)
    Brotli,
    /// `gzip` (RFC 1952)
    Gzip,
}

/// How the cache treats a site or a route. The words stand in `[[site]]`; a preset fills them first.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheRules {
    /// `cache = "on" | "off"`. Default on.
    pub enabled: bool,
    /// `set_cookie`. Default refuse.
    pub set_cookie: SetCookie,
    /// `bypass_cookies`: cookie names that make a request pass; a trailing `*` matches any ending.
    pub bypass_cookies: Vec<String>,
    /// `bypass_paths`: path prefixes that make a request pass. One that ends in `$` must match the whole path, one that
    /// begins with `*/` matches beneath any directory.
    pub bypass_paths: Vec<String>,
    /// `bypass_params`: query parameter names that make a request pass; `name=value` must match both.
    pub bypass_params: Vec<String>,
    /// `bypass_fields`: names of request fields that make a request pass, in lower case.
    pub bypass_fields: Vec<String>,
    /// `ignore_params`: query parameters left out of the key; a trailing `*` matches any ending.
    pub ignore_params: Vec<String>,
    /// `ignore_cookies`: names of cookies whose `Set-Cookie` does not keep a response from being stored: it is stored
    /// without. A trailing `*` matches any ending.
    pub ignore_cookies: Vec<String>,
    /// `max_queries`: how many queries of one path are stored at a time. Default none: no limit; 200 by preset.
    pub max_queries: Option<usize>,
    /// `deception_armor`: whether a page (`text/html`) under the name of a file (`/account/x.css`) is kept from being
    /// stored. Default true.
    pub deception_armor: bool,
    /// `leak_canary`: one in so many fills is repeated for nobody and compared. Default none: never.
    pub leak_canary: Option<u64>,
    /// `surrogate_control`: whether `Surrogate-Control` of the upstream is obeyed in place of `Cache-Control`, where no
    /// `CDN-Cache-Control` is. Default false: it is for origins that are meant to speak to surrogates.
    pub surrogate_control: bool,
    /// `sort_query`: whether the order of query parameters is left out of the key. Default false; true by preset.
    pub sort_query: bool,
    /// `drop_cookies`: whether a request that uses the cache is forwarded without `Cookie`. Default false; true by
    /// preset (requests whose cookies matter are passed, with all their cookies, by `bypass_cookies`).
    pub drop_cookies: bool,
    /// `lifetimes = { "200" = "1h", "404" = "60s" }`: freshness lifetime by status where the response gives none and no
    /// `refresh_pattern` matches (nginx's `proxy_cache_valid`).
    pub lifetimes: Vec<(u16, Duration)>,
    /// `max_lifetime`: ceiling of any freshness lifetime, the response's own included. Default none; 10 h by the
    /// wordpress preset (a nonce in a page lives 12 to 24 h).
    pub max_lifetime: Option<Duration>,
    /// `stale_while_revalidate`: used where the response gives none. Default 0; 24 h by preset.
    pub stale_while_revalidate: Duration,
    /// `stale_if_error`: used where the response gives none. Default 0; 24 h by preset.
    pub stale_if_error: Duration,
    /// `[[site.refresh_pattern]]`: first match wins.
    pub refresh_patterns: Vec<RefreshPattern>,
}

/// What `set_cookie` may say: what becomes of a response with `Set-Cookie`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetCookie {
    /// It is not stored.
    Refuse,
    /// It is stored without the field (the client that caused the fill gets the field).
    Strip,
    /// It is stored as RFC 9111 section 7.3 allows.
    Rfc,
}

/// `[[site.refresh_pattern]]`: Squid's words and rules.
#[derive(Debug, Clone, PartialEq)]
pub struct RefreshPattern {
    /// Regular expression, searched in the absolute URL (`http://host/path?query`). Compiles.
    pub pattern: String,
    /// `ignore_case` (Squid's `-i`). Default false.
    pub ignore_case: bool,
    /// Fresh while younger than this, where the response gives no lifetime.
    pub min: Duration,
    /// Share of the age of `Last-Modified` a response stays fresh, in percent.
    pub percent: u32,
    /// Ceiling of the share above.
    pub max: Duration,
}

/// `[[site.route]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Path prefix, begins with `/`; with `$` at the end the whole path.
    pub path: String,
    /// What a request must be beyond that.
    pub conditions: Conditions,
    /// `client_certificate`: whether only visitors with a certificate may use it. Default: as the site says.
    pub client_certificate: Option<bool>,
    /// Directory of offloaded files. Default: the site's.
    pub root: Option<PathBuf>,
    /// Index into [`Config::upstreams`]. Default: the site's.
    pub upstream: Option<usize>,
    /// Whether files beneath `root` are offloaded here. Default true where the site has a root.
    pub offload: bool,
    /// The site's rules with this route's words over them.
    pub cache: CacheRules,
    /// The site's protection with this route's words over it.
    pub protection: Protection,
    /// What upstream and root see in place of the path.
    pub rewriting: Rewriting,
    /// What is answered without them.
    pub action: Option<Action>,
    /// Changes of what AP servers are sent, after those of the site.
    pub request_headers: FieldEdits,
    /// Changes of what clients are sent, after those of the site.
    pub response_headers: FieldEdits,
}
