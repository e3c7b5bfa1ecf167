//! Where stored responses are kept.

mod memory;
mod parts;
mod variants;

pub use memory::{MemoryStats, MemoryStore};
pub use parts::Parts;
pub use variants::{Prepared, Variant, Variants};
