//! Connections that are passed on byte by byte.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use forebay_tests::client_h1::Client;
use forebay_tests::origin::closed_address;
use forebay_tests::{Origin, Proxy, ProxyConfig, Reply, assert_eventually};

/// A server that reads to the end and then sends back what it read, with `before` in front.
fn echo(before: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut read = Vec::new();
                let _ = stream.write_all(before);
                if stream.read_to_end(&mut read).is_ok() {
                    let _ = stream.write_all(&read);
                }
            });
        }
    });
    address
}

/// A proxy with a `[[tcp]]` before these servers, with these words.
fn before(servers: &[SocketAddr], words: &str) -> Proxy {
    let origin = Origin::answering(|_| Reply::ok("served"));
    let servers: Vec<String> = servers.iter().map(|server| format!("{:?}", server.to_string())).collect();
    let servers = servers.join(", ");
    let tables = format!(
        "[[upstream]]\nname = \"raw\"\nservers = [{servers}]\n\
         [[tcp]]\nlisten = \"127.0.0.1:0\"\nupstream = \"raw\"\n{words}"
    );
    ProxyConfig::new().origin(&origin).server("drain = \"5s\"").extra(&tables).start()
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.sockets("tcp").next().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    stream.read_to_end(&mut read).unwrap();
    read
}

#[test]
fn bytes_pass_both_ways_and_a_half_close_is_kept() {
    let proxy = before(&[echo(b"hello ")], "");
    let mut stream = connect(&proxy);
    // More than any buffer on the way holds: both directions wait for each other.
    let sent: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|n| n.to_le_bytes()[1]).collect();
    let mut writing = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || {
        writing.write_all(&copy).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let read = to_end(&mut stream);
    writer.join().unwrap();
    assert!(read == [b"hello ".as_slice(), &sent].concat());
    assert_eventually!(proxy.metric("forebay_tcp_connections", &[]) == 0.0);
    assert_eq!(proxy.metric("forebay_tcp_bytes_total", &["direction=\"received\""]), sent.len() as f64);
    assert_eq!(proxy.metric("forebay_tcp_bytes_total", &["direction=\"sent\""]), sent.len() as f64 + 6.0);
}

#[test]
fn a_server_that_refuses_is_followed_by_the_next_and_none_at_all_is_a_reset() {
    let proxy = before(&[closed_address(), echo(b"")], "");
    for _ in 0..4 {
        let mut stream = connect(&proxy);
        stream.write_all(b"x").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(to_end(&mut stream), b"x");
    }
    let proxy = before(&[closed_address()], "");
    assert!(connect(&proxy).read_to_end(&mut Vec::new()).is_err());
    assert_eventually!(proxy.metric("forebay_tcp_errors_total", &["reason=\"connect\""]) == 1.0);
}

#[test]
fn no_more_connections_than_allowed_are_passed_on() {
    let proxy = before(&[echo(b"!")], "connections = 1");
    let mut first = connect(&proxy);
    first.read_exact(&mut [0]).unwrap();
    assert!(!matches!(connect(&proxy).read(&mut [0]), Ok(1)));
    drop(first);
    assert_eventually!(connect(&proxy).read_exact(&mut [0]).is_ok());
}

#[test]
fn timed_a_connection_on_which_nobody_says_anything_is_closed() {
    let proxy = before(&[echo(b"")], "idle_timeout = \"1s\"");
    let mut stream = connect(&proxy);
    let start = Instant::now();
    let _ = to_end(&mut stream);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    assert_eventually!(proxy.metric("forebay_tcp_errors_total", &["reason=\"idle\""]) == 1.0);
}

#[test]
fn connections_go_on_while_the_process_drains() {
    let mut proxy = before(&[echo(b"!")], "");
    let address = proxy.sockets("tcp").next().unwrap();
    let mut stream = connect(&proxy);
    stream.read_exact(&mut [0]).unwrap();
    proxy.terminate();
    assert_eventually!(TcpStream::connect(address).is_err());
    stream.write_all(b"still here").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(to_end(&mut stream), b"still here");
    assert!(proxy.wait().success());
}

#[test]
fn the_server_is_told_who_the_client_is() {
    let origin = Origin::answering(|_| Reply::ok("served"));
    for version in ["v1", "v2"] {
        // The server is another instance, which believes the header.
        let words = "proxy_protocol = \"required\"\nproxy_from = [\"127.0.0.1\"]";
        let server = ProxyConfig::new().origin(&origin).http(words).start();
        let proxy = before(&[server.http()], &format!("send_proxy = \"{version}\""));
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7));
        let address = proxy.sockets("tcp").next().unwrap();
        let mut client = Client::connect_from(from, address);
        assert_eq!(client.get(&format!("/{version}")).status, 200);
        let seen = origin.only(&format!("/{version}"));
        assert_eq!(seen.field("x-forwarded-for").as_deref(), Some("127.0.0.7"));
    }
}

#[test]
fn a_header_from_a_stranger_is_refused() {
    let proxy = before(&[echo(b"!")], "proxy_protocol = \"required\"\nproxy_from = [\"192.0.2.0/24\"]");
    let mut stream = connect(&proxy);
    let _ = stream.write_all(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n");
    assert!(!matches!(stream.read(&mut [0]), Ok(1)));
    assert_eventually!(proxy.metric("forebay_connections_refused_total", &[]) == 1.0);
}
