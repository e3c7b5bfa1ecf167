//! Certificates of visitors: what a site demands, whom it verified, and what AP servers are told of them.

use std::fmt::Write as _;
use std::hash::Hash as _;
use std::io;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_config::model::ClientCertificate;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::digest;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};

use super::tls;
use crate::runtime::Shared;

/// RFC 9440: the certificate itself, base64 between colons.
pub(crate) const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// `SUCCESS` or `NONE`, as nginx' `$ssl_client_verify`.
const VERIFY: HeaderName = HeaderName::from_static("x-ssl-client-verify");
/// RFC 4514, as `$ssl_client_s_dn`.
const SUBJECT: HeaderName = HeaderName::from_static("x-ssl-client-subject-dn");
const ISSUER: HeaderName = HeaderName::from_static("x-ssl-client-issuer-dn");
/// Upper case hexadecimal, as `$ssl_client_serial`.
const SERIAL: HeaderName = HeaderName::from_static("x-ssl-client-serial");
/// SHA-256, lower case hexadecimal.
const FINGERPRINT: HeaderName = HeaderName::from_static("x-ssl-client-fingerprint");

/// What a site wants to see of its visitors before it knows what they ask for.
#[derive(Debug)]
pub(crate) struct Demands {
    required: bool,
    verifier: Arc<dyn ClientCertVerifier>,
    /// Stands for all of it: sites that demand the same may be asked over one connection, before and after a reload.
    mark: u128,
    /// How connections are made, without and with HTTP/2; with the first of them.
    configs: [OnceLock<Arc<ServerConfig>>; 2],
}

/// What a connection showed to a site that demands something.
#[derive(Debug)]
pub(crate) struct Visitor {
    mark: u128,
    /// `None`: it has no certificate.
    identity: Option<HeaderMap>,
}

impl Demands {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Which of them is not as `check` found it.
    pub(crate) fn load(words: &ClientCertificate) -> Result<Self, String> {
        let verifier = forebay_config::client_verifier(words)?;
        let mut mark = SipHasher13::new();
        words.required.hash(&mut mark);
        for path in std::iter::once(&words.ca).chain(&words.crl) {
            let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            bytes.hash(&mut mark);
        }
        Ok(Self { required: words.required, verifier, mark: mark.finish128().as_u128(), configs: Default::default() })
    }

    /// Whether everybody needs a certificate.
    pub(crate) fn are_for_all(&self) -> bool {
        self.required
    }

    /// Whether a connection was made for just these.
    pub(crate) fn are_those_of(&self, visitor: Option<&Visitor>) -> bool {
        visitor.is_some_and(|visitor| visitor.mark == self.mark)
    }

    /// The configuration of their connections. Its tickets are good for these demands alone: nobody comes in here by a session
    /// that was begun where others were made.
    ///
    /// # Errors
    ///
    /// When the system has no randomness.
    pub(super) fn server_config(&self, shared: &Arc<Shared>, http2: bool) -> io::Result<Arc<ServerConfig>> {
        let [without, with] = &self.configs;
        let place = if http2 { with } else { without };
        match place.get() {
            Some(config) => Ok(Arc::clone(config)),
            None => {
                let made =
                    tls::server_config_with(shared, http2, Arc::clone(&self.verifier), &self.mark.to_be_bytes())?;
                Ok(Arc::clone(place.get_or_init(|| made)))
            }
        }
    }

    /// Who it is that showed this chain. A resumed session brings the chain of the one it resumes, which nobody has looked at
    /// since: it is verified again.
    ///
    /// # Errors
    ///
    /// The chain is not good any more, or there is none where one is required.
    pub(super) fn meet(
        &self,
        chain: Option<&[CertificateDer<'static>]>,
        resumed: bool,
    ) -> Result<Visitor, rustls::Error> {
        let Some((leaf, intermediates)) = chain.and_then(<[_]>::split_first) else {
            if self.required {
                return Err(rustls::Error::NoCertificatesPresented);
            }
            return Ok(Visitor { mark: self.mark, identity: None });
        };
        if resumed {
            self.verifier.verify_client_cert(leaf, intermediates, UnixTime::now())?;
        }
        let identity =
            identity(leaf).ok_or(rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding))?;
        Ok(Visitor { mark: self.mark, identity: Some(identity) })
    }
}

impl Visitor {
    /// Whether there is a certificate, and it is good.
    pub(crate) fn is_known(&self) -> bool {
        self.identity.is_some()
    }

    /// Tells an AP server who asks.
    pub(crate) fn introduce(visitor: Option<&Self>, fields: &mut HeaderMap) {
        match visitor.and_then(|visitor| visitor.identity.as_ref()) {
            Some(identity) => fields.extend(identity.iter().map(|(name, value)| (name.clone(), value.clone()))),
            None => drop(fields.insert(VERIFY, HeaderValue::from_static("NONE"))),
        }
    }
}

/// What AP servers are told of a certificate; `None` when it cannot be told.
fn identity(der: &CertificateDer<'_>) -> Option<HeaderMap> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let fingerprint = digest::digest(&digest::SHA256, der);
    let told = [
        (VERIFY, "SUCCESS".to_owned()),
        (SUBJECT, name(certificate.subject())),
        (ISSUER, name(certificate.issuer())),
        (SERIAL, hexadecimal(certificate.raw_serial()).to_ascii_uppercase()),
        (FINGERPRINT, hexadecimal(fingerprint.as_ref())),
        (CLIENT_CERT, format!(":{}:", STANDARD.encode(der))),
    ];
    told.into_iter().map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A name as RFC 4514 writes it, the last part first. Everything that could be taken for structure is escaped, and what is not
/// ASCII, as nginx has it.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|part| part.iter().map(|attribute| attribute_and_value(attribute)).collect::<Vec<_>>().join("+"))
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn attribute_and_value(attribute: &x509_parser::x509::AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type();
    match (oid2abbrev(kind, oid_registry()), attribute.as_str()) {
        (Ok(word), Ok(text)) => format!("{word}={}", escaped(text)),
        // What has no name, or no text, is told by its number and its bytes (RFC 4514 section 2.4).
        _ => format!("{}=#{}", kind.to_id_string(), hexadecimal(attribute.attr_value().data)),
    }
}

/// RFC 4514 section 2.4.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let structural =
            b"\"+,;<>\\".contains(&byte) || (at == 0 && matches!(byte, b'#' | b' ')) || (at == last && byte == b' ');
        match byte {
            _ if structural => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => drop(write!(out, "\\{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber};

    use super::*;

    fn told(name: &[(DnType, &str)]) -> HeaderMap {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in name {
            params.distinguished_name.push(kind.clone(), *text);
        }
        params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xbc]));
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        identity(signed.der()).unwrap()
    }

    #[test]
    fn certificate_is_told_as_nginx_tells_it() {
        let fields =
            told(&[(DnType::CountryName, "JP"), (DnType::OrganizationName, "Example"), (DnType::CommonName, "alice")]);
        assert_eq!(fields[SUBJECT], "CN=alice,O=Example,C=JP");
        assert_eq!(fields[ISSUER], fields[SUBJECT]);
        assert_eq!((fields[VERIFY].to_str().unwrap(), fields[SERIAL].to_str().unwrap()), ("SUCCESS", "0ABC"));
        assert_eq!(fields[FINGERPRINT].len(), 64);
    }

    #[test]
    fn name_cannot_pretend_to_be_another() {
        for (text, shown) in [
            ("a,CN=admin", "CN=a\\,CN=admin"),
            ("a+O=x", "CN=a\\+O=x"),
            (" #a ", "CN=\\ #a\\ "),
            ("#a", "CN=\\#a"),
            ("a\r\nX: y", "CN=a\\0D\\0AX: y"),
            ("é\0", "CN=\\C3\\A9\\00"),
            ("\"<>;\\", "CN=\\\"\\<\\>\\;\\\\"),
        ] {
            assert_eq!(told(&[(DnType::CommonName, text)])[SUBJECT], shown, "{text:?}");
        }
    }
}
