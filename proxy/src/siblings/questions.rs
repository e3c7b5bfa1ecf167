//! Questions that are out: which answers are expected, from whom. An answer that nobody asked for is a forgery or very
//! late; either way it tells nobody anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::packet::Opcode;

/// Questions that may be out at a time; with more, misses go to the AP servers without asking.
const MOST: usize = 16_384;

/// How long an answer is still recognised, as a sign of life.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Questions by their numbers.
#[derive(Debug, Default)]
pub(super) struct Questions {
    out: Mutex<AHashMap<u32, Question>>,
    count: AtomicU64,
    /// Keyed by chance: who cannot see the wire cannot guess the next number.
    numbers: RandomState,
}

#[derive(Debug)]
struct Question {
    url: Box<[u8]>,
    asked: Instant,
    /// Peers whose answer is still waited for.
    awaited: Vec<usize>,
    /// Peers that were asked.
    whom: Vec<usize>,
    tell: Option<UnboundedSender<(usize, Opcode)>>,
}

/// What an answer is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was waited for, this long.
    InTime(Duration),
    /// It comes too late for anybody, and yet from a peer that was asked.
    Late,
    /// Nobody asked for it.
    Unexpected,
}

impl Questions {
    /// Notes a question of `url` to `whom`; its number. `None`: too many are out.
    pub(super) fn begin(
        &self,
        url: &[u8],
        whom: Vec<usize>,
        tell: Option<UnboundedSender<(usize, Opcode)>>,
        now: Instant,
    ) -> Option<u32> {
        let mut out = self.out.lock();
        if out.len() >= MOST {
            return None;
        }
        loop {
            let seed = self.numbers.hash_one(self.count.fetch_add(1, Ordering::Relaxed));
            let number = u32::try_from(seed >> 32).unwrap_or_default();
            // Squid takes 0 for no number at all.
            if number != 0 && !out.contains_key(&number) {
                let question = Question { url: url.into(), asked: now, awaited: whom.clone(), whom, tell };
                out.insert(number, question);
                return Some(number);
            }
        }
    }

    /// An answer of `peer` has come.
    pub(super) fn answer(&self, number: u32, peer: usize, url: &[u8], opcode: Opcode, now: Instant) -> Answer {
        let mut out = self.out.lock();
        let Some(question) = out.get_mut(&number).filter(|question| *question.url == *url) else {
            return Answer::Unexpected;
        };
        let Some(at) = question.awaited.iter().position(|awaited| *awaited == peer) else {
            return if question.whom.contains(&peer) { Answer::Late } else { Answer::Unexpected };
        };
        question.awaited.swap_remove(at);
        if let Some(tell) = &question.tell {
            let _ = tell.send((peer, opcode));
        }
        Answer::InTime(now.saturating_duration_since(question.asked))
    }

    /// Nobody waits for the answer any more; the peers that have not given one.
    pub(super) fn end(&self, number: u32) -> Vec<usize> {
        let mut out = self.out.lock();
        let Some(question) = out.get_mut(&number) else { return Vec::new() };
        question.tell = None;
        std::mem::take(&mut question.awaited)
    }

    /// Nobody waits, for there was a HIT; the others have until `overdue` finds them.
    pub(super) fn leave(&self, number: u32) {
        if let Some(question) = self.out.lock().get_mut(&number) {
            question.tell = None;
        }
    }

    /// Forgets what is old; the peers that were asked longer than `patience` ago, have not answered, and nobody has
    /// noticed.
    pub(super) fn overdue(&self, patience: Duration, now: Instant) -> Vec<usize> {
        let mut overdue = Vec::new();
        self.out.lock().retain(|_, question| {
            let age = now.saturating_duration_since(question.asked);
            if age > patience && question.tell.is_none() {
                overdue.append(&mut question.awaited);
            }
            age < REMEMBERED.max(patience * 2)
        });
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_its_number_peer_and_url_alone() {
        let (questions, now) = (Questions::default(), Instant::now());
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let number = questions.begin(b"http://a/", vec![0, 1], Some(tell), now).unwrap();
        let answer = |number, peer, url: &[u8]| questions.answer(number, peer, url, Opcode::Hit, now);
        assert_eq!(answer(number.wrapping_add(1), 0, b"http://a/"), Answer::Unexpected);
        assert_eq!(answer(number, 2, b"http://a/"), Answer::Unexpected);
        assert_eq!(answer(number, 0, b"http://b/"), Answer::Unexpected);
        assert!(told.try_recv().is_err());
        assert_eq!(answer(number, 0, b"http://a/"), Answer::InTime(Duration::ZERO));
        assert_eq!(told.try_recv(), Ok((0, Opcode::Hit)));
        assert_eq!(answer(number, 0, b"http://a/"), Answer::Late, "twice");
        assert_eq!(questions.end(number), [1]);
        assert_eq!(answer(number, 1, b"http://a/"), Answer::Late);
    }

    #[test]
    fn questions_are_forgotten_and_bounded() {
        let (questions, now) = (Questions::default(), Instant::now());
        let begin = || questions.begin(b"x", vec![0], None, now);
        assert_eq!((0..MOST + 10).filter(|_| begin().is_some()).count(), MOST);
        let patience = Duration::from_secs(1);
        assert_eq!(questions.overdue(patience, now + Duration::from_secs(2)).len(), MOST);
        assert_eq!(questions.overdue(patience, now + Duration::from_secs(3)).len(), 0, "blamed once");
        questions.overdue(patience, now + Duration::from_secs(11));
        assert!(begin().is_some());
    }
}
