//! What the disk tier costs: CPU of a hit by size, CPU of a put, restart time and memory at a million entries.
//!
//! `cargo bench -p forebay-cache --bench disk [-- DIRECTORY]`. CPU is that of the whole process (its writer included), the
//! page cache is warm. Every read verifies its checksums and decodes the fields.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends where it cannot go on")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_cache::clock::Timestamp;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::Variance;
use forebay_cache::semantics::freshness::LifetimeSource;
use forebay_cache::store::disk::{DiskConfig, DiskStore, Lookup};
use forebay_cache::store::{MemoryStore, TieredStore};
use forebay_cache::stored::{Metadata, StoredResponse};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// As the proxy has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GIB: u64 = 1 << 30;

fn open(path: &Path, size: u64) -> DiskStore {
    let config = DiskConfig { path: path.to_owned(), size, max_object: GIB, whole: 8 << 20, takeover: false };
    DiskStore::open(config).unwrap()
}

fn key(each: u64) -> CacheKey {
    CacheKey::new("https", "www.example.com", &format!("/2026/11/an-article-{each}/"), None)
}

/// The fields a WordPress page has.
fn response(content: Bytes) -> Arc<StoredResponse> {
    let mut fields = HeaderMap::new();
    for (name, value) in [
        ("date", "Sat, 21 Nov 2026 14:00:00 GMT"),
        ("server", "Apache/2.4.62 (Debian)"),
        ("content-type", "text/html; charset=UTF-8"),
        ("cache-control", "max-age=3600"),
        ("link", "<https://www.example.com/wp-json/>; rel=\"https://api.w.org/\""),
        ("vary", "Accept-Encoding"),
        ("etag", "\"0123456789abcdef\""),
        ("x-powered-by", "PHP/8.3"),
    ] {
        fields.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let now = Timestamp::from_secs(1_800_000_000);
    let metadata = Metadata {
        status: StatusCode::OK,
        request_time: now,
        response_time: now,
        initial_age: Duration::ZERO,
        lifetime: Duration::from_secs(3600),
        source: LifetimeSource::MaxAge,
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        validate_always: false,
        forbids_stale: false,
        no_transform: false,
        variance: Variance::default(),
        stamp: 0,
        surrogate_keys: Vec::new(),
    };
    Arc::new(StoredResponse::from_parts(metadata, fields, content))
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap() * 1024
}

fn micros(time: Duration, operations: u64) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(u32::try_from(operations).unwrap())
}

fn put(store: &DiskStore, entries: u64, length: usize) {
    let stored = response(Bytes::from(vec![b'x'; length]));
    let (cpu_before, started) = (cpu(), Instant::now());
    for each in 0..entries {
        // Paced, so that nothing is dropped.
        if each % 100 == 0 {
            store.flush();
        }
        store.insert(&key(each), Arc::clone(&stored));
    }
    store.flush();
    println!(
        "put {length:>7} B: {:>6.2} us CPU, {:>9.0} a second",
        micros(cpu() - cpu_before, entries),
        1e6 / micros(started.elapsed(), entries)
    );
}

fn get(store: &DiskStore, entries: u64, length: usize, operations: u64) {
    let mut inline = 0;
    at_random("", entries, length, operations, |key| {
        let found = match store.get(key) {
            Lookup::Ready(variants) => {
                inline += 1;
                variants
            }
            Lookup::Blocking(read) => read.read_now(),
        };
        found.iter().any(|variant| variant.response.content().len() == length)
    });
    println!(", {inline} inline");
}

/// As the front reads: from the tier behind a memory tier that has no room, with buffers that are used again.
fn get_short(store: DiskStore, entries: u64, length: usize, operations: u64) {
    let store = TieredStore::new(MemoryStore::new(0, 0), Some(store));
    at_random(", the short way", entries, length, operations, |key| {
        let found = store.on_disk_by_bytes(key.as_bytes());
        found.and_then(|found| found.content(None)).is_some_and(|content| content.len() == length)
    });
    println!();
}

/// Looks so many up, and tells what it took; the line is left open. A quarter as many before do not count in the time.
fn at_random(way: &str, entries: u64, length: usize, operations: u64, mut is_hit: impl FnMut(&CacheKey) -> bool) {
    let (mut state, mut hits) = (0x9E37_79B9_7F4A_7C15_u64, 0);
    let mut run = |operations: u64| {
        for _ in 0..operations {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            hits += u64::from(is_hit(&key(state % entries)));
        }
    };
    run(operations / 4);
    let (cpu_before, started) = (cpu(), Instant::now());
    run(operations);
    let (used, took) = (cpu() - cpu_before, started.elapsed());
    let all = operations + operations / 4;
    print!(
        "hit {length:>7} B{way}: {:>6.2} us CPU, {:>9.0} a second, {hits} of {all} hits",
        micros(used, operations),
        1e6 / micros(took, operations)
    );
}

/// First argument of the process that opens what another has filled.
const REOPEN: &str = "reopen";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [REOPEN, directory] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return reopen(Path::new(directory));
    }
    let parent = arguments.first().map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    for (length, entries) in [(4096, 200_000), (16 << 10, 50_000), (64 << 10, 10_000), (256 << 10, 2000)] {
        let directory = tempfile::tempdir_in(&parent).unwrap();
        let store = open(directory.path(), 4 * GIB);
        put(&store, entries, length);
        get(&store, entries, length, 400_000 * 4096 / length as u64);
        get_short(store, entries, length, 400_000 * 4096 / length as u64);
    }
    let directory = tempfile::tempdir_in(&parent).unwrap();
    let entries = 1_000_000;
    let store = open(directory.path(), 4 * GIB);
    put(&store, entries, 256);
    drop(store);
    for cold in [false, true] {
        if cold {
            forget(&directory.path().join("segments"));
        }
        // A process of its own: what an allocator was given once it does not give back.
        let myself = std::env::current_exe().unwrap();
        let ended = std::process::Command::new(myself).arg(REOPEN).arg(directory.path()).status().unwrap();
        assert!(ended.success());
        println!("  page cache {}", if cold { "cold" } else { "warm" });
    }
}

/// Opens the store in `directory`, and tells what that took.
fn reopen(directory: &Path) {
    let (before, cpu_before, started) = (resident(), cpu(), Instant::now());
    let store = open(directory, 4 * GIB);
    let (took, used) = (started.elapsed(), cpu() - cpu_before);
    let (memory, entries) = (resident().saturating_sub(before), store.stats().objects);
    let each = memory.checked_div(entries).unwrap_or(0);
    print!("restart with {entries} entries: {took:.2?}, {used:.2?} CPU, {each} B of memory an entry,");
}

/// Has the page cache let go of the files in `directory`.
fn forget(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}
