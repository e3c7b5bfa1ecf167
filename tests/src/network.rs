//! Hosts with a network between them: network namespaces, joined by a bridge in one of their own. Nothing of the machine's
//! own network is touched.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Namespaces that end with it.
pub struct Network {
    prefix: String,
    hosts: Vec<String>,
}

/// The namespace that the bridge is in.
const HUB: &str = "hub";

// === impl Network ===

impl Network {
    /// Joins these hosts.
    ///
    /// # Errors
    /// Namespaces cannot be made here: why, in words.
    pub fn of(hosts: &[&str]) -> Result<Self, String> {
        let network = Self {
            prefix: format!("fb{}", std::process::id()),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        };
        let hub = network.namespace(HUB);
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &hub, "addr", "add", "10.99.0.254/24", "dev", "br0"])?;
        for device in ["lo", "br0"] {
            ip(&["-n", &hub, "link", "set", device, "up"])?;
        }
        for host in hosts {
            let (name, address) = (network.namespace(host), format!("{}/24", network.ip(host)));
            let port = format!("v-{host}");
            ip(&["netns", "add", &name])?;
            ip(&["-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
            ip(&["-n", &hub, "link", "set", &port, "master", "br0", "up"])?;
            ip(&["-n", &name, "addr", "add", &address, "dev", "eth0"])?;
            for device in ["lo", "eth0"] {
                ip(&["-n", &name, "link", "set", device, "up"])?;
            }
        }
        Ok(network)
    }

    /// Name of a host's namespace.
    #[must_use]
    pub fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    /// Address of a host; of the bridge for `hub`.
    #[must_use]
    pub fn ip(&self, host: &str) -> IpAddr {
        let index = self.hosts.iter().position(|known| known == host);
        let last = index.map_or(254, |index| u8::try_from(index + 1).expect("few hosts"));
        Ipv4Addr::new(10, 99, 0, last).into()
    }

    /// Does something on a host: sockets, threads and processes made there are there.
    pub fn on<T: Send>(&self, host: &str, work: impl FnOnce() -> T + Send) -> T {
        let place = File::open(format!("/run/netns/{}", self.namespace(host))).expect("namespace");
        std::thread::scope(|scope| {
            let work = scope.spawn(move || {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&place), network).expect("enter");
                work()
            });
            work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Takes a host off the network.
    pub fn cut(&self, host: &str) {
        self.set(host, "down");
    }

    /// Puts it back.
    pub fn heal(&self, host: &str) {
        self.set(host, "up");
    }

    fn set(&self, host: &str, state: &str) {
        ip(&["-n", &self.namespace(HUB), "link", "set", &format!("v-{host}"), state]).expect("link");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in self.hosts.iter().map(String::as_str).chain([HUB]) {
            let _ = ip(&["netns", "del", &self.namespace(host)]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", arguments.join(" "), complaint.trim())) }
}
