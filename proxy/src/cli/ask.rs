//! Questions to the admin listener of a running instance.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use crate::explain::Question;

/// Where an instance listens for its operator, unless its configuration says otherwise.
pub(super) const DEFAULT_ADMIN: &str = "127.0.0.1:6081";

/// The field that carries one field of the request to be explained.
const FIELD: &str = "Explain-Field";

/// A live explanation waits for the origin.
const LIMIT: Duration = Duration::from_secs(70);

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// The admin listener to ask: `named`, that of the configuration, or the usual one.
pub(super) fn admin(named: Option<&str>, config: &std::path::Path) -> String {
    let configured = || forebay_config::load(config).ok()?.admin.map(|admin| admin.address.to_string());
    named.map(ToOwned::to_owned).or_else(configured).unwrap_or_else(|| DEFAULT_ADMIN.to_owned())
}

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

/// `GET` of a path whose answer is JSON.
pub(super) fn get(admin: &str, path: &str) -> Ask {
    understand(admin, agent().get(format!("http://{admin}{path}")).call())
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
    understand(admin, request.call())
}

/// A purge to `/purge`.
pub(super) fn purge(admin: &str, token: Option<&str>, document: &Value) -> Ask {
    let mut request = agent().post(format!("http://{admin}/purge")).content_type("application/json");
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    understand(admin, request.send(document.to_string()))
}

fn understand(admin: &str, answered: Result<http::Response<ureq::Body>, ureq::Error>) -> Ask {
    let mut response = match answered {
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

/// Where `listener` can be reached from this machine.
pub(super) fn address(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// Asks for `target` and tells `each` line of the answer, however long that takes. Otherwise why there is none, or not all
/// of it.
pub(super) fn lines(listener: SocketAddr, target: &str, mut each: impl FnMut(&str)) -> Result<(), String> {
    let address = address(listener);
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_connect(Some(CONNECT)).proxy(None);
    let agent = ureq::Agent::new_with_config(config.timeout_recv_response(Some(LIMIT)).build());
    let failed = |error: &dyn std::fmt::Display| format!("its admin listener, {address}: {error}");
    let mut response = agent.get(format!("http://{address}{target}")).call().map_err(|error| failed(&error))?;
    if !response.status().is_success() {
        let said = response.body_mut().read_to_string().unwrap_or_default();
        return Err(failed(&format!("{}: {}", response.status(), said.trim())));
    }
    for line in BufReader::new(response.body_mut().as_reader()).lines() {
        each(&line.map_err(|error| failed(&error))?);
    }
    Ok(())
}
