//! One process a directory: an exclusive lock that goes with the process, however that ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The lock, held.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of `directory`, or says who has it ([`io::ErrorKind::ResourceBusy`]).
    pub(super) fn take(directory: &Path) -> io::Result<Self> {
        let path = directory.join("lock");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(error.into());
            }
            let mut holder = String::new();
            let _ = (&file).take(20).read_to_string(&mut holder);
            let message = format!("in use by another process (pid {})", holder.trim());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        }
        // The pid is for messages only: a device that is full must not stand in the way of reading what is there.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file, path })
    }

    /// Whether the lock file is still the one in the directory: it is not when the directory was removed.
    pub(super) fn is_current(&self) -> bool {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        match (self.file.metadata(), std::fs::metadata(&self.path)) {
            (Ok(ours), Ok(there)) => identity(ours) == identity(there),
            _ => false,
        }
    }
}
