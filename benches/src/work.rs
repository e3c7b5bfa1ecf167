//! What is measured, and which goals stand over it.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use crate::load::{self, Load, Urls};
use crate::peer::{Peer, Server};
use crate::result::Sample;
use crate::setting::{KIB, Setting};
use crate::{Error, Result};

/// How long a server may go on working after the load has ended, before its time is read.
const SETTLE: Duration = Duration::from_millis(100);

/// How many times that is waited for, at most, while the origin server is still asked.
const WARM: u32 = 50;

/// Whether the origin server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Never, once warm.
    Never,
    /// By every request.
    Always,
}

/// Where stored responses are. Servers of either kind are processes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kept {
    /// As a site has it: in memory, or in files that are read into a buffer of the server's.
    Memory,
    /// In files that the page cache holds, with next to no memory of the server's, and `sendfile` where it has that.
    Disk,
}

/// One kind of request, made again and again.
#[derive(Debug)]
pub struct Work {
    /// As the table calls it.
    pub name: &'static str,
    /// How it is asked for.
    pub load: Load,
    /// Least bytes a response has, head included: a wrong answer is noticed by being too short.
    pub least_bytes: usize,
    /// Whether the origin server is asked.
    pub asks: Asks,
    /// What the servers keep it in.
    pub kept: Kept,
    /// Who can do it.
    pub peers: &'static [Peer],
    /// Of these, whom `make bench` measures.
    pub usual: &'static [Peer],
    /// At most this share of that peer's CPU time is the goal.
    pub goals: &'static [(Peer, f64)],
    /// At most this share of our own CPU time for a plain hit (the first work) is the goal.
    pub goal_over_hit: Option<f64>,
}

use Peer::{Floor, Forebay, H2o, Haproxy, Nginx, Squid, TrafficServer, Varnish};

const PLAIN: Load =
    Load { tls: false, resumes: false, h2: false, l4: false, path: "/1k.png", urls: Urls::One, fields: &[] };
const CACHES: &[Peer] = &[Forebay, Nginx, Varnish, Haproxy, Squid, TrafficServer];
const TLS: &[Peer] = &[Forebay, Nginx, Haproxy, TrafficServer, H2o];
const FILES: &[Peer] = &[Forebay, Nginx, H2o];
const OURS_AND_NGINX: &[Peer] = &[Forebay, Nginx];
const BALANCERS: &[Peer] = &[Forebay, Nginx, Haproxy];

const L4: Work = Work {
    name: "L4, 1 KiB on a connection each",
    load: Load { l4: true, ..PLAIN },
    least_bytes: KIB,
    asks: Asks::Always,
    kept: Kept::Memory,
    peers: BALANCERS,
    usual: BALANCERS,
    goals: &[(Haproxy, 1.20)],
    goal_over_hit: None,
};

/// All works, in the order of the table.
pub const WORKS: [Work; 18] = [
    Work {
        name: "1 KiB memory hit, h1",
        load: PLAIN,
        least_bytes: KIB,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: &[Forebay, Floor, Nginx, Varnish, Haproxy, Squid, TrafficServer, H2o],
        usual: &[Forebay, Floor, Nginx, Varnish, Haproxy],
        goals: &[(Floor, 1.15), (Nginx, 0.60), (Varnish, 0.45), (Haproxy, 0.80)],
        goal_over_hit: None,
    },
    Work {
        name: "64 KiB memory hit, h1",
        load: Load { path: "/64k.png", ..PLAIN },
        least_bytes: 64 * KIB,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: &[Forebay, Floor, Nginx, Varnish, Haproxy, Squid, TrafficServer, H2o],
        usual: &[Forebay, Floor, Nginx],
        goals: &[(Nginx, 0.85), (Varnish, 0.85), (Haproxy, 0.85), (TrafficServer, 0.85)],
        goal_over_hit: None,
    },
    Work {
        name: "1 KiB hit, TLS 1.3, h1",
        load: Load { tls: true, ..PLAIN },
        least_bytes: KIB,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: TLS,
        usual: BALANCERS,
        goals: &[(Nginx, 0.80), (Haproxy, 0.80)],
        goal_over_hit: None,
    },
    Work {
        name: "64 KiB hit, TLS 1.3, h1",
        load: Load { tls: true, path: "/64k.png", ..PLAIN },
        least_bytes: 64 * KIB,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: TLS,
        usual: BALANCERS,
        goals: &[(Nginx, 0.60), (Haproxy, 0.60)],
        goal_over_hit: None,
    },
    Work {
        name: "1 KiB hit, TLS 1.3, h2, 10 streams",
        load: Load { tls: true, h2: true, ..PLAIN },
        least_bytes: KIB,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: TLS,
        usual: OURS_AND_NGINX,
        goals: &[(Nginx, 0.80)],
        goal_over_hit: None,
    },
    Work {
        name: "304 from memory, h1",
        load: Load { fields: &["If-None-Match: \"5f3c-61a9c7\""], ..PLAIN },
        least_bytes: 0,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: CACHES,
        usual: OURS_AND_NGINX,
        goals: &[],
        goal_over_hit: Some(1.10),
    },
    Work {
        name: "gzip variant from memory, h1",
        load: Load { path: "/page.html", fields: &["Accept-Encoding: gzip"], ..PLAIN },
        least_bytes: KIB / 2,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: CACHES,
        usual: OURS_AND_NGINX,
        goals: &[],
        goal_over_hit: Some(1.10),
    },
    Work {
        name: "static file, 4 KiB",
        load: Load { path: "/4k.bin", fields: &["Host: files.test"], ..PLAIN },
        least_bytes: 4 * KIB,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: FILES,
        usual: OURS_AND_NGINX,
        goals: &[(Nginx, 1.0)],
        goal_over_hit: None,
    },
    Work {
        name: "static file, 1 MiB",
        load: Load { path: "/1m.bin", fields: &["Host: files.test"], ..PLAIN },
        least_bytes: KIB * KIB,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: FILES,
        usual: OURS_AND_NGINX,
        goals: &[(Nginx, 1.0)],
        goal_over_hit: None,
    },
    Work {
        name: "miss that is stored, a new upstream connection each",
        load: Load { urls: Urls::Always, ..PLAIN },
        least_bytes: KIB,
        asks: Asks::Always,
        kept: Kept::Memory,
        peers: CACHES,
        usual: BALANCERS,
        goals: &[(Nginx, 0.90)],
        goal_over_hit: None,
    },
    Work {
        name: "pass, a new upstream connection each",
        load: Load { path: "/pass/1k.png", ..PLAIN },
        least_bytes: KIB,
        asks: Asks::Always,
        kept: Kept::Memory,
        peers: CACHES,
        usual: BALANCERS,
        goals: &[(Nginx, 0.90), (Haproxy, 1.0)],
        goal_over_hit: None,
    },
    L4,
    Work {
        name: "L4, 1 MiB on a connection each",
        load: Load { path: "/1m.png", ..L4.load },
        least_bytes: KIB * KIB,
        ..L4
    },
    Work {
        name: "full TLS handshake (P-256) and one request",
        load: Load { tls: true, fields: &["Connection: close"], ..PLAIN },
        least_bytes: KIB,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: TLS,
        usual: BALANCERS,
        goals: &[(Nginx, 0.80), (Haproxy, 0.80), (H2o, 1.15)],
        goal_over_hit: None,
    },
    Work {
        name: "resumed TLS handshake and one request",
        load: Load { tls: true, resumes: true, ..PLAIN },
        least_bytes: KIB,
        asks: Asks::Never,
        kept: Kept::Memory,
        peers: TLS,
        usual: BALANCERS,
        goals: &[(Nginx, 0.80), (Haproxy, 0.80), (H2o, 1.15)],
        goal_over_hit: None,
    },
    Work {
        name: "16 KiB disk hit from the page cache, h1",
        load: Load { path: "/16k.png", urls: Urls::Of(1024), ..PLAIN },
        least_bytes: 16 * KIB,
        asks: Asks::Never,
        kept: Kept::Disk,
        peers: OURS_AND_NGINX,
        usual: OURS_AND_NGINX,
        goals: &[(Nginx, 1.0)],
        goal_over_hit: None,
    },
    Work {
        name: "64 KiB disk hit from the page cache, h1",
        load: Load { path: "/64k.png", urls: Urls::Of(512), ..PLAIN },
        least_bytes: 64 * KIB,
        asks: Asks::Never,
        kept: Kept::Disk,
        peers: OURS_AND_NGINX,
        usual: OURS_AND_NGINX,
        goals: &[(Nginx, 1.0)],
        goal_over_hit: None,
    },
    Work {
        name: "fill of 1 MiB to disk",
        load: Load { path: "/1m.png", urls: Urls::Always, ..PLAIN },
        least_bytes: KIB * KIB,
        asks: Asks::Always,
        kept: Kept::Disk,
        peers: OURS_AND_NGINX,
        usual: OURS_AND_NGINX,
        goals: &[(Nginx, 1.0)],
        goal_over_hit: None,
    },
];

impl Work {
    /// Who is measured.
    #[must_use]
    pub fn peers(&self, all: bool) -> &'static [Peer] {
        if all { self.peers } else { self.usual }
    }

    fn address(&self, server: &Server) -> SocketAddr {
        if self.load.l4 {
            server.l4
        } else if self.load.tls {
            server.https
        } else {
            server.http
        }
    }

    /// One load, so that what can be stored is stored and what can be allocated is allocated: longer where there is more.
    ///
    /// # Errors
    ///
    /// As [`Self::measure`].
    pub fn warm(&self, server: &Server, setting: &Setting) -> Result<()> {
        let seconds = if matches!(self.load.urls, Urls::Of(_)) { 5 } else { 1 };
        load::run(&self.load, self.address(server), seconds).map_err(|error| self.failed(server, &*error))?;
        // What a cold server has asked for many times over may go on for a while.
        let mut asked = 0;
        for _ in 0..WARM {
            if asked == setting.origin.asked() {
                break;
            }
            asked = setting.origin.asked();
            sleep(SETTLE);
        }
        Ok(())
    }

    /// One round.
    ///
    /// # Errors
    ///
    /// An answer was an error or too short, or the origin server was asked when it should not have been, or not asked
    /// when it should have been.
    pub fn measure(&self, server: &Server, setting: &Setting, seconds: u32) -> Result<Sample> {
        let asked = setting.origin.asked();
        let before = server.usage()?;
        let outcome =
            load::run(&self.load, self.address(server), seconds).map_err(|error| self.failed(server, &*error))?;
        sleep(SETTLE);
        let spent = server.usage()?.cpu.saturating_sub(before.cpu);
        let asked = setting.origin.asked() - asked;
        let requests = outcome.requests as f64;
        // wrk rounds the bytes it tells.
        if outcome.bytes / requests < 0.99 * self.least_bytes as f64 {
            return Err(self.failed(server, &format!("{:.0} bytes a response", outcome.bytes / requests)));
        }
        match self.asks {
            Asks::Never if server.peer != Floor && asked > 0 => {
                Err(self.failed(server, &format!("the origin server was asked {asked} times")))
            }
            Asks::Always if asked < outcome.requests => {
                Err(self.failed(server, &format!("the origin server was asked {asked} of {requests} times")))
            }
            _ => Ok(Sample { cpu_micros: spent.as_secs_f64() * 1e6 / requests, rate: outcome.rate }),
        }
    }

    fn failed(&self, server: &Server, reason: &(impl std::fmt::Display + ?Sized)) -> Error {
        format!("{}, {}: {reason}", server.peer.name(), self.name).into()
    }
}
