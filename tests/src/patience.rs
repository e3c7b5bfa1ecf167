//! How long a test waits for what must happen.

use std::time::{Duration, Instant};

/// How long [`assert_eventually!`](crate::assert_eventually) and reads wait: `FOREBAY_TEST_PATIENCE_MS`, default 8 s.
#[must_use]
pub fn patience() -> Duration {
    let ms = std::env::var("FOREBAY_TEST_PATIENCE_MS").ok().and_then(|ms| ms.parse().ok());
    Duration::from_millis(ms.unwrap_or(8_000))
}

/// Whether `holds` became true within [`patience`].
pub fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience();
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asserts that a condition becomes true, looking again and again until [`patience`] runs out.
#[macro_export]
macro_rules! assert_eventually {
    ($holds:expr $(,)?) => {
        assert!($crate::patience::eventually(|| $holds), "never came true: {}", stringify!($holds))
    };
    ($holds:expr, $($message:tt)+) => {
        assert!($crate::patience::eventually(|| $holds), "never came true: {}: {}", stringify!($holds), format_args!($($message)+))
    };
}
