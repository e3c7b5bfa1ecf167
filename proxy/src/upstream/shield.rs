//! The shield of a pool: its [gate](super::gate), who is taken for a bot, and what is counted.

use std::sync::Arc;
use std::time::Instant;

use forebay_config::model;
use http::HeaderMap;
use http::header::USER_AGENT;

use super::gate::{Gate, Gates, Permit, Rank, Room, Shut};
use crate::account::metrics::{GateMetrics, Metrics};
use crate::fetch::FetchError;

/// Bytes of a `User-Agent` that are looked at.
const LOOKED_AT: usize = 512;

/// What stands before a pool with `max_requests`.
#[derive(Debug)]
pub(crate) struct Shield {
    gate: Arc<Gate>,
    room: Room,
    /// In lower case.
    bots: Vec<Box<[u8]>>,
    metrics: GateMetrics,
}

// === impl Shield ===

impl Shield {
    /// From the config's words; `None` without `max_requests`.
    ///
    /// # Errors
    ///
    /// When its metrics cannot be registered.
    pub(crate) fn new(
        upstream: &model::Upstream,
        gates: &Gates,
        metrics: &Metrics,
    ) -> prometheus::Result<Option<Self>> {
        let metrics = metrics.gate(&upstream.name)?;
        let Some(most) = upstream.max_requests else { return Ok(None) };
        Ok(Some(Self {
            gate: gates.gate(&upstream.name, most, Some(metrics.gauges.clone())),
            room: Room { most, queue: upstream.queue, patience: upstream.queue_timeout },
            bots: upstream.bots.iter().map(|word| word.to_ascii_lowercase().into_bytes().into()).collect(),
            metrics,
        }))
    }

    /// Whether a request with these fields is a bot's, and would have to wait.
    pub(crate) fn is_shut_to_bot(&self, fields: &HeaderMap) -> bool {
        self.gate.is_shut(Rank::Bot) && self.is_bot(fields)
    }

    /// Lets a request with these fields in, at once or when there is room.
    ///
    /// # Errors
    ///
    /// 503, with the reason.
    pub(crate) async fn enter(&self, fields: &HeaderMap, background: bool, waits: bool) -> Result<Permit, FetchError> {
        let rank = match background {
            true => Rank::Background,
            false if self.is_bot(fields) => Rank::Bot,
            false => Rank::Person,
        };
        let began = Instant::now();
        let entered = self.gate.enter(rank, self.room, waits).await;
        match entered {
            Ok(permit) => {
                self.metrics.waited(began.elapsed());
                Ok(permit)
            }
            Err(shut) => {
                self.metrics.refused(rank, shut);
                Err(match shut {
                    Shut::Busy => FetchError::BUSY,
                    Shut::Full => FetchError::QUEUE_FULL,
                    Shut::Timeout => FetchError::QUEUE_TIMEOUT,
                })
            }
        }
    }

    /// By one of the words in `User-Agent`, or by saying nothing.
    fn is_bot(&self, fields: &HeaderMap) -> bool {
        let agent = fields.get(USER_AGENT).map(|agent| agent.as_bytes()).unwrap_or_default();
        let agent = agent.get(..LOOKED_AT).unwrap_or(agent).to_ascii_lowercase();
        let names = |word: &[u8]| memchr::memmem::find(&agent, word).is_some();
        !self.bots.is_empty() && (agent.is_empty() || self.bots.iter().any(|word| names(word)))
    }
}
