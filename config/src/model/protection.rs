//! Who may do what, and how often: the words stand in `[[site]]` and `[[site.route]]` alike.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// The protection of a site or a route. A route has its site's, with its own words over it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Protection {
    /// `[[site.access]]`, in the order of the file: the first that matches decides; where none does, access is allowed.
    pub access: Vec<AccessRule>,
    /// `[[site.limit]]`: every one that matches holds.
    pub limits: Vec<RequestLimit>,
    /// `[site.suspect]`: what mod_dosdetector does.
    pub suspect: Option<Suspect>,
    /// `[site.auth]`: HTTP Basic authentication (RFC 7617).
    pub auth: Option<Auth>,
    /// `body_size`: largest request content, bytes; 0: no limit. Default: `limits.body_size`.
    pub body_size: Option<u64>,
}

/// `[[site.access]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// `allow` or `deny`: what becomes of clients in `networks`.
    pub allow: bool,
    /// Never empty.
    pub networks: Vec<IpNet>,
    /// Path prefix, or with `$` at the end the whole path. Default: any.
    pub path: Option<String>,
}

/// `[[site.limit]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimit {
    /// Path prefix, or with `$` at the end the whole path. Default: any.
    pub path: Option<String>,
    /// Methods it is for. Default, and empty: any.
    pub methods: Vec<String>,
    /// Who is counted as one.
    pub key: LimitKey,
    /// Requests in a time. At least one of `rate` and `concurrent` is given.
    pub rate: Option<Rate>,
    /// Requests that may come at once. Default: as many as `rate` says; range 1 to 1,000,000.
    pub burst: u32,
    /// What becomes of a request above the rate.
    pub over: Over,
    /// Longest wait of a delayed request; who would wait longer is refused. Default 5 s.
    pub delay: Duration,
    /// Requests of one key that may be served at the same time.
    pub concurrent: Option<u32>,
    /// Clients it is not for.
    pub except: Vec<IpNet>,
}

/// What `key` may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// `"address"`: the client's address; of IPv6 its /64.
    Address,
    /// `"header:NAME"`: the field's value. Who sends none is counted by address. Lower case.
    Header(String),
    /// `"cookie:NAME"`: the cookie's value. Who sends none is counted by address.
    Cookie(String),
    /// `"all"`: everybody together.
    All,
}

/// `"10/s"`, `"300/m"`, `"5/h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1,000,000.
    pub requests: u32,
    /// A second, a minute or an hour.
    pub period: Duration,
}

/// What `action` of a limit may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// 429 with `Retry-After`.
    Refuse,
    /// The request waits for its turn.
    Delay,
}

/// `[site.suspect]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Requests of one client within `period` that make it suspect.
    pub threshold: u32,
    /// Default 10 s.
    pub period: Duration,
    /// How long it stays suspect. Default 60 s.
    pub ban: Duration,
    /// What becomes of its requests meanwhile.
    pub action: Suspicion,
    /// How long `tarpit` holds a request. Default 10 s.
    pub tarpit: Duration,
    /// Paths that are not counted: prefixes, or with `$` at the end whole paths.
    pub ignore: Vec<String>,
    /// Clients that are never suspect.
    pub except: Vec<IpNet>,
}

/// What `action` of `[site.suspect]` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// 429.
    Refuse,
    /// 429, after the client has waited.
    Tarpit,
    /// They are served; an AP server that is asked sees `SuspectDoS: 1`.
    Mark,
}

/// `[site.auth]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// A htpasswd file with bcrypt or argon2 hashes; read and checked by `check`, read again by a reload.
    pub file: PathBuf,
    /// What the browser shows. Default `"Restricted"`.
    pub realm: String,
    /// Whether the AP server sees `Authorization`. Default false.
    pub forward: bool,
}
