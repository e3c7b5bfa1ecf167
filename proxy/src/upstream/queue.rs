//! Requests that wait until a server has room, first come first served.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Those who wait. Each message says how many may still be woken for the same room: whoever cannot use it passes it on, and
/// it ends when everybody has been asked.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<oneshot::Sender<usize>>>,
}

/// A place in the queue. Dropping it leaves the queue, and passes on a call that was not heard.
#[derive(Debug)]
pub(super) struct Place<'q> {
    queue: &'q Queue,
    call: oneshot::Receiver<usize>,
}

impl Queue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        let mut waiting = self.waiting.lock();
        waiting.retain(|call| !call.is_closed());
        waiting.len()
    }

    /// Takes the first place again, for who was called in vain.
    pub(super) fn return_to_front(&self) -> Place<'_> {
        let (sender, call) = oneshot::channel();
        self.waiting.lock().push_front(sender);
        Place { queue: self, call }
    }

    /// Takes the last place; `None` when `most` wait already.
    pub(super) fn enter(&self, most: usize) -> Option<Place<'_>> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= most {
            waiting.retain(|call| !call.is_closed());
        }
        if waiting.len() >= most {
            return None;
        }
        let (sender, call) = oneshot::channel();
        waiting.push_back(sender);
        Some(Place { queue: self, call })
    }

    /// There is room for one: calls the first.
    pub(super) fn call(&self) {
        let rest = self.waiting.lock().len();
        self.pass_on(rest);
    }

    /// Everything may be different now: calls all.
    pub(super) fn call_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for call in waiting {
            let _ = call.send(0);
        }
    }

    /// Calls the next, if any of `rest` are left to be asked.
    pub(super) fn pass_on(&self, rest: usize) {
        let Some(rest) = rest.checked_sub(1) else { return };
        let mut waiting = self.waiting.lock();
        while let Some(call) = waiting.pop_front() {
            if call.send(rest).is_ok() {
                return;
            }
        }
    }
}

impl Place<'_> {
    /// Waits to be called; how many others may be asked if this one cannot use it.
    pub(super) async fn called(&mut self) -> usize {
        (&mut self.call).await.unwrap_or(0)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.call.close();
        if let Ok(rest) = self.call.try_recv() {
            self.queue.pass_on(rest.max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn first_come_first_served_and_no_more_than_may_wait() {
        let queue = Queue::default();
        let (mut first, mut second) = (queue.enter(2).unwrap(), queue.enter(2).unwrap());
        assert!(queue.enter(2).is_none());
        queue.call();
        assert_eq!(first.called().await, 1);
        drop(first);
        assert_eq!(queue.len(), 1);
        queue.call();
        assert_eq!(second.called().await, 0);
    }

    #[tokio::test]
    async fn call_that_its_hearer_does_not_hear_goes_to_the_next() {
        let queue = Queue::default();
        let (first, mut second) = (queue.enter(9).unwrap(), queue.enter(9).unwrap());
        queue.call();
        drop(first);
        assert_eq!(second.called().await, 0);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn one_that_left_holds_no_place() {
        let queue = Queue::default();
        drop(queue.enter(1).unwrap());
        assert!(queue.enter(1).is_some());
    }
}
