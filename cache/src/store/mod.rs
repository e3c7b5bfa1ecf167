//! Where stored responses are kept.

pub mod disk;
mod memory;
mod tiered;
mod variants;

pub use memory::{MemoryStats, MemoryStore};
pub use tiered::{Found, Tier, TieredStore};
pub use variants::{Variant, Variants};
