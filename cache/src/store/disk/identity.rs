//! What makes one directory different from every other: the number that marks its records, and the key of its hash.
//! Nobody outside knows either, so no content can be made that passes for a record, and no keys that collide.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::Path;

use siphasher::sip::SipHasher13;

use super::format::{UNIT, VERSION, Words, seal};
use super::io::Io;

/// "id"
const MARK: u32 = 0x0000_6469;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) nonce: u64,
    key: (u64, u64),
}

impl Identity {
    /// A new one, from the randomness the standard library keys its maps with.
    pub(super) fn random() -> Self {
        let word = || RandomState::new().build_hasher().finish();
        // Records of all zeros must never be marked.
        Self { nonce: word() | 1, key: (word(), word()) }
    }

    /// The one of `directory`; `None` when there is none that can be read.
    pub(super) fn read(directory: &Path) -> Option<Self> {
        let bytes = std::fs::read(directory.join("identity")).ok()?;
        let mut words = Words::sealed(&bytes).filter(|_| bytes.len() == UNIT)?;
        let (nonce, key) = (words.u64(), (words.u64(), words.u64()));
        (words.u32() == MARK && words.u32() == VERSION).then_some(Self { nonce, key })
    }

    /// Writes it; whole or not at all.
    pub(super) fn write(&self, io: &Io, directory: &Path) -> io::Result<()> {
        let mut unit = [0; UNIT];
        let words = [self.nonce, self.key.0, self.key.1, u64::from(MARK) | (u64::from(VERSION) << 32)];
        for (place, word) in unit.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        seal(&mut unit);
        let part = directory.join("identity.part");
        io.unlink(&part)?;
        let file = io.create(&part, 0)?;
        io.write(&file, &unit, 0)?;
        io.sync(&file)?;
        io.rename(&part, &directory.join("identity"))?;
        io.sync_names(directory)
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.key.0, self.key.1).hash(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_written_and_damaged_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Identity::read(directory.path()), None);
        let identity = Identity::random();
        identity.write(&Io::default(), directory.path()).unwrap();
        assert_eq!(Identity::read(directory.path()), Some(identity));
        let file = directory.path().join("identity");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[9] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(Identity::read(directory.path()), None);
    }
}
