//! Where stored responses are kept.

pub mod disk;
mod memory;
mod parts;
mod prepared;
mod purging;
mod recent;
mod sweep;
mod tiered;
mod variants;

pub use memory::{MemoryStats, MemoryStore};
pub use parts::Parts;
pub use prepared::{Form, Head, Made, Prepared};
pub use purging::Purged;
pub use sweep::Swept;
pub use tiered::{CodedContent, Found, Tier, TieredStore};
pub use variants::{Variant, Variants};
