//! Certificates and keys: they parse, they belong together.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys, RootCertStore};

use crate::model::ClientCertificate;
use crate::values::{Wrong, quoted};

/// Largest file that is read: a chain has a few KiB.
const FILE_SIZE_MAX: u64 = 1 << 20;

/// The certificate chain of a PEM file, leaf first. Not empty; the leaf parses.
pub(crate) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let pem = read(path)?;
    let chain =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| not_pem(path, &error))?;
    let Some(leaf) = chain.first() else {
        let hint = if holds(&pem, "PRIVATE KEY") {
            "it holds a key: are `certificate` and `key` swapped?"
        } else {
            "name a PEM file with -----BEGIN CERTIFICATE-----, the site's own first, then the intermediates"
        };
        return Err(Wrong::new(format!("{} holds no certificate", shown(path)), hint));
    };
    if let Err(error) = ParsedCertificate::try_from(leaf) {
        let error = error.to_string();
        let reason = error.trim_start_matches("invalid peer certificate: ");
        let message = format!("the first certificate of {} is not valid X.509: {reason}", shown(path));
        return Err(Wrong::new(message, "see it with: openssl x509 -text -in FILE"));
    }
    Ok(chain)
}

/// The private key of a PEM file.
pub(crate) fn key(path: &Path) -> Result<Arc<dyn SigningKey>, Wrong> {
    let pem = read(path)?;
    let key = match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => key,
        Err(PemError::NoItemsFound) => {
            let hint = if holds(&pem, "ENCRYPTED PRIVATE KEY") {
                "it is encrypted: store it without passphrase (openssl pkey) where only the server can read it"
            } else if holds(&pem, "CERTIFICATE") {
                "it holds a certificate: are `certificate` and `key` swapped?"
            } else {
                "name a PEM file with -----BEGIN PRIVATE KEY-----"
            };
            return Err(Wrong::new(format!("{} holds no private key", shown(path)), hint));
        }
        Err(error) => return Err(not_pem(path, &error)),
    };
    ring::sign::any_supported_type(&key).map_err(|error| {
        let error = error.to_string();
        let message =
            format!("the key of {} cannot be used: {}", shown(path), error.trim_start_matches("unexpected error: "));
        Wrong::new(message, "use RSA of 2048 bits or more, ECDSA (P-256, P-384) or Ed25519")
    })
}

/// Whether the key is the one of the chain's first certificate.
pub(crate) fn belong_together(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Result<(), Wrong> {
    match CertifiedKey::new(chain, key).keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let hint = "the site's own certificate stands first in its file; take the key it was requested with";
            Err(Wrong::new("the key is not that of the certificate", hint))
        }
        // The kinds of key `key` lets through all tell their public half.
        _ => Ok(()),
    }
}

/// The authorities of a PEM file: at least one, and each can be trusted.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, Wrong> {
    let mut store = RootCertStore::empty();
    for (index, der) in chain(path)?.into_iter().enumerate() {
        store.add(der).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.trim_start_matches("invalid peer certificate: ");
            let message = format!("certificate {} of {} is not valid X.509: {reason}", index + 1, shown(path));
            Wrong::new(message, "see it with: openssl x509 -text -in FILE")
        })?;
    }
    Ok(store)
}

/// What verifies the certificates of visitors.
pub(crate) fn of_clients(words: &ClientCertificate) -> Result<Arc<dyn ClientCertVerifier>, Wrong> {
    let store = authorities(&words.ca)?;
    let provider = Arc::new(ring::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider);
    if let Some(path) = &words.crl {
        let lists = CertificateRevocationListDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>();
        let lists = lists.map_err(|error| not_pem(path, &error))?;
        if lists.is_empty() {
            let hint = "name a PEM file with -----BEGIN X509 CRL-----";
            return Err(Wrong::new(format!("{} holds no revocation list", shown(path)), hint));
        }
        // A list of one authority says nothing of those of another; beneath an authority with a list it holds.
        builder = builder.with_crls(lists).only_check_end_entity_revocation().allow_unknown_revocation_status();
    }
    if !words.required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| {
        let path = words.crl.as_ref().unwrap_or(&words.ca);
        Wrong::new(format!("{} cannot be used: {error}", shown(path)), "see it with: openssl crl -text -in FILE")
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Wrong> {
    let mut pem = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_SIZE_MAX).read_to_end(&mut pem)).map_err(|error| {
        Wrong::new(format!("{} cannot be read: {error}", shown(path)), "see who owns the file and may read it")
    })?;
    Ok(pem)
}

fn holds(pem: &[u8], label: &str) -> bool {
    String::from_utf8_lossy(pem).contains(&format!("-----BEGIN {label}-----"))
        || (label == "PRIVATE KEY" && String::from_utf8_lossy(pem).contains(" PRIVATE KEY-----"))
}

fn not_pem(path: &Path, error: &PemError) -> Wrong {
    let reason = match error {
        PemError::MissingSectionEnd { .. } => "a -----BEGIN line has no -----END line".to_owned(),
        PemError::IllegalSectionStart { .. } => "a -----BEGIN line is malformed".to_owned(),
        other => other.to_string(),
    };
    Wrong::new(format!("{} is not valid PEM: {reason}", shown(path)), "see that it was copied as a whole")
}

fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
