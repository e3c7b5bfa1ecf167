//! A segment: one file of the log. It begins with a unit that names it, then come records; once full it is sealed by a
//! table of contents and a footer, and cut to its length. It is removed as a whole, and a reader that still holds it
//! reads on undisturbed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::format::{Label, UNIT, VERSION, Words, seal};
use super::index::Slot;
use super::io::Io;
use super::space::Reservation;

/// Bytes of an entry of the table of contents, and of the parts it is read in.
const ENTRY: usize = 32;
const PART: usize = ENTRY << 11;

/// "seg" and "toc", so that neither unit passes for the other.
const HEAD_MARK: u32 = 0x0067_6573;
const FOOT_MARK: u32 = 0x0063_6f74;

/// A file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: u32,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) space: Reservation,
}

/// What one record does, as the table of contents has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) hash: u64,
    pub(super) file: u64,
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) label: Label,
}

impl Entry {
    pub(super) fn slot(&self, segment: u32) -> Slot {
        Slot::new(self.hash, segment, self.offset, self.length, self.label)
    }
}

/// A sealed segment's table.
#[derive(Debug)]
pub(super) struct Toc {
    pub(super) entries: Vec<Entry>,
    /// The sequence number after its last record.
    pub(super) next_sequence: u64,
}

pub(super) fn path(directory: &Path, id: u32) -> PathBuf {
    directory.join("segments").join(format!("{id:08x}.seg"))
}

/// The id of the segment with this file name.
pub(super) fn id(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok()
}

fn unit(nonce: u64, mark: u32, words: &[u32], sequence: u64) -> [u8; UNIT] {
    let mut bytes: Vec<u8> = nonce.to_le_bytes().to_vec();
    bytes.extend_from_slice(&sequence.to_le_bytes());
    for word in [mark, VERSION].iter().chain(words) {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.resize(UNIT, 0);
    let mut unit = <[u8; UNIT]>::try_from(bytes).unwrap_or([0; UNIT]);
    seal(&mut unit);
    unit
}

/// Reads a unit; its sequence number and the words after mark and version.
fn read_unit<'a>(bytes: &'a [u8], nonce: u64, mark: u32) -> Option<(u64, Words<'a>)> {
    let mut words = Words::sealed(bytes)?;
    (words.u64() == nonce).then_some(())?;
    let sequence = words.u64();
    (words.u32() == mark && words.u32() == VERSION).then_some((sequence, words))
}

impl Segment {
    /// Makes the file of an empty segment.
    pub(super) fn create(
        io: &Io,
        directory: &Path,
        id: u32,
        nonce: u64,
        size: u64,
        sequence: u64,
        space: Reservation,
    ) -> io::Result<Self> {
        let path = path(directory, id);
        let file = match io.create(&path, size) {
            // Left by an attempt that failed and could not be cleaned up: it was never part of the log.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                io.unlink(&path)?;
                io.create(&path, size)?
            }
            created => created?,
        };
        let words = [id, u32::try_from(size).unwrap_or(u32::MAX)];
        if let Err(error) = io.write(&file, &unit(nonce, HEAD_MARK, &words, sequence), 0) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { id, path, file, space })
    }

    /// The length the file was made with, if the first unit names this segment. A sealed one is shorter.
    pub(super) fn made_with(&self, nonce: u64) -> Option<u64> {
        let mut bytes = [0; UNIT];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        let (_, mut words) = read_unit(&bytes, nonce, HEAD_MARK)?;
        (words.u32() == self.id).then(|| words.u32().into())
    }

    /// The table of contents; `None` when it is not sealed, or not readable.
    pub(super) fn toc(&self, nonce: u64) -> Option<Toc> {
        let foot = Foot::read(&self.file, nonce).filter(|foot| foot.id == self.id)?;
        let mut entries = Vec::with_capacity(foot.count);
        let mut crc = crc32fast::Hasher::new();
        let (mut at, mut left) = (u64::from(foot.end), foot.count * ENTRY);
        // In parts: a start goes through all of them, and what it takes for that it keeps for a while.
        let mut part = vec![0; left.min(PART)];
        while left > 0 {
            part.truncate(left);
            self.file.read_exact_at(&mut part, at).ok()?;
            crc.update(&part);
            for entry in part.chunks_exact(ENTRY) {
                entries.push(decode(entry)?);
            }
            at += part.len() as u64;
            left -= part.len();
        }
        (crc.finalize() == foot.crc).then_some(Toc { entries, next_sequence: foot.next_sequence })
    }
}

/// The end of a sealed segment.
struct Foot {
    id: u32,
    /// Where the table begins.
    end: u32,
    count: usize,
    crc: u32,
    next_sequence: u64,
}

impl Foot {
    /// `None` when the file does not end with one that fits its length.
    fn read(file: &File, nonce: u64) -> Option<Self> {
        let mut foot = [0; UNIT];
        let at = file.metadata().ok()?.len().checked_sub(UNIT as u64)?;
        file.read_exact_at(&mut foot, at).ok()?;
        let (next_sequence, mut words) = read_unit(&foot, nonce, FOOT_MARK)?;
        let (id, end, count, crc) = (words.u32(), words.u32(), words.u32(), words.u32());
        let count = usize::try_from(count).ok()?;
        let bytes = count.checked_mul(ENTRY)?;
        (u64::from(end) + bytes as u64 == at).then_some(Self { id, end, count, crc, next_sequence })
    }
}

/// How many records the segment with this id has, if it is sealed and says so; for what depends on being right, there is
/// [`Segment::toc`].
pub(super) fn records(directory: &Path, id: u32, nonce: u64) -> usize {
    let foot = File::open(path(directory, id)).ok().and_then(|file| Foot::read(&file, nonce));
    foot.map_or(0, |foot| foot.count)
}

fn decode(bytes: &[u8]) -> Option<Entry> {
    let mut words = Words(bytes);
    let (hash, file, offset, length) = (words.u64(), words.u64(), words.u32(), words.u32());
    Some(Entry { hash, file, offset, length, label: Label::unpack(words.u32())? })
}

fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut table = Vec::with_capacity(entries.len() * ENTRY);
    for entry in entries {
        table.extend_from_slice(&entry.hash.to_le_bytes());
        table.extend_from_slice(&entry.file.to_le_bytes());
        for word in [entry.offset, entry.length, entry.label.pack(), 0] {
            table.extend_from_slice(&word.to_le_bytes());
        }
    }
    table
}

/// Bytes the table and footer of `entries` records take.
pub(super) fn toc_len(entries: usize) -> u64 {
    (entries * ENTRY + UNIT) as u64
}

/// Table of contents and footer.
pub(super) fn closing(id: u32, nonce: u64, end: u32, entries: &[Entry], next_sequence: u64) -> Vec<u8> {
    let mut bytes = encode(entries);
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let words = [id, end, count, crc32fast::hash(&bytes)];
    bytes.extend_from_slice(&unit(nonce, FOOT_MARK, &words, next_sequence));
    bytes
}

/// Seals `segment`: table, then footer, then cut to length. What follows the last record is not needed any more.
pub(super) fn seal_segment(
    io: &Io,
    segment: &Segment,
    nonce: u64,
    end: u32,
    entries: &[Entry],
    next_sequence: u64,
) -> io::Result<()> {
    let end_of_file = closing(segment.id, nonce, end, entries, next_sequence);
    let length = u64::from(end) + end_of_file.len() as u64;
    // Records reach the device before the table that vouches for them.
    io.sync(&segment.file)?;
    io.write(&segment.file, &end_of_file, end.into())?;
    // And the table before the cut: a segment that was cut and has none is given up.
    io.sync(&segment.file)?;
    io.truncate(&segment.file, length)?;
    segment.space.shrink(length);
    Ok(())
}
