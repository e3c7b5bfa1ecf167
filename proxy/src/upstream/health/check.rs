//! One check of one server.

use forebay_config::model::{Check, Health};
use http::StatusCode;
use http::header::{CONNECTION, HOST, USER_AGENT};
use pingora_core::connectors::TransportConnector;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::Error;
use pingora_http::RequestHeader;
use regex::bytes::Regex;

/// How much of the content is looked at.
const BODY_MAX: usize = 64 * 1024;

/// Interim responses before the one that counts.
const INTERIMS: usize = 16;

/// Asks the server behind `peer`.
///
/// # Errors
///
/// Why it is not well, in a few words.
pub(super) async fn check(
    connector: &TransportConnector,
    peer: &HttpPeer,
    health: &Health,
    body: Option<&Regex>,
) -> Result<(), String> {
    let timeout = format!("no answer within {:?}", health.timeout);
    tokio::time::timeout(health.timeout, exchange(connector, peer, &health.check, body)).await.unwrap_or(Err(timeout))
}

async fn exchange(
    connector: &TransportConnector,
    peer: &HttpPeer,
    check: &Check,
    pattern: Option<&Regex>,
) -> Result<(), String> {
    let failed = |error: Box<Error>| error.etype().as_str().to_owned();
    let stream = connector.new_stream(peer).await.map_err(failed)?;
    let Check::Http { method, path, host, status, .. } = check else { return Ok(()) };
    let mut session = HttpSession::new(stream);
    let mut head = RequestHeader::build(method.as_str(), path.as_bytes(), Some(3)).map_err(failed)?;
    let host = host.clone().unwrap_or_else(|| peer._address.to_string());
    for (name, value) in [(HOST, host.as_str()), (USER_AGENT, "Forebay health check"), (CONNECTION, "close")] {
        head.insert_header(name, value).map_err(failed)?;
    }
    session.write_request_header(Box::new(head)).await.map_err(failed)?;
    let found = final_status(&mut session).await.map_err(failed)?.ok_or("no final response")?;
    if !status.iter().any(|(first, last)| (*first..=*last).contains(&found.as_u16())) {
        return Err(format!("status {}", found.as_u16()));
    }
    let Some(pattern) = pattern else { return Ok(()) };
    let mut content = Vec::new();
    while let Some(chunk) = session.read_body_bytes().await.map_err(failed)? {
        content.extend_from_slice(&chunk);
        if content.len() >= BODY_MAX {
            break;
        }
    }
    if pattern.is_match(&content) { Ok(()) } else { Err("the content does not match".to_owned()) }
}

async fn final_status(session: &mut HttpSession) -> pingora_error::Result<Option<StatusCode>> {
    for _ in 0..INTERIMS {
        session.read_response().await?;
        if let Some(status) = session.get_status().filter(|status| !status.is_informational()) {
            return Ok(Some(status));
        }
    }
    Ok(None)
}
