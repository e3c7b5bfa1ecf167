//! The sweep: looks at every stored response at an easy pace, removes what has been purged, and retires the records of
//! purges that concern nothing any more. It decides nothing: who uses a response has asked the records before.

use std::time::{Duration, Instant};

use super::TieredStore;
use super::disk::Fate;
use crate::clock::Timestamp;
use crate::purge::Standing;

/// Least time a sweep takes. Whatever was between a look at the purges and the store when it began is in the store by then.
const LEAST: Duration = Duration::from_secs(1);

/// Keys in memory, and entries on disk, that are looked at before a pause.
const STEP: usize = 500;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Stored responses removed.
    pub removed: u64,
    /// Whether it came to its end, and retired what could be.
    pub whole: bool,
}

impl TieredStore {
    /// Sweeps once. `oldest` is the least stamp of all fills in flight ([`crate::fill::Fills::oldest`]), taken before this is
    /// called. Blocks: for a thread of its own. `pause` is called after each step and says whether to go on.
    pub fn sweep(&self, oldest: u64, now: Timestamp, mut pause: impl FnMut() -> bool) -> Swept {
        let began = Instant::now();
        let horizon = oldest.min(self.purges.last());
        let mut swept = Swept::default();
        // The least number of a soft purge that something stored on disk has yet to be told of.
        let mut soft = horizon;
        for (index, (key, variants)) in self.memory.iter().enumerate() {
            let before = variants.len();
            let left = self.in_use(&key, variants).map_or(0, |left| left.len());
            swept.removed += before.saturating_sub(left) as u64;
            if index % STEP == STEP - 1 && !pause() {
                return swept;
            }
        }
        for (index, (key, parts)) in self.memory.iter_parts().enumerate() {
            swept.removed += u64::from(self.parts_in_use(&key, parts).is_none());
            if index % STEP == STEP - 1 && !pause() {
                return swept;
            }
        }
        if let Some(disk) = &self.disk {
            let mut seen = 0;
            let step = |entries: usize| {
                seen += entries;
                if seen < STEP {
                    return true;
                }
                seen = 0;
                pause()
            };
            let judge = |key: &crate::key::CacheKey, response: &crate::stored::StoredResponse| {
                let gone = match self.purges.standing(key, response, 0) {
                    Standing::Current => false,
                    Standing::Gone => true,
                    Standing::Stale(since) if response.made_stale(since).useless_at() <= now => true,
                    Standing::Stale(_) => {
                        // Every soft purge after its stamp may be the one.
                        soft = soft.min(response.metadata().stamp);
                        false
                    }
                };
                swept.removed += u64::from(gone);
                if gone { Fate::Goes } else { Fate::Stays }
            };
            if !disk.look(judge, step) {
                return swept;
            }
        }
        std::thread::sleep(LEAST.saturating_sub(began.elapsed()));
        self.purges.retire(horizon, soft);
        swept.whole = true;
        swept
    }
}
