//! Content in files coded in the background, once, to files of their own: of text that is too large for memory.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::RandomState;
use bytes::Bytes;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::coding::Coding;
use forebay_cache::store::{CodedContent, Variant};
use parking_lot::Mutex;

use super::{Encoder, Quality};
use crate::runtime::Lasting;

/// Longer content is not coded: seconds of a core for each coding (see [`Quality`] for the speeds).
const LONGEST: u64 = 256 << 20;

/// Coded content up to this length is kept whole until it ends, and has no file of its own.
const SHORT: usize = 1 << 20;

/// Content whose coding was of no use, or could not be kept, is left alone for so long, and as many are remembered.
const AGAIN: Duration = Duration::from_secs(600);
const REMEMBERED: usize = 256;

/// What is being coded, and what was not worth it.
#[derive(Debug, Default)]
pub(crate) struct LargeCodings {
    state: Mutex<State>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct State {
    /// One at a time: it is nobody's turn that waits for it, and the other cores are for those who do.
    running: bool,
    /// Hashes of what was begun, the oldest first. What came to a good end is taken out.
    tried: Vec<(u64, Instant)>,
}

impl LargeCodings {
    /// Whether the content behind `hash` is to be coded now; then it counts as tried.
    fn take(&self, hash: u64, now: Instant) -> bool {
        let mut state = self.state.lock();
        if state.running {
            return false;
        }
        state.tried.retain(|(_, at)| now.saturating_duration_since(*at) < AGAIN);
        if state.tried.iter().any(|(tried, _)| *tried == hash) {
            return false;
        }
        if state.tried.len() >= REMEMBERED {
            state.tried.remove(0);
        }
        state.tried.push((hash, now));
        state.running = true;
        true
    }

    fn end(&self, hash: u64, kept: bool) {
        let mut state = self.state.lock();
        state.running = false;
        if kept {
            state.tried.retain(|(tried, _)| *tried != hash);
        }
    }
}

/// Begins to code the content of `variant`, which is in a file, unless other content is being coded, or this was tried a
/// short while ago. Once it is kept, look-ups find it beside the response.
pub(crate) fn begin(lasting: &Arc<Lasting>, key: &CacheKey, variant: &Variant, coding: Coding) {
    let codings = &lasting.large_codings;
    let response = &variant.response;
    let what = (key.as_bytes(), response.metadata().response_time.millis(), variant.length(), coding.token());
    let hash = codings.hasher.hash_one(what);
    if variant.length() > LONGEST || !codings.take(hash, Instant::now()) {
        return;
    }
    let (lasting, key, variant) = (Arc::clone(lasting), key.clone(), variant.clone());
    tokio::spawn(async move {
        // Given back however this ends, the end of the runtime included.
        let mut turn = Turn { lasting: &lasting, hash, kept: false };
        match code(&lasting, &key, &variant, coding).await {
            Ok(Some(content)) => turn.kept = lasting.store.keep_coded(&key, &variant, coding, content).await,
            Ok(None) => tracing::debug!(%key, coding = coding.token(), "large content does not get shorter"),
            Err(error) => tracing::debug!(%key, coding = coding.token(), %error, "large content is not coded"),
        }
    });
}

struct Turn<'a> {
    lasting: &'a Lasting,
    hash: u64,
    kept: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.lasting.large_codings.end(self.hash, self.kept);
    }
}

/// Codes all of it, a block at a time. `None` when what comes out is not shorter.
async fn code(
    lasting: &Lasting,
    key: &CacheKey,
    variant: &Variant,
    coding: Coding,
) -> io::Result<Option<CodedContent>> {
    let Some(large) = &variant.large else { return Ok(None) };
    let length = large.length();
    lasting.metrics.compressed(coding);
    let mut encoder = Some(Encoder::new(coding, Quality::Store, Some(length))?);
    let (mut reader, mut file) = (large.reader(0..length), None);
    let (mut chunks, mut waiting, mut written) = (Vec::new(), 0, 0);
    while let Some(running) = encoder.take() {
        let coded;
        (encoder, coded) = write(running, reader.next().await?).await?;
        let is_last = encoder.is_none();
        waiting += coded.len();
        written += coded.len() as u64;
        chunks.push(coded);
        if written >= length {
            return Ok(None);
        }
        let has_outgrown = written > SHORT as u64;
        if has_outgrown && (is_last || waiting >= SHORT) {
            let mut open = match file.take() {
                Some(open) => open,
                None => lasting.store.begin_large(key, None).await?,
            };
            open.write(std::mem::take(&mut chunks)).await?;
            waiting = 0;
            file = Some(open);
        }
    }
    Ok(Some(match file {
        Some(file) => CodedContent::Written(file),
        None => CodedContent::Whole(Bytes::from(chunks.concat())),
    }))
}

/// Codes `block`, or without one the end, off the worker thread.
async fn write(mut encoder: Encoder, block: Option<Bytes>) -> io::Result<(Option<Encoder>, Bytes)> {
    let task = tokio::task::spawn_blocking(move || match block {
        Some(block) => encoder.write(&block).map(|coded| (Some(encoder), coded)),
        None => encoder.finish().map(|coded| (None, coded)),
    });
    task.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_coded_at_a_time_and_what_was_of_no_use_is_left_alone_for_a_while() {
        let (codings, now) = (LargeCodings::default(), Instant::now());
        assert!(codings.take(1, now) && !codings.take(2, now), "one at a time");
        codings.end(1, false);
        assert!(!codings.take(1, now), "was of no use");
        assert!(codings.take(2, now));
        codings.end(2, true);
        assert!(codings.take(2, now), "was kept, and then evicted");
        codings.end(2, false);
        assert!(codings.take(1, now + AGAIN));
        codings.end(1, false);
        for hash in 10..10 + REMEMBERED as u64 {
            assert!(codings.take(hash, now + AGAIN));
            codings.end(hash, false);
        }
        assert_eq!(codings.state.lock().tried.len(), REMEMBERED);
        assert!(codings.take(1, now + AGAIN), "pushed out by others");
    }
}
