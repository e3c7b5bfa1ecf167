//! The way to the writer: bounded for what may be dropped, never full for what may not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::format::Label;
use super::journal;
use super::large::LargeFile;
use crate::key::CacheKey;
use crate::semantics::coding::Coding;
use crate::stored::StoredResponse;

/// Bytes of content that may wait to be written. They are shared with the memory tier; beyond this, puts are dropped.
const LIMIT: u64 = 64 << 20;

/// A put on its way to the log.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) key: CacheKey,
    pub(super) hash: u64,
    pub(super) label: Label,
    pub(super) content: Content,
}

/// What is put.
#[derive(Debug)]
pub(super) enum Content {
    /// A response with its content, of whatever length.
    Response(Arc<StoredResponse>),
    /// The content of a response (`base`: its checksum and length) in another coding.
    Coded { coding: Coding, content: Bytes, base: (u32, u64) },
    /// The same, where that is in a file already.
    CodedFile { coding: Coding, base: (u32, u64), file: Arc<LargeFile>, length: u64, table: Bytes },
    /// A response whose content is in a file already.
    File { response: Arc<StoredResponse>, file: Arc<LargeFile>, length: u64, table: Bytes },
}

impl Put {
    fn weight(&self) -> u64 {
        match &self.content {
            Content::Response(response) => response.content().len() as u64,
            Content::Coded { content, .. } => content.len() as u64,
            Content::File { table, .. } | Content::CodedFile { table, .. } => table.len() as u64,
        }
    }
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Command {
    Put(Arc<Put>),
    /// Write a tombstone for what the index has let go of already, and say whether it is in the log.
    Remove {
        /// While the directory, and so the hash, is not known.
        key: Option<CacheKey>,
        hash: u64,
        label: Label,
        files: Vec<Arc<LargeFile>>,
        done: Option<oneshot::Sender<bool>>,
    },
    /// Make room for a large file of so many bytes, and say whether there is some.
    Room {
        bytes: u64,
        done: oneshot::Sender<bool>,
    },
    /// Look after the directory now.
    #[cfg(test)]
    Tick {
        done: oneshot::Sender<()>,
    },
    /// Write all that waits, seal the segment, let go of the directory.
    Release {
        done: oneshot::Sender<()>,
    },
}

#[derive(Debug, Default)]
struct Inner {
    commands: VecDeque<Command>,
    /// They wait for no response to be written first: the stamp of each says which purges it is older than.
    purges: Vec<journal::Entry>,
    bytes: u64,
    closed: bool,
}

/// What the writer finds.
#[derive(Debug)]
pub(super) enum Next {
    Command(Command),
    /// Purges to be written down, all that there are.
    Purges(Vec<journal::Entry>),
    /// Nothing for a while.
    Idle,
    /// Nothing, and nothing more will come.
    Closed,
}

/// Commands in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    ready: Condvar,
}

impl Queue {
    /// Queues `put` unless too much waits already.
    pub(super) fn put(&self, put: &Arc<Put>) -> bool {
        let weight = put.weight();
        let mut inner = self.inner.lock();
        if inner.closed || (inner.bytes > 0 && inner.bytes + weight > LIMIT) {
            return false;
        }
        inner.bytes += weight;
        inner.commands.push_back(Command::Put(Arc::clone(put)));
        drop(inner);
        self.ready.notify_one();
        true
    }

    /// Queues what must not be lost; whether there still is a writer.
    pub(super) fn tell(&self, command: Command) -> bool {
        let mut inner = self.inner.lock();
        if inner.closed {
            return false;
        }
        inner.commands.push_back(command);
        drop(inner);
        self.ready.notify_one();
        true
    }

    /// Queues a purge to be written down; whether there still is a writer.
    pub(super) fn tell_purge(&self, entry: journal::Entry) -> bool {
        let mut inner = self.inner.lock();
        if inner.closed {
            return false;
        }
        inner.purges.push(entry);
        drop(inner);
        self.ready.notify_one();
        true
    }

    /// The next command, waiting for it at most `patience`.
    pub(super) fn next(&self, patience: Duration) -> Next {
        let mut inner = self.inner.lock();
        if inner.commands.is_empty() && inner.purges.is_empty() && !inner.closed {
            self.ready.wait_for(&mut inner, patience);
        }
        if !inner.purges.is_empty() {
            return Next::Purges(std::mem::take(&mut inner.purges));
        }
        match inner.commands.pop_front() {
            Some(command) => {
                if let Command::Put(put) = &command {
                    inner.bytes = inner.bytes.saturating_sub(put.weight());
                }
                Next::Command(command)
            }
            None if inner.closed => Next::Closed,
            None => Next::Idle,
        }
    }

    /// No more commands are taken; those that wait still are.
    pub(super) fn close(&self) {
        self.inner.lock().closed = true;
        self.ready.notify_one();
    }
}
