//! `/explain?url=…&method=…`: what would become of a request.
//!
//! The fields of that request come one by one in `Explain-Field`. With `Explain-Live` it is sent through. Neither can be
//! sent by a page of a stranger in the operator's browser, which may ask for any URL but not with fields of its own.

use http::{HeaderMap, StatusCode};

use super::AdminState;
use super::request::Request;
use super::response::Response;
use crate::explain::Question;

pub(super) async fn respond(request: &Request, state: &(dyn AdminState + Send + Sync)) -> Response {
    let question = match question(&request.query, &request.fields) {
        Ok(question) => question,
        Err(wrong) => return Response::text(StatusCode::BAD_REQUEST, wrong),
    };
    match state.explain(question).await {
        Ok(finding) => Response::new(StatusCode::OK, "application/json", format!("{finding}\n")),
        Err(wrong) => Response::text(StatusCode::BAD_REQUEST, wrong),
    }
}

fn question(query: &str, fields: &HeaderMap) -> Result<Question, String> {
    let parameter = |wanted: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('='))?;
        Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    let url = parameter("url").ok_or("ask for /explain?url=…")?;
    let method = parameter("method").unwrap_or_else(|| "GET".to_owned());
    let lines = fields.get_all("explain-field").iter().filter_map(|line| line.to_str().ok());
    Question::new(&url, &method, lines, fields.contains_key("explain-live"))
}
