//! `/upstreams`: pools and their servers as JSON, and what the operator wants of them.
//!
//! `GET /upstreams` tells; `POST /upstreams/SERVER/drain` and `POST /upstreams/POOL/SERVER/drain` (also `ready`, `disable`)
//! order. What is ordered holds until it is ordered otherwise or the process ends; a reload does not change it.
//! `POST /upstreams/POOL/SERVER/add` (`?weight=2&max_connections=8&backup=true`) and `…/remove` hold until a reload.

use forebay_config::model::{ServerName, UpstreamServer};
use http::StatusCode;
use http::header::ORIGIN;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::request::Request;
use super::response::Response;
use super::{AdminState, Change, ServerStatus, UpstreamStatus};
use crate::upstream::{NameStatus, Order, Unchanged};

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
    if let (Some(pool), "add" | "remove") = (pool, word.as_str()) {
        return changed(request, pool, server, word == "add", state);
    }
    let order = match word.as_str() {
        "ready" => Order::Ready,
        "drain" => Order::Drain,
        "disable" => Order::Disable,
        _ => {
            return refused(StatusCode::NOT_FOUND, "an order is ready, drain or disable; of a pool also add or remove");
        }
    };
    match state.order(pool, server, order) {
        0 => refused(StatusCode::NOT_FOUND, "there is no such server"),
        servers => json_of(StatusCode::OK, &json!({ "servers": servers })),
    }
}

/// Adds or removes a server.
fn changed(
    request: &Request,
    pool: &str,
    server: &str,
    is_new: bool,
    state: &(dyn AdminState + Send + Sync),
) -> Response {
    let change = if is_new {
        match words(server, &request.query) {
            Ok(words) => Change::Add(Box::new(words)),
            Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
        }
    } else {
        Change::Remove(server.to_owned())
    };
    match state.change(pool, change) {
        Ok(servers) => json_of(StatusCode::OK, &json!({ "servers": servers })),
        Err(Unchanged::Unknown) if is_new => refused(StatusCode::NOT_FOUND, "there is no such pool"),
        Err(Unchanged::Unknown) => refused(StatusCode::NOT_FOUND, "there is no such server"),
        Err(Unchanged::Conflict(error)) => refused(StatusCode::CONFLICT, error),
    }
}

/// A server by its address and what a query says of it, within the ranges of the configuration.
fn words(server: &str, query: &str) -> Result<UpstreamServer, String> {
    let mut words = forebay_config::server(server)?;
    for (name, value) in
        query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
    {
        let number = |most: u32| {
            let found = value.parse::<u32>().ok().filter(|number| *number <= most);
            found.ok_or_else(|| format!("{name} is a number from 0 to {most}"))
        };
        match name {
            "weight" | "backup" if matches!(words.name, Some(ServerName::Service(_))) => {
                return Err(format!("{name} of a service is said by its SRV records"));
            }
            "weight" => words.weight = number(1000)?,
            "max_connections" => words.max_connections = number(1_000_000)?,
            "backup" => match value {
                "true" | "false" => words.backup = value == "true",
                _ => return Err("backup is true or false".to_owned()),
            },
            _ => return Err(format!("{name:?} is none of weight, max_connections, backup")),
        }
    }
    Ok(words)
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
            "names": pool.names.iter().map(name).collect::<Vec<_>>(),
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
        "origin": server.origin,
        "complaint": server.complaint,
        "weight": server.weight,
        "backup": server.backup,
        "active": server.active,
        "max_connections": server.max_connections,
        "requests": server.requests,
        "errors": server.errors,
    })
}

fn name(name: &NameStatus) -> Value {
    json!({
        "name": name.name,
        "state": name.state,
        "servers": name.addresses,
        "ttl": name.ttl.as_secs(),
        "complaint": name.complaint,
    })
}
