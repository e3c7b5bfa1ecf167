//! What is allowed and most likely not meant.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::time::ASN1Time;

use super::certificate;
use crate::model::{CertificateFiles, Config, HostPattern, ProxyProtocol, Site};
use crate::values::host_pattern;

/// What an operator should know of a configuration that is valid: one sentence each, in the order of the model.
///
/// Looks at the certificates again: one that has expired, or is not for the site's hosts, is worth a warning and no
/// reason not to start.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    listeners(config, &mut found);
    upstreams(config, &mut found);
    served_secrets(config, &mut found);
    let tls = config.listen.iter().any(|listen| listen.tls);
    for site in &config.sites {
        let name = site.hosts.first().map(host_pattern::show).unwrap_or_default();
        match &site.certificate {
            Some(_) if !tls => found.push(format!("site {name}: has a certificate, but no [[listen]] says tls = true")),
            Some(files) => certificates(site, files, &name, &mut found),
            None if tls => {
                found.push(format!("site {name}: has no certificate; over TLS clients are shown that of another site"));
            }
            None => {}
        }
    }
    found
}

fn listeners(config: &Config, found: &mut Vec<String>) {
    for listen in &config.listen {
        if listen.proxy_protocol == ProxyProtocol::Off && !listen.proxy_from.is_empty() {
            found.push(format!("listen {}: proxy_from does nothing while proxy_protocol is \"off\"", listen.address));
        }
    }
    if let Some(admin) = &config.admin
        && !admin.address.ip().is_loopback()
    {
        found.push(format!(
            "admin {}: is not a loopback address; whoever can reach it can read what is served from where",
            admin.address
        ));
    }
}

fn upstreams(config: &Config, found: &mut Vec<String>) {
    for (index, upstream) in config.upstreams.iter().enumerate() {
        let used =
            |site: &Site| site.upstream == Some(index) || site.routes.iter().any(|route| route.upstream == Some(index));
        if !config.sites.iter().any(used) && !config.tcp.iter().any(|tcp| tcp.upstream == index) {
            found.push(format!("upstream {}: nothing uses it", upstream.name));
        }
    }
}

fn certificates(site: &Site, files: &CertificateFiles, name: &str, found: &mut Vec<String>) {
    if let Ok(metadata) = files.key.metadata()
        && metadata.mode() & 0o004 != 0
    {
        found.push(format!("site {name}: everyone on this machine can read the key {}", files.key.display()));
    }
    // Gone since it was checked: whoever loads it says so.
    let Ok(chain) = certificate::chain(&files.certificate) else { return };
    let Some(leaf) = chain.first() else { return };
    if let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) {
        let now = ASN1Time::now();
        let validity = parsed.validity();
        if validity.not_after < now {
            found.push(format!("site {name}: the certificate expired on {}", shown(validity.not_after)));
        } else if validity.not_before > now {
            found.push(format!("site {name}: the certificate is not valid before {}", shown(validity.not_before)));
        }
    }
    for pattern in site.hosts.iter().filter(|pattern| !covers(leaf, pattern)) {
        found.push(format!("site {name}: the certificate is not for {}", host_pattern::show(pattern)));
    }
}

/// A time of a certificate as logs write it.
fn shown(time: ASN1Time) -> String {
    match u64::try_from(time.timestamp()) {
        Ok(seconds) => humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(),
        Err(_) => time.to_string(),
    }
}

/// What must stay secret and would be served all the same.
fn served_secrets(config: &Config, found: &mut Vec<String>) {
    let keys = config.sites.iter().filter_map(|site| site.certificate.as_ref()).map(|files| &files.key);
    for secret in std::iter::once(&config.server.state_dir).chain(keys) {
        for root in config.sites.iter().filter_map(|site| site.root.as_ref()).filter(|root| secret.starts_with(root)) {
            found.push(format!("{} lies beneath the root {} and could be served", secret.display(), root.display()));
        }
    }
}

/// Whether clients that ask for the hosts of a pattern accept the certificate's names.
fn covers(leaf: &CertificateDer<'_>, pattern: &HostPattern) -> bool {
    let name = match pattern {
        HostPattern::Any => return true,
        HostPattern::Exact(name) => name.trim_start_matches('[').trim_end_matches(']').to_owned(),
        // Any name beneath will do that no certificate lists by itself.
        HostPattern::Wildcard(name) => format!("forebay-checks-the-wildcard.{name}"),
    };
    let (Ok(parsed), Ok(name)) = (ParsedCertificate::try_from(leaf), ServerName::try_from(name)) else {
        return false;
    };
    verify_server_name(&parsed, &name).is_ok()
}
