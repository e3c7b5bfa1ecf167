//! TLS towards servers: whom to trust, what to show.

use std::io;
use std::path::Path;
use std::sync::Arc;

use forebay_config::model::UpstreamTls;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::affinity::hash;

/// `tls` of an `[[upstream]]`, its files read.
#[derive(Debug)]
pub(super) struct Tls {
    server_name: Option<String>,
    ca: Option<Arc<CaType>>,
    client: Option<Arc<CertKey>>,
    verify: bool,
    /// Connections of upstreams that trust otherwise are not shared.
    group: u64,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Which file is not as `check` found it.
    pub(super) fn load(tls: &UpstreamTls) -> Result<Self, String> {
        let ca = match &tls.ca {
            Some(path) => Some(Arc::from(
                chain(path)?.into_iter().map(|der| WrappedX509::new(der, parse_x509)).collect::<Vec<_>>(),
            )),
            None => None,
        };
        let client = match &tls.client {
            Some(files) => Some(Arc::new(CertKey::new(chain(&files.certificate)?, key(&files.key)?))),
            None => None,
        };
        let group = hash(format!("{tls:?}").as_bytes());
        Ok(Self { server_name: tls.server_name.clone(), ca, client, verify: tls.verify, group })
    }

    /// Makes `peer` one that is spoken to by TLS; `host` is what the configuration calls it.
    pub(super) fn apply(&self, peer: &mut HttpPeer, host: &str) {
        // Never empty: without a name Pingora would verify nothing.
        peer.sni = self.server_name.clone().unwrap_or_else(|| host.to_owned());
        peer.client_cert_key.clone_from(&self.client);
        peer.options.ca.clone_from(&self.ca);
        peer.options.verify_cert = self.verify;
        peer.options.verify_hostname = self.verify;
        peer.group_key = self.group;
    }
}

fn chain(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let pem = std::fs::read(path).map_err(|error| of_file(path, &error))?;
    let chain = CertificateDer::pem_slice_iter(&pem).map(|found| found.map(|der| der.to_vec()));
    let chain: Vec<Vec<u8>> =
        chain.collect::<Result<_, _>>().map_err(|error| of_file(path, &io::Error::other(error)))?;
    // Pingora would panic on one that is none.
    let sound = |der: &Vec<u8>| x509_parser::parse_x509_certificate(der).is_ok();
    if chain.is_empty() || !chain.iter().all(sound) {
        return Err(format!("{}: not certificates in PEM", path.display()));
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<Vec<u8>, String> {
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| of_file(path, &io::Error::other(error)))?;
    Ok(key.secret_der().to_vec())
}

fn of_file(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// The host of `host:port`.
pub(super) fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
