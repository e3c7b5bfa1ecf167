//! Where stored responses are kept.

mod memory;
mod variants;

pub use memory::{MemoryStats, MemoryStore};
pub use variants::{Prepared, Variant, Variants};
