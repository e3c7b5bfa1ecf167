//! `[cache.disk]`

use std::path::PathBuf;

use crate::model::DiskTier;
use crate::reading::Reading;
use crate::table::Table;
use crate::values::{Wrong, path, quoted, size};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Smallest tier: a log of segments needs some to write to while others are read.
const SMALLEST: u64 = 32 * MIB;

/// Longest content whose table of checksums fits into a record.
const LARGEST_OBJECT: u64 = 32 * GIB;

pub(super) fn read(mut table: Table<'_, '_>, reading: &Reading<'_>) -> DiskTier {
    let path = table.require("path", "a directory of its own: path = \"/var/cache/forebay\"");
    let path = path.and_then(|item| item.parsed("/var/cache/forebay", directory));
    let total = table.require("size", "bytes the tier may take: size = \"8GiB\"");
    let total = total.and_then(|item| item.size(SMALLEST..=256 * TIB)).unwrap_or(8 * GIB);
    let item = table.take("max_object");
    let given = item.as_ref().and_then(|item| item.size(1024..=LARGEST_OBJECT));
    if let (Some(item), Some(given)) = (&item, given)
        && given > total / 4
    {
        let most = size::show(total / 4);
        let hint = format!("a quarter of `size` at most, here {most}: larger ones would push out all else");
        reading.misfit(&item.span, "`max_object` is too large for `size`", hint);
    }
    table.finish();
    DiskTier {
        path: path.map_or_else(|| PathBuf::from("/var/cache/forebay"), |found| found.value),
        size: total,
        max_object: given.unwrap_or(GIB).min(total / 4),
    }
}

/// An absolute path where a directory is or can be made.
fn directory(text: &str) -> Result<PathBuf, Wrong> {
    let path = path::absolute(text)?;
    if path.parent().is_none() {
        return Err(Wrong::new(format!("{} is the whole machine", quoted(text)), "name a directory of its own"));
    }
    if path.exists() && !path.is_dir() {
        return Err(Wrong::new(format!("{} is not a directory", quoted(text)), "name a directory of its own"));
    }
    Ok(path)
}
