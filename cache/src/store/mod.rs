//! Where stored responses are kept.

pub mod disk;
mod memory;
mod variants;

pub use memory::{MemoryStats, MemoryStore};
pub use variants::{Variant, Variants};
