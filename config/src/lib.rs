//! Configuration of Forebay: text in, a checked [`model::Config`] or a report of every mistake out.

pub mod model;
