//! What can only be known from elsewhere than the file.

pub(crate) mod certificate;
mod warnings;

pub use warnings::warnings;
