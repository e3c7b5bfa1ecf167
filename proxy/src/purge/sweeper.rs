//! The thread that clears up behind purges: see [`forebay_cache::store::TieredStore::sweep`]. It holds on to nothing: when
//! the process ends, so does it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use forebay_cache::clock::Clock as _;

use crate::runtime::Lasting;

/// How often it looks whether there is anything to do.
const TICK: Duration = Duration::from_secs(1);
/// Least time between two sweeps while purges go on.
const REST: Duration = Duration::from_secs(5);
/// The same while nothing but old soft purges are left.
const LONG_REST: Duration = Duration::from_secs(60);
/// Pause after each step, so that it takes a small part of one processor.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts it.
///
/// # Errors
///
/// There is no thread to be had.
pub(crate) fn start(lasting: &Arc<Lasting>) -> std::io::Result<()> {
    let lasting = Arc::downgrade(lasting);
    std::thread::Builder::new().name("purge-sweep".to_owned()).spawn(move || run(&lasting)).map(drop)
}

fn run(lasting: &Weak<Lasting>) {
    let mut swept = 0;
    let mut ended: Option<Instant> = None;
    loop {
        std::thread::sleep(TICK);
        let Some(lasting) = lasting.upgrade() else { return };
        let purges = lasting.store.purges();
        let last = purges.last();
        let rest = if last == swept { LONG_REST } else { REST };
        if purges.records() == 0 || ended.is_some_and(|ended| ended.elapsed() < rest) {
            continue;
        }
        let oldest = lasting.fills.oldest();
        let sweep = lasting.store.sweep(oldest, lasting.clock.now(), || {
            std::thread::sleep(PAUSE);
            true
        });
        lasting.metrics.purges.swept(sweep.removed);
        if sweep.whole {
            swept = oldest.min(last);
        }
        ended = Some(Instant::now());
    }
}
