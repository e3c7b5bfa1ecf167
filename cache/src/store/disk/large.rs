//! Large content: a file each, with a checksum for every block.

mod files;
mod reader;
mod writer;

pub(super) use files::{LargeFile, LargeFiles, part_path, path};
pub use reader::{LargeContent, LargeReader};
pub use writer::LargeWriter;
pub(super) use writer::Written;

/// Content is verified in blocks of this length: the smallest part that is read, so what a slow reader holds.
pub(super) const BLOCK: u64 = 256 << 10;

/// Longest content that can be stored: its table of checksums has to fit into a record's head.
pub(super) const LONGEST: u64 = 32 << 30;

/// Checksums of the blocks of `content`, little-endian.
pub(super) fn table(content: &[u8]) -> Vec<u8> {
    let block = usize::try_from(BLOCK).unwrap_or(usize::MAX);
    content.chunks(block).flat_map(|block| crc32fast::hash(block).to_le_bytes()).collect()
}

/// What tells one content from another: its checksum, or that of its table where it is large.
pub(super) fn identity(content: &[u8]) -> (u32, u64) {
    let length = content.len() as u64;
    let crc = if length < super::format::LARGE { crc32fast::hash(content) } else { crc32fast::hash(&table(content)) };
    (crc, length)
}
