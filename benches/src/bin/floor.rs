//! The least that an answer over a kept connection can cost: one thread, one epoll loop, one read and one write a
//! request, no parsing. `floor ADDRESS` answers 1 KiB of content to everything, 64 KiB to targets that begin `/64k`.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};

use forebay_benches::Result;
use forebay_benches::setting::{KIB, content};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// The listening socket's mark; connections are numbered above it.
const LISTENER: u64 = 0;

fn main() -> Result<()> {
    let address = std::env::args().nth(1).ok_or("usage: floor ADDRESS")?;
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let (small, large) = (answer(KIB), answer(64 * KIB));
    let mut connections: HashMap<u64, TcpStream> = HashMap::new();
    let mut last = LISTENER;
    let mut events = Vec::with_capacity(256);
    let mut request = vec![0; 4 * KIB];
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let mark = event.data.u64();
            if mark == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    last += 1;
                    epoll::add(&epoll, &stream, epoll::EventData::new_u64(last), epoll::EventFlags::IN)?;
                    connections.insert(last, stream);
                }
                continue;
            }
            let Some(stream) = connections.get(&mark) else { continue };
            let read = recv(stream, &mut request[..], RecvFlags::empty()).map_or(0, |(_, read)| read);
            let head = request.get(..read).unwrap_or_default();
            if head.is_empty() || !respond(stream, if head.starts_with(b"GET /64k") { &large } else { &small }) {
                connections.remove(&mark);
            }
        }
    }
}

fn answer(size: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {size}\r\n\r\n");
    [head.as_bytes(), &content(size)].concat()
}

/// Writes all of it; a client that does not take it at once is waited for.
fn respond(stream: &TcpStream, mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        match send(stream, rest, SendFlags::NOSIGNAL) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(rustix::io::Errno::AGAIN) => std::thread::yield_now(),
            Err(_) => return false,
        }
    }
    true
}
