//! `[cache.memory]`

use super::absent;
use crate::model::MemoryTier;
use crate::reading::Reading;
use crate::table::Table;
use crate::values::size;

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

pub(super) fn read(table: Option<Table<'_, '_>>, reading: &Reading<'_>) -> MemoryTier {
    let mut table = table.unwrap_or_else(|| absent(reading, "[cache.memory]"));
    let total = table.take("size").and_then(|item| item.size(MIB..=16 * TIB)).unwrap_or(256 * MIB);
    let item = table.take("max_object");
    let given = item.as_ref().and_then(|item| item.size(1024..=TIB));
    if let (Some(item), Some(given)) = (&item, given)
        && given > total / 4
    {
        let hint =
            format!("a quarter of `size` at most, here {}: larger ones would push out all else", size::show(total / 4));
        reading.misfit(&item.span, "`max_object` is too large for `size`", hint);
    }
    table.finish();
    MemoryTier { size: total, max_object: given.unwrap_or(8 * MIB).min(total / 4) }
}
