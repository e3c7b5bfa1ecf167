//! What a node writes down of the cluster: how far it has come, and the purges that it could not publish. By a thread of
//! its own: a device that is slow holds up no purge of another node.
//!
//! A purge that cannot be published is on the device before anybody is told so: killed meanwhile, the node publishes it
//! after its restart. One that is published twice does no harm.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::position::Position;

/// Largest entry that is read back, bytes.
const MOST: usize = 1 << 20;

/// Called when something is on the device, or cannot be brought there.
type Done = Box<dyn FnOnce() + Send>;

enum Order {
    /// This node has come so far.
    At(Position),
    /// This entry waits for Redis.
    Keep(Vec<u8>, Done),
    /// None waits any more; the last one that was on its way before this.
    Empty,
}

/// The thread's inbox.
pub(super) struct State(Sender<Order>);

/// What an earlier process left.
pub(super) struct Found {
    /// How far it had come; `None`: nobody knows.
    pub(super) at: Option<Position>,
    /// What it could not publish.
    pub(super) unpublished: Vec<Vec<u8>>,
}

impl State {
    /// Reads what is there, and starts the thread.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Found)> {
        let journal = path.with_extension("unpublished");
        let found = Found { at: Position::load(path), unpublished: read(&journal) };
        let (orders, inbox) = channel();
        let path = path.to_owned();
        std::thread::Builder::new().name("cluster-state".to_owned()).spawn(move || run(&path, &journal, &inbox))?;
        Ok((Self(orders), found))
    }

    pub(super) fn at(&self, at: Position) {
        let _ = self.0.send(Order::At(at));
    }

    /// Calls `done` when `entry` is written down.
    pub(super) fn keep(&self, entry: Vec<u8>, done: Done) {
        if let Err(unsent) = self.0.send(Order::Keep(entry, done))
            && let Order::Keep(_, done) = unsent.0
        {
            done();
        }
    }

    pub(super) fn empty(&self) {
        let _ = self.0.send(Order::Empty);
    }
}

fn run(path: &Path, journal: &Path, inbox: &Receiver<Order>) {
    let mut failing = false;
    while let Ok(first) = inbox.recv() {
        let (mut at, mut kept, mut done, mut empties) = (None, Vec::new(), Vec::new(), false);
        // All that has come meanwhile, at once.
        for order in std::iter::once(first).chain(inbox.try_iter()) {
            match order {
                Order::At(position) => at = Some(position),
                Order::Keep(entry, told) => {
                    kept.push(entry);
                    done.push(told);
                }
                Order::Empty => {
                    kept.clear();
                    empties = true;
                }
            }
        }
        let result = write(path, journal, at, &kept, empties);
        if let Err(error) = &result
            && !failing
        {
            tracing::warn!(%error, "the cluster's state cannot be written down: a restart applies more than it has to, and forgets what waits for Redis");
        }
        failing = result.is_err();
        for told in done {
            told();
        }
    }
}

fn write(path: &Path, journal: &Path, at: Option<Position>, kept: &[Vec<u8>], empties: bool) -> io::Result<()> {
    if empties && journal.exists() {
        File::create(journal)?;
    }
    if !kept.is_empty() {
        let mut file = OpenOptions::new().create(true).append(true).open(journal)?;
        let mut bytes = Vec::new();
        for entry in kept {
            bytes.extend(u32::try_from(entry.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(entry);
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
    }
    at.map_or(Ok(()), |at| at.store(path))
}

/// Entries up to the first that is not whole: nobody was told that it is kept.
fn read(journal: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(journal).unwrap_or_default();
    let mut rest = bytes.as_slice();
    let mut entries = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((entry, behind)) = behind.split_at_checked(length).filter(|_| length <= MOST) else { break };
        entries.push(entry.to_vec());
        rest = behind;
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(state: &State, entry: &[u8]) {
        let (tell, told) = channel();
        state.keep(entry.to_vec(), Box::new(move || tell.send(()).unwrap()));
        told.recv().unwrap();
    }

    #[test]
    fn what_could_not_be_published_is_found_again_until_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster");
        let (state, found) = State::open(&path).unwrap();
        assert!(found.at.is_none() && found.unpublished.is_empty());
        keep(&state, b"one");
        keep(&state, b"");
        state.at(Position(5, 6));
        keep(&state, b"two");
        drop(state);
        let (state, found) = State::open(&path).unwrap();
        assert_eq!(found.unpublished, [&b"one"[..], b"", b"two"]);
        assert_eq!(found.at, Some(Position(5, 6)));
        state.empty();
        keep(&state, b"three");
        let (_, found) = State::open(&path).unwrap();
        assert_eq!(found.unpublished, [b"three"]);
    }

    #[test]
    fn journal_that_was_cut_keeps_what_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster");
        let (state, _) = State::open(&path).unwrap();
        keep(&state, b"one");
        keep(&state, b"two");
        let journal = path.with_extension("unpublished");
        let whole = std::fs::read(&journal).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&journal, &whole[..length]).unwrap();
            assert_eq!(read(&journal).len(), length / 7, "{length}");
        }
        std::fs::write(&journal, [0xff; 64]).unwrap();
        assert!(read(&journal).is_empty());
    }
}
