//! Where stored responses are kept.

pub mod disk;
mod memory;
mod parts;
mod tiered;
mod variants;

pub use memory::{MemoryStats, MemoryStore};
pub use parts::Parts;
pub use tiered::{Found, Tier, TieredStore};
pub use variants::{Prepared, Variant, Variants};
