//! Purges at the operator's listener.

use http::header::HOST;

use super::request::Request;
use super::response::Response;
use super::{AdminState, host};
use crate::purge::api::Call;

/// Answers a purge. `Host` says whose responses are meant; a name of the listener itself stands for all.
pub(super) async fn respond(request: &Request, state: &(dyn AdminState + Send + Sync)) -> Response {
    let mut hosts = request.fields.get_all(HOST).iter();
    let said = match (hosts.next(), hosts.next()) {
        (Some(said), None) => said.to_str().unwrap_or_default().trim(),
        (None, _) if !request.one_one => "localhost",
        _ => return Response::status(http::StatusCode::BAD_REQUEST),
    };
    let authority = request.authority.as_deref().unwrap_or(said);
    let target = match request.query.is_empty() {
        true => request.path.clone(),
        false => format!("{}?{}", request.path, request.query),
    };
    let own_name = host::allowed(authority, &state.names());
    // With a path of the listener's own a name that strangers control is no more believed than elsewhere.
    if !crate::purge::dialect::is_purge(&request.method) && !own_name {
        return Response::status(http::StatusCode::MISDIRECTED_REQUEST);
    }
    let call = Call {
        method: &request.method,
        target: &target,
        absolute: request.authority.is_some(),
        authority,
        own_name,
        fields: &request.fields,
        content: &request.content,
    };
    let reply = state.purge(&call).await;
    let response = Response::new(reply.status, "application/json", reply.content);
    match reply.result {
        Some(result) => response.with_field(format!("Cache-Purge-Result: {result}")),
        None => response,
    }
}
