//! The floor: `src/bin/floor.rs`.

use std::process::Command;

use super::{Start, own};
use crate::Result;

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let mut command = Command::new(own("floor")?);
    command.arg(start.http.to_string());
    Ok(command)
}
