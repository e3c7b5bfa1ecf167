//! How far this node has come in the stream. Kept in a file beside what outlives the process: it must never say more than
//! has been applied, so it is written after a purge was; that it may say less only means that some are applied twice.

use std::io::Write as _;
use std::path::Path;

/// An id of the stream: milliseconds and a number within them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Position(pub(super) u64, pub(super) u64);

impl Position {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (millis, number) = text.trim().split_once('-')?;
        Some(Self(millis.parse().ok()?, number.parse().ok()?))
    }

    /// What the file says; `None` where it says nothing.
    pub(super) fn load(path: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    /// Replaces the file as a whole.
    ///
    /// # Errors
    ///
    /// As the device says.
    pub(super) fn store(self, path: &Path) -> std::io::Result<()> {
        let directory = path.parent().unwrap_or_else(|| Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        write!(file, "{self}")?;
        file.persist(path)?;
        Ok(())
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_as_redis_orders_them_and_kept() {
        assert!(Position::parse("9-1") < Position::parse("10-0"));
        assert!(Position::parse("9-2") < Position::parse("9-10"));
        assert_eq!(Position::parse("x"), None);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster");
        assert_eq!(Position::load(&path), None);
        for position in [Position(5, 0), Position(6, 7)] {
            position.store(&path).unwrap();
            assert_eq!(Position::load(&path), Some(position));
        }
    }
}
