//! Parts of one representation whose whole is not stored.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::semantics::partial::same_strong_validator;
use crate::stored::StoredResponse;

/// Pieces of one representation beyond which no more are added.
const MOST: usize = 64;
/// Bookkeeping of one piece, bytes.
const OVERHEAD: u64 = 48;

/// What is known of an incomplete stored response (RFC 9111 section 3.3): its head, as that of the whole, and some of its
/// bytes. Immutable: with another part it becomes another.
#[derive(Debug, Clone)]
pub struct Parts {
    response: Arc<StoredResponse>,
    complete: u64,
    /// Offset and bytes, ascending, without overlap, none empty.
    pieces: Vec<(u64, Bytes)>,
}

impl Parts {
    /// One part that begins at `first` of a representation of `complete` bytes. `response` is the head the whole would have.
    /// What would lie beyond the end is left out.
    #[must_use]
    pub fn new(response: Arc<StoredResponse>, complete: u64, first: u64, mut content: Bytes) -> Self {
        content.truncate(usize::try_from(complete.saturating_sub(first)).unwrap_or(usize::MAX));
        let pieces = if content.is_empty() { Vec::new() } else { vec![(first, content)] };
        Self { response, complete, pieces }
    }

    /// The head, as that of the whole.
    #[must_use]
    pub const fn response(&self) -> &Arc<StoredResponse> {
        &self.response
    }

    /// Length of the whole.
    #[must_use]
    pub const fn complete(&self) -> u64 {
        self.complete
    }

    /// These parts and `newer` together, with the head of `newer`; `newer` alone where they cannot be shown to be of one
    /// representation (RFC 9110 section 15.3.7.3), or are of another variant.
    #[must_use]
    pub fn combined(&self, newer: Self) -> Self {
        let fits = self.complete == newer.complete
            && self.response.variance() == newer.response.variance()
            && same_strong_validator(&self.response, &newer.response);
        if !fits || self.pieces.len() >= MOST {
            return newer;
        }
        let mut all = self.pieces.clone();
        for (first, content) in newer.pieces {
            let end = first + content.len() as u64;
            for gap in gaps(&self.pieces, first..end) {
                if let Some(piece) = cut(&content, first, &gap) {
                    all.push((gap.start, piece));
                }
            }
        }
        all.sort_unstable_by_key(|(first, _)| *first);
        Self { response: newer.response, complete: self.complete, pieces: all }
    }

    /// The bytes of `range`, if all of them are here.
    #[must_use]
    pub fn slice(&self, range: &Range<u64>) -> Option<Vec<Bytes>> {
        if range.is_empty() || !gaps(&self.pieces, range.clone()).is_empty() {
            return None;
        }
        let overlapping = self.pieces.iter().filter_map(|(first, piece)| {
            let (start, end) = ((*first).max(range.start), (first + piece.len() as u64).min(range.end));
            (start < end).then(|| cut(piece, *first, &(start..end)))?
        });
        Some(overlapping.collect())
    }

    /// What is missing, if that is one range: the whole is had by one more request.
    #[must_use]
    pub fn gap(&self) -> Option<Range<u64>> {
        let mut gaps = gaps(&self.pieces, 0..self.complete);
        gaps.pop().filter(|_| gaps.is_empty())
    }

    /// Bytes it occupies.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.response.weight() + self.pieces.iter().map(|(_, piece)| piece.len() as u64 + OVERHEAD).sum::<u64>()
    }
}

/// The ranges within `range` that no piece covers.
fn gaps(pieces: &[(u64, Bytes)], range: Range<u64>) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    let mut at = range.start;
    for (first, piece) in pieces {
        let end = first + piece.len() as u64;
        if *first > at && *first < range.end {
            found.push(at..*first);
        }
        if *first >= range.end {
            break;
        }
        at = at.max(end);
    }
    if at < range.end {
        found.push(at..range.end);
    }
    found
}

fn cut(piece: &Bytes, first: u64, range: &Range<u64>) -> Option<Bytes> {
    let start = usize::try_from(range.start.checked_sub(first)?).ok()?;
    let end = usize::try_from(range.end.checked_sub(first)?).ok()?;
    (start < end && end <= piece.len()).then(|| piece.slice(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::testing::Case;

    const WHOLE: &str = "0123456789";

    fn part(etag: &str, range: Range<usize>) -> Parts {
        let response = Case::response(&[("ETag", etag), ("Cache-Control", "max-age=60")]).stored();
        Parts::new(Arc::new(response), 10, range.start as u64, Bytes::from_static(WHOLE[range].as_bytes()))
    }

    fn text(parts: &Parts, range: Range<u64>) -> Option<String> {
        parts.slice(&range).map(|slices| String::from_utf8(slices.concat()).unwrap())
    }

    #[test]
    fn rfc9111_3_3_a_range_wholly_within_a_part_is_had_and_no_other() {
        let parts = part("\"1\"", 4..9);
        assert_eq!(text(&parts, 4..9).as_deref(), Some("45678"));
        assert_eq!(text(&parts, 6..8).as_deref(), Some("67"));
        for range in [3..5, 8..10, 0..2, 5..5] {
            assert_eq!(text(&parts, range), None);
        }
    }

    #[test]
    fn rfc9111_3_4_parts_with_the_same_strong_validator_are_combined() {
        for (one, other) in [(0..4, 4..8), (4..8, 0..4), (0..6, 2..8), (2..4, 0..8), (0..8, 3..5)] {
            let parts = part("\"1\"", one.clone()).combined(part("\"1\"", other.clone()));
            assert_eq!(text(&parts, 0..8).as_deref(), Some("01234567"), "{one:?} {other:?}");
            assert_eq!(parts.gap(), Some(8..10));
        }
        let three = part("\"1\"", 0..2).combined(part("\"1\"", 4..6)).combined(part("\"1\"", 1..5));
        assert_eq!(text(&three, 0..6).as_deref(), Some("012345"));
    }

    #[test]
    fn rfc9110_15_3_7_3_parts_of_another_representation_take_the_place_of_what_was_there() {
        for (one, other) in [("\"1\"", "\"2\""), ("W/\"1\"", "W/\"1\"")] {
            let parts = part(one, 0..4).combined(part(other, 4..8));
            assert_eq!((text(&parts, 0..4), text(&parts, 4..8).as_deref()), (None, Some("4567")));
        }
    }

    #[test]
    fn a_gap_is_what_one_more_request_brings() {
        assert_eq!(part("\"1\"", 0..5).gap(), Some(5..10));
        assert_eq!(part("\"1\"", 5..10).gap(), Some(0..5));
        assert_eq!(part("\"1\"", 3..5).gap(), None, "two are missing");
        assert_eq!(part("\"1\"", 0..3).combined(part("\"1\"", 6..10)).gap(), Some(3..6));
        assert_eq!(part("\"1\"", 0..10).gap(), None, "nothing is missing");
    }

    #[test]
    fn what_lies_beyond_the_end_is_left_out() {
        let response = Arc::new(Case::response(&[("ETag", "\"1\"")]).stored());
        let parts = Parts::new(response, 4, 2, Bytes::from_static(b"23456789"));
        assert_eq!((text(&parts, 2..4).as_deref(), text(&parts, 2..5)), (Some("23"), None));
    }

    #[test]
    fn pieces_are_bounded() {
        let response = Arc::new(Case::response(&[("ETag", "\"1\"")]).stored());
        let one = |at: u64| Parts::new(Arc::clone(&response), 10_000, at, Bytes::from_static(b"x"));
        let parts = (1..500).fold(one(0), |parts, at| parts.combined(one(at * 2)));
        assert!(parts.pieces.len() <= MOST + 1);
    }
}
