//! A purge as it is published: a version, then postcard.

use forebay_cache::purge::{Purge, Scope, What};
use serde::{Deserialize, Serialize};

/// The form below. A node that reads another one takes it for a purge of everything: more is purged rather than less.
const VERSION: u8 = 1;

/// Largest entry that is read, bytes: 4096 tags, and the keys of a URL.
const MOST: usize = 1 << 20;

/// A published purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Who published it.
    pub(super) node: String,
    /// Which process of that name.
    pub(super) run: u64,
    pub(super) purge: Purge,
    /// Bytes of the keys that the purge of a URL is most likely about.
    pub(super) keys: Vec<Vec<u8>>,
}

impl Entry {
    /// Everything, by nobody.
    pub(super) fn everything() -> Self {
        let purge = Purge { scope: Scope::Everywhere, what: What::Everything, soft: false };
        Self { node: String::new(), run: 0, purge, keys: Vec::new() }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        // Into memory, of plain data: nothing can fail.
        out.extend(postcard::to_allocvec(self).unwrap_or_default());
        out
    }

    pub(super) fn read(bytes: &[u8]) -> Self {
        match bytes.split_first() {
            Some((&VERSION, rest)) if bytes.len() <= MOST => match postcard::from_bytes::<Self>(rest) {
                Ok(entry) if entry.purge.check().is_ok() => entry,
                _ => Self::everything(),
            },
            _ => Self::everything(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let purge =
            Purge { scope: Scope::Host("a.test".to_owned()), what: What::Tags(vec!["p-1".to_owned()]), soft: true };
        let entry = Entry { node: "a".to_owned(), run: 7, purge, keys: vec![b"key".to_vec()] };
        assert_eq!(Entry::read(&entry.write()), entry);
    }

    #[test]
    fn what_is_not_understood_purges_everything() {
        let bad = Purge { scope: Scope::Everywhere, what: What::Url("x".to_owned()), soft: false };
        let bad = Entry { purge: bad, ..Entry::everything() }.write();
        for bytes in [b"".as_slice(), b"\x02abc", b"\x01", b"\x01\xff\xff\xff\xff", &bad] {
            assert_eq!(Entry::read(bytes), Entry::everything(), "{bytes:?}");
        }
    }
}
