//! The origin server behind every cache: fixed answers, one connection a request, and a count of what it was asked.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Result;
use crate::setting::{ETAG, KIB, PAGE, content, page};

/// Threads that answer; a client that sends nothing holds one of them for [`PATIENCE`] at most.
const THREADS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(1);

/// A running origin server. Its threads end with the process.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<AtomicU64>,
}

/// Every answer, made once.
struct Answers {
    kib: Vec<u8>,
    kib16: Vec<u8>,
    kib64: Vec<u8>,
    mib: Vec<u8>,
    page: Vec<u8>,
    page_gzip: Vec<u8>,
    pass: Vec<u8>,
    unknown: Vec<u8>,
}

impl Origin {
    /// Starts one on a loopback port of the kernel's choice.
    ///
    /// # Errors
    ///
    /// No socket, no threads.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let asked = Arc::new(AtomicU64::new(0));
        let answers = Arc::new(Answers::new()?);
        for index in 0..THREADS {
            let (listener, answers, asked) = (listener.try_clone()?, Arc::clone(&answers), Arc::clone(&asked));
            thread::Builder::new().name(format!("origin-{index}")).spawn(move || {
                for stream in listener.incoming().flatten() {
                    // A connection that breaks concerns its client alone.
                    let _ = serve(stream, &answers, &asked);
                }
            })?;
        }
        Ok(Self { address, asked })
    }

    /// Requests it has answered.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn serve(mut stream: TcpStream, answers: &Answers, asked: &AtomicU64) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut head = [0; 8 * KIB];
    let mut length = 0;
    while !head.get(..length).unwrap_or_default().ends_with(b"\r\n\r\n") {
        match stream.read(head.get_mut(length..).unwrap_or_default())? {
            0 => return Ok(()),
            read => length += read,
        }
    }
    asked.fetch_add(1, Ordering::Relaxed);
    let head = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).to_ascii_lowercase();
    stream.write_all(answers.to(&head))
}

impl Answers {
    fn new() -> Result<Self> {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let modified = httpdate::fmt_http_date(SystemTime::now() - Duration::from_hours(24));
        let shared = format!("Cache-Control: public, max-age=86400\r\nETag: {ETAG}\r\nLast-Modified: {modified}\r\n");
        let answer = |status: &str, fields: &str, content: &[u8]| {
            let length = content.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nDate: {date}\r\nServer: origin\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            [head.as_bytes(), content].concat()
        };
        let image = format!("{shared}Content-Type: image/png\r\n");
        let html = format!("{shared}Content-Type: text/html; charset=utf-8\r\nVary: Accept-Encoding\r\n");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(page().as_bytes())?;
        Ok(Self {
            kib: answer("200 OK", &image, &content(KIB)),
            kib16: answer("200 OK", &image, &content(16 * KIB)),
            mib: answer("200 OK", &image, &content(KIB * KIB)),
            kib64: answer("200 OK", &image, &content(64 * KIB)),
            page: answer("200 OK", &html, page().as_bytes()),
            page_gzip: answer("200 OK", &format!("{html}Content-Encoding: gzip\r\n"), &gzip.finish()?),
            pass: answer("200 OK", "Cache-Control: private, no-store\r\nContent-Type: image/png\r\n", &content(KIB)),
            unknown: answer("404 Not Found", "", b""),
        })
    }

    /// The answer to a request head in lower case.
    fn to(&self, head: &str) -> &[u8] {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let takes_gzip = || head.lines().any(|line| line.starts_with("accept-encoding:") && line.contains("gzip"));
        match path {
            "/1k.png" => &self.kib,
            "/16k.png" => &self.kib16,
            "/64k.png" => &self.kib64,
            "/1m.png" => &self.mib,
            PAGE if takes_gzip() => &self.page_gzip,
            PAGE => &self.page,
            _ if target.starts_with("/pass/") => &self.pass,
            _ => &self.unknown,
        }
    }
}
