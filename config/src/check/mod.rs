//! What can only be known from elsewhere than the file.

pub(crate) mod certificate;
pub(crate) mod htpasswd;
mod warnings;

pub use warnings::warnings;
