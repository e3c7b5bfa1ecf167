//! Content that is much larger than memory: read by several, in part, while it is still arriving, and after kill -9.
//!
//! 256 MiB here; `make soak` takes 10 GiB (`FOREBAY_LARGE_MIB`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_tests::client_h1::head;
use forebay_tests::{Origin, Proxy, assert_eventually};

const MIB: usize = 1 << 20;

/// The MiB with this number.
fn block(number: usize) -> Vec<u8> {
    let mut block: Vec<u8> = (0..MIB).map(|at| (at.wrapping_mul(0x9E37_79B9) >> 13) as u8).collect();
    block[..8].copy_from_slice(&number.to_le_bytes());
    block
}

/// The content from block `from` on, `count` blocks.
fn blocks(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).flat_map(block).collect()
}

fn range(from: usize, count: usize) -> String {
    format!("bytes={}-{}", from * MIB, (from + count) * MIB - 1)
}

/// Content of so many MiB, of which two thirds come at once and the rest when somebody has asked for `/go-on`.
fn origin(mib: usize) -> Origin {
    Origin::scripted(move |connection| {
        let Some(request) = connection.read_request() else { return };
        if request.path() == "/go-on" {
            let _ = connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\r\n");
            return connection.close();
        }
        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: {}\r\n\r\n", mib * MIB);
        let mut next = block(0);
        if connection.write(head.as_bytes()).is_err() {
            return;
        }
        for number in 0..mib {
            if number == mib * 2 / 3 {
                assert_eventually!(connection.seen("/go-on"));
            }
            next[..8].copy_from_slice(&number.to_le_bytes());
            if connection.write(&next).is_err() {
                return;
            }
        }
        connection.close();
    })
}

fn large(mib: usize) {
    let origin = origin(mib);
    let proxy = Proxy::config()
        .origin(&origin)
        .memory("size = \"8MiB\"\nmax_object = \"1MiB\"")
        .disk(&format!("size = \"{}MiB\"\nmax_object = \"{mib}MiB\"", mib * 4 + 64))
        .limits("send_rate_floor = 0")
        .site("compress = []")
        .start();
    let before = proxy.resident_kib();
    let bounded = |proxy: &Proxy, when: &str| {
        let grown = proxy.resident_kib().saturating_sub(before);
        assert!(grown < 48 * 1024, "{grown} KiB more {when} than before a response of {mib} MiB");
    };
    let ask = |proxy: &Proxy, from: usize, count: usize| {
        let mut client = proxy.connect();
        client.set_patience(Duration::from_secs(120));
        let answer = client.request("GET", "/x", &[("Range", &range(from, count))]);
        assert_eq!(answer.status, 206, "{from}");
        assert!(answer.body == blocks(from, count), "{from}");
        answer
    };
    let read = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = proxy.connect();
            client.set_patience(Duration::from_secs(120));
            client.send(head("GET", "/x", &[]));
            let answer = client.read_head().unwrap();
            assert_eq!(answer.field("Content-Length"), Some((mib * MIB).to_string().as_str()));
            let mut expected = block(0);
            for number in 0..mib {
                expected[..8].copy_from_slice(&number.to_le_bytes());
                let got = if number == 0 { client.read_content_bytes(&answer, MIB) } else { client.read_exactly(MIB) };
                assert!(got == expected, "{number}");
                read.store(number + 1, Ordering::Release);
            }
        });
        while read.load(Ordering::Acquire) < mib * 2 / 3 - 1 {
            std::thread::yield_now();
        }
        // From its beginning, and from what came last, while the rest has not been sent yet.
        for from in [0, mib / 3, mib * 2 / 3 - 4] {
            ask(&proxy, from, 3);
        }
        bounded(&proxy, "while it arrives");
        // What has not arrived yet is waited for.
        let waiting = scope.spawn(|| ask(&proxy, mib - 3, 3));
        proxy.get("/go-on");
        waiting.join().unwrap();
    });
    bounded(&proxy, "once it is there");
    assert_eventually!(proxy.metric("forebay_cache_objects", &["tier=\"disk\""]) == 1.0);
    assert_eq!(ask(&proxy, mib / 2, 3).cache(), "HIT");
    let proxy = proxy.kill_and_restart();
    for from in [0, mib / 2, mib - 3] {
        assert_eq!(ask(&proxy, from, 3).cache(), "HIT");
    }
    assert_eq!(origin.count("/x"), 1, "it was fetched once");
}

#[test]
fn content_larger_than_memory_is_read_in_part_while_it_arrives_and_memory_is_bounded() {
    large(256);
}

#[test]
#[ignore = "a minute and 10 GiB of disk: make soak"]
fn soak_content_of_10_gib_is_read_in_part_while_it_arrives_and_memory_is_bounded() {
    let mib = std::env::var("FOREBAY_LARGE_MIB").ok().and_then(|mib| mib.parse().ok());
    large(mib.unwrap_or(10 << 10));
}
