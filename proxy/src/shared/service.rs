//! The connection to the shared tier: made again whenever it is lost, watched, and written through.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use redis::{Cmd, RedisResult};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::connection::Connection;
use super::{SharedTier, Write, keyed, record};

/// Longest wait for anything that no request waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is asked whether it is there.
const BEAT: Duration = Duration::from_millis(500);

/// Responses written at once, and their bytes.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 4 << 20;

/// The tier as a Pingora service.
pub(crate) struct SharedService {
    pub(crate) tier: Arc<SharedTier>,
}

#[async_trait]
impl Service for SharedService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let Some(written) = self.tier.written.lock().take() else { return };
        tokio::select! {
            () = run(&self.tier, written) => {}
            _ = shutdown.changed() => {}
        }
    }

    fn name(&self) -> &'static str {
        "shared tier"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

async fn run(tier: &SharedTier, mut written: mpsc::Receiver<Write>) {
    let mut told = false;
    loop {
        let config = &tier.config;
        let ended = match Connection::open(config, PATIENCE).await {
            Ok(connection) => {
                told = false;
                serve(tier, connection, &mut written).await
            }
            Err(error) => Err(error),
        };
        tier.connection.store(None);
        tier.metrics.up.set(0);
        if let Err(error) = ended
            && !told
        {
            tracing::error!(redis = %config.redis, %error, "the shared tier is lost: nothing is looked up or written there");
            told = true;
        }
        while let Ok(write) = written.try_recv() {
            forget(tier, &write);
        }
        tokio::time::sleep(BEAT).await;
    }
}

/// Writes, and asks whether it is there, until it is not.
async fn serve(tier: &SharedTier, mut connection: Connection, written: &mut mpsc::Receiver<Write>) -> RedisResult<()> {
    tier.late.store(0, Ordering::Release);
    tier.connection.store(Some(Arc::new(connection.clone())));
    let mut beats = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            _ = beats.tick() => {
                let started = Instant::now();
                let _: redis::Value = connection.ask(&redis::cmd("PING")).await?;
                if started.elapsed() <= tier.config.deadline {
                    tier.late.store(0, Ordering::Release);
                    tier.shut.store(false, Ordering::Release);
                    tier.metrics.up.set(1);
                }
            }
            Some(first) = written.recv() => write(tier, &mut connection, first, written).await?,
        }
    }
}

/// Writes what waits, some of it at once.
async fn write(
    tier: &SharedTier,
    connection: &mut Connection,
    first: Write,
    written: &mut mpsc::Receiver<Write>,
) -> RedisResult<()> {
    let mut batch = vec![first];
    let mut bytes = 0;
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        let Ok(next) = written.try_recv() else { break };
        bytes += next.response.weight();
        batch.push(next);
    }
    let done = connection.all(batch.iter().flat_map(|write| commands(tier, write)).collect()).await;
    for write in &batch {
        tier.queued.fetch_sub(write.response.weight(), Ordering::AcqRel);
        tier.metrics.wrote(if done.is_ok() { "stored" } else { "failed" });
    }
    match done {
        // It is there and says no: out of memory, or not allowed.
        Err(error) if !error.is_io_error() => {
            tracing::debug!(%error, "the shared tier does not take what is written");
            Ok(())
        }
        done => done,
    }
}

fn commands(tier: &SharedTier, write: &Write) -> Vec<Cmd> {
    let Write { key, response, term, ahead, lifetime } = write;
    let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
    let set = |place: &[u8], bytes: Vec<u8>| {
        let mut command = redis::cmd("SET");
        command.arg(place).arg(bytes).arg("PX").arg(millis);
        command
    };
    let key = keyed(key, response);
    let place = tier.place(&key);
    let mut all = vec![set(&place, record::write(&tier.sealing, &place, &key, response, *term, *ahead))];
    if !response.variance().is_empty() {
        let place = tier.place(&key.primary());
        let names: Vec<_> = response.variance().nominated().map(|(name, _)| name).collect();
        all.push(set(&place, record::write_varies(&tier.sealing, &place, &names)));
    }
    all
}

fn forget(tier: &SharedTier, write: &Write) {
    tier.queued.fetch_sub(write.response.weight(), Ordering::AcqRel);
    tier.metrics.wrote("dropped");
}
