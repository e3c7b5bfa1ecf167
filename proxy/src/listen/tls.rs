//! TLS of the public listeners: certificates chosen by SNI over all sites, sessions resumed by tickets.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ahash::AHashMap;
use forebay_config::model::{CertificateFiles, Config, HostPattern};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::visitor::Demands;
use crate::runtime::{Runtime, Shared};

/// Certificates of all sites, by the names they serve. Replaced as a whole by a reload.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    exact: AHashMap<String, Arc<CertifiedKey>>,
    /// By the name beneath the asterisk.
    wildcard: AHashMap<String, Arc<CertifiedKey>>,
    /// For clients that send no name, or one that no site has: the site of `"*"`, else the first that has any.
    default: Option<Arc<CertifiedKey>>,
    /// Which site of the config has that one.
    default_site: Option<usize>,
}

impl Certificates {
    /// Reads every certificate and key of `config`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or does not hold what it should.
    pub(crate) fn load(config: &Config) -> Result<Self, String> {
        let mut all = Self::default();
        for (index, site) in config.sites.iter().enumerate() {
            let Some(files) = &site.certificate else { continue };
            let key = Arc::new(load(files)?);
            all.default.get_or_insert_with(|| Arc::clone(&key));
            all.default_site.get_or_insert(index);
            for host in &site.hosts {
                match host {
                    HostPattern::Exact(name) => drop(all.exact.insert(name.clone(), Arc::clone(&key))),
                    HostPattern::Wildcard(name) => drop(all.wildcard.insert(name.clone(), Arc::clone(&key))),
                    HostPattern::Any => (all.default, all.default_site) = (Some(Arc::clone(&key)), Some(index)),
                }
            }
        }
        Ok(all)
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.exact.get(&name).or_else(|| {
            let mut rest = name.as_str();
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(key) = self.wildcard.get(parent) {
                    return Some(key);
                }
                rest = parent;
            }
            None
        })
    }
}

fn load(files: &CertificateFiles) -> Result<CertifiedKey, String> {
    let chain = pem(&files.certificate, |bytes| CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>())?;
    let key = pem(&files.key, PrivateKeyDer::from_pem_slice)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| format!("{}: {error}", files.certificate.display()))
}

fn pem<T, E: std::fmt::Display>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<T, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// Asks the runtime that is current at the time of the handshake, so that a reload takes effect at once.
struct Resolver(Arc<Shared>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let runtime = self.0.runtime();
        let named = hello.server_name().and_then(|name| runtime.certificates.find(name));
        named.or(runtime.certificates.default.as_ref()).cloned()
    }
}

/// What is demanded of a client that asks for `name`: what the site of that name wants; without a name, or with one that is
/// no site's, the one whose certificate is shown.
pub(super) fn demands(runtime: &Runtime, name: Option<&str>) -> Option<Arc<Demands>> {
    let named = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    let default = || runtime.certificates.default_site.and_then(|index| runtime.sites.get(index));
    let site = named.as_deref().and_then(|name| runtime.routes.site(name)).or_else(default)?;
    site.demands.clone()
}

/// The configuration of a TLS listener: TLS 1.2 and 1.3, `h2` by ALPN where `http2` says so.
///
/// # Errors
///
/// When the system has no randomness for ticket keys.
pub(crate) fn server_config(shared: &Arc<Shared>, http2: bool) -> io::Result<Arc<ServerConfig>> {
    server_config_with(shared, http2, Arc::new(NoClientAuth), b"")
}

/// The same, for visitors whom `verifier` looks at; tickets are good where `context` is the same.
///
/// # Errors
///
/// As [`server_config`].
pub(super) fn server_config_with(
    shared: &Arc<Shared>,
    http2: bool,
    verifier: Arc<dyn ClientCertVerifier>,
    context: &[u8],
) -> io::Result<Arc<ServerConfig>> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(io::Error::other)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Resolver(Arc::clone(shared))));
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    // Stateless: any number of clients, and memory stays what it is.
    config.ticketer = shared.lasting.tickets.ticketer(context).map_err(io::Error::other)?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 2;
    Ok(Arc::new(config))
}
