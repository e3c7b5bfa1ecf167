//! Where stored responses are kept.

pub mod disk;
mod memory;
mod parts;
mod purging;
mod recent;
mod sweep;
mod tiered;
mod variants;

pub use memory::{MemoryStats, MemoryStore};
pub use parts::Parts;
pub use purging::Purged;
pub use sweep::Swept;
pub use tiered::{Found, Tier, TieredStore};
pub use variants::{Prepared, Variant, Variants};
