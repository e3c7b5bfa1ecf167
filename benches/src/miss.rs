//! What a miss costs while siblings are asked first, none of which has it: one request at a time, so that its time is that
//! of the way and not that of a queue.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::peer::{Peer, Server};
use crate::setting::{KIB, Setting};
use crate::{CLIENT_CORE, Result, SERVER_CORE};

/// How many siblings are asked.
pub const SIBLINGS: [usize; 3] = [0, 1, 4];

/// Requests, each for another URL; and those before that do not count.
const REQUESTS: usize = 2_000;
const BEFORE: usize = 200;

/// How long siblings may take to be heard of.
const SETTLE: Duration = Duration::from_millis(500);

/// What misses cost.
#[derive(Debug, Clone, Copy)]
pub struct Miss {
    /// Siblings that are asked.
    pub siblings: usize,
    /// CPU time of the one that asks, microseconds a request.
    pub cpu_micros: f64,
    /// Microseconds from request to answer, of half of them.
    pub median: f64,
    /// The same of all but one in a hundred.
    pub p99: f64,
}

/// Starts so many siblings on the other core, and one that asks them.
///
/// # Errors
///
/// One does not start, an answer is wrong, or siblings or origin server were not asked.
pub fn measure(setting: &Setting, siblings: usize) -> Result<Miss> {
    let mut others = Vec::new();
    let mut words = String::new();
    if siblings > 0 {
        write!(words, "[icp]\naddress = \"{}\"\n", free_udp()?)?;
    }
    for _ in 0..siblings {
        let icp = free_udp()?;
        let answers = format!("[icp]\naddress = \"{icp}\"\nallow = [\"127.0.0.0/8\"]\n");
        let server = Peer::Forebay.start_with(setting, &answers, CLIENT_CORE)?;
        write!(words, "[[icp.sibling]]\nicp = \"{icp}\"\nhttp = \"{}\"\n", server.http)?;
        others.push(server);
    }
    let server = Peer::Forebay.start_with(setting, &words, SERVER_CORE)?;
    let mut client = Client::connect(&server)?;
    client.miss(0..BEFORE)?;
    sleep(SETTLE);
    let asked = setting.origin.asked();
    let (before, others_before) = (server.usage()?, spent(&others)?);
    let mut times = client.miss(BEFORE..BEFORE + REQUESTS)?;
    let cpu = server.usage()?.cpu.saturating_sub(before.cpu);
    if setting.origin.asked() - asked != REQUESTS as u64 {
        return Err("misses: the origin server was not asked once for each".into());
    }
    // Some 10 µs a question: far more than idling takes.
    let least = Duration::from_micros(2 * (REQUESTS * siblings) as u64);
    if spent(&others)?.saturating_sub(others_before) < least {
        return Err("misses: the siblings were not asked".into());
    }
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    let cpu_micros = cpu.as_secs_f64() * 1e6 / REQUESTS as f64;
    Ok(Miss { siblings, cpu_micros, median: at(0.5), p99: at(0.99) })
}

fn free_udp() -> Result<SocketAddr> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn spent(servers: &[Server]) -> Result<Duration> {
    servers.iter().map(|server| server.usage().map(|usage| usage.cpu)).sum()
}

struct Client(TcpStream);

impl Client {
    fn connect(server: &Server) -> Result<Self> {
        let stream = TcpStream::connect(server.http)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self(stream))
    }

    /// Asks for the URLs with these numbers, one after the other; how long each took.
    fn miss(&mut self, numbers: std::ops::Range<usize>) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(numbers.len());
        let mut buffer = vec![0; 8 * KIB];
        for number in numbers {
            let started = Instant::now();
            self.0.write_all(format!("GET /1k.png?{number} HTTP/1.1\r\nHost: site.test\r\n\r\n").as_bytes())?;
            let mut length = 0;
            loop {
                let read = self.0.read(buffer.get_mut(length..).unwrap_or_default())?;
                if read == 0 {
                    return Err("misses: a connection was closed".into());
                }
                length += read;
                let so_far = buffer.get(..length).unwrap_or_default();
                let head = so_far.windows(4).position(|window| window == b"\r\n\r\n");
                if head.is_some_and(|head| length >= head + 4 + KIB) {
                    break;
                }
            }
            if !buffer.starts_with(b"HTTP/1.1 200") {
                return Err("misses: not 200".into());
            }
            times.push(started.elapsed());
        }
        Ok(times)
    }
}
