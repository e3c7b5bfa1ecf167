//! `cargo bench -p forebay-cache --bench trace`: hit ratios of both tiers on a trace of requests, beside a plain LRU of the
//! same size.
//!
//! The trace is what a site sees: popularity after Zipf, sizes of a few hundred bytes to a hundred KiB, pages that come into
//! fashion, and crawlers that ask for each of many pages once. What is counted is requests, and bytes.

#![expect(clippy::print_stdout, clippy::cast_sign_loss, reason = "figures")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_cache::clock::Timestamp;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::Variance;
use forebay_cache::semantics::freshness::LifetimeSource;
use forebay_cache::store::disk::{DiskConfig, DiskStore};
use forebay_cache::store::{MemoryStore, Tier, TieredStore};
use forebay_cache::stored::{Metadata, StoredResponse};
use http::{HeaderMap, HeaderValue, StatusCode};

const MIB: u64 = 1 << 20;
const KEYS: u64 = 50_000;
const REQUESTS: u64 = 500_000;
/// Requests before anything is counted.
const WARM: u64 = REQUESTS / 4;
const MEMORY: u64 = 32 * MIB;
const DISK: u64 = 256 * MIB;

/// Bytes an entry takes beside its content: fields and bookkeeping.
const MEMORY_OVERHEAD: u64 = 1200;
const DISK_OVERHEAD: u64 = 192;

struct Trace {
    state: u64,
    /// Cumulated popularity.
    popularity: Vec<f64>,
    /// One request in so many is a crawler's; 0: none.
    crawler: u64,
    crawled: u64,
    /// After so many requests another page is the most popular one; 0: never.
    fashion: u64,
    asked: u64,
}

impl Trace {
    fn new(exponent: f64, crawler: u64, fashion: u64) -> Self {
        let mut sum = 0.0;
        let popularity = (1..=KEYS)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        Self { state: 0x9E37_79B9_7F4A_7C15, popularity, crawler, crawled: 0, fashion, asked: 0 }
    }

    fn random(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.asked += 1;
        if self.crawler > 0 && self.asked.is_multiple_of(self.crawler) {
            self.crawled += 1;
            return KEYS + self.crawled;
        }
        let at = self.random() * self.popularity.last().copied().unwrap_or(1.0);
        let rank = self.popularity.partition_point(|sum| *sum < at) as u64;
        let shift = self.asked.checked_div(self.fashion).unwrap_or(0);
        (rank + shift) % KEYS
    }
}

/// Log-uniform from 300 bytes to 100 KiB, the same for a key each time.
fn length(key: u64) -> u64 {
    let spread = (key.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40) as f64 / (1_u64 << 24) as f64;
    (300.0 * (100.0 * 1024.0 / 300.0_f64).powf(spread)) as u64
}

/// What everything is measured against.
#[derive(Default)]
struct Lru {
    size: u64,
    used: u64,
    clock: u64,
    entries: HashMap<u64, (u64, u64)>,
    order: BTreeMap<u64, u64>,
}

impl Lru {
    fn of(size: u64) -> Self {
        Self { size, ..Self::default() }
    }

    fn ask(&mut self, key: u64, weight: u64) -> bool {
        self.clock += 1;
        let before = self.entries.insert(key, (self.clock, weight));
        self.order.insert(self.clock, key);
        if let Some((stamp, _)) = before {
            self.order.remove(&stamp);
            return true;
        }
        self.used += weight;
        while self.used > self.size {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.used -= self.entries.remove(&oldest).map_or(0, |(_, weight)| weight);
        }
        false
    }
}

#[derive(Default)]
struct Count {
    requests: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64, hit: bool) {
        if hit {
            self.requests += 1;
            self.bytes += bytes;
        }
    }
}

fn response(content: Bytes) -> Arc<StoredResponse> {
    let metadata = Metadata {
        status: StatusCode::OK,
        request_time: Timestamp::from_secs(0),
        response_time: Timestamp::from_secs(0),
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
    let mut fields = HeaderMap::new();
    fields.insert("cache-control", HeaderValue::from_static("public, max-age=3600"));
    fields.insert("content-type", HeaderValue::from_static("text/html; charset=utf-8"));
    Arc::new(StoredResponse::from_parts(metadata, fields, content))
}

fn run(name: &str, exponent: f64, crawler: u64, fashion: u64) -> std::io::Result<()> {
    let directory = tempfile::tempdir()?;
    let config = DiskConfig {
        path: directory.path().to_owned(),
        size: DISK,
        max_object: DISK / 4,
        whole: MEMORY / 4,
        takeover: false,
    };
    let store = TieredStore::new(MemoryStore::new(MEMORY, MEMORY / 4), Some(DiskStore::open(config)?));
    let (mut small, mut large) = (Lru::of(MEMORY), Lru::of(DISK));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let zeros = Bytes::from(vec![0; 128 << 10]);
    let mut trace = Trace::new(exponent, crawler, fashion);
    let (mut all, mut memory, mut both) = (Count::default(), Count::default(), Count::default());
    let (mut lru_small, mut lru_large) = (Count::default(), Count::default());
    for asked in 0..REQUESTS {
        let key = trace.next();
        let bytes = length(key);
        let name = CacheKey::new("http", "www.example.com", &format!("/{key}"), None);
        let found = runtime.block_on(store.get(&name, |variants| !variants.is_empty())).map(|found| found.tier);
        if found.is_none() {
            store.insert(&name, response(zeros.slice(..usize::try_from(bytes).unwrap_or(0))));
        }
        let held = (small.ask(key, bytes + MEMORY_OVERHEAD), large.ask(key, bytes + DISK_OVERHEAD));
        if asked >= WARM {
            all.add(bytes, true);
            memory.add(bytes, found == Some(Tier::Memory));
            both.add(bytes, found.is_some());
            lru_small.add(bytes, held.0);
            lru_large.add(bytes, held.1);
        }
        // The trace is faster than any site: nothing may be dropped for that.
        if asked.is_multiple_of(500)
            && let Some(disk) = store.disk()
        {
            disk.flush();
        }
    }
    let share = |count: &Count| {
        let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole as f64;
        format!("{:5.1} % ({:5.1} % of bytes)", percent(count.requests, all.requests), percent(count.bytes, all.bytes))
    };
    println!("{name}");
    println!("  memory {:>4} MiB: {}   LRU {}", MEMORY / MIB, share(&memory), share(&lru_small));
    println!("  and disk {:>4} MiB: {} LRU {}", DISK / MIB, share(&both), share(&lru_large));
    if let Some(stats) = store.disk_stats() {
        println!("  written {} entries, evicted {}, dropped {}", stats.admissions, stats.evictions, stats.rejections);
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    run("Zipf 0.8", 0.8, 0, 0)?;
    run("Zipf 0.8, one in three a crawler's", 0.8, 3, 0)?;
    run("Zipf 1.0, one in three a crawler's", 1.0, 3, 0)?;
    run("Zipf 0.8, one in five a crawler's, fashions change", 0.8, 5, 50)
}
