//! A certificate authority of the test's own, and certificates for sites.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signed = params.self_signed(&key).expect("authority");
    Authority { issuer: Issuer::new(params, key), certificate: signed.der().clone(), pem: signed.pem() }
});

/// PEM files of one site.
#[derive(Debug, Clone)]
pub struct SiteCertificate {
    /// Leaf certificate.
    pub certificate: PathBuf,
    /// PKCS#8 key.
    pub key: PathBuf,
}

/// Writes a certificate for `names` (host names, wildcards or addresses) into `directory`.
#[must_use]
pub fn site(directory: &Path, names: &[&str]) -> SiteCertificate {
    let key = KeyPair::generate().expect("key");
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names");
    // Not the authority's own name: OpenSSL would take it for self-signed.
    params.distinguished_name.push(DnType::CommonName, names[0]);
    let leaf = params.signed_by(&key, &AUTHORITY.issuer).expect("leaf");
    let stem = names[0].replace('*', "any").replace(':', "_");
    let files = SiteCertificate {
        certificate: directory.join(format!("{stem}.pem")),
        key: directory.join(format!("{stem}.key")),
    };
    std::fs::write(&files.certificate, leaf.pem()).expect("write certificate");
    std::fs::write(&files.key, key.serialize_pem()).expect("write key");
    files
}

/// Writes the test's authority into `directory`.
#[must_use]
pub fn authority(directory: &Path) -> PathBuf {
    let file = directory.join("authority.pem");
    std::fs::write(&file, &AUTHORITY.pem).expect("write authority");
    file
}

/// A client's TLS settings: trusts the test's authority only, offers `alpn`.
#[must_use]
pub fn client_config(alpn: &[&str]) -> ClientConfig {
    client_config_of(alpn, rustls::DEFAULT_VERSIONS)
}

/// The same for certain protocol versions.
#[must_use]
pub fn client_config_of(alpn: &[&str], versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.certificate.clone()).expect("authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}
