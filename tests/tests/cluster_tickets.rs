//! Session tickets of a cluster, with a real Redis: what one node began, every node resumes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_tests::redis::Redis;
use forebay_tests::{Client, Origin, Proxy, ProxyConfig, Reply, assert_eventually, certs};
use rustix::process::Signal;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// What nodes have in common.
struct Farm {
    origin: Origin,
    redis: Redis,
    directory: tempfile::TempDir,
}

impl Farm {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
        std::fs::write(directory.path().join("other"), "fedcba9876543210fedcba9876543210\n").unwrap();
        Self { origin: Origin::answering(|_| Reply::ok("hello")), redis: Redis::start(), directory }
    }

    fn secret(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self, node: &str, secret: Option<&Path>, lines: &str) -> ProxyConfig {
        let redis = self.redis.address();
        let secret = secret.map_or_else(String::new, |path| format!("secret_file = {path:?}"));
        let cluster = format!("[cluster]\nredis = \"redis://{redis}\"\nnode = \"{node}\"\n{secret}\n{lines}");
        ProxyConfig::new().origin(&self.origin).log("path = \"off\"").extra(&cluster)
    }

    fn node(&self, node: &str, lines: &str) -> Proxy {
        let proxy = self.config(node, Some(&self.secret("secret")), lines).start();
        assert_eventually!(has_keys(&proxy));
        proxy
    }
}

fn has_keys(proxy: &Proxy) -> bool {
    proxy.metric("forebay_cluster_ticket_keys", &[]) >= 2.0
}

fn period(proxy: &Proxy) -> f64 {
    proxy.metric("forebay_cluster_ticket_period", &[])
}

fn client(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    Arc::new(certs::client_config_of(&["http/1.1"], &[version]))
}

/// One connection with what `config` remembers; how its session began.
fn visit(proxy: &Proxy, config: &Arc<ClientConfig>) -> HandshakeKind {
    let mut client = Client::connect_tls_with(proxy.https(), "site.test", Arc::clone(config)).unwrap();
    // Tickets come after the handshake.
    assert_eq!(client.get("/").status, 200);
    client.tls().handshake_kind().unwrap()
}

#[test]
fn session_that_one_node_began_is_resumed_at_another() {
    let farm = Farm::start();
    let (a, b) = (farm.node("a", ""), farm.node("b", ""));
    for version in VERSIONS {
        let config = client(version);
        assert_eq!(visit(&a, &config), HandshakeKind::Full);
        assert_eq!(visit(&b, &config), HandshakeKind::Resumed, "{version:?}");
        // With the ticket of `b`.
        assert_eq!(visit(&a, &config), HandshakeKind::Resumed, "{version:?}");
    }
}

#[test]
fn nodes_without_the_secret_have_keys_of_their_own() {
    let farm = Farm::start();
    let a = farm.node("a", "");
    let without = farm.config("b", None, "").start();
    let other = farm.config("c", Some(&farm.secret("other")), "").start();
    assert_eventually!(has_keys(&other));
    assert_eventually!(without.metric("forebay_cluster_connected", &[]) == 1.0);
    for version in VERSIONS {
        for node in [&without, &other] {
            let config = client(version);
            assert_eq!(visit(&a, &config), HandshakeKind::Full);
            assert_eq!(visit(node, &config), HandshakeKind::Full, "{version:?}");
            assert_eq!(visit(node, &config), HandshakeKind::Resumed, "{version:?}");
        }
    }
    assert_eventually!(other.stderr().iter().any(|line| line.contains("other nodes have another secret_file")));
}

#[test]
fn restarted_and_reloaded_nodes_resume_what_began_before() {
    let farm = Farm::start();
    let a = farm.node("a", "");
    for version in VERSIONS {
        let config = client(version);
        assert_eq!(visit(&a, &config), HandshakeKind::Full);
        a.signal(Signal::HUP);
        assert_eventually!(a.stderr().iter().any(|line| line.contains("was reloaded")));
        assert_eq!(visit(&a, &config), HandshakeKind::Resumed, "{version:?}");
    }
    let configs = VERSIONS.map(client);
    for config in &configs {
        visit(&a, config);
    }
    let a = a.kill_and_restart();
    assert_eventually!(has_keys(&a));
    for config in &configs {
        assert_eq!(visit(&a, config), HandshakeKind::Resumed);
    }
}

#[test]
fn lost_redis_leaves_the_last_keys_and_one_that_forgot_gets_them_back() {
    let mut farm = Farm::start();
    let (a, b) = (farm.node("a", ""), farm.node("b", ""));
    farm.redis.kill();
    assert_eventually!(a.metric("forebay_cluster_connected", &[]) == 0.0);
    for version in VERSIONS {
        let config = client(version);
        assert_eq!(visit(&a, &config), HandshakeKind::Full);
        assert_eq!(visit(&b, &config), HandshakeKind::Resumed, "{version:?}");
    }
    let config = client(&TLS13);
    visit(&a, &config);
    farm.redis.forget();
    farm.redis.restart();
    for node in [&a, &b] {
        assert_eventually!(node.metric("forebay_cluster_connected", &[]) == 1.0);
    }
    // A third one learns them from there.
    let c = farm.node("c", "");
    assert_eq!(visit(&c, &config), HandshakeKind::Resumed);
}

#[test]
fn timed_keys_rotate_on_all_nodes_and_old_ones_expire() {
    let farm = Farm::start();
    let (a, b) = (farm.node("a", "ticket_rotation = \"5s\""), farm.node("b", "ticket_rotation = \"5s\""));
    // From the beginning of a period, so that there is time to look.
    let before = period(&a);
    assert_eventually!(period(&a) > before);
    let began = period(&a);
    let configs = VERSIONS.map(|version| (client(version), client(version)));
    for (early, late) in &configs {
        assert_eq!(visit(&a, early), HandshakeKind::Full);
        assert_eq!(visit(&a, late), HandshakeKind::Full);
    }
    assert_eventually!(period(&a) > began && period(&b) > began);
    for (early, _) in &configs {
        assert_eq!(visit(&b, early), HandshakeKind::Resumed, "the key of the last period is taken");
        // It has a ticket of this period now.
        assert_eq!(visit(&a, early), HandshakeKind::Resumed);
    }
    assert_eventually!(period(&a) > began + 1.0 && period(&b) > began + 1.0);
    for (early, late) in &configs {
        assert_eq!(visit(&b, early), HandshakeKind::Resumed);
        assert_eq!(visit(&b, late), HandshakeKind::Full, "that of the one before has expired");
    }
}
