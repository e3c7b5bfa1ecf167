//! `[[upstream]]`: pools of servers.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::CertificateFiles;

/// `[[upstream]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// What sites call it by.
    pub name: String,
    /// Default round robin.
    pub balance: Balance,
    /// `hash_name`: the header or cookie that is hashed. Given with `hash-header` and `hash-cookie`, and with these alone.
    pub hash_name: Option<String>,
    /// `hash_balance_factor`: how much of its fair share a server may have in flight before hashing moves on to the next,
    /// in percent. Default 150; 0 for any, else 101 to 10,000.
    pub hash_balance_factor: u32,
    /// `protocol`: what is spoken. Default HTTP/1.1.
    pub protocol: UpstreamProtocol,
    /// Whether connections are kept for further requests. Default false: `Connection: close` on each.
    pub keepalive: bool,
    /// Never empty.
    pub servers: Vec<UpstreamServer>,
    /// Local address that connections come from. Default: the kernel's choice.
    pub source: Option<IpAddr>,
    /// `queue`: requests that may wait for a server with room. Default 256; 0: none waits.
    pub queue: usize,
    /// How long one may wait for that. Default 5 s.
    pub queue_timeout: Duration,
    /// `max_fails`: exchanges that fail one after the other before a server is asked last. Default 3; 0: never.
    pub max_fails: u32,
    /// `fail_timeout`: for how long, the first time; twice as long each time after. Default 10 s.
    pub fail_timeout: Duration,
    /// `slow_start`: how long a server takes to get back to its full share after it recovered. Default 0.
    pub slow_start: Duration,
    /// `health`: how servers are asked whether they are well. Default: they are not asked.
    pub health: Option<Health>,
    /// `sticky`: how a session stays with its server. Default: it does not.
    pub sticky: Option<Sticky>,
    /// `tls`: whether, and how, servers are spoken to by TLS. Default: they are not.
    pub tls: Option<UpstreamTls>,
    /// `drain_timeout`: how long a server that is drained still gets the requests of its sessions. Default 30 min.
    pub drain_timeout: Duration,
    /// `max_requests`: requests that all servers together work on at a time. Default none: no limit; range 1 to 1,000,000.
    pub max_requests: Option<usize>,
    /// `bots`: words of `User-Agent` whose requests wait behind those of people. Default: [`BOTS`].
    pub bots: Vec<String>,
    /// Default 5 s.
    pub connect_timeout: Duration,
    /// Longest pause while a response arrives, and to its first byte. Default 60 s.
    pub read_timeout: Duration,
    /// Longest pause while a request is sent. Default 60 s.
    pub write_timeout: Duration,
}

impl Upstream {
    /// A pool of this name with every default.
    #[must_use]
    pub fn new(name: &str, servers: Vec<UpstreamServer>) -> Self {
        Self {
            name: name.to_owned(),
            balance: Balance::RoundRobin,
            hash_name: None,
            hash_balance_factor: 150,
            protocol: UpstreamProtocol::Http1,
            keepalive: false,
            servers,
            source: None,
            queue: 256,
            queue_timeout: Duration::from_secs(5),
            max_fails: 3,
            fail_timeout: Duration::from_secs(10),
            slow_start: Duration::ZERO,
            health: None,
            sticky: None,
            tls: None,
            drain_timeout: Duration::from_secs(1800),
            max_requests: None,
            bots: BOTS.iter().map(|bot| (*bot).to_owned()).collect(),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
        }
    }
}

impl UpstreamServer {
    /// A server that resolved to these addresses, with every default but its weight.
    #[must_use]
    pub fn new(address: &str, resolved: Vec<SocketAddr>, weight: u32) -> Self {
        Self { address: address.to_owned(), name: None, resolved, weight, max_connections: 0, backup: false }
    }
}

/// `[resolver]`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resolver {
    /// `servers`: who is asked. Empty, the default: the system's files say it (`/etc/resolv.conf`, `/etc/hosts`).
    pub servers: Vec<SocketAddr>,
    /// `min_ttl`: a name is not looked up more often, whatever its TTL. Default 1 s; range 100 ms to 1 h.
    pub min_ttl: Duration,
    /// `max_ttl`: nor more seldom. Default 5 min; range 100 ms to 24 h, `min_ttl` at least.
    pub max_ttl: Duration,
    /// `timeout`: longest wait for a name server. Default 2 s; range 10 ms to 30 s.
    pub timeout: Duration,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(300),
            timeout: Duration::from_secs(2),
        }
    }
}

/// What is looked up to find servers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// `host:port`: each address of the host (A, AAAA) is a server.
    Host {
        /// The host.
        host: String,
        /// The port of each.
        port: u16,
    },
    /// `srv:_service._proto.domain`: hosts, ports and shares are looked up as well (RFC 2782).
    Service(String),
}

/// What `protocol` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 where a server offers it by ALPN, HTTP/1.1 otherwise. There is a [`Upstream::tls`] then.
    H2,
}

/// What `balance` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin, as nginx does it.
    RoundRobin,
    /// The server with the fewest requests in flight for its weight.
    LeastConnections,
    /// The better of two servers drawn by lot.
    RandomTwo,
    /// The server that is expected to answer first.
    LeastTime,
    /// The first server that has room, in the order of the file.
    First,
    /// By path and query.
    HashUri,
    /// By the client's address.
    HashClient,
    /// By a header of the request.
    HashHeader,
    /// By a cookie of the request.
    HashCookie,
}

/// `health`: what a server is asked, and what its answers mean.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Health {
    /// What is asked.
    pub check: Check,
    /// From one check to the next. Default 3 s.
    pub interval: Duration,
    /// How far an interval may be from that, either way. Default a tenth of it, and at most half of it.
    pub jitter: Duration,
    /// How long the whole check may take. Default 2 s.
    pub timeout: Duration,
    /// Good checks one after the other that bring a server back. Default 2; range 1 to 100.
    pub rise: u32,
    /// Failed checks one after the other that take it out. Default 3; range 1 to 100.
    pub fall: u32,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Check {
    /// `tcp = true`: a connection, and the TLS handshake where the upstream has one.
    Tcp,
    /// A request.
    Http {
        /// `GET`, `HEAD` or `OPTIONS`. Default `GET`.
        method: String,
        /// `path`, with a query if need be.
        path: String,
        /// `host`: the value of Host. Default: the server's address.
        host: Option<String>,
        /// `status`: ranges of statuses that are good, first and last. Default 200 to 399.
        status: Vec<(u16, u16)>,
        /// `body`: a regular expression that the beginning of the content must match. Compiles. Default none.
        body: Option<String>,
    },
}

/// `sticky`: what ties a session to its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// `cookie`: one of our own, put into answers that are for one client alone.
    Inserted {
        /// Its name.
        name: String,
        /// `key_file`: the key it is signed with, 32 bytes or more, for several instances. Default: one of our own
        /// beneath `state_dir`.
        key_file: Option<PathBuf>,
    },
    /// `application_cookie`: one that the application sets.
    Application {
        /// Its name.
        name: String,
    },
}

/// `tls` of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name asked for by SNI, and verified. Default: the host of the server's address.
    pub server_name: Option<String>,
    /// `ca`: certificates to trust instead of the system's, PEM.
    pub ca: Option<PathBuf>,
    /// `certificate` and `key`: what we show who asks for it.
    pub client: Option<CertificateFiles>,
    /// Whether the server's certificate is verified. Default true.
    pub verify: bool,
}

/// One entry of `servers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// `host:port` as written; `[v6]:port` for IPv6; `srv:` and a name.
    pub address: String,
    /// What has to be looked up again and again. `None`: it is an address.
    pub name: Option<ServerName>,
    /// What it resolved to when the file was checked. Empty for a service, and where `[resolver]` names who is asked.
    pub resolved: Vec<SocketAddr>,
    /// Share of requests. Default 1; range 0 to 1000; 0 takes none. At least one server of a pool is above 0.
    pub weight: u32,
    /// `max_connections`: requests it may have in flight. Default 0: any number.
    pub max_connections: u32,
    /// `backup`: asked while no other can be. Default false.
    pub backup: bool,
}

/// What programs call themselves by.
pub const BOTS: [&str; 20] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "scrapy",
    "archiver",
    "curl/",
    "wget/",
    "python-",
    "go-http-client",
    "java/",
    "libwww-perl",
    "headlesschrome",
    "facebookexternalhit",
    "mediapartners",
    "feedfetcher",
    "monitor",
    "wordpress/",
    "preload",
    "+http",
];
