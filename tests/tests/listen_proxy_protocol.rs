//! The PROXY protocol, versions 1 and 2: off, optional, required; from trusted addresses only.

use std::sync::Arc;

use forebay_tests::client_h1::{Client, head};
use forebay_tests::{Origin, Proxy, Reply, certs};

const V1: &str = "PROXY TCP4 203.0.113.7 198.51.100.1 4711 80\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A version 2 header: command and version, family and transport, addresses and the rest.
fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, payload].concat()
}

fn v2_ipv4() -> Vec<u8> {
    v2(1, 0x11, &[203, 0, 113, 7, 198, 51, 100, 1, 0x12, 0x67, 0, 80])
}

/// A proxy that answers with the client's address as the AP servers are told it.
fn proxy(mode: &str, from: &str) -> Proxy {
    let origin = Origin::answering(|request| Reply::ok(request.field("x-forwarded-for").unwrap()));
    let lines = format!("proxy_protocol = \"{mode}\"\nproxy_from = [\"{from}\"]");
    Proxy::config().origin(&origin).http(&lines).https(&lines).start()
}

/// What is answered to a request after these bytes: a status and the client's address, or nothing.
fn client_seen(proxy: &Proxy, before: impl AsRef<[u8]>) -> Option<(u16, String)> {
    let (answer, mut client) = proxy.send_raw([before.as_ref(), head("GET", "/x", &[]).as_bytes()].concat());
    let answer = answer.ok()?;
    assert!(answer.status == 200 || client.is_closed(), "open after {answer}");
    Some((answer.status, answer.text().to_owned()))
}

fn from(address: &str) -> Option<(u16, String)> {
    Some((200, address.to_owned()))
}

#[test]
fn off_takes_a_header_for_a_malformed_request() {
    let proxy = Proxy::before(&Origin::answering(|_| Reply::ok("x")));
    for header in [V1.as_bytes(), &v2_ipv4()] {
        assert_eq!(client_seen(&proxy, header).map(|(status, _)| status), Some(400));
    }
}

#[test]
fn optional_believes_a_header_of_a_trusted_peer() {
    let proxy = proxy("optional", "127.0.0.0/8");
    assert_eq!(client_seen(&proxy, V1), from("203.0.113.7"));
    assert_eq!(client_seen(&proxy, v2_ipv4()), from("203.0.113.7"));
    assert_eq!(client_seen(&proxy, ""), from("127.0.0.1"));
}

#[test]
fn optional_does_not_believe_other_peers() {
    let proxy = proxy("optional", "10.0.0.0/8");
    for header in [V1.as_bytes(), &v2_ipv4()] {
        let seen = client_seen(&proxy, header);
        assert!(seen.as_ref().is_none_or(|(status, _)| *status == 400), "{seen:?}");
    }
    assert_eq!(client_seen(&proxy, ""), from("127.0.0.1"));
}

#[test]
fn required_closes_without_a_header() {
    let proxy = proxy("required", "127.0.0.0/8");
    assert_eq!(client_seen(&proxy, ""), None);
    assert_eq!(client_seen(&proxy, V1), from("203.0.113.7"));
    assert_eq!(client_seen(&proxy, v2_ipv4()), from("203.0.113.7"));
}

#[test]
fn required_closes_on_other_peers() {
    let proxy = proxy("required", "10.0.0.0/8");
    assert_eq!(client_seen(&proxy, V1), None);
    assert_eq!(client_seen(&proxy, ""), None);
}

#[test]
fn ipv6_and_extensions_are_understood() {
    let proxy = proxy("required", "127.0.0.0/8");
    assert_eq!(client_seen(&proxy, "PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n"), from("2001:db8::7"));
    let mut payload = vec![0; 36];
    payload[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    payload[15] = 7;
    assert_eq!(client_seen(&proxy, v2(1, 0x21, &payload)), from("2001:db8::7"));
    let with_tlv = [&[203, 0, 113, 7, 198, 51, 100, 1, 0x12, 0x67, 0, 80][..], &[0x02, 0, 4], b"host"].concat();
    assert_eq!(client_seen(&proxy, v2(1, 0x11, &with_tlv)), from("203.0.113.7"));
}

#[test]
fn local_and_unknown_mean_the_peer_itself() {
    let proxy = proxy("required", "127.0.0.0/8");
    assert_eq!(client_seen(&proxy, v2(0, 0, &[])), from("127.0.0.1"));
    assert_eq!(client_seen(&proxy, "PROXY UNKNOWN\r\n"), from("127.0.0.1"));
}

#[test]
fn malformed_headers_are_closed() {
    let proxy = proxy("required", "127.0.0.0/8");
    for header in [
        &b"PROXY TCP4 203.0.113.7 198.51.100.1 4711\r\n"[..],
        b"PROXY TCP4 999.0.113.7 198.51.100.1 4711 80\r\n",
        b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 99999\r\n",
        b"PROXY TCP5 203.0.113.7 198.51.100.1 4711 80\r\n",
        b"proxy TCP4 203.0.113.7 198.51.100.1 4711 80\r\n",
        &[b"PROXY TCP4 ", "1".repeat(200).as_bytes(), b"\r\n"].concat(),
        &v2(1, 0x11, &[1, 2, 3]),
        &v2(9, 0x11, &[0; 12]),
        b"\r\n\r\n\0\r\nQUIX\n",
    ] {
        let seen = client_seen(&proxy, header);
        assert!(
            seen.as_ref().is_none_or(|(status, _)| *status == 400),
            "{:?}: {seen:?}",
            String::from_utf8_lossy(header)
        );
    }
}

#[test]
fn header_that_comes_in_pieces_is_understood() {
    let proxy = proxy("required", "127.0.0.0/8");
    for header in [V1.as_bytes().to_vec(), v2_ipv4()] {
        let mut client = proxy.connect();
        header.iter().for_each(|byte| client.send([*byte]));
        assert_eq!(client.get("/x").text(), "203.0.113.7");
    }
}

#[test]
fn header_stands_before_the_tls_handshake() {
    let proxy = proxy("required", "127.0.0.0/8");
    for header in [V1.as_bytes().to_vec(), v2_ipv4()] {
        let mut client = Client::connect(proxy.https());
        client.send(header);
        let config = Arc::new(certs::client_config(&["http/1.1"]));
        let mut client = client.start_tls("site.test", config).unwrap();
        assert_eq!(client.get("/x").text(), "203.0.113.7");
    }
}
