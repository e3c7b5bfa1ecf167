//! Certificates of visitors: who is let in, what AP servers are told, what is shared.

use std::sync::Arc;
use std::time::Duration;

use forebay_tests::certs::{self, Visitor, VisitorAuthority};
use forebay_tests::client_h1::{Client, head};
use forebay_tests::icp::{Icp, MISS};
use forebay_tests::nodes::Nodes;
use forebay_tests::{Answer, H2Client, Origin, Proxy, ProxyConfig, Reply, Request, assert_eventually};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use tempfile::TempDir;

const BOTH: &[&SupportedProtocolVersion] = rustls::DEFAULT_VERSIONS;

/// Fields by which AP servers are told who asks.
const TOLD: [&str; 6] = [
    "x-ssl-client-verify",
    "x-ssl-client-subject-dn",
    "x-ssl-client-issuer-dn",
    "x-ssl-client-serial",
    "x-ssl-client-fingerprint",
    "client-cert",
];

fn told(request: &Request) -> String {
    let told = TOLD[..4].iter().map(|name| request.field(name).unwrap_or_else(|| "-".to_owned()));
    told.collect::<Vec<_>>().join(" | ")
}

/// Answers with what it was told of the visitor, and to `/public` what everybody may see.
fn telling() -> Origin {
    Origin::answering(|request| match request.path() {
        "/public" => Reply::ok(told(request)).field("Cache-Control", "public, max-age=60"),
        "/page" => Reply::cacheable(told(request)),
        _ => Reply::ok(told(request)).field("Cache-Control", "no-store"),
    })
}

/// A proxy and the authority whose visitors its sites know: `site.test` requires a certificate, `open.test` takes one and
/// needs it beneath `/members/`, `twin.test` is as `site.test`, `plain.test` asks nobody.
struct Stage {
    proxy: Proxy,
    authority: VisitorAuthority,
    origin: Origin,
}

fn stage_with(more: &str) -> Stage {
    let (directory, authority, origin) = (TempDir::new().unwrap(), VisitorAuthority::new("Visitors"), telling());
    let ca = directory.path().join("visitors.pem");
    authority.write(&ca);
    let names = ["site.test", "open.test", "twin.test", "plain.test"];
    let extra = format!(
        "[[site]]\nhosts = [\"open.test\"]\nupstream = \"ap\"\nclient_ca = {ca:?}\nclient_certificate = \"optional\"\n\
         [[site.route]]\npath = \"/members/\"\nclient_certificate = \"required\"\n\
         [[site]]\nhosts = [\"twin.test\"]\nupstream = \"ap\"\nclient_ca = {ca:?}\n\
         [[site]]\nhosts = [\"plain.test\"]\nupstream = \"ap\"\n"
    );
    let config = ProxyConfig::new()
        .origin(&origin)
        .certified_for(&names)
        .site(&format!("hosts = [\"site.test\"]\nclient_ca = {ca:?}\n{more}"))
        .extra(&extra);
    let text = config.write(directory.path());
    Stage { proxy: Proxy::start_in(directory, &text), authority, origin }
}

fn stage() -> Stage {
    stage_with("")
}

impl Stage {
    fn connect(&self, name: &str, config: ClientConfig) -> Option<Client> {
        Client::connect_tls_with(self.proxy.https(), name, Arc::new(config)).ok()
    }

    /// What a visitor gets over a connection of its own; `None` when there is no connection to be had.
    fn ask(&self, name: &str, config: ClientConfig, target: &str) -> Option<Answer> {
        ask_over(&mut self.connect(name, config)?, name, target)
    }

    fn known(&self, name: &str, visitor: &Visitor, target: &str) -> Answer {
        self.ask(name, visitor.config(&["http/1.1"], BOTH), target).unwrap()
    }
}

/// With TLS 1.3 the client is done before the server has looked at its certificate: the refusal is what it reads first.
fn ask_over(client: &mut Client, host: &str, target: &str) -> Option<Answer> {
    client.try_send(head("GET", target, &[("Host", host)])).ok()?;
    client.read_response_to("GET").ok()
}

#[test]
fn visitor_with_a_certificate_is_introduced() {
    let stage = stage();
    let alice = stage.authority.visitor("alice", 0xabc);
    let expected = "SUCCESS | CN=alice,O=Example | CN=Visitors | 0ABC";
    for version in [&TLS12, &TLS13] {
        let answer = stage.ask("site.test", alice.config(&["http/1.1"], &[version]), "/x").unwrap();
        assert_eq!((answer.status, answer.text()), (200, expected), "{answer}");
        let mut h2 = H2Client::connect_as(stage.proxy.https(), "site.test", alice.config(&["h2"], &[version]));
        assert_eq!(h2.get("/x").text(), expected);
    }
    let request = stage.origin.requests().pop().unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, alice.der());
    let shown: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(request.field("x-ssl-client-fingerprint"), Some(shown));
    let whole = request.field("client-cert").unwrap();
    assert!(whole.starts_with(":MII") && whole.ends_with(':'), "{whole}");
}

#[test]
fn visitor_without_a_certificate_or_with_a_bad_one_is_refused() {
    let stage = stage();
    let strangers = VisitorAuthority::new("Visitors");
    for version in [&TLS12, &TLS13] {
        let of = |visitor: &Visitor| visitor.config(&["http/1.1"], &[version]);
        for (who, config) in [
            ("nobody", certs::client_config_of(&["http/1.1"], &[version])),
            ("of another authority of that name", of(&strangers.visitor("alice", 1))),
            ("expired", of(&stage.authority.expired_visitor("alice"))),
        ] {
            assert!(stage.ask("site.test", config, "/x").is_none(), "{who}");
        }
    }
    assert_eq!(stage.origin.total(), 0);
}

#[test]
fn optional_certificate_is_told_of_and_needed_where_a_route_says_so() {
    let stage = stage();
    let nobody = || certs::client_config(&["http/1.1"]);
    let ask = |target| stage.ask("open.test", nobody(), target).unwrap();
    assert_eq!(ask("/x").text(), "NONE | - | - | -");
    let refused = ask("/members/x");
    assert_eq!(refused.status, 403, "{refused}");
    assert!(refused.field("cache-status").unwrap().contains("no-client-certificate"), "{refused}");
    let alice = stage.authority.visitor("alice", 1);
    assert!(stage.known("open.test", &alice, "/members/x").text().starts_with("SUCCESS | CN=alice"));
    // One that is shown has to be good.
    let stranger = VisitorAuthority::new("Others").visitor("alice", 1);
    assert!(stage.ask("open.test", stranger.config(&["http/1.1"], BOTH), "/x").is_none());
}

#[test]
fn fields_of_that_name_cannot_be_forged() {
    let stage = stage();
    let forged: Vec<(&str, &str)> = TOLD.into_iter().map(|name| (name, "SUCCESS")).collect();
    let forged = [&forged[..], &[("X_SSL_Client_Verify", "SUCCESS")], &[("Client-Cert-Chain", ":MII:")]].concat();
    for name in ["open.test", "plain.test"] {
        let mut client = stage.connect(name, certs::client_config(&["http/1.1"])).unwrap();
        client.request("GET", "/x", &[&[("Host", name)], &forged[..]].concat());
    }
    let alice = stage.authority.visitor("alice", 1);
    let mut client = stage.connect("site.test", alice.config(&["http/1.1"], BOTH)).unwrap();
    client.request("GET", "/x", &[&[("Host", "site.test")], &forged[..]].concat());
    let told: Vec<String> = stage.origin.requests().iter().map(told).collect();
    let expected = ["NONE | - | - | -", "- | - | - | -", "SUCCESS | CN=alice,O=Example | CN=Visitors | 01"];
    assert_eq!(told, expected);
    let raw = String::from_utf8_lossy(&stage.origin.received()).into_owned();
    assert!(!raw.contains("X_SSL") && !raw.to_ascii_lowercase().contains("client-cert-chain"), "{raw}");
}

#[test]
fn connection_made_for_another_site_is_misdirected() {
    let stage = stage();
    let alice = stage.authority.visitor("alice", 1);
    // Nobody was asked for a certificate on these connections, or only if they liked.
    for (name, config) in [
        ("plain.test", certs::client_config(&["http/1.1"])),
        ("plain.test", alice.config(&["http/1.1"], BOTH)),
        ("open.test", alice.config(&["http/1.1"], BOTH)),
    ] {
        let mut client = stage.connect(name, config).unwrap();
        assert_eq!(ask_over(&mut client, "site.test", "/x").unwrap().status, 421, "{name}");
        assert!(client.is_closed(), "HTTP/1.1 clients ask again on a new one");
    }
    let mut h2 = H2Client::connect_as(stage.proxy.https(), "plain.test", certs::client_config(&["h2"]));
    h2.ask_for("site.test");
    assert_eq!(h2.get("/x").status, 421);
    h2.ask_for("plain.test");
    assert_eq!(h2.get("/x").status, 200, "the others of the connection go on");
    // What demands the same, or nothing, may be asked over one connection.
    let mut h2 = H2Client::connect_as(stage.proxy.https(), "site.test", alice.config(&["h2"], BOTH));
    for (host, told) in [("twin.test", "SUCCESS"), ("plain.test", "- |")] {
        h2.ask_for(host);
        let answer = h2.get("/x");
        assert!(answer.status == 200 && answer.text().starts_with(told), "{host}: {answer}");
    }
}

#[test]
fn without_tls_nobody_gets_in() {
    let stage = stage();
    for (host, target, status) in [
        ("site.test", "/x", 403),
        ("open.test", "/members/x", 403),
        ("open.test", "/x", 200),
        ("plain.test", "/x", 200),
    ] {
        assert_eq!(stage.proxy.connect().request("GET", target, &[("Host", host)]).status, status, "{host}{target}");
    }
}

#[test]
fn resumed_session_is_verified_again() {
    let stage = stage();
    for version in [&TLS12, &TLS13] {
        let visitor = stage.authority.visitor_for("alice", 1, Duration::from_secs(4));
        let config = Arc::new(visitor.config(&["http/1.1"], &[version]));
        let ask = || {
            let mut client = Client::connect_tls_with(stage.proxy.https(), "site.test", Arc::clone(&config)).ok()?;
            let answer = ask_over(&mut client, "site.test", "/x")?;
            Some((answer.text().to_owned(), client.tls().handshake_kind().unwrap()))
        };
        assert_eq!(ask().unwrap().1, HandshakeKind::Full);
        let (told, kind) = ask().unwrap();
        assert_eq!(kind, HandshakeKind::Resumed, "{version:?}");
        assert!(told.starts_with("SUCCESS | CN=alice"), "{told}");
        assert_eventually!(ask().is_none());
    }
}

#[test]
fn reload_changes_who_is_let_in() {
    let stage = stage();
    let file = stage.proxy.directory().join("visitors.pem");
    let (others, alice) = (VisitorAuthority::new("Others"), stage.authority.visitor("alice", 1));
    let bob = others.visitor("bob", 2);
    let resuming = Arc::new(alice.config(&["http/1.1"], BOTH));
    let again = || Client::connect_tls_with(stage.proxy.https(), "site.test", Arc::clone(&resuming)).ok();
    let mut before = again().unwrap();
    assert_eq!(ask_over(&mut before, "site.test", "/x").unwrap().status, 200);
    others.write(&file);
    stage.proxy.signal(rustix::process::Signal::HUP);
    assert_eventually!(stage.ask("site.test", bob.config(&["http/1.1"], BOTH), "/x").is_some());
    assert_eq!(ask_over(&mut before, "site.test", "/x").unwrap().status, 421, "what was shown is not what is wanted");
    assert!(again().and_then(|mut client| ask_over(&mut client, "site.test", "/x")).is_none(), "by its ticket");
    // A file that is none changes nothing.
    std::fs::write(&file, "nonsense").unwrap();
    stage.proxy.signal(rustix::process::Signal::HUP);
    assert_eventually!(stage.proxy.stderr().iter().any(|line| line.contains("visitors.pem")));
    assert_eq!(stage.known("site.test", &bob, "/x").status, 200);
}

#[test]
fn page_of_one_visitor_is_not_shared_with_another() {
    let stage = stage();
    let (alice, bob) = (stage.authority.visitor("alice", 1), stage.authority.visitor("bob", 2));
    for name in ["site.test", "open.test"] {
        for visitor in [&alice, &alice, &bob] {
            let answer = stage.known(name, visitor, "/page");
            let who = if std::ptr::eq(visitor, &bob) { "CN=bob" } else { "CN=alice" };
            assert!(answer.text().contains(who), "{answer}");
        }
        // What says that it is for everybody is shared by those who pass.
        let first = stage.known(name, &alice, "/public").text().to_owned();
        assert_eventually!(stage.known(name, &bob, "/public").text() == first);
    }
    let nobody = || certs::client_config(&["http/1.1"]);
    assert_eq!(stage.ask("open.test", nobody(), "/page").unwrap().text(), "NONE | - | - | -");
    assert!(stage.ask("site.test", nobody(), "/public").is_none());
    let over =
        stage.connect("plain.test", nobody()).and_then(|mut client| ask_over(&mut client, "site.test", "/public"));
    assert_eq!(over.unwrap().status, 421, "what is stored is not for who did not pass");
}

#[test]
fn revoked_certificate_is_refused() {
    let directory = TempDir::new().unwrap();
    let authority = VisitorAuthority::new("Visitors");
    let (ca, crl) = (directory.path().join("visitors.pem"), directory.path().join("visitors.crl"));
    let (alice, bob) = (authority.visitor("alice", 1), authority.visitor("bob", 2));
    authority.write(&ca);
    authority.revoke(&bob, &crl);
    let origin = telling();
    let words = format!("hosts = [\"site.test\"]\nclient_ca = {ca:?}\nclient_crl = {crl:?}");
    let text = ProxyConfig::new().origin(&origin).site(&words).write(directory.path());
    let stage = Stage { proxy: Proxy::start_in(directory, &text), authority, origin };
    assert_eq!(stage.known("site.test", &alice, "/x").status, 200);
    assert!(stage.ask("site.test", bob.config(&["http/1.1"], BOTH), "/x").is_none());
}

#[test]
fn files_beneath_root_are_for_those_who_pass_as_well() {
    let root = TempDir::new().unwrap();
    std::fs::write(root.path().join("a.txt"), "secret").unwrap();
    let stage = stage_with(&format!("root = {:?}", root.path().canonicalize().unwrap()));
    let alice = stage.authority.visitor("alice", 1);
    assert_eq!(stage.known("site.test", &alice, "/a.txt").text(), "secret");
    assert_eq!(stage.proxy.connect().request("GET", "/a.txt", &[("Host", "site.test")]).status, 403);
}

#[test]
fn other_caches_are_not_told_of_what_needs_a_certificate() {
    let (nodes, origin, files) = (Nodes::new(), telling(), TempDir::new().unwrap());
    let (authority, ca) = (VisitorAuthority::new("Visitors"), files.path().join("visitors.pem"));
    authority.write(&ca);
    let words = format!("hosts = [\"site.test\"]\nclient_ca = {ca:?}");
    let proxy = nodes.forebay(1, &[2], &origin).site(&words).start();
    let stage = Stage { proxy, authority, origin };
    let alice = stage.authority.visitor("alice", 1);
    stage.known("site.test", &alice, "/public");
    assert_eventually!(stage.known("site.test", &alice, "/public").cache() == "HIT");
    assert_eq!(Icp::bind(nodes.icp(2)).ask(nodes.icp(1), "https://site.test/public"), MISS);
}
