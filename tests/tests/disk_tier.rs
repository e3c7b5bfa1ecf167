//! The disk tier: what was cached outlives the process, large content streams, the directory may fail.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_tests::client_h1::head;
use forebay_tests::origin::Ending;
use forebay_tests::{Origin, Proxy, ProxyConfig, Reply, assert_eventually, forebay};

const MIB: usize = 1 << 20;

/// Bytes that tell where they are from.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// `/NAME` is numbered; `/large/N` has N MiB.
fn origin() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |request| {
        let large = request.path().strip_prefix("/large/").and_then(|mib| mib.parse::<usize>().ok());
        match (request.method.as_str(), large) {
            ("GET", Some(mib)) => Reply::cacheable(content(mib as u64, mib * MIB + 1)).field("ETag", "\"l\""),
            ("GET", None) => Reply::cacheable(count.fetch_add(1, Ordering::SeqCst).to_string()),
            _ => Reply::ok("done"),
        }
    })
}

/// Memory that takes nothing above 1 MiB, so that larger content has to stream to disk.
fn config(origin: &Origin) -> ProxyConfig {
    Proxy::config().origin(origin).memory("size = \"8MiB\"\nmax_object = \"1MiB\"").disk("")
}

fn written(proxy: &Proxy, entries: usize) {
    assert_eventually!(proxy.metric("forebay_cache_admissions_total", &["tier=\"disk\""]) >= entries as f64);
}

fn files(path: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_was_cached_is_served_after_kill_9() {
    let origin = origin();
    let proxy = config(&origin).start();
    for name in 0..20 {
        assert_eq!(proxy.get(&format!("/{name}")).cache(), "MISS");
    }
    written(&proxy, 20);
    let proxy = proxy.kill_and_restart();
    for name in 0..20 {
        let answer = proxy.get(&format!("/{name}"));
        assert_eq!((answer.cache(), answer.text()), ("HIT", name.to_string().as_str()));
        assert_eq!(proxy.get(&format!("/{name}")).cache(), "HIT", "now from memory");
    }
    assert_eq!(origin.total(), 20);
    assert_eq!(proxy.metric("forebay_cache_hits_total", &["tier=\"disk\""]), 20.0);
    assert_eq!(proxy.metric("forebay_cache_hits_total", &["tier=\"memory\""]), 20.0);
    assert_eq!(proxy.metric("forebay_cache_objects", &["tier=\"disk\""]), 20.0);
}

#[test]
fn rfc9111_4_4_what_was_invalidated_does_not_come_back_after_kill_9() {
    let origin = origin();
    let mut proxy = config(&origin).start();
    for round in 0..5 {
        let name = format!("/{round}");
        let first = proxy.get(&name).text().to_owned();
        proxy.get("/kept");
        written(&proxy, 1);
        assert_eq!(proxy.connect().request("POST", &name, &[("Content-Length", "0")]).status, 200);
        // The answer to the POST is the acknowledgement: nothing is waited for.
        proxy = proxy.kill_and_restart();
        let again = proxy.get(&name);
        assert_eq!(again.cache(), "MISS", "round {round}");
        assert_ne!(again.text(), first);
    }
}

#[test]
fn content_too_large_for_memory_streams_to_disk_and_is_read_in_part_even_after_kill_9() {
    let origin = origin();
    let proxy = config(&origin).disk("size = \"256MiB\"").start();
    let whole = content(60, 60 * MIB + 1);
    let before = proxy.resident_kib();
    let filled = proxy.get("/large/60");
    assert_eq!((filled.cache(), filled.body == whole), ("MISS", true));
    written(&proxy, 1);
    let hit = proxy.get("/large/60");
    assert_eq!((hit.cache(), hit.body == whole), ("HIT", true));
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < 45 * 1024, "{grown} KiB more than before a response of 60 MiB");
    let proxy = proxy.kill_and_restart();
    let range = proxy.get_with("/large/60", &[("Range", "bytes=5000000-9000000")]);
    assert_eq!((range.status, range.cache()), (206, "HIT"));
    assert!(range.body == whole[5_000_000..=9_000_000]);
    let last = proxy.get_with("/large/60", &[("Range", "bytes=-10")]);
    assert!(last.body == whole[whole.len() - 10..]);
    assert_eq!(proxy.get_with("/large/60", &[("If-None-Match", "\"l\"")]).status, 304);
    let head = proxy.connect().request("HEAD", "/large/60", &[]);
    assert_eq!((head.status, head.field("Content-Length")), (200, Some(whole.len().to_string().as_str())));
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_range_of_what_is_still_being_filled_is_served_from_the_file() {
    let whole = content(3, 6 * MIB);
    let sent = whole.clone();
    let origin = Origin::scripted(move |connection| {
        let Some(request) = connection.read_request() else { return };
        if request.path() == "/go-on" {
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\r\n").unwrap();
            return connection.close();
        }
        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n\r\n", sent.len());
        connection.write(head.as_bytes()).unwrap();
        connection.write(&sent[..4 * MIB]).unwrap();
        assert_eventually!(connection.seen("/go-on"));
        connection.write(&sent[4 * MIB..]).unwrap();
        connection.close();
    });
    let proxy = config(&origin).start();
    let mut first = proxy.connect();
    first.send(head("GET", "/x", &[]));
    let answer = first.read_head().unwrap();
    assert!(first.read_content_bytes(&answer, 3 * MIB) == whole[..3 * MIB]);
    let early = proxy.get_with("/x", &[("Range", "bytes=2000000-3000000")]);
    assert_eq!(early.status, 206);
    assert!(early.body == whole[2_000_000..=3_000_000]);
    proxy.get("/go-on");
    assert!(first.read_exactly(3 * MIB) == whole[3 * MIB..]);
    assert_eq!(origin.count("/x"), 1, "the range came from the fill in flight");
}

#[test]
fn row_41_large_content_that_breaks_off_leaves_nothing() {
    let origin = Origin::answering(|_| Reply::cacheable(content(1, 8 * MIB)).truncated_at(5 * MIB).then(Ending::Close));
    let proxy = config(&origin).start();
    let mut client = proxy.connect();
    client.send(head("GET", "/x", &[]));
    assert!(client.read_response_to("GET").is_err(), "a short content must not look whole");
    assert_eventually!(files(&proxy.directory().join("cache/large")).is_empty());
    let mut client = proxy.connect();
    client.send(head("GET", "/x", &[]));
    assert!(client.read_response_to("GET").is_err());
    assert_eq!(origin.total(), 2, "not served from the cache");
}

#[test]
fn content_of_unknown_length_moves_to_disk_when_it_outgrows_memory() {
    let whole = content(5, 5 * MIB);
    let sent = whole.clone();
    let origin = Origin::answering(move |_| Reply::cacheable(sent.clone()).chunked());
    let proxy = config(&origin).start();
    assert!(proxy.get("/x").body == whole);
    written(&proxy, 1);
    let proxy = proxy.kill_and_restart();
    let hit = proxy.get("/x");
    assert_eq!(hit.cache(), "HIT");
    assert!(hit.body == whole);
}

#[test]
fn content_too_large_for_both_tiers_is_passed_on_whole() {
    let origin = origin();
    let proxy = config(&origin).start();
    for _ in 0..2 {
        let answer = proxy.get("/large/20");
        assert_eq!(answer.cache(), "MISS");
        assert!(answer.body == content(20, 20 * MIB + 1));
    }
}

#[test]
fn rfc9111_3_2_large_content_is_freshened_without_being_fetched_again() {
    let whole = content(4, 4 * MIB);
    let sent = whole.clone();
    let origin = Origin::answering(move |request| match request.field("If-None-Match") {
        Some(_) => Reply::new(304, "").field("ETag", "\"l\"").field("Cache-Control", "max-age=60"),
        None => Reply::ok(sent.clone()).field("ETag", "\"l\"").field("Cache-Control", "max-age=0"),
    });
    let proxy = config(&origin).start();
    assert!(proxy.get("/x").body == whole);
    written(&proxy, 1);
    let revalidated = proxy.get("/x");
    assert_eq!(revalidated.cache(), "REVALIDATED");
    assert!(revalidated.body == whole);
    written(&proxy, 2);
    let proxy = proxy.kill_and_restart();
    let hit = proxy.get("/x");
    assert_eq!(hit.cache(), "HIT");
    assert!(hit.body == whole);
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_flipped_bit_is_a_miss_and_counted() {
    let origin = origin();
    let proxy = config(&origin).start();
    proxy.get("/a");
    written(&proxy, 1);
    let directory = proxy.kill();
    let segment = files(&directory.path().join("cache/segments")).pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(7).position(|window| window == b"max-age").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let file = directory.path().join("forebay.toml");
    let proxy = Proxy::start(directory, &["run", "--config", file.to_str().unwrap()]);
    let answer = proxy.get("/a");
    assert_eq!((answer.cache(), answer.text()), ("MISS", "1"));
    assert_eq!(proxy.metric("forebay_disk_corrupt_total", &[]), 1.0);
}

#[test]
fn a_directory_that_is_removed_costs_the_cache_and_no_request() {
    let origin = origin();
    let proxy = config(&origin).start();
    proxy.get("/a");
    written(&proxy, 1);
    std::fs::remove_dir_all(proxy.directory().join("cache")).unwrap();
    for name in 0..50 {
        assert_eq!(proxy.get(&format!("/removed/{name}")).status, 200);
    }
    let healed = || proxy.directory().join("cache/identity").exists();
    assert_eventually!(healed() && proxy.metric("forebay_disk_degraded", &[]) == 0.0);
    assert_eventually!({
        proxy.get(&format!("/after/{:?}", std::time::Instant::now()).replace([' ', '{', '}', ':', ','], ""));
        !files(&proxy.directory().join("cache/segments")).is_empty()
    });
}

/// The device has 8 MiB where the tier may take 64: every kind of write meets ENOSPC.
#[test]
fn a_device_that_is_full_costs_entries_and_no_request() {
    let origin = Origin::answering(|request| {
        let length = request.path().rsplit('/').next().and_then(|length| length.parse().ok()).unwrap_or(0);
        Reply::cacheable(content(length as u64, length))
    });
    let directory = tempfile::tempdir().unwrap();
    let text = config(&origin).site("compress = []").write(directory.path());
    let proxy = Proxy::start_on_small_device(directory, &text, "8m");
    for round in 0..200 {
        let length = if round % 20 == 7 { 6_000_000 + round } else { 60_000 + round };
        let answer = proxy.get(&format!("/{length}"));
        assert!(answer.status == 200 && answer.body == content(length as u64, length), "{length}");
    }
    assert!(proxy.metric("forebay_cache_rejections_total", &["tier=\"disk\""]) > 0.0, "the large ones");
    assert!(proxy.metric("forebay_cache_evictions_total", &["tier=\"disk\""]) > 0.0, "the oldest made room");
    assert_eventually!(proxy.metric("forebay_disk_degraded", &[]) == 0.0);
    assert_eq!(proxy.get("/60199").cache(), "HIT");
}

#[test]
fn a_second_instance_on_one_directory_is_refused_with_the_reason() {
    let origin = origin();
    let proxy = config(&origin).start();
    let file = proxy.directory().join("forebay.toml");
    let outcome = forebay(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("in use by another process"), "{}", outcome.stderr);
}

#[test]
fn the_disk_tier_of_a_stopped_instance_is_listed_and_checked() {
    let origin = origin();
    let proxy = config(&origin).start();
    for target in ["/blog/1", "/blog/2", "/shop", "/large/2"] {
        proxy.get(target);
    }
    written(&proxy, 4);
    let directory = proxy.kill();
    let file = directory.path().join("forebay.toml");
    let run = |arguments: &[&str]| {
        let place = ["--config", file.to_str().unwrap()];
        forebay(&[&["cache"], arguments, &place].concat())
    };
    let stats = run(&["stats"]);
    assert!(stats.code == Some(0) && stats.stdout.contains("entries          4"), "{}", stats.stdout);
    let listed = run(&["list", "--prefix", "http://site.test/blog/"]);
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
    assert_eq!(run(&["check"]).code, Some(0));
    let large = files(&directory.path().join("cache/large")).pop().unwrap();
    let mut bytes = std::fs::read(&large).unwrap();
    bytes[MIB] ^= 1;
    std::fs::write(&large, bytes).unwrap();
    let check = run(&["check"]);
    assert_eq!(check.code, Some(1), "{}", check.stdout);
    assert_eq!(run(&["check"]).code, Some(0), "what was damaged is gone");
}

/// The listener has a port of the kernel's choice: a copy of the configuration tells which.
fn config_of_running(proxy: &Proxy) -> String {
    let text = std::fs::read_to_string(proxy.directory().join("forebay.toml")).unwrap();
    let admin = text.find("[admin]").unwrap();
    let known = text[admin..].replacen("127.0.0.1:0", &proxy.admin().to_string(), 1);
    let copy = proxy.directory().join("running.toml");
    std::fs::write(&copy, text[..admin].to_owned() + &known).unwrap();
    copy.to_str().unwrap().to_owned()
}

#[test]
fn the_disk_tier_of_a_running_instance_is_asked_for_at_its_admin_listener() {
    let origin = origin();
    let proxy = config(&origin).start();
    for target in ["/blog/1", "/blog/2?a=%C3%A4", "/shop", "/large/2"] {
        proxy.get(target);
    }
    written(&proxy, 4);
    let config = config_of_running(&proxy);
    let run = |arguments: &[&str]| forebay(&[&["cache"], arguments, &["--config", &config]].concat());
    let stats = run(&["stats"]);
    assert!(stats.code == Some(0) && stats.stdout.contains("entries          4"), "{}{}", stats.stdout, stats.stderr);
    assert!(stats.stderr.contains("answered by the running instance"), "{}", stats.stderr);
    let listed = run(&["list", "--prefix", "http://site.test/blog/"]);
    let uris: Vec<_> = listed.stdout.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(uris, ["http://site.test/blog/1", "http://site.test/blog/2?a=%C3%A4"], "{}", listed.stderr);
    assert_eq!(run(&["check"]).code, Some(0));
    let large = files(&proxy.directory().join("cache/large")).pop().unwrap();
    let mut bytes = std::fs::read(&large).unwrap();
    bytes[MIB] ^= 1;
    std::fs::write(&large, bytes).unwrap();
    let check = run(&["check"]);
    assert_eq!(check.code, Some(1), "{}{}", check.stdout, check.stderr);
    assert!(check.stdout.contains("sound            3") && check.stdout.contains("damaged          1"));
    assert_eq!(run(&["check"]).code, Some(0), "what was damaged is gone");
    assert_eq!(proxy.get("/shop").cache(), "HIT", "it serves on");
    assert_eq!(origin.total(), 4);
}

#[test]
fn a_running_instance_that_cannot_be_asked_is_an_error_with_the_reason() {
    let origin = origin();
    let proxy = config(&origin).start();
    let file = proxy.directory().join("forebay.toml");
    let refused = forebay(&["cache", "check", "--config", file.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("in use by another process"), "{}", refused.stderr);
    assert!(refused.stderr.contains("its admin listener"), "{}", refused.stderr);
    assert_eq!(proxy.ask_admin("/cache/nothing").status, 404);
}

#[test]
fn a_coding_made_while_the_response_arrived_is_stored_with_it() {
    let origin =
        Origin::answering(|_| Reply::cacheable("Words, words, words. ".repeat(500)).field("Content-Type", "text/html"));
    let proxy = config(&origin).start();
    let gzip = [("Accept-Encoding", "gzip")];
    let first = proxy.get_with("/page", &gzip);
    assert_eq!((first.cache(), first.field("Content-Encoding")), ("MISS", Some("gzip")));
    written(&proxy, 2);
    let proxy = proxy.kill_and_restart();
    let again = proxy.get_with("/page", &gzip);
    assert_eq!((again.cache(), again.field("Content-Encoding")), ("HIT", Some("gzip")));
    assert!(again.body == first.body);
    assert_eq!(proxy.metric("forebay_compressed_total", &["coding=\"gzip\""]), 0.0, "not made again");
}

/// Text that gets shorter by compression, but not by much: hexadecimal digits.
fn text(seed: u64, length: usize) -> Vec<u8> {
    content(seed, length / 2).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn origin_of_text(length: usize) -> Origin {
    Origin::answering(move |request| match request.method.as_str() {
        "GET" => Reply::cacheable(text(1, length)).field("Content-Type", "text/plain").field("ETag", "\"t\""),
        _ => Reply::ok("done"),
    })
}

const GZIP: [(&str, &str); 1] = [("Accept-Encoding", "gzip")];

fn compressed(proxy: &Proxy) -> f64 {
    proxy.metric("forebay_compressed_total", &["coding=\"gzip\""])
}

#[test]
fn a_coding_of_1_mib_and_more_is_stored_and_gone_with_its_response() {
    let origin = origin_of_text(3 * MIB);
    let proxy = Proxy::config().origin(&origin).disk("").start();
    let first = proxy.get_with("/text", &GZIP);
    assert_eq!((first.cache(), first.field("Content-Encoding")), ("MISS", Some("gzip")));
    assert!(first.body.len() > MIB && first.body.len() < 2 * MIB, "{}", first.body.len());
    written(&proxy, 2);
    assert_eq!(files(&proxy.directory().join("cache/large")).len(), 2);
    let proxy = proxy.kill_and_restart();
    for _ in 0..2 {
        let again = proxy.get_with("/text", &GZIP);
        assert_eq!((again.cache(), again.field("Content-Encoding")), ("HIT", Some("gzip")));
        assert!(again.body == first.body);
    }
    assert!(proxy.get("/text").body == text(1, 3 * MIB));
    assert_eq!((compressed(&proxy), origin.total()), (0.0, 1), "not made again");
    assert_eq!(proxy.metric("forebay_cache_objects", &["tier=\"disk\""]), 2.0);
    assert_eq!(proxy.connect().request("POST", "/text", &[("Content-Length", "0")]).status, 200);
    let proxy = proxy.kill_and_restart();
    assert!(files(&proxy.directory().join("cache/large")).is_empty());
    assert_eq!(proxy.metric("forebay_cache_objects", &["tier=\"disk\""]), 0.0);
    assert_eq!(proxy.get_with("/text", &GZIP).cache(), "MISS");
}

#[test]
fn content_in_a_file_is_coded_once_in_the_background_and_its_codings_survive_kill_9() {
    let origin = origin_of_text(6 * MIB);
    let proxy = config(&origin).disk("size = \"128MiB\"").start();
    let whole = text(1, 6 * MIB);
    let first = proxy.get_with("/text", &GZIP);
    assert!(first.field("Content-Encoding").is_none() && first.body == whole, "nobody waits for a coding");
    assert_eq!(first.field("Vary"), Some("Accept-Encoding"));
    written(&proxy, 1);
    let coded = |proxy: &Proxy| {
        let answer = proxy.get_with("/text", &GZIP);
        assert_eq!(answer.cache(), "HIT");
        Some(answer).filter(|answer| answer.field("Content-Encoding") == Some("gzip"))
    };
    assert_eventually!(coded(&proxy).is_some());
    let gzip = coded(&proxy).unwrap();
    assert_eq!(gzip.field("Content-Length"), Some(gzip.body.len().to_string().as_str()));
    assert_ne!(gzip.field("ETag"), first.field("ETag"));
    let mut decoded = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*gzip.body), &mut decoded).unwrap();
    assert!(decoded == whole);
    assert_eq!(compressed(&proxy), 1.0, "made once");
    written(&proxy, 2);
    let proxy = proxy.kill_and_restart();
    for _ in 0..3 {
        assert!(coded(&proxy).unwrap().body == gzip.body);
    }
    let etag = gzip.field("ETag").unwrap();
    let held = [("Accept-Encoding", "gzip"), ("If-None-Match", etag)];
    assert_eq!(proxy.get_with("/text", &held).status, 304);
    let head = proxy.connect().request("HEAD", "/text", &GZIP);
    assert_eq!(head.field("Content-Length"), gzip.field("Content-Length"));
    let range = proxy.get_with("/text", &[("Accept-Encoding", "gzip"), ("Range", "bytes=5000000-5999999")]);
    assert!(range.status == 206 && range.body == whole[5_000_000..6_000_000], "of the content as it came");
    assert_eq!((compressed(&proxy), origin.total()), (0.0, 1), "not made again");
    assert_eq!(proxy.connect().request("POST", "/text", &[("Content-Length", "0")]).status, 200);
    assert!(files(&proxy.directory().join("cache/large")).is_empty(), "one removal takes both");
    let proxy = proxy.kill_and_restart();
    assert_eq!(proxy.get_with("/text", &GZIP).cache(), "MISS");
    assert_eq!(proxy.metric("forebay_disk_corrupt_total", &[]), 0.0);
}

#[test]
fn content_that_does_not_get_shorter_is_tried_once() {
    let origin = Origin::answering(|_| {
        Reply::cacheable(content(1, 3 * MIB)).field("Content-Type", "text/plain").field("ETag", "\"t\"")
    });
    let proxy = config(&origin).start();
    proxy.get_with("/noise", &GZIP);
    written(&proxy, 1);
    assert_eventually!({
        proxy.get_with("/noise", &GZIP);
        compressed(&proxy) == 1.0
    });
    // While it is tried, and after that.
    let mut client = proxy.connect();
    for _ in 0..300 {
        assert!(client.request("HEAD", "/noise", &GZIP).field("Content-Encoding").is_none());
    }
    assert!(proxy.get_with("/noise", &GZIP).field("Content-Encoding").is_none());
    assert_eq!(compressed(&proxy), 1.0);
    assert_eventually!(files(&proxy.directory().join("cache/large")).len() == 1);
}
