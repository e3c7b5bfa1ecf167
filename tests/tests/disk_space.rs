//! `size` is a ceiling: what the tier takes of its device is never more, at any moment, whatever is on its way. The device
//! is a file system of its own, which is asked all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use forebay_tests::client_h1::head;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 32 * MIB;

/// Bytes that tell whose they are.
fn content(seed: u64, length: u64) -> Vec<u8> {
    let block: Vec<u8> =
        (0..4093_u64).map(|at| (at.wrapping_mul(0x9E37_79B9).wrapping_add(seed * 77) >> 11) as u8).collect();
    let mut bytes = block.repeat(usize::try_from(length).unwrap() / block.len() + 1);
    bytes.truncate(usize::try_from(length).unwrap());
    bytes
}

/// `/NUMBER/LENGTH`; every second one says nothing of its length before it ends.
fn origin() -> Origin {
    Origin::answering(|request| {
        let mut numbers = request.path().split('/').skip(1).map(|number| number.parse::<u64>().unwrap_or(0));
        let (number, length) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let reply = Reply::cacheable(content(number, length));
        if number.is_multiple_of(2) { reply.chunked() } else { reply }
    })
}

#[test]
fn disk_space_is_never_more_than_its_size_with_large_fills_in_flight() {
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    let config = Proxy::config()
        .origin(&origin)
        .memory("size = \"1MiB\"")
        .disk("size = \"32MiB\"\nmax_object = \"8MiB\"")
        .limits("send_rate_floor = 0");
    let text = config.site("compress = []").write(directory.path());
    let proxy = Proxy::start_on_small_device(directory, &text, "128m");
    // Removed long before it is read: it takes its room until then.
    let kept = content(1, 5 * MIB);
    assert!(proxy.get(&format!("/1/{}", 5 * MIB)).body == kept);
    assert_eventually!(proxy.get(&format!("/1/{}", 5 * MIB)).cache() == "HIT");
    let mut slow = proxy.connect().with_small_receive_buffer();
    slow.send(head("GET", &format!("/1/{}", 5 * MIB), &[]));
    let begun = slow.read_head().unwrap();
    assert_eq!(begun.cache(), "HIT");

    let (done, peak, looks) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                peak.fetch_max(proxy.device_used(), Ordering::Relaxed);
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        let clients: Vec<_> = (1..=8_u64)
            .map(|client| {
                let proxy = &proxy;
                scope.spawn(move || {
                    for round in 0..8 {
                        let number = client * 100 + round;
                        // From what fits a segment to what is just stored, and above that.
                        let length = number.wrapping_mul(2_654_435_761) % (9 * MIB);
                        let answer = proxy.get(&format!("/{number}/{length}"));
                        assert!(answer.status == 200 && answer.body == content(number, length), "{number} {length}");
                    }
                })
            })
            .collect();
        let ended: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Release);
        assert!(ended.iter().all(Result::is_ok));
    });
    let (peak, looks) = (peak.into_inner(), looks.into_inner());
    assert!(peak <= SIZE, "{peak} bytes were taken of {SIZE}");
    assert!(peak > SIZE / 2 && looks > 1000, "{peak} bytes at the most in {looks} looks: it was full");
    assert!(proxy.metric("forebay_cache_evictions_total", &["tier=\"disk\""]) > 10.0);
    slow.set_patience(Duration::from_secs(60));
    let read = slow.read_content_bytes(&begun, kept.len());
    assert!(read == kept, "what was removed while it was read is read to its end");
    // Filled to the brim it goes on taking in what comes, for what is oldest.
    let (before, length) = (proxy.metric("forebay_cache_admissions_total", &["tier=\"disk\""]), 6 * MIB);
    assert_eq!(proxy.get(&format!("/5001/{length}")).cache(), "MISS");
    assert_eventually!(proxy.metric("forebay_cache_admissions_total", &["tier=\"disk\""]) > before);
    assert_eq!(proxy.get(&format!("/5001/{length}")).cache(), "HIT");
    assert!(proxy.device_used() <= SIZE);
}
