//! `/upstreams`: pools and their servers as JSON, and what the operator wants of them.
//!
//! `GET /upstreams` tells; `POST /upstreams/SERVER/drain` and `POST /upstreams/POOL/SERVER/drain` (also `ready`, `disable`)
//! order. What is ordered holds until it is ordered otherwise or the process ends; a reload does not change it.

use http::StatusCode;
use http::header::ORIGIN;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::request::Request;
use super::response::Response;
use super::{AdminState, ServerStatus, UpstreamStatus};
use crate::upstream::Order;

/// Set by browsers, on every request a page makes.
const FETCH_SITE: &str = "sec-fetch-site";

pub(super) fn respond(request: &Request, state: &(dyn AdminState + Send + Sync)) -> Response {
    match (request.method.as_str(), request.path.strip_prefix("/upstreams").unwrap_or_default()) {
        ("GET" | "HEAD", "" | "/") => json_of(StatusCode::OK, &told(&state.upstreams())),
        ("POST", rest) if !rest.trim_matches('/').is_empty() => ordered(request, rest, state),
        (_, "" | "/") => Response::status(StatusCode::METHOD_NOT_ALLOWED).with_fields(&["Allow: GET, HEAD"]),
        _ => Response::status(StatusCode::METHOD_NOT_ALLOWED).with_fields(&["Allow: POST"]),
    }
}

fn ordered(request: &Request, rest: &str, state: &(dyn AdminState + Send + Sync)) -> Response {
    // A page of somebody else's could make the operator's browser send this.
    if request.fields.contains_key(ORIGIN) || request.fields.contains_key(FETCH_SITE) {
        return refused(StatusCode::FORBIDDEN, "browsers may look and not order");
    }
    let decoded = |part: &str| percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let parts: Option<Vec<String>> = rest.trim_matches('/').split('/').map(decoded).collect();
    let (pool, server, word) = match parts.as_deref() {
        Some([server, word]) => (None, server, word),
        Some([pool, server, word]) => (Some(pool.as_str()), server, word),
        _ => return Response::status(StatusCode::NOT_FOUND),
    };
    let order = match word.as_str() {
        "ready" => Order::Ready,
        "drain" => Order::Drain,
        "disable" => Order::Disable,
        _ => return refused(StatusCode::NOT_FOUND, "an order is ready, drain or disable"),
    };
    match state.order(pool, server, order) {
        0 => refused(StatusCode::NOT_FOUND, "there is no such server"),
        servers => json_of(StatusCode::OK, &json!({ "servers": servers })),
    }
}

fn refused(status: StatusCode, error: &str) -> Response {
    json_of(status, &json!({ "error": error }))
}

fn json_of(status: StatusCode, value: &Value) -> Response {
    Response::new(status, "application/json", format!("{value}\n"))
}

fn told(upstreams: &[UpstreamStatus]) -> Value {
    let pools = upstreams.iter().map(|pool| {
        json!({
            "name": pool.name,
            "balance": pool.balance,
            "queued": pool.queued,
            "servers": pool.servers.iter().map(server).collect::<Vec<_>>(),
        })
    });
    json!({ "upstreams": pools.collect::<Vec<_>>() })
}

fn server(server: &ServerStatus) -> Value {
    json!({
        "name": server.name,
        "address": server.address,
        "state": server.state,
        "complaint": server.complaint,
        "weight": server.weight,
        "backup": server.backup,
        "active": server.active,
        "max_connections": server.max_connections,
        "requests": server.requests,
        "errors": server.errors,
    })
}
