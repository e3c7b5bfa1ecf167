//! A certificate authority of the test's own, and certificates for sites.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
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
    let mut config = trusting(versions).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

fn trusting(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.certificate.clone()).expect("authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
}

/// An authority that signs certificates of visitors.
pub struct VisitorAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A visitor's certificate and key.
#[derive(Debug)]
pub struct Visitor {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    serial: SerialNumber,
}

impl VisitorAuthority {
    /// One of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("authority").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes its certificate into this file.
    pub fn write(&self, file: &Path) {
        std::fs::write(file, &self.pem).expect("write authority");
    }

    /// A certificate for `name` that is good from a day ago until this time from now.
    #[must_use]
    pub fn visitor_for(&self, name: &str, serial: u64, lifetime: Duration) -> Visitor {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("clock");
        let day = Duration::from_secs(24 * 3600);
        self.signed(name, serial, since - day, since + lifetime)
    }

    /// A certificate for `name` that is good for a day.
    #[must_use]
    pub fn visitor(&self, name: &str, serial: u64) -> Visitor {
        self.visitor_for(name, serial, Duration::from_secs(24 * 3600))
    }

    /// A certificate for `name` that was good in January 2020.
    #[must_use]
    pub fn expired_visitor(&self, name: &str) -> Visitor {
        let begin = Duration::from_secs(1_577_836_800);
        self.signed(name, 1, begin, begin + Duration::from_secs(31 * 24 * 3600))
    }

    fn signed(&self, name: &str, serial: u64, from: Duration, until: Duration) -> Visitor {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, name);
        let serial = SerialNumber::from(serial);
        params.serial_number = Some(serial.clone());
        let epoch = date_time_ymd(1970, 1, 1);
        (params.not_before, params.not_after) = (epoch + from, epoch + until);
        let certificate = params.signed_by(&key, &self.issuer).expect("visitor").der().clone();
        Visitor { certificate, key: PrivatePkcs8KeyDer::from(key.serialize_der()), serial }
    }

    /// Writes a list that revokes `visitor` into this file.
    pub fn revoke(&self, visitor: &Visitor, file: &Path) {
        let now = date_time_ymd(2020, 1, 1);
        let revoked = RevokedCertParams {
            serial_number: visitor.serial.clone(),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = list.signed_by(&self.issuer).expect("list");
        std::fs::write(file, signed.pem().expect("pem")).expect("write list");
    }
}

impl Visitor {
    /// TLS settings of a client that shows this certificate to who asks for one.
    #[must_use]
    pub fn config(&self, alpn: &[&str], versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        let key = PrivateKeyDer::Pkcs8(self.key.clone_key());
        let mut config =
            trusting(versions).with_client_auth_cert(vec![self.certificate.clone()], key).expect("certificate and key");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// The certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }
}
