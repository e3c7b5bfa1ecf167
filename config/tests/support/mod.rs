//! The directory that cases speak of as `@DIR@`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

/// Certificates and keys (`www`, `wildcard`, `expired`, `future`), what is wrong as one, and a document root.
pub(crate) fn directory() -> TempDir {
    // Beneath /tmp whatever TMPDIR says: underlines and columns depend on the length of the path.
    let directory = tempfile::Builder::new().prefix("forebay").tempdir_in("/tmp").unwrap();
    let at = directory.path();
    fs::create_dir(at.join("www")).unwrap();
    pair(at, "www", &["www.example.com", "example.com"], (2020, 2090));
    pair(at, "wildcard", &["*.example.com"], (2020, 2090));
    pair(at, "expired", &["old.example.com"], (2020, 2021));
    pair(at, "future", &["new.example.com"], (2090, 2091));
    let hash = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";
    fs::write(at.join("htpasswd"), format!("alice:{hash}\n")).unwrap();
    fs::write(at.join("cluster.secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::write(at.join("short.secret"), "0123456789\n").unwrap();
    fs::write(at.join("empty.pem"), "").unwrap();
    fs::write(at.join("text.pem"), "this is no certificate\n").unwrap();
    fs::write(at.join("cut.pem"), "-----BEGIN CERTIFICATE-----\nMIIB\n").unwrap();
    fs::write(at.join("nonsense.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(at.join("nonsense.key"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(at.join("encrypted.key"), encrypted).unwrap();
    fs::write(at.join("nonsense.crl"), "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").unwrap();
    fs::write(at.join("clients.crl"), revocations()).unwrap();
    directory
}

/// A list of nobody, signed by an authority of its own.
fn revocations() -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let issuer = Issuer::new(params, KeyPair::generate().unwrap());
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2090, 1, 1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).unwrap().pem().unwrap()
}

fn pair(at: &Path, name: &str, hosts: &[&str], (from, to): (i32, i32)) {
    let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    let key = KeyPair::generate().unwrap();
    fs::write(at.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
    let key_path = at.join(format!("{name}.key"));
    fs::write(&key_path, key.serialize_pem()).unwrap();
    fs::set_permissions(&key_path, fs::Permissions::from_mode(0o600)).unwrap();
}
