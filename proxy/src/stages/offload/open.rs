//! Opening beneath the root. Containment is the kernel's: `openat2` with `RESOLVE_BENEATH` decides while it walks, so there is no moment
//! between a check and a use in which a directory could be swapped for a link.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forebay_cache::semantics::coding::Coding;
use http::StatusCode;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::media_type::MediaType;
use super::resolve::Target;
use super::root::{BENEATH, Root};
use super::{precompressed, refuse};

/// A rename elsewhere makes the kernel give up a walk through `..` (of a symbolic link) with EAGAIN; so many walks are tried.
const WALKS: usize = 32;

/// Whether a lookup may wait for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Only what the kernel has in memory; else [`WouldBlock`].
    Cached,
    /// On a thread that may wait.
    Blocking,
}

/// The answer is not in memory.
#[derive(Debug)]
pub(super) struct WouldBlock;

/// What stands at a path.
#[derive(Debug)]
pub(super) enum Found {
    File(Selection),
    /// A directory, asked for without its slash.
    Directory,
    Missing,
    /// A directory whose index an application server executes.
    Program,
    Refused(StatusCode),
}

/// A file and the precompressed files beside it.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) file: Arc<OpenFile>,
    pub(super) media_type: MediaType,
    pub(super) siblings: Vec<(Coding, Arc<OpenFile>)>,
}

/// A regular file, open for reading, as it was at that moment.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(super) file: File,
    pub(super) stat: Stat,
    pub(super) blocking_device: Arc<AtomicU64>,
    /// Whether the kernel may send it as it lies there.
    pub(super) sendfile: bool,
}

impl OpenFile {
    /// Its size in bytes.
    pub(crate) fn length(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or(0)
    }

    /// When its content was last modified; nothing for times before 1970, which no field can carry.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        let (seconds, nanos) = (u64::try_from(self.stat.st_mtime).ok()?, u64::from(self.mtime().1));
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?.checked_add(Duration::from_nanos(nanos))
    }

    /// When its status was last changed: its name, owner, mode or content.
    pub(crate) fn changed(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(self.stat.st_ctime).ok()?))
    }

    /// Whether it is still what it was when it was opened, under the same name.
    pub(crate) fn is_untouched(&self) -> bool {
        let times = |stat: &Stat| (mtime(stat), stat.st_ctime, stat.st_ctime_nsec);
        rustix::fs::fstat(&self.file).is_ok_and(|now| {
            (times(&now), now.st_size, now.st_nlink) == (times(&self.stat), self.stat.st_size, self.stat.st_nlink)
        })
    }

    /// The time of modification as the file system keeps it: seconds, nanoseconds.
    pub(super) fn mtime(&self) -> (i64, u32) {
        mtime(&self.stat)
    }
}

/// Seconds and nanoseconds of the last modification.
pub(super) fn mtime(stat: &Stat) -> (i64, u32) {
    (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0))
}

/// Finds what stands at `target`.
pub(super) fn look_up(root: &Root, target: &Target, how: How) -> Result<Found, WouldBlock> {
    if !target.directory {
        return match open_file(root, &target.path, how)? {
            Opened::File(file) => select(root, &target.path, file, how),
            Opened::Directory => Ok(Found::Directory),
            Opened::Missing => Ok(Found::Missing),
            Opened::Refused(status) => Ok(Found::Refused(status)),
        };
    }
    for name in &root.index {
        let path = if target.path.is_empty() { name.clone() } else { format!("{}/{name}", target.path) };
        if refuse::is_program(name) {
            match open(root, &path, OFlags::PATH, how)? {
                Err(Failure::Missing) => continue,
                // Even where it cannot be opened here: the application server knows better.
                _ => return Ok(Found::Program),
            }
        }
        match open_file(root, &path, how)? {
            Opened::File(file) => return select(root, &path, file, how),
            Opened::Refused(status) => return Ok(Found::Refused(status)),
            Opened::Directory | Opened::Missing => {}
        }
    }
    Ok(Found::Missing)
}

fn select(root: &Root, path: &str, file: Arc<OpenFile>, how: How) -> Result<Found, WouldBlock> {
    let media_type = MediaType::of(path);
    let siblings = if media_type.compressible { precompressed::siblings(root, path, &file, how)? } else { Vec::new() };
    Ok(Found::File(Selection { file, media_type, siblings }))
}

/// The outcome of opening one path for reading.
pub(super) enum Opened {
    File(Arc<OpenFile>),
    Directory,
    Missing,
    Refused(StatusCode),
}

/// Opens one path for reading and looks at what was opened, never at the path again.
pub(super) fn open_file(root: &Root, path: &str, how: How) -> Result<Opened, WouldBlock> {
    // O_NONBLOCK: a FIFO without a writer or a device must not hold the thread. O_NOCTTY: nor become its terminal.
    let file = match open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, how)? {
        Ok(file) => file,
        Err(Failure::Missing) => return Ok(Opened::Missing),
        Err(Failure::Forbidden) => return Ok(Opened::Refused(StatusCode::NOT_FOUND)),
        Err(Failure::Unavailable(errno)) => {
            tracing::warn!(path, %errno, "a static file cannot be opened");
            return Ok(Opened::Refused(StatusCode::SERVICE_UNAVAILABLE));
        }
    };
    let Ok(stat) = rustix::fs::fstat(&file) else { return Ok(Opened::Refused(StatusCode::SERVICE_UNAVAILABLE)) };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let blocking_device = Arc::clone(&root.blocking_device);
            Opened::File(Arc::new(OpenFile { file: File::from(file), stat, blocking_device, sendfile: root.sendfile }))
        }
        FileType::Directory => Opened::Directory,
        _ => Opened::Refused(StatusCode::NOT_FOUND),
    })
}

enum Failure {
    Missing,
    /// Outside the root, a loop of links, no permission, a socket.
    Forbidden,
    Unavailable(Errno),
}

fn open(root: &Root, path: &str, flags: OFlags, how: How) -> Result<Result<OwnedFd, Failure>, WouldBlock> {
    let resolve = match how {
        How::Cached if !root.cached => return Err(WouldBlock),
        How::Cached => BENEATH | ResolveFlags::CACHED,
        How::Blocking => BENEATH,
    };
    let directory = root.directory.load();
    for _ in 0..WALKS {
        let errno = match rustix::fs::openat2(&**directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(file) => return Ok(Ok(file)),
            Err(errno) => errno,
        };
        return Ok(Err(match errno {
            Errno::AGAIN if how == How::Cached => return Err(WouldBlock),
            Errno::AGAIN | Errno::INTR => continue,
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Failure::Missing,
            Errno::XDEV | Errno::LOOP | Errno::ACCESS | Errno::PERM | Errno::NXIO | Errno::NODEV => Failure::Forbidden,
            errno => Failure::Unavailable(errno),
        }));
    }
    Err(WouldBlock)
}
