//! What a fetch tells the one who asked: interim responses, then the answer. One small allocation, for most of what is asked
//! for is answered within the task that asks.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;

use super::FetchError;
use super::run::{Arrived, UpstreamReport};

/// Interim responses that wait for one who does not listen; more are dropped.
const INTERIMS: usize = 4;

/// How a fetch went, up to its head, and the exchange as the log tells it.
pub(crate) type Outcome = (Result<Arrived, FetchError>, UpstreamReport);

/// Who tells.
pub(crate) struct Answer(Arc<Shared>);

/// Who listens.
pub(crate) struct Listener(Arc<Shared>);

/// What can be heard.
pub(crate) enum Heard {
    Interim(StatusCode, HeaderMap),
    Answer(Outcome),
    /// It ended without an answer.
    Nothing,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    interims: VecDeque<(StatusCode, HeaderMap)>,
    answer: Option<Outcome>,
    has_ended: bool,
    is_abandoned: bool,
    listens: Option<Waker>,
    waits_for_end: Option<Waker>,
}

/// Both ends.
pub(crate) fn channel() -> (Answer, Listener) {
    let shared = Arc::<Shared>::default();
    (Answer(Arc::clone(&shared)), Listener(shared))
}

impl Answer {
    /// Tells of an interim response.
    pub(super) fn interim(&self, status: StatusCode, fields: HeaderMap) {
        let mut state = self.0.0.lock();
        if state.interims.len() < INTERIMS {
            state.interims.push_back((status, fields));
            wake(state.listens.take());
        }
    }

    /// Answers. False: nobody listens any more.
    pub(super) fn send(self, outcome: Outcome) -> bool {
        let mut state = self.0.0.lock();
        if state.is_abandoned {
            return false;
        }
        state.answer = Some(outcome);
        state.waits_for_end = None;
        true
    }

    /// Waits until nobody listens any more.
    pub(super) async fn abandoned(&self) {
        poll_fn(|cx| {
            let mut state = self.0.0.lock();
            if state.is_abandoned {
                return Poll::Ready(());
            }
            register(&mut state.waits_for_end, cx);
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.has_ended = true;
        wake(state.listens.take());
    }
}

impl Listener {
    /// What is told next. Only one that `sleeps` is woken for it: who tells it within the same task need not be heard of.
    pub(crate) fn poll_heard(&self, cx: &mut Context<'_>, sleeps: bool) -> Poll<Heard> {
        let mut state = self.0.0.lock();
        if let Some((status, fields)) = state.interims.pop_front() {
            return Poll::Ready(Heard::Interim(status, fields));
        }
        if let Some(outcome) = state.answer.take() {
            return Poll::Ready(Heard::Answer(outcome));
        }
        if state.has_ended {
            return Poll::Ready(Heard::Nothing);
        }
        if sleeps {
            register(&mut state.listens, cx);
        }
        Poll::Pending
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.is_abandoned = true;
        wake(state.waits_for_end.take());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn register(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(listener: &Listener) -> Heard {
        poll_fn(|cx| listener.poll_heard(cx, true)).await
    }

    fn failed() -> Outcome {
        (Err(FetchError::CLOSED), None)
    }

    #[tokio::test]
    async fn what_was_told_is_heard_in_order_and_interims_without_end_are_not() {
        let (answer, listener) = channel();
        for _ in 0..2 * INTERIMS {
            answer.interim(StatusCode::EARLY_HINTS, HeaderMap::new());
        }
        assert!(answer.send(failed()));
        for _ in 0..INTERIMS {
            assert!(matches!(next(&listener).await, Heard::Interim(StatusCode::EARLY_HINTS, _)));
        }
        assert!(matches!(next(&listener).await, Heard::Answer((Err(FetchError::CLOSED), None))));
        assert!(matches!(next(&listener).await, Heard::Nothing));
    }

    #[tokio::test]
    async fn who_sleeps_is_woken_by_an_answer_and_by_the_end_without_one() {
        for answers in [true, false] {
            let (answer, listener) = channel();
            let heard = tokio::spawn(async move { next(&listener).await });
            tokio::task::yield_now().await;
            if answers {
                answer.send(failed());
            } else {
                drop(answer);
            }
            assert_eq!(matches!(heard.await.unwrap(), Heard::Answer(_)), answers);
        }
    }

    #[tokio::test]
    async fn who_tells_hears_that_nobody_listens() {
        let (answer, listener) = channel();
        let told = tokio::spawn(async move {
            answer.abandoned().await;
            answer.send(failed())
        });
        tokio::task::yield_now().await;
        assert!(!told.is_finished());
        drop(listener);
        assert!(!told.await.unwrap());
    }
}
