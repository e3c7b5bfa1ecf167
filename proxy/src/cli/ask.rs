//! Questions to the admin listener of a running instance.

use std::time::Duration;

use serde_json::Value;

use crate::explain::Question;

/// Where an instance listens for its operator, unless its configuration says otherwise.
pub(super) const DEFAULT_ADMIN: &str = "127.0.0.1:6081";

/// The field that carries one field of the request to be explained.
const FIELD: &str = "Explain-Field";

/// A live explanation waits for the origin.
const LIMIT: Duration = Duration::from_secs(70);

/// What came of a question.
pub(super) enum Ask {
    Answered(Value),
    /// Somebody is there, and says no.
    Refused(String),
    /// Nobody is there.
    Nobody(String),
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(LIMIT)).proxy(None);
    ureq::Agent::new_with_config(config.build())
}

/// The question to `/explain`.
pub(super) fn explain(admin: &str, question: &Question) -> Ask {
    let url: String =
        percent_encoding::utf8_percent_encode(&question.url, percent_encoding::NON_ALPHANUMERIC).collect();
    let mut request = agent().get(format!("http://{admin}/explain?method={}&url={url}", question.method));
    for (name, value) in &question.fields {
        request = request.header(FIELD, format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    if question.live {
        request = request.header("Explain-Live", "yes");
    }
    send(admin, request)
}

fn send(admin: &str, request: ureq::RequestBuilder<ureq::typestate::WithoutBody>) -> Ask {
    let mut response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ask::Nobody(format!("no instance answers on {admin}: {error}")),
    };
    let text = response.body_mut().read_to_string().unwrap_or_default();
    if !response.status().is_success() {
        return Ask::Refused(text.trim().to_owned());
    }
    match serde_json::from_str(&text) {
        Ok(value) => Ask::Answered(value),
        Err(_) => Ask::Refused(format!("what answers on {admin} is no Forebay, or another version")),
    }
}
