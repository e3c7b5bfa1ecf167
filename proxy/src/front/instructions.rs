//! How many instructions the parts of a hit take, counted by valgrind: the same in every run, on a busy machine too, unlike
//! time. More than `benches/instructions.json` says, by more than its tolerance, is an error.
//!
//! `make instructions` compares, `make bench-instructions` writes the file. Both build this crate's tests in the profile
//! `micro`. What is counted is what ships, but for two things: the allocator is the C library's (a hit does not allocate),
//! and there is no optimisation across crates.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use forebay_cache::clock::Clock as _;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::freshness::freshness;
use forebay_cache::semantics::targeted::TargetList;
use forebay_cache::semantics::{Exchange, RequestDirectives, Reuse, StorePolicy, reuse};
use forebay_cache::store::Form;
use forebay_cache::stored::StoredResponse;
use forebay_config::Places;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::prepare::head;
use super::request::{Plain, Seen};
use super::{LINES, find};
use crate::assemble;
use crate::listen::Connection;
use crate::listen::h1::counted::parse_head;
use crate::listen::h1::ends_lines;
use crate::listen::h2;
use crate::runtime::Runtime;
use crate::stages::admit::Form as TargetForm;
use crate::stages::normalize::normalize;

/// Times a part is run, so that what happens now and then (the store's upkeep) is shared out.
const TIMES: usize = 4096;

/// The parts, each the name of a test below.
const PARTS: [&str; 10] = [
    "parse",
    "parse_front",
    "normalize_target",
    "key",
    "lifetime",
    "freshness_of_stored",
    "lookup",
    "write",
    "hit",
    "hit_h2",
];

/// What is written down as the share by which a count may be above: code that is laid out otherwise, and does the same, was
/// seen to count 5 % more.
const TOLERANCE: f64 = 0.08;

/// With another compiler than the one of the file, so much more is still no error: it moves instructions about.
const TOLERANCE_ELSEWHERE: f64 = 0.25;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/instructions.json");

/// As a browser asks for an image.
const REQUEST: &[u8] = b"GET /wp-content/uploads/2026/11/header-1024x512.png HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Referer: http://www.example.com/2026/11/21/hello-world/\r\n\
    Cookie: consent=1\r\n\
    Priority: u=5, i\r\n\r\n";

const HOST: &str = "www.example.com";
const PATH: &str = "/wp-content/uploads/2026/11/header-1024x512.png";

/// The response's fields as the origin sends them.
const FIELDS: [(&str, &str); 6] = [
    ("server", "Apache"),
    ("last-modified", "Fri, 20 Nov 2026 10:00:00 GMT"),
    ("etag", "\"5f3c-61a9c7\""),
    ("cache-control", "public, max-age=86400, stale-while-revalidate=60"),
    ("content-type", "image/png"),
    ("content-length", "1024"),
];

/// What `benches/instructions.json` holds.
#[derive(Deserialize, Serialize)]
struct Recorded {
    /// What counted: see [`counter`].
    counter: String,
    /// Share by which a count may be above.
    tolerance: f64,
    instructions: BTreeMap<String, u64>,
}

#[test]
#[ignore = "counts instructions in the profile micro: make instructions"]
fn counts_are_those_recorded() {
    if cfg!(debug_assertions) {
        panic!("only what is optimised is counted: make instructions");
    }
    let counts: BTreeMap<&str, u64> = PARTS.iter().map(|part| (*part, count(part))).collect();
    let counter = counter();
    if std::env::var_os("UPDATE_INSTRUCTIONS").is_some() {
        let instructions = counts.into_iter().map(|(part, count)| (part.to_owned(), count)).collect();
        let recorded = Recorded { counter, tolerance: TOLERANCE, instructions };
        fs::write(FILE, serde_json::to_string_pretty(&recorded).unwrap() + "\n").unwrap();
        return;
    }
    let recorded: Recorded = serde_json::from_str(&fs::read_to_string(FILE).unwrap()).unwrap();
    let mut tolerance = recorded.tolerance;
    if counter != recorded.counter {
        tolerance = tolerance.max(TOLERANCE_ELSEWHERE);
        println!(
            "counted by another compiler or valgrind ({counter}) than recorded ({}): {:.0} % more are tolerated. If \
             this is the one from now on: make bench-instructions",
            recorded.counter,
            100.0 * tolerance
        );
    }
    let (verdicts, is_good) = judge(&counts, &recorded.instructions, tolerance);
    println!("{verdicts}");
    assert!(is_good, "more instructions than recorded. Where that is meant: make bench-instructions\n{verdicts}");
}

/// A line for each count, and whether none is above its tolerance.
fn judge(counts: &BTreeMap<&str, u64>, recorded: &BTreeMap<String, u64>, tolerance: f64) -> (String, bool) {
    let (mut lines, mut is_good) = (String::new(), true);
    for (part, count) in counts {
        let Some(before) = recorded.get(*part) else {
            is_good = false;
            writeln!(lines, "{part:12} {count:7} not recorded yet: make bench-instructions").unwrap();
            continue;
        };
        let change = *count as f64 / *before as f64 - 1.0;
        let verdict = if change > tolerance {
            is_good = false;
            "TOO MANY"
        } else if change < -tolerance {
            "fewer: record it, make bench-instructions"
        } else {
            "as recorded"
        };
        writeln!(lines, "{part:12} {count:7} {before:7} {:+6.1} % {verdict}", 100.0 * change).unwrap();
    }
    (lines, is_good)
}

#[test]
fn more_is_an_error_and_fewer_is_not() {
    let recorded = BTreeMap::from([("a".to_owned(), 100)]);
    let judged = |count| judge(&BTreeMap::from([("a", count)]), &recorded, 0.05);
    assert!(judged(104).1 && judged(96).1 && judged(50).1);
    assert!(judged(50).0.contains("record it"));
    assert!(!judged(106).1 && judged(106).0.contains("+6.0 % TOO MANY"), "{}", judged(106).0);
    assert!(!judge(&BTreeMap::from([("new", 1)]), &recorded, 0.05).1, "what is not recorded is not guarded");
}

/// What counts depend on beside the code.
fn counter() -> String {
    let version = |program: &str| {
        let output =
            Command::new(program).arg("--version").output().unwrap_or_else(|error| panic!("{program}: {error}"));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    format!("{}, {}, {}", version(&rustc), std::env::consts::ARCH, version("valgrind"))
}

/// Instructions of one run of `part`, in a process of its own.
fn count(part: &str) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("counts");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*instructions*counted*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--test-threads=1", &format!("front::instructions::{part}")])
        .output()
        .unwrap_or_else(|error| panic!("valgrind (scripts/setup.sh instructions installs it): {error}"));
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{part}: {said}");
    let counts = fs::read_to_string(file).unwrap();
    let total = counts.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse::<u64>().ok());
    let total = total.filter(|total| *total > TIMES as u64);
    total.unwrap_or_else(|| panic!("{part}: nothing was counted: {said}")) / TIMES as u64
}

/// What is counted, and nothing else: valgrind knows it by its name.
#[inline(never)]
fn counted(mut part: impl FnMut()) {
    for _ in 0..TIMES {
        part();
    }
}

/// A site of one page, which is stored and was sent before.
struct Scene {
    runtime: Arc<Runtime>,
    connection: Connection,
    key: CacheKey,
    stored: Arc<StoredResponse>,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let text = "[[listen]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"ap\"\nservers = [\"127.0.0.1:9\"]\n\
                    [[site]]\nhosts = [\"www.example.com\"]\nupstream = \"ap\"\npreset = \"wordpress\"\n";
        let config = forebay_config::parse(text, "test").unwrap_or_else(|report| panic!("{report}"));
        let (runtime, directory) = assemble::offline(config, Places::new("test", text)).unwrap();
        let key = CacheKey::new("http", HOST, PATH, None);
        let stored = Arc::new(stored(&runtime));
        let store = &runtime.lasting.store;
        store.insert(&key, Arc::clone(&stored));
        let variants = store.in_memory(&key).unwrap();
        let variant = variants.iter().next().unwrap();
        let made = variant.prepared.begin(runtime.generation, || false);
        made.form_or(None, || Form::new(stored.fields(), None)).whole().keep(|| head(StatusCode::OK, stored.fields()));
        // Others, so that the table has more than one.
        for other in 0..1000 {
            let query = format!("ver={other}");
            let key = CacheKey::new("http", HOST, PATH, Some(query.as_bytes()));
            store.insert(&key, Arc::clone(&stored));
        }
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        let connection = Connection { client, tls: None, visitor: None };
        Self { runtime, connection, key, stored, _directory: directory }
    }
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let named = lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    named.collect()
}

fn stored(runtime: &Runtime) -> StoredResponse {
    let (request, response) = (HeaderMap::new(), fields(&FIELDS));
    let now = runtime.lasting.clock.now();
    let exchange = Exchange::new(&Method::GET, &request, StatusCode::OK, &response, now, now, &TargetList::default());
    StoredResponse::new(&exchange, Bytes::from(vec![7; 1024]), &StorePolicy::default())
}

#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn parse() {
    let scene = Scene::new();
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    counted(|| {
        buffer.extend_from_slice(REQUEST);
        assert_eq!(parse_head(&mut buffer, &scene.runtime.config.limits), Some(9));
    });
}

#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn parse_front() {
    let scene = Scene::new();
    counted(|| {
        let raw = black_box(REQUEST);
        let mut lines = [httparse::EMPTY_HEADER; LINES];
        let mut request = httparse::Request::new(&mut lines);
        let length = request.parse(raw).unwrap().unwrap();
        assert!(length < scene.runtime.config.limits.head_size && ends_lines(raw, request.headers.len() + 2));
        let seen = Seen::read(request.headers).unwrap();
        let target = Plain::read(request.path.unwrap(), seen.host.unwrap(), "http").unwrap();
        assert_eq!(black_box(target).path.len(), PATH.len());
    });
}

#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn normalize_target() {
    let form = TargetForm::Origin { authority: Some(HOST.as_bytes()), path_query: PATH.as_bytes() };
    counted(|| {
        let target = normalize(black_box(&form), "http").unwrap();
        assert_eq!(black_box(target).path.len(), PATH.len());
    });
}

#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn key() {
    let mut key = Vec::with_capacity(256);
    counted(|| {
        key.clear();
        CacheKey::write("http", black_box(HOST), black_box(PATH), black_box(Some(b"ver=6.7")), &mut key);
        assert!(!black_box(&key).is_empty());
    });
}

#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn lifetime() {
    let (request, response, policy) = (HeaderMap::new(), fields(&FIELDS), StorePolicy::default());
    let now = forebay_cache::clock::SystemClock.now();
    counted(|| {
        let status = StatusCode::OK;
        let exchange = Exchange::new(&Method::GET, &request, status, &response, now, now, &policy.targets);
        assert_eq!(freshness(black_box(&exchange), &policy.freshness).lifetime.as_secs(), 86400);
    });
}

#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn freshness_of_stored() {
    let scene = Scene::new();
    let now = scene.runtime.lasting.clock.now();
    counted(|| {
        let stored = black_box(&scene.stored);
        assert_eq!(reuse(stored, &RequestDirectives::default(), black_box(now)), Reuse::Fresh);
        black_box((stored.current_age(now), stored.ttl(now)));
    });
}

#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn lookup() {
    let scene = Scene::new();
    let store = &scene.runtime.lasting.store;
    counted(|| assert!(store.in_memory_by_bytes(black_box(scene.key.as_bytes())).is_some()));
}

#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn write() {
    let scene = Scene::new();
    let mut buffer = BytesMut::from(REQUEST);
    let hit = find(&scene.runtime, &scene.connection, &mut buffer).unwrap();
    let mut out = BytesMut::with_capacity(4096);
    counted(|| {
        out.clear();
        black_box(&hit).write_head(&mut out, false);
        assert!(out.ends_with(b"\r\n\r\n"));
    });
}

/// All of it but reading, writing and accounting.
#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn hit() {
    let scene = Scene::new();
    let (mut buffer, mut out) = (BytesMut::with_capacity(4096), BytesMut::with_capacity(4096));
    counted(|| {
        buffer.clear();
        buffer.reserve(4096);
        buffer.extend_from_slice(REQUEST);
        out.clear();
        find(&scene.runtime, &scene.connection, &mut buffer).unwrap().write_head(&mut out, false);
        assert!(buffer.is_empty() && out.starts_with(b"HTTP/1.1 200"));
    });
}

/// The same in HTTP/2, no field known from the request before.
#[test]
#[ignore = "counted by counts_are_those_recorded"]
fn hit_h2() {
    let scene = Scene::new();
    let mut request = vec![(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", PATH)];
    let text = std::str::from_utf8(REQUEST).unwrap();
    let lines = text.lines().skip(2).filter_map(|line| line.split_once(": "));
    let names: Vec<_> = lines.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    request.extend(names.iter().map(|(name, value)| (&**name, *value)).filter(|(name, _)| *name != "connection"));
    let (block, mut client) = (h2::counted::block(&request), h2::counted::Client::new());
    counted(|| {
        let head = client.answer(&scene.runtime, &scene.connection, black_box(&block)).unwrap();
        assert!(head.len() > 100);
    });
}

/// The parts are tests, or counting them would say that nothing was counted.
#[test]
fn the_recorded_file_is_read() {
    let recorded: Recorded = serde_json::from_str(&fs::read_to_string(Path::new(FILE)).unwrap()).unwrap();
    assert!(PARTS.iter().all(|part| recorded.instructions.contains_key(*part)));
}
