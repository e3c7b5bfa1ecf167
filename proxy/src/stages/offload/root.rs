//! The directory that holds the static files of a site.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How often the path of the root is compared with the directory that is held open. A deployment that switches a symbolic link shows
/// after that time at the latest.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// The directory that holds the static files of a site, opened once and shared.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    pub(super) directory: ArcSwap<OwnedFd>,
    pub(super) index: Vec<String>,
    pub(super) sendfile: bool,
    /// Linux 5.12 and later can open without waiting for a disk.
    pub(super) cached: bool,
    opened: Instant,
    /// Milliseconds after `opened` at which the path is looked at again.
    follow_at: AtomicU64,
    /// The last device that does not know `RWF_NOWAIT`, see [`super::body`].
    pub(super) blocking_device: Arc<AtomicU64>,
}

impl Root {
    /// Opens the directory `path`; `index` are the names tried, in order, for a path that ends in `/`. A name an application server
    /// executes (`index.php`) means: if it is there, the request is not for a file. With `sendfile` the kernel may send files as they lie
    /// there.
    ///
    /// # Errors
    /// The directory cannot be opened; an index name is no plain file name; the kernel (or a seccomp filter) has no `openat2`.
    pub(crate) fn open(path: &Path, index: &[String], sendfile: bool) -> io::Result<Self> {
        if let Some(name) =
            index.iter().find(|name| name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']))
        {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name of an index file")));
        }
        let directory = open_directory(path)?;
        let probe =
            |resolve| rustix::fs::openat2(&directory, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
        probe(BENEATH).map_err(|errno| match errno {
            Errno::NOSYS | Errno::PERM => io::Error::new(
                io::ErrorKind::Unsupported,
                "openat2 is not available: static offload needs Linux 5.6 or later and a seccomp filter that allows it",
            ),
            errno => errno.into(),
        })?;
        let cached = !matches!(probe(BENEATH | ResolveFlags::CACHED), Err(Errno::INVAL));
        Ok(Self {
            path: path.to_owned(),
            directory: ArcSwap::from_pointee(directory),
            index: index.to_vec(),
            sendfile,
            cached,
            opened: Instant::now(),
            follow_at: AtomicU64::new(millis(FOLLOW_INTERVAL)),
            blocking_device: Arc::default(),
        })
    }

    /// Opens the path anew if it no longer leads to the directory that is held, as after the switch of a `current` link. While the
    /// path leads nowhere, the directory held so far stays.
    pub(super) fn follow(&self) -> io::Result<()> {
        let held = rustix::fs::fstat(&**self.directory.load())?;
        let named = rustix::fs::stat(&self.path)?;
        if (held.st_dev, held.st_ino) != (named.st_dev, named.st_ino) {
            self.directory.store(Arc::new(open_directory(&self.path)?));
        }
        Ok(())
    }

    /// [`Root::follow`] off the request path, at most once in [`FOLLOW_INTERVAL`].
    pub(super) fn follow_in_background(self: &Arc<Self>) {
        let now = millis(self.opened.elapsed());
        let due = self.follow_at.load(Ordering::Relaxed);
        let next = now.saturating_add(millis(FOLLOW_INTERVAL));
        if now < due || self.follow_at.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let root = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = root.follow() {
                tracing::warn!(root = %root.path.display(), %error, "the root cannot be followed; serving what was open");
            }
        });
    }
}

/// Beneath the root by whatever links; and not by those of `/proc`, which lead anywhere.
pub(super) const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
