//! Deliver: from a response, stored or on its way, to what this client gets.

mod conceal;
mod file;
mod represent;
mod send;
mod tell;

pub(crate) use conceal::conceal;
pub(crate) use file::file;
pub(crate) use represent::{Source, is_codable, passed, represent};
pub(crate) use send::send;
#[cfg(test)]
pub(crate) use tell::NAME;
pub(crate) use tell::{Told, tell_of_itself, tell_of_now};
