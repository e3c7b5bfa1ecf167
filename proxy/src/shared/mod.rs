//! Shared tier: what one node has stored, the others find in Redis or Valkey before they ask anybody else.
//!
//! It is never waited for longer than its deadline, and not at all while it does not answer. What is found is used where
//! no purge concerns it that this node has acknowledged ([`crate::cluster::Ledger`]), and where the rules here would have
//! stored it, as if it came from the AP server at the time at which it did. It is written by the way, through a bounded
//! queue. How much there is in all, and what makes room, is Redis' own business (`maxmemory`).

mod connection;
mod record;
mod service;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use forebay_cache::clock::Timestamp;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::Variance;
use forebay_cache::stored::StoredResponse;
use forebay_config::model;
use http::HeaderMap;
use parking_lot::Mutex;
use redis::RedisResult;
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::{digest, hmac};
use tokio::sync::mpsc;

use self::connection::Connection;
use self::record::Record;
pub(crate) use self::record::Shared;
pub(crate) use self::service::SharedService;
use crate::account::metrics::{Metrics, SharedMetrics};
use crate::cluster::Term;

/// Responses that wait to be written, and their bytes.
const QUEUE: usize = 1024;
const QUEUED: u64 = 64 << 20;

/// Look-ups in a row past the deadline after which nobody waits any more.
const LATE: u32 = 3;

/// What is fresh for less is not worth the way.
const SHORTEST: Duration = Duration::from_secs(1);

/// The `[cache.shared]` of the config.
pub(crate) struct SharedTier {
    config: model::SharedTier,
    /// What places begin with.
    prefix: String,
    sealing: hmac::Key,
    /// `None` while there is none.
    connection: ArcSwapOption<Connection>,
    /// Look-ups in a row that were past the deadline.
    late: AtomicU32,
    /// Nobody waits: it is too slow.
    shut: AtomicBool,
    writes: mpsc::Sender<Write>,
    /// Taken by the service.
    written: Mutex<Option<mpsc::Receiver<Write>>>,
    /// Bytes that wait to be written.
    queued: AtomicU64,
    pub(crate) metrics: Arc<SharedMetrics>,
}

/// A response to be written.
struct Write {
    key: CacheKey,
    response: Arc<StoredResponse>,
    term: Term,
    /// How far Redis' clock is ahead, milliseconds.
    ahead: i64,
    lifetime: Duration,
}

impl SharedTier {
    /// Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// The secret cannot be read.
    pub(crate) fn new(config: &model::SharedTier, cluster: &model::Cluster, metrics: &Metrics) -> Result<Self, String> {
        let (writes, written) = mpsc::channel(QUEUE);
        let secret = match &cluster.secret_file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
            None => String::new(),
        };
        let key = Salt::new(HKDF_SHA256, cluster.name.as_bytes()).extract(secret.trim().as_bytes());
        let key = key.expand(&[b"forebay shared tier 1"], hmac::HMAC_SHA256).map_err(|error| error.to_string())?;
        Ok(Self {
            config: config.clone(),
            prefix: format!("{}:stored{}:", cluster.name, record::VERSION),
            sealing: hmac::Key::from(key),
            connection: ArcSwapOption::empty(),
            late: AtomicU32::new(0),
            shut: AtomicBool::new(false),
            writes,
            written: Mutex::new(Some(written)),
            queued: AtomicU64::new(0),
            metrics: Arc::clone(&metrics.shared),
        })
    }

    /// Where what is stored under `key` lies. Two keys may share a place: what lies there says whose it is.
    fn place(&self, key: &CacheKey) -> Vec<u8> {
        use std::fmt::Write as _;
        let mut place = self.prefix.clone();
        for byte in digest::digest(&digest::SHA256, key.as_bytes()).as_ref().iter().take(16) {
            let _ = write!(place, "{byte:02x}");
        }
        place.into_bytes()
    }

    /// What is stored for this request, within the deadline. Counts what came of it unless something was found: that is
    /// for whoever judges it.
    pub(crate) async fn find(&self, key: &CacheKey, request: &HeaderMap) -> Option<Shared> {
        let connection = self.connection.load_full().filter(|_| !self.shut.load(Ordering::Acquire));
        let Some(connection) = connection else {
            self.metrics.looked_up("skipped");
            return None;
        };
        let started = Instant::now();
        let read =
            tokio::time::timeout(self.config.deadline, self.read(connection.as_ref().clone(), key, request)).await;
        self.metrics.lookup_time.observe(started.elapsed().as_secs_f64());
        let Ok(read) = read else {
            self.metrics.looked_up("timeout");
            if self.late.fetch_add(1, Ordering::AcqRel) + 1 >= LATE && !self.shut.swap(true, Ordering::AcqRel) {
                self.metrics.up.set(0);
                tracing::warn!("the shared tier is too slow: nobody waits for it until it answers in time");
            }
            return None;
        };
        self.late.store(0, Ordering::Release);
        let word = match read {
            Ok(Some(shared)) => return Some(shared),
            Ok(None) => "miss",
            Err(Failure::Corrupt) => "corrupt",
            Err(Failure::Redis) => "error",
        };
        self.metrics.looked_up(word);
        None
    }

    async fn read(
        &self,
        mut connection: Connection,
        key: &CacheKey,
        request: &HeaderMap,
    ) -> Result<Option<Shared>, Failure> {
        match self.record(&mut connection, key).await? {
            None => Ok(None),
            Some(Record::Response(shared)) => Ok(Some(*shared)),
            Some(Record::Varies(names)) => {
                let varies = Variance::from_parts(false, names.into_iter().map(|name| (name, None)).collect());
                let key = key.with_variance(&varies.suffix_for(request));
                match self.record(&mut connection, &key).await? {
                    Some(Record::Response(shared)) => Ok(Some(*shared)),
                    _ => Ok(None),
                }
            }
        }
    }

    async fn record(&self, connection: &mut Connection, key: &CacheKey) -> Result<Option<Record>, Failure> {
        let place = self.place(key);
        let found: RedisResult<Option<Vec<u8>>> = connection.ask(redis::cmd("GET").arg(&place)).await;
        let Some(bytes) = found.map_err(|_| Failure::Redis)? else { return Ok(None) };
        let read = record::read(&self.sealing, &place, &Bytes::from(bytes), |held| held == key.as_bytes());
        read.map(Some).ok_or(Failure::Corrupt)
    }

    /// Writes a response that was asked for in `term`, when there is time. Nobody waits.
    pub(crate) fn offer(&self, key: &CacheKey, response: &Arc<StoredResponse>, term: Term, ahead: i64, now: Timestamp) {
        let lifetime = response.remaining(now).min(self.config.max_lifetime);
        let bytes = response.weight();
        if response.content().len() as u64 > self.config.max_object {
            return self.metrics.wrote("too-large");
        }
        if lifetime < SHORTEST || response.metadata().validate_always || response.variance().is_star() {
            return self.metrics.wrote("short-lived");
        }
        let write = Write { key: key.clone(), response: Arc::clone(response), term, ahead, lifetime };
        // Counted before it is sent: what takes it may be faster.
        let is_full = self.queued.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes) > QUEUED;
        if is_full || self.connection.load().is_none() || self.writes.try_send(write).is_err() {
            self.queued.fetch_sub(bytes, Ordering::AcqRel);
            self.metrics.wrote("dropped");
        }
    }
}

/// The key under which a response lies: with the values of what it varies on.
pub(crate) fn keyed(key: &CacheKey, response: &StoredResponse) -> CacheKey {
    if response.variance().is_empty() { key.clone() } else { key.with_variance(&response.variance().suffix()) }
}

/// Why there is no answer, although one came.
enum Failure {
    /// What lies there is no record of ours.
    Corrupt,
    Redis,
}
