//! What each path answers.

use http::StatusCode;
use http::header::HOST;

use super::inspect::Look;
use super::request::Request;
use super::response::Response;
use super::{AdminState, explain, host, page, upstreams};
use crate::account::metrics::CONTENT_TYPE;

/// The page loads nothing and may be framed by nobody; its style is its own.
const PAGE_FIELDS: &[&str] = &[
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy: no-referrer",
];

/// Answers a well-formed request.
pub(super) async fn respond(request: &Request, state: &(dyn AdminState + Send + Sync)) -> Response {
    if let Err(status) = check_host(request, state) {
        return Response::status(status);
    }
    if request.path == "/explain" && request.method == "GET" {
        return explain::respond(request, state).await;
    }
    if request.path == "/upstreams" || request.path.starts_with("/upstreams/") {
        return upstreams::respond(request, state);
    }
    let answer: fn(&Request, &(dyn AdminState + Send + Sync)) -> Response = match request.path.as_str() {
        "/" => |_, state| {
            let page = page::render(&state.status(), &state.ready());
            Response::new(StatusCode::OK, "text/html; charset=utf-8", page).with_fields(PAGE_FIELDS)
        },
        "/metrics" => |_, state| Response::new(StatusCode::OK, CONTENT_TYPE, state.metrics()),
        "/top" => |_, state| Response::new(StatusCode::OK, "application/json", format!("{}\n", state.top())),
        "/ready" => ready,
        "/cache/stats" | "/cache/check" | "/cache/list" => inspect,
        "/live" => |_, _| Response::text(StatusCode::OK, "live"),
        _ => return Response::status(StatusCode::NOT_FOUND),
    };
    match request.method.as_str() {
        "GET" | "HEAD" => answer(request, state),
        _ => Response::status(StatusCode::METHOD_NOT_ALLOWED).with_fields(&["Allow: GET, HEAD"]),
    }
}

/// 200 and lines, or 503 and why not.
fn inspect(request: &Request, state: &(dyn AdminState + Send + Sync)) -> Response {
    match Look::of(request).map(|look| state.inspect(look)) {
        Some(Ok(lines)) => Response::lines(lines),
        Some(Err(reason)) => Response::text(StatusCode::SERVICE_UNAVAILABLE, reason),
        None => Response::status(StatusCode::NOT_FOUND),
    }
}

/// Exactly one `Host` (RFC 9112 section 3.2; HTTP/1.0 may do without), and one that is ours.
fn check_host(request: &Request, state: &(dyn AdminState + Send + Sync)) -> Result<(), StatusCode> {
    let mut hosts = request.fields.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => match host.to_str() {
            Ok(host) if host::allowed(host.trim(), &state.names()) => Ok(()),
            _ => Err(StatusCode::MISDIRECTED_REQUEST),
        },
        (None, _) if !request.one_one => Ok(()),
        _ => Err(StatusCode::BAD_REQUEST),
    }
}

/// 200 or 503; the reasons one a line, or as JSON with `?verbose`. What works without being whole is said and still ready.
fn ready(request: &Request, state: &(dyn AdminState + Send + Sync)) -> Response {
    let reasons = state.ready();
    let degraded = state.degraded();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose = request.query.split('&').any(|parameter| {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        name == "verbose"
    });
    if verbose {
        let mut detail = serde_json::json!({ "ready": reasons.is_empty(), "reasons": reasons });
        if let Some(detail) = detail.as_object_mut().filter(|_| !degraded.is_empty()) {
            detail.insert("degraded".to_owned(), degraded.into());
        }
        return Response::new(status, "application/json", format!("{detail}\n"));
    }
    let mut lines = if reasons.is_empty() { vec!["ready".to_owned()] } else { reasons };
    lines.extend(degraded);
    Response::text(status, lines.join("\n"))
}
