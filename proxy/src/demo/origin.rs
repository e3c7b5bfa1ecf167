//! The demo's origin: a page that takes half a second, over connections that close, as an AP server would.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime};

/// What making the page takes.
const WORK: Duration = Duration::from_millis(500);

/// Longest silence of whoever connects.
const SILENCE: Duration = Duration::from_secs(10);

/// Serves `listener` on threads of its own, for as long as the process runs.
pub(super) fn start(listener: TcpListener) -> io::Result<()> {
    thread::Builder::new().name("demo-origin".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = move || drop(answer(&stream));
            drop(thread::Builder::new().name("demo-page".to_owned()).spawn(answer));
        }
    })?;
    Ok(())
}

fn answer(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let known = path == "/" || path.starts_with("/?");
    if known {
        thread::sleep(WORK);
    }
    let now = httpdate::fmt_http_date(SystemTime::now());
    let (status, lifetime, page) = if known {
        ("200 OK", "max-age=10, stale-while-revalidate=60", include_str!("site/index.html").replace("{{time}}", &now))
    } else {
        ("404 Not Found", "max-age=5", "<!doctype html><title>Not here</title><h1>Not here</h1>\n".to_owned())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nDate: {now}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: {lifetime}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
}
