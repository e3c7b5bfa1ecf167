//! What a fill and a pass do: ask an AP server, judge its answer, store it or hand it to the one who asked.

mod canary;
mod error;
mod forward;
mod freshen;
mod keep;
pub(crate) mod outbound;
mod partial;
mod pass;
mod peer;
mod receive;
mod run;
mod session;
mod shared;
mod short;
mod stream;
mod telling;

pub(crate) use canary::Canary;
pub(crate) use error::FetchError;
pub(crate) use forward::Outbound;
pub(crate) use partial::Completion;
pub(crate) use run::{Arrived, Invalidates, Job, Private, StorePlan, run};
pub(crate) use telling::{Heard, channel};
