//! Two Forebays and a Squid, each a host of its own: what one has, each gets from it, also while another is cut off.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use forebay_tests::network::Network;
use forebay_tests::nodes::{HTTP, ICP};
use forebay_tests::squid::SquidConfig;
use forebay_tests::{Client, Origin, Proxy, ProxyConfig, Reply, assert_eventually};

/// The timeout that the nodes are configured with.
const TIMEOUT: Duration = Duration::from_millis(800);

fn forebay(network: &Network, host: &str, siblings: &[&str], origin: &Origin) -> Proxy {
    let at = |host: &str, port: u16| SocketAddr::new(network.ip(host), port);
    let peers: String = siblings
        .iter()
        .map(|peer| format!("[[icp.sibling]]\nicp = \"{}\"\nhttp = \"{}\"\n", at(peer, ICP), at(peer, HTTP)))
        .collect();
    let own = at(host, ICP);
    let config = ProxyConfig::new()
        .origin(origin)
        .http(&format!("address = \"{}\"", at(host, HTTP)))
        .log("format = \"squid\"")
        .extra(&format!(
            "[icp]\naddress = \"{own}\"\ntimeout = \"{}ms\"\nprobe = \"200ms\"\n{peers}",
            TIMEOUT.as_millis()
        ));
    network.on(host, || config.start())
}

fn reply(content: String) -> Reply {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    Reply::ok(content).field("Cache-Control", "max-age=3600").field("Date", date)
}

fn get(address: SocketAddr, target: &str) -> String {
    let answer = Client::connect(address).get(target);
    assert_eq!(answer.status, 200, "{target}");
    answer.text().to_owned()
}

#[test]
fn timed_each_is_served_by_its_siblings_and_a_cut_link_costs_the_timeout_once() {
    let network = match Network::of(&["a", "b", "s"]) {
        Ok(network) => network,
        // Only where the kernel or the container forbids them.
        Err(why) if !rustix::process::geteuid().is_root() || why.contains("not permitted") => {
            return eprintln!("skipped: no network namespaces here: {why}");
        }
        Err(why) => panic!("{why}"),
    };
    network.on("hub", || story(&network));
}

fn story(network: &Network) {
    let origin = Origin::answering_at(network.ip("hub"), |request| reply(format!("content of {}", request.target)));
    let at = |host: &str| SocketAddr::new(network.ip(host), HTTP);
    let (a, _b) = (forebay(network, "a", &["b", "s"], &origin), forebay(network, "b", &["a", "s"], &origin));
    let squid = SquidConfig::at(at("s"), origin.address()).sibling_at(at("a")).sibling_at(at("b"));
    let squid = squid.within(&network.namespace("s")).start();
    let asked_b = |result: &str| {
        let labels = [format!("peer=\"{}\"", at("b")), format!("result=\"{result}\"")];
        network.on("a", || a.metric("forebay_icp_queries_total", &[&labels[0], &labels[1]]))
    };

    for (first, others) in [("a", ["b", "s"]), ("b", ["a", "s"]), ("s", ["a", "b"])] {
        let target = format!("/first-on-{first}");
        get(at(first), &target);
        for other in others {
            assert_eq!(get(at(other), &target), format!("content of {target}"), "from {first} by {other}");
        }
        assert_eq!(origin.count(&target), 1, "{target}");
    }
    assert!(squid.logs(&["SIBLING_HIT", "/first-on-a"]), "{:?}", squid.access_log());

    network.cut("b");
    let timeouts = asked_b("timeout");
    let took = |target: &str| {
        let start = Instant::now();
        get(at("a"), target);
        start.elapsed()
    };
    let first = took("/cut-1");
    assert!(first < TIMEOUT + Duration::from_millis(400), "{first:?}");
    assert_eventually!(asked_b("timeout") > timeouts);
    let hits = asked_b("hit") + asked_b("miss");
    let rest: Vec<_> = (2..12).map(|n| took(&format!("/cut-{n}"))).collect();
    // Squid still answers: nobody waits for the one that does not.
    let median = {
        let mut sorted = rest.clone();
        sorted.sort();
        sorted[5]
    };
    assert!(median < first.min(Duration::from_millis(40)).max(Duration::from_millis(30)), "{first:?}, then {rest:?}");
    assert_eq!(asked_b("hit") + asked_b("miss"), hits);
    assert_eq!(network.on("a", || a.metric("forebay_icp_peer_up", &[&format!("peer=\"{}\"", at("b"))])), 0.0);

    network.heal("b");
    assert_eventually!(network.on("a", || a.metric("forebay_icp_peer_up", &[&format!("peer=\"{}\"", at("b"))])) == 1.0);
    get(at("b"), "/healed");
    assert_eq!(get(at("a"), "/healed"), "content of /healed");
    assert_eq!(origin.count("/healed"), 1);
}
