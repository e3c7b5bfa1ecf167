//! The answer to a purge: a status that plugins count on, `Cache-Purge-Result`, and a small JSON document.

use forebay_cache::purge::{Purge, What};
use http::StatusCode;

use super::Outcome;
use crate::cluster::NodeReport;

/// An answer, for either listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// `Cache-Purge-Result`; `None` where nothing was purged.
    pub(crate) result: Option<String>,
    /// JSON.
    pub(crate) content: String,
}

impl Reply {
    /// The purge was carried out. `not_cached`: the status for a URL of which nothing was cached.
    pub(crate) fn done(purge: &Purge, outcome: Outcome, dry_run: bool, not_cached: u16) -> Self {
        let Outcome { count, durable, nodes } = outcome;
        let operation = operation(purge);
        let status = match (&purge.what, durable) {
            (_, false) => StatusCode::SERVICE_UNAVAILABLE,
            (What::Url(_), true) if count == 0 => StatusCode::from_u16(not_cached).unwrap_or(StatusCode::OK),
            _ => StatusCode::OK,
        };
        let mut content = serde_json::json!({
            "status": if durable { "ok" } else { "error" },
            "result": operation,
            "count": count,
            "soft": purge.soft,
            "message": if durable {
                format!("Invalidated {count} objects")
            } else {
                "purged, but not written down: a restart may undo it".to_owned()
            },
        });
        if !nodes.is_empty()
            && let Some(content) = content.as_object_mut()
        {
            let node = |node: &NodeReport| serde_json::json!({ "node": node.node, "status": node.status, "count": node.count });
            content.insert("nodes".to_owned(), nodes.iter().map(node).collect());
        }
        if dry_run && let Some(content) = content.as_object_mut() {
            content.insert("dry_run".to_owned(), true.into());
            content.insert("message".to_owned(), format!("Would invalidate {count} objects").into());
        }
        Self { status, result: Some(format!("{operation}; count={count}")), content: format!("{content}\n") }
    }

    /// Nothing was purged, for this reason.
    pub(crate) fn refused(status: StatusCode, reason: &str) -> Self {
        let content = serde_json::json!({ "status": "error", "message": reason });
        Self { status, result: None, content: format!("{content}\n") }
    }
}

/// The word that plugins compare with what they asked for.
fn operation(purge: &Purge) -> &'static str {
    match purge.what {
        What::Url(_) => "exact",
        What::Page(_) | What::Prefix(_) | What::Regex(_) => "wildcard",
        What::Everything => "all",
        What::Tags(_) => "tags",
    }
}
