//! What a client may cost without asking for anything that is answered: each kind of flood known from HTTP/2 is made of
//! frames that are cheap to send and are not followed by a response (CVE-2023-44487, CVE-2025-8671, CVE-2019-9512 to 9518, CVE-2024-27316).

use super::frame;

/// Requests that may be given up beyond those that were answered: a page full of pictures that is left.
const GIVEN_UP: u32 = 200;

/// Frames without use, beyond one for each request and each frame of content.
const USELESS: u32 = 1000;

/// Frames that a head may come in, beyond those that one of the largest size needs.
const PIECES: usize = 16;

/// What is left of a connection's patience.
#[derive(Debug)]
pub(super) struct Patience {
    given_up: u32,
    useless: u32,
    /// Frames that the present head came in, and how many those of any may be.
    pieces: usize,
    most_pieces: usize,
}

/// It is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Patience {
    /// With a client whose heads may have `head_size` bytes.
    pub(super) fn new(head_size: usize) -> Self {
        Self { given_up: 0, useless: 0, pieces: 0, most_pieces: PIECES + head_size / frame::LARGEST }
    }

    /// A request came, or content of one.
    pub(super) fn useful(&mut self) {
        self.useless = self.useless.saturating_sub(1);
    }

    /// So many frames of content were sent; a client says for each what it takes.
    pub(super) fn sent(&mut self, frames: u32) {
        self.useless = self.useless.saturating_sub(frames.saturating_mul(4));
    }

    /// So many requests were answered.
    pub(super) fn answered(&mut self, requests: u32) {
        self.given_up = self.given_up.saturating_sub(requests);
    }

    /// So many requests were given up before they were answered, or had to be.
    pub(super) fn given_up(&mut self, requests: u32) -> Result<(), Exhausted> {
        self.given_up += requests;
        if self.given_up > GIVEN_UP { Err(Exhausted) } else { Ok(()) }
    }

    /// A frame came that asks for nothing: PING, SETTINGS, PRIORITY, empty DATA, of streams that are closed or of unknown kinds.
    pub(super) fn useless(&mut self) -> Result<(), Exhausted> {
        self.useless += 1;
        if self.useless > USELESS { Err(Exhausted) } else { Ok(()) }
    }

    /// A head went on in another frame.
    pub(super) fn piece(&mut self) -> Result<(), Exhausted> {
        self.pieces += 1;
        if self.pieces > self.most_pieces { Err(Exhausted) } else { Ok(()) }
    }

    /// A head is whole.
    pub(super) fn whole(&mut self) {
        self.pieces = 0;
    }
}
