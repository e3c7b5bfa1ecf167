//! kill -9 under load with known content: no wrong byte, no part of a response, nothing that was invalidated, in no coding.
//!
//! A few rounds here; `make soak` runs many (`FOREBAY_CRASH_ROUNDS`).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forebay_tests::{Origin, Proxy, Reply};
use parking_lot::Mutex;

/// `/TARGET` always has the same content, told by its name; the last part of the path is the length. What is large gets
/// shorter by compression, but not by much: its coding is in a file too.
fn content(target: &str) -> Vec<u8> {
    let length = target.rsplit('/').next().and_then(|length| length.parse().ok()).unwrap_or(0);
    if length < LARGE {
        return target.bytes().cycle().take(length).collect();
    }
    let mut state = target.bytes().fold(1_u64, |state, byte| state.wrapping_mul(131).wrapping_add(byte.into())) | 1;
    let mut content = Vec::with_capacity(length + 16);
    while content.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend((0..16).map(|nibble| b"0123456789abcdef"[(state >> (nibble * 4)) as usize & 15]));
    }
    content.truncate(length);
    content
}

/// From this length on content has a file of its own.
const LARGE: usize = 1 << 20;

fn target(round: usize, each: usize) -> String {
    let length = match each % 40 {
        0 => 3_000_000,
        1..5 => 150_000,
        _ => 500 + each * 7,
    };
    format!("/{round}/{each}/{length}")
}

struct Round {
    asked: Vec<String>,
    /// POSTs that were answered: from then on the target must be fetched again.
    invalidated: HashSet<String>,
}

/// Asks, invalidates, and kills somewhere on the way.
fn round(proxy: Proxy, round: usize, after: Duration) -> (Round, tempfile::TempDir) {
    let result = Mutex::new(Round { asked: Vec::new(), invalidated: HashSet::new() });
    let (over, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    let each = next.fetch_add(1, Ordering::Relaxed);
                    let target = target(round, each);
                    if ask(proxy.http(), "GET", &target).is_some() {
                        result.lock().asked.push(target.clone());
                    }
                    if each.is_multiple_of(2) {
                        let _ = ask_for_gzip(proxy.http(), &target);
                    }
                    if each.is_multiple_of(3) && ask(proxy.http(), "POST", &target).is_some() {
                        result.lock().invalidated.insert(target);
                    }
                }
            });
        }
        let start = Instant::now();
        while start.elapsed() < after {
            std::thread::yield_now();
        }
        proxy.signal(rustix::process::Signal::KILL);
        over.store(true, Ordering::Release);
    });
    (result.into_inner(), proxy.kill())
}

/// The content of a 200, if one came whole.
fn ask(address: SocketAddr, method: &str, target: &str) -> Option<(String, Vec<u8>)> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: site.test\r\n{length}Connection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(answer[..end].to_vec()).ok()?.to_ascii_lowercase();
    let body = answer.split_off(end + 4);
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    (head.starts_with("http/1.1 200") && body.len() == length).then_some((head, body))
}

/// The content of a 200 after decoding, if one came whole, and its head. Content that is coded while it is sent has no length
/// before it ends: to HTTP/1.0 its end is that of the connection, and gzip itself says whether it is whole.
fn ask_for_gzip(address: SocketAddr, target: &str) -> Option<(String, Vec<u8>)> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    write!(stream, "GET {target} HTTP/1.0\r\nHost: site.test\r\nAccept-Encoding: gzip\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(answer[..end].to_vec()).ok()?.to_ascii_lowercase();
    let body = answer.split_off(end + 4);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    if !head.starts_with("http/1.1 200") || length.is_some_and(|length: usize| length != body.len()) {
        return None;
    }
    if !head.contains("content-encoding: gzip") {
        return length.map(|_| (head, body));
    }
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(&*body).read_to_end(&mut decoded).ok()?;
    Some((head, decoded))
}

fn rounds(count: usize) {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "GET" => Reply::ok(content(&request.target))
            .field("Cache-Control", "max-age=3600")
            .field("Content-Type", "text/plain"),
        _ => Reply::ok("done"),
    });
    let config = Proxy::config()
        .origin(&origin)
        .memory("size = \"8MiB\"\nmax_object = \"1MiB\"")
        .disk("size = \"512MiB\"")
        .site("compress = [\"gzip\"]");
    let mut proxy = config.start();
    let (mut asked, mut survived) = (0, 0);
    // Large ones of rounds before, which are coded in the background, and how often such a coding was found.
    let (mut large, mut coded) = (Vec::<String>::new(), 0);
    for number in 0..count {
        let after = Duration::from_millis(150 + (number as u64 * 137) % 500);
        let (told, directory) = round(proxy, number, after);
        let file = directory.path().join("forebay.toml");
        let started = Instant::now();
        proxy = Proxy::start(directory, &["run", "--config", file.to_str().unwrap()]);
        let ready = started.elapsed();
        assert!(ready < Duration::from_secs(5), "round {number}: ready after {ready:?}");
        for target in &large {
            let (head, body) = ask_for_gzip(proxy.http(), target).unwrap();
            assert!(body == content(target), "round {number}: wrong bytes for {target} in gzip");
            coded += usize::from(head.contains("x-cache: hit") && head.contains("content-encoding: gzip"));
        }
        large.clear();
        for target in &told.asked {
            let (head, body) = ask(proxy.http(), "GET", target).unwrap();
            assert!(body == content(target), "round {number}: wrong bytes for {target}");
            let hit = head.contains("x-cache: hit");
            assert!(!(hit && told.invalidated.contains(target)), "round {number}: {target} came back");
            if !told.invalidated.contains(target) {
                asked += 1;
                survived += usize::from(hit);
            }
            let (head, body) = ask_for_gzip(proxy.http(), target).unwrap();
            assert!(body == content(target), "round {number}: wrong bytes for {target} in gzip: {head}");
            if body.len() >= LARGE {
                large.push(target.clone());
            }
        }
        assert_eq!(proxy.metric("forebay_disk_corrupt_total", &[]), 0.0, "round {number}");
    }
    eprintln!(
        "{count} rounds: {survived} of {asked} stored responses survived, {coded} codings of large ones found later"
    );
    assert!(survived > 0);
}

#[test]
fn nothing_wrong_is_served_after_kill_9_under_load() {
    rounds(4);
}

#[test]
#[ignore = "minutes: make soak"]
fn soak_nothing_wrong_is_served_after_many_kill_9_under_load() {
    let count = std::env::var("FOREBAY_CRASH_ROUNDS").ok().and_then(|count| count.parse().ok());
    rounds(count.unwrap_or(200));
}
