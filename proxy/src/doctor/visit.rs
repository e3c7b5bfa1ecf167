//! A visitor: one request at a time, no cookies kept, no redirects followed, nothing decoded.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// A page of WordPress may take its time.
const LIMIT: Duration = Duration::from_secs(30);
/// Content beyond this is not looked at.
const CONTENT: u64 = 4 << 20;

/// Who visits.
#[derive(Debug)]
pub(crate) struct Visitor {
    agent: ureq::Agent,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) content: Vec<u8>,
}

/// Addresses for names that the resolver of the system is not asked for.
#[derive(Debug)]
struct Pinned {
    names: HashMap<String, IpAddr>,
    ports: Ports,
    system: DefaultResolver,
}

/// Where a server listens for URLs that name no port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) https: u16,
}

impl Resolver for Pinned {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let port = if uri.scheme_str() == Some("https") { self.ports.https } else { self.ports.http };
        let port = uri.port_u16().unwrap_or(port);
        let mut found = self.empty();
        match self.names.get(&host) {
            Some(address) => found.push(SocketAddr::new(*address, port)),
            None => {
                for address in self.system.resolve(uri, config, timeout)?.iter() {
                    found.push(SocketAddr::new(address.ip(), port));
                }
            }
        }
        Ok(found)
    }
}

impl Visitor {
    /// `names`: host and address. `insecure`: certificates are not looked at.
    pub(crate) fn new(names: HashMap<String, IpAddr>, ports: Ports, insecure: bool) -> Self {
        let tls = ureq::tls::TlsConfig::builder().disable_verification(insecure).build();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(LIMIT))
            .user_agent(concat!("forebay-doctor/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("")
            .proxy(None)
            .tls_config(tls)
            .build();
        let resolver = Pinned { names, ports, system: DefaultResolver::default() };
        Self { agent: ureq::Agent::with_parts(config, DefaultConnector::default(), resolver) }
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    ///
    /// Why there is none, in words.
    pub(crate) fn ask(&self, method: &str, url: &str, fields: &[(&str, &str)]) -> Result<Answer, String> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).map_err(|error| format!("{url}: {error}"))?;
        let mut response = self.agent.run(request).map_err(|error| format!("{url}: {error}"))?;
        let content = response.body_mut().with_config().limit(CONTENT).read_to_vec();
        let content = content.map_err(|error| format!("{url}: its content broke off: {error}"))?;
        Ok(Answer { status: response.status(), fields: response.headers().clone(), content })
    }
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.to_str().ok()
    }

    /// The word of `X-Cache`.
    pub(crate) fn cache(&self) -> &str {
        self.field("x-cache").unwrap_or_default()
    }

    /// Whether a stored response answered.
    pub(crate) fn is_from_cache(&self) -> bool {
        matches!(self.cache(), "HIT" | "STALE" | "REVALIDATED" | "COLLAPSED")
    }

    /// What `Cache-Status` gives as the reason, where this visitor is told.
    pub(crate) fn detail(&self) -> Option<&str> {
        let status = self.fields.get_all("cache-status").iter().filter_map(|line| line.to_str().ok()).next_back()?;
        status.split("; ").find_map(|part| part.strip_prefix("detail="))
    }

    /// Status and what the cache did, for a sentence.
    pub(crate) fn shown(&self) -> String {
        let detail = self.detail().map(|detail| format!(", {detail}")).unwrap_or_default();
        let cache = if self.cache().is_empty() { "no X-Cache" } else { self.cache() };
        format!("{} {cache}{detail}", self.status.as_u16())
    }
}
