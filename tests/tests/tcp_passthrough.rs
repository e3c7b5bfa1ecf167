//! TLS passed through by SNI, on the port where other names are terminated.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_tests::client_h1::Client;
use forebay_tests::origin::closed_address;
use forebay_tests::{Origin, Proxy, ProxyConfig, Reply, assert_eventually, certs};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

/// The server behind: an instance with a certificate of its own. Before it one that terminates all names but `db.test` and
/// those beneath `raw.test`.
struct Pair {
    _behind: Proxy,
    front: Proxy,
    address: SocketAddr,
}

fn pair(limits: &str) -> Pair {
    let (secret, open) = (Origin::answering(|_| Reply::ok("behind")), Origin::answering(|_| Reply::ok("in front")));
    let behind = ProxyConfig::new().origin(&secret).certified_for(&["db.test", "*.raw.test"]).start();
    let address = closed_address();
    let tables = format!(
        "[[upstream]]\nname = \"behind\"\nservers = [\"{}\"]\n\
         [[tcp]]\nlisten = \"{address}\"\nupstream = \"behind\"\nsni = [\"db.test\", \"*.raw.test\"]",
        behind.https()
    );
    let front = ProxyConfig::new()
        .origin(&open)
        .site("hosts = [\"site.test\", \"other.test\"]")
        .https(&format!("address = \"{address}\""))
        .limits(limits)
        .certified_for(&["site.test", "other.test"])
        .extra(&tables)
        .start();
    Pair { _behind: behind, front, address }
}

fn ask(address: SocketAddr, name: &str) -> String {
    let mut client = Client::connect_tls(address, name);
    client.request("GET", "/", &[("Host", name)]).text().to_owned()
}

/// The bytes of a ClientHello for `name`.
fn hello(name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(certs::client_config(&["http/1.1"])), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same, its handshake message cut into records of `size` bytes.
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let message = &hello[5..];
    let records = message.chunks(size).map(|part| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1], length.as_slice(), part].concat()
    });
    records.collect::<Vec<_>>().concat()
}

#[test]
fn a_name_is_passed_through_while_its_neighbour_is_terminated() {
    let pair = pair("");
    // The harness' clients verify the certificate for the name: that of the server behind is for it, the other is not.
    assert_eq!(ask(pair.address, "db.test"), "behind");
    assert_eq!(ask(pair.address, "a.raw.test"), "behind");
    assert_eq!(ask(pair.address, "site.test"), "in front");
    let shown = |name: &str| {
        let client = Client::connect_tls(pair.address, name);
        client.tls().peer_certificates().unwrap()[0].clone()
    };
    assert_eq!(shown("db.test"), shown("b.raw.test"));
    assert_ne!(shown("db.test"), shown("site.test"));
    assert_eventually!(pair.front.metric("forebay_tcp_connections_total", &["db.test"]) == 5.0);
}

#[test]
fn a_hello_is_understood_however_it_is_cut() {
    let pair = pair("");
    for name in ["db.test", "site.test"] {
        for (size, pause) in [(1, false), (50, true), (100_000, true)] {
            let mut stream = TcpStream::connect(pair.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.set_nodelay(true).unwrap();
            for part in in_records(&hello(name), size).chunks(if pause { 33 } else { 100_000 }) {
                stream.write_all(part).unwrap();
            }
            // A ServerHello, not an alert.
            let mut first = [0; 6];
            stream.read_exact(&mut first).unwrap();
            assert_eq!((first[0], first[5]), (22, 2), "{name} in records of {size}");
        }
    }
}

#[test]
fn without_a_name_or_with_another_it_is_terminated() {
    let pair = pair("");
    let config = Arc::new(certs::client_config(&["http/1.1"]));
    // An address is no name that could be sent: the certificate is the default one, and not for it.
    assert!(Client::connect_tls_with(pair.address, "127.0.0.1", Arc::clone(&config)).is_err());
    assert!(Client::connect_tls_with(pair.address, "raw.test", config).is_err());
    assert_eq!(pair.front.metric("forebay_tcp_connections_total", &[]), 0.0);
}

#[test]
fn garbage_before_tls_is_refused() {
    let pair = pair("");
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: db.test\r\n\r\n"[..],
        b"\x16\x03\x01\xff\xff",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    ] {
        let mut stream = TcpStream::connect(pair.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(garbage).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        // An alert at most.
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    assert!(pair.front.metric("forebay_tls_handshake_errors_total", &[]) >= 3.0);
    assert_eq!(ask(pair.address, "db.test"), "behind");
}

#[test]
fn timed_a_hello_that_drips_is_given_up_at_the_deadline() {
    let pair = pair("handshake_timeout = \"600ms\"");
    let mut stream = TcpStream::connect(pair.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let start = Instant::now();
    let bytes = hello("db.test");
    stream.write_all(&bytes[..20]).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(start.elapsed() >= Duration::from_millis(550), "{:?}", start.elapsed());
    assert_eq!(pair.front.metric("forebay_tcp_connections_total", &[]), 0.0);
}
