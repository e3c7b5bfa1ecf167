//! Files beside a file that hold the same content, compressed once by a build or by hand: `style.css.br` beside `style.css`.

use std::sync::Arc;

use forebay_cache::semantics::coding::Coding;

use super::open::{How, OpenFile, Opened, WouldBlock, open_file};
use super::root::Root;

/// In the server's order of preference: what compresses best at the effort a build can spend comes first.
const SUFFIXES: [(Coding, &str); 3] = [(Coding::Brotli, "br"), (Coding::Zstd, "zst"), (Coding::Gzip, "gz")];

/// The siblings that may stand in for `original`: regular files, not older than it. An older one was made from other content.
pub(super) fn siblings(
    root: &Root,
    path: &str,
    original: &OpenFile,
    how: How,
) -> Result<Vec<(Coding, Arc<OpenFile>)>, WouldBlock> {
    let mut siblings = Vec::new();
    for (coding, suffix) in SUFFIXES {
        if let Opened::File(file) = open_file(root, &format!("{path}.{suffix}"), how)?
            && file.mtime() >= original.mtime()
        {
            siblings.push((coding, file));
        }
    }
    Ok(siblings)
}
