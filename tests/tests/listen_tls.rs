//! TLS: certificates by name, versions, ALPN, resumption.

use std::sync::Arc;

use forebay_tests::client_h1::Client;
use forebay_tests::{H2Client, Origin, Proxy, ProxyConfig, Reply, certs};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};

fn hello() -> Origin {
    Origin::answering(|request| Reply::ok(request.field("host").unwrap()))
}

fn site(proxy: &Proxy, name: &str, config: ClientConfig) -> std::io::Result<Client> {
    Client::connect_tls_with(proxy.https(), name, Arc::new(config))
}

/// Sites of their own certificates: the default one, `a.test`, and everything beneath `b.test`.
fn several_sites(origin: &Origin) -> Proxy {
    let directory = tempfile::tempdir().unwrap();
    let mut config = ProxyConfig::new().origin(origin).site("hosts = [\"site.test\"]");
    for (name, host) in [("a.test", "a.test"), ("*.b.test", "*.b.test")] {
        let files = certs::site(directory.path(), &[name]);
        config = config.extra(&format!(
            "[[site]]\nhosts = [\"{host}\"]\nupstream = \"ap\"\ncertificate = {:?}\nkey = {:?}",
            files.certificate, files.key
        ));
    }
    let text = config.write(directory.path());
    Proxy::start_in(directory, &text)
}

#[test]
fn certificate_is_chosen_by_sni() {
    let origin = hello();
    let proxy = several_sites(&origin);
    // The client verifies the name: a wrong certificate fails the handshake.
    for name in ["site.test", "a.test", "x.b.test", "A.TEST"] {
        let mut client = site(&proxy, name, certs::client_config(&[])).unwrap();
        assert_eq!(client.request("GET", "/", &[("Host", name)]).status, 200, "{name}");
    }
    for name in ["b.test", "x.y.b.test", "other.test"] {
        let error = site(&proxy, name, certs::client_config(&[])).err().unwrap().to_string();
        assert!(
            error.contains("certificate") || error.contains("unrecognised") || error.contains("alert"),
            "{name}: {error}"
        );
    }
}

#[test]
fn client_without_sni_gets_the_default_certificate() {
    let origin = hello();
    let proxy = several_sites(&origin);
    let mut client = site(&proxy, "127.0.0.1", certs::client_config(&[])).unwrap();
    assert_eq!(client.get("/").text(), "site.test");
}

#[test]
fn tls_1_2_and_1_3_are_spoken() {
    let proxy = Proxy::before(&hello());
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut client = site(&proxy, "site.test", certs::client_config_of(&[], &[version])).unwrap();
        assert_eq!(client.tls().protocol_version(), Some(expected));
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn tls_1_1_is_refused() {
    let proxy = Proxy::before(&hello());
    // A ClientHello of TLS 1.1 with one suite and nothing else.
    let mut hello = vec![1, 0, 0, 43, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0, 0x2f, 0, 0x35, 1, 0]);
    let mut client = Client::connect(proxy.https());
    client.send([&[22, 3, 1, 0, u8::try_from(hello.len()).unwrap()], &hello[..]].concat());
    let answer = client.read_to_end();
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
}

#[test]
fn h2_is_chosen_by_alpn() {
    let proxy = Proxy::before(&hello());
    let mut h2 = H2Client::connect(proxy.https(), "site.test");
    assert_eq!(h2.get("/").text(), "site.test");
    for (offered, chosen) in
        [(&["http/1.1"][..], Some(&b"http/1.1"[..])), (&["h2", "http/1.1"], Some(b"h2")), (&[], None)]
    {
        let client = site(&proxy, "site.test", certs::client_config(offered)).unwrap();
        assert_eq!(client.tls().alpn_protocol(), chosen, "{offered:?}");
    }
    let mut client = site(&proxy, "site.test", certs::client_config(&[])).unwrap();
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn h2_can_be_turned_off() {
    let origin = hello();
    let proxy = Proxy::config().origin(&origin).https("http2 = false").start();
    let client = site(&proxy, "site.test", certs::client_config(&["h2", "http/1.1"])).unwrap();
    assert_eq!(client.tls().alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn protocol_that_is_not_known_is_refused() {
    let proxy = Proxy::before(&hello());
    assert!(site(&proxy, "site.test", certs::client_config(&["spdy/1"])).is_err());
}

#[test]
fn session_is_resumed_by_ticket() {
    let proxy = Proxy::before(&hello());
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(certs::client_config_of(&["http/1.1"], &[version]));
        let kinds = [(); 3].map(|()| {
            let mut client = Client::connect_tls_with(proxy.https(), "site.test", Arc::clone(&config)).unwrap();
            // Tickets come after the handshake.
            assert_eq!(client.get("/").status, 200);
            client.tls().handshake_kind().unwrap()
        });
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed], "{version:?}");
    }
}

#[test]
fn sites_by_host_are_served_over_h2_and_unknown_ones_are_421() {
    let origin = hello();
    let proxy = several_sites(&origin);
    let mut client = H2Client::connect(proxy.https(), "x.b.test");
    assert_eq!(client.get("/").text(), "x.b.test");
    let config = certs::client_config(&["http/1.1"]);
    let mut client = site(&proxy, "a.test", config).unwrap();
    assert_eq!(client.request("GET", "/", &[("Host", "nobody.test")]).status, 421);
}

#[test]
fn plain_http_on_the_tls_port_is_not_served() {
    let proxy = Proxy::before(&hello());
    let mut client = Client::connect(proxy.https());
    client.send("GET / HTTP/1.1\r\nHost: site.test\r\n\r\n");
    let answer = client.read_to_end();
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}
