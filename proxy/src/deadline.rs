//! Deadlines that hardly ever pass. A timer of the runtime takes a lock when it is set and another when it is taken back,
//! and one that is to ring before all others wakes the event loop by a system call. So whoever has a deadline borrows a
//! timer of its thread that runs already, and sets it anew only should it ring too early.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::runtime::{Handle, Id};
use tokio::time::{Duration, Instant, Sleep, sleep_until};

/// Timers that a thread keeps.
const KEPT: usize = 64;

/// A timer, and the runtime it is of.
type Owned = (Id, Pin<Box<Sleep>>);

thread_local! {
    /// Timers that nobody uses.
    static SPARE: RefCell<Vec<Owned>> = const { RefCell::new(Vec::new()) };
}

/// Where the timer of a deadline is.
pub(crate) trait Timer {
    /// The timer, if there is one by now.
    fn running(&mut self) -> Option<Pin<&mut Sleep>>;

    /// The same, and where there is none, one that rings then.
    fn ringing(&mut self, at: Instant) -> Pin<&mut Sleep>;
}

/// A timer that is borrowed when it first has to be waited for.
#[derive(Debug)]
pub(crate) struct Lent(Option<Owned>);

impl Timer for Lent {
    fn running(&mut self) -> Option<Pin<&mut Sleep>> {
        self.0.as_mut().map(|(_, timer)| timer.as_mut())
    }

    fn ringing(&mut self, at: Instant) -> Pin<&mut Sleep> {
        self.0.get_or_insert_with(|| borrow(at)).1.as_mut()
    }
}

/// Who waits most of its life has a timer of its own, where its own state is.
impl Timer for Pin<&mut Sleep> {
    fn running(&mut self) -> Option<Pin<&mut Sleep>> {
        Some(self.as_mut())
    }

    fn ringing(&mut self, _at: Instant) -> Pin<&mut Sleep> {
        self.as_mut()
    }
}

/// One timer for the deadlines of a connection, one after the other. Moving the deadline back costs nothing.
#[derive(Debug)]
pub(crate) struct Deadline<W = Lent> {
    at: Instant,
    timer: W,
}

impl Deadline {
    pub(crate) fn new(within: Duration) -> Self {
        Self { at: Instant::now() + within, timer: Lent(None) }
    }
}

impl<'a> Deadline<Pin<&'a mut Sleep>> {
    /// It is over when `timer` rings.
    pub(crate) fn of(timer: Pin<&'a mut Sleep>) -> Self {
        Self { at: timer.deadline(), timer }
    }
}

impl<W: Timer> Deadline<W> {
    pub(crate) fn set(&mut self, within: Duration) {
        self.set_at(Instant::now() + within);
    }

    pub(crate) fn set_at(&mut self, at: Instant) {
        self.at = at;
        if let Some(timer) = self.timer.running()
            && at < timer.deadline()
        {
            timer.reset(at);
        }
    }

    /// Waits until it has passed.
    pub(crate) async fn passed(&mut self) {
        poll_fn(|cx| self.poll_passed(cx)).await;
    }

    pub(crate) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.ringing(self.at);
        if self.at < timer.deadline() {
            timer.as_mut().reset(self.at);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= self.at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.at);
        }
    }

    /// The timer rang, too early or not, and wakes nobody any more before it is polled.
    pub(crate) fn has_rung(&mut self) -> bool {
        self.timer.running().is_none_or(|timer| timer.is_elapsed())
    }

    /// What `future` comes to, if it does within `patience` from the moment on when it first has to be waited for.
    pub(crate) async fn within<T>(&mut self, patience: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut is_set = false;
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            if !std::mem::replace(&mut is_set, true) {
                self.set(patience);
            }
            self.poll_passed(cx).map(|()| None)
        })
        .await
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(timer) = self.0.take() else { return };
        // A thread that ends keeps none.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(timer);
            }
        });
    }
}

/// A timer of this runtime: one that runs already, or a new one.
fn borrow(at: Instant) -> Owned {
    let ours = Handle::current().id();
    let spare = SPARE.with_borrow_mut(|spare| {
        // Those of another runtime would never ring: that one has ended.
        while let Some((id, timer)) = spare.pop() {
            if id == ours {
                return Some((id, timer));
            }
        }
        None
    });
    spare.unwrap_or_else(|| (ours, Box::pin(sleep_until(at))))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    fn spare() -> usize {
        SPARE.with_borrow(Vec::len)
    }

    #[tokio::test]
    async fn a_deadline_passes_at_its_time_however_its_timer_was_set_before() {
        for before in [Duration::ZERO, SHORT, LONG] {
            let mut first = Deadline::new(LONG);
            assert_eq!(first.within(before.min(SHORT), pending::<()>()).await, None);
            first.set(before);
            assert_eq!(poll_fn(|cx| Poll::Ready(first.poll_passed(cx))).await.is_ready(), before.is_zero());
            drop(first);
            let began = Instant::now();
            assert_eq!(Deadline::new(LONG).within(2 * SHORT, pending::<()>()).await, None);
            assert!((2 * SHORT..LONG).contains(&began.elapsed()), "{before:?}");
            assert_eq!(spare(), 1);
        }
    }

    #[tokio::test]
    async fn what_need_not_be_waited_for_takes_no_timer() {
        assert_eq!(Deadline::new(LONG).within(Duration::ZERO, async { 1 }).await, Some(1));
        assert_eq!(spare(), 0);
    }

    #[test]
    fn a_timer_of_a_runtime_that_has_ended_is_not_used_again() {
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            assert_eq!(runtime.block_on(Deadline::new(LONG).within(SHORT, pending::<()>())), None);
            assert_eq!(spare(), 1);
        }
    }
}
