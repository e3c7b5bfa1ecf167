//! What a hit costs, and a connection that waits: counted by the allocator, for the thread that serves them.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use forebay_config::Places;
use tokio::sync::{oneshot, watch};

use crate::assemble;
use crate::listen::stream::Stream;
use crate::listen::{Connection, accept, h1, h2};
use crate::runtime::Shared;

/// Hits that are counted.
const HITS: usize = 1000;

/// What is allocated for other reasons in the meantime: by the runtime, and by the thread's queues of the store, which grow once.
const OTHERS: u64 = 16;

/// Connections that are counted.
const CONNECTIONS: usize = 200;

/// Bytes each may have, allocated by us and by what we stand on: 256 are what the runtime registers a socket with, 512 its
/// task. Of both there is no size between these and their doubles.
const MOST: i64 = 768 + 16;

/// Pieces they are in: each is a place of its own for the processor to fetch.
const PIECES: i64 = 2;

/// An AP server that says the same to everybody, a connection each.
fn ap_server(answer: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// Sends `request` so many times, and reads the responses, each of `length` bytes beside its head.
fn ask(stream: &mut TcpStream, request: &str, length: usize, times: usize) {
    let mut buffer = [0; 16 * 1024];
    for _ in 0..times {
        stream.write_all(request.as_bytes()).unwrap();
        let mut read = 0;
        loop {
            read += stream.read(&mut buffer[read..]).unwrap();
            let head = buffer[..read].windows(4).position(|end| end == b"\r\n\r\n");
            if head.is_some_and(|head| read >= head + 4 + length) {
                break;
            }
        }
    }
}

/// The same in HTTP/2, on a connection that is begun in the first `round`: GET `/page`, ten streams at a time.
fn ask_h2(stream: &mut TcpStream, round: u32, times: usize) {
    if round == 0 {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        // All windows as large as can be.
        stream.write_all(b"\0\0\x04\x08\0\0\0\0\0\x7f\0\0\0").unwrap();
    }
    // GET, http, "/page", "site.test".
    let block = b"\x82\x86\x04\x05/page\x01\x09site.test";
    let (mut buffer, mut rest) = ([0; 16 * 1024], Vec::new());
    let mut id = round * 2 * HITS as u32 + 1;
    for _ in 0..times / 10 {
        let mut requests = Vec::new();
        for _ in 0..10 {
            requests.extend_from_slice(&[0, 0, block.len() as u8, 1, 5]);
            requests.extend_from_slice(&id.to_be_bytes());
            requests.extend_from_slice(block);
            id += 2;
        }
        stream.write_all(&requests).unwrap();
        let mut ended = 0;
        while ended < 10 {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "closed");
            rest.extend_from_slice(&buffer[..read]);
            while let Some(head) = rest.first_chunk::<9>().copied() {
                let end = 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if rest.len() < end {
                    break;
                }
                ended += usize::from(head[3] < 2 && head[4] & 1 != 0);
                rest.drain(..end);
            }
        }
    }
}

/// Allocations of [`HITS`] requests that were made before.
fn allocations(answer: &'static str, request: &'static str, length: usize) -> u64 {
    let serve =
        |shared, connection, stream| -> Serving { Box::pin(h1::serve(shared, connection, stream, Arc::default(), ())) };
    measure(answer, serve, move |stream, _| ask(stream, request, length, HITS))
}

/// A cache before that server.
fn shared(answer: &'static str) -> (Arc<Shared>, tempfile::TempDir) {
    let server = ap_server(answer);
    let text = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"ap\"\nservers = [\"{server}\"]\n[[site]]\nhosts = [\"*\"]\nupstream = \"ap\"\n"
    );
    let config = forebay_config::parse(&text, "test").unwrap_or_else(|report| panic!("{report}"));
    let (runtime, directory) = assemble::offline(config, Places::new("test", &text)).unwrap();
    (Shared::new(Arc::into_inner(runtime).unwrap()), directory)
}

type Serving = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The same of a connection that is served by `serve`, where `ask` asks in two rounds.
fn measure(
    answer: &'static str,
    serve: fn(Arc<Shared>, Connection, Stream) -> Serving,
    ask: impl Fn(&mut TcpStream, u32) + Copy + Send + 'static,
) -> u64 {
    let (shared, _directory) = shared(answer);
    let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, address) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    tasks.block_on(async {
        let stream = Stream::Plain(tokio::net::TcpStream::from_std(stream).unwrap());
        let connection = Connection { client: address, tls: None, visitor: None };
        tokio::spawn(serve(shared, connection, stream));
    });
    let mut count = 0;
    // The first go makes what is counted in the second, and fills the thread's buffers.
    for round in 0..2 {
        let (done, is_done) = oneshot::channel();
        let mut asking = client.try_clone().unwrap();
        let asking = thread::spawn(move || {
            ask(&mut asking, round);
            let _ = done.send(());
        });
        count = allocation_counter::measure(|| tasks.block_on(is_done).unwrap()).count_total;
        asking.join().unwrap();
    }
    client.flush().unwrap();
    count
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nCache-Control: max-age=1000000000\r\n\
                      ETag: \"a\"\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

#[test]
fn a_hit_in_http2_allocates_nothing() {
    let serve = |shared, connection, stream| -> Serving {
        Box::pin(h2::serve(shared, Arc::new(connection), stream, Arc::default()))
    };
    let count = measure(ANSWER, serve, |stream, round| ask_h2(stream, round, HITS));
    assert!(count <= OTHERS, "{count} for {HITS} hits");
}

#[test]
fn a_hit_allocates_nothing() {
    let plain = "GET /page HTTP/1.1\r\nHost: site.test\r\nAccept-Encoding: gzip, br\r\nUser-Agent: x\r\n\r\n";
    let count = allocations(ANSWER, plain, 5);
    assert!(count <= OTHERS, "{count} for {HITS} hits");
    let conditional = "GET /page HTTP/1.1\r\nHost: site.test\r\nIf-None-Match: \"a\"\r\n\r\n";
    let count = allocations(ANSWER, conditional, 0);
    assert!(count <= OTHERS, "{count} for {HITS} 304s");
}

#[test]
fn the_front_calls_itself_as_the_long_way_does() {
    let name = crate::stages::deliver::NAME;
    assert_eq!(super::OFFLOAD, format!("cache-status: {name}"));
    assert_eq!(super::HIT, format!("cache-status: {name}; hit; ttl="));
}

#[test]
fn a_miss_is_counted_as_what_it_costs() {
    // So that the test above can fail.
    const ANSWER: &str =
        "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let count = allocations(ANSWER, "GET /page HTTP/1.1\r\nHost: site.test\r\n\r\n", 5);
    assert!(count > 10 * HITS as u64, "{count} for {HITS} passes");
}

#[test]
fn a_connection_that_waits_holds_little() {
    let (shared, _directory) = shared(ANSWER);
    let listener = assemble::listeners(&shared).unwrap().pop().unwrap();
    let address = listener.socket.local_addr().unwrap();
    let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_drain, draining) = watch::channel(false);
    tasks.spawn(accept::run(shared, listener, draining));
    let (mut held, mut clients) = ([0; 2], Vec::new());
    // What is allocated once is allocated in the first go.
    for _ in 0..2 {
        let (done, is_done) = oneshot::channel();
        let asking = thread::spawn(move || {
            let mut clients = Vec::new();
            for number in 0..CONNECTIONS {
                let mut client = TcpStream::connect(address).unwrap();
                // The long way and the front have left nothing behind.
                ask(&mut client, &format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", number % 8), 5, 2);
                clients.push(client);
            }
            let _ = done.send(());
            clients
        });
        let counted = allocation_counter::measure(|| tasks.block_on(is_done).unwrap());
        held = [counted.bytes_current, counted.count_current].map(|all| all / CONNECTIONS as i64);
        clients.push(asking.join().unwrap());
    }
    let [bytes, pieces] = held;
    assert!((512..=MOST).contains(&bytes) && pieces == PIECES, "{bytes} bytes a connection in {pieces} pieces");
}
