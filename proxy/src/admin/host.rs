//! The guard against DNS rebinding.
//!
//! A web page may make a browser on the operator's machine talk to `127.0.0.1` under a name its author controls, and read the
//! answer. So the name asked for must be one no stranger can control: an address, `localhost`, a name without a dot (which
//! the public DNS does not give out; `http://forebay:6081` of a compose file is one), or one the operator configured.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether `host`, the value of the field, is fine. `names` are the configured ones.
pub(super) fn allowed(host: &str, names: &[String]) -> bool {
    let Some(name) = without_port(host) else { return false };
    if let Some(address) = name.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.parse::<Ipv4Addr>().is_ok() || names.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return true;
    }
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // `.localhost` belongs to this machine (RFC 6761 section 6.3).
    let name = name.to_ascii_lowercase();
    let local = name.strip_suffix(".localhost").is_some_and(|rest| rest.split('.').all(label));
    local || label(&name)
}

/// `name`, `name:80`, `[::1]:80`; `None` where what follows the colon is no port.
fn without_port(host: &str) -> Option<&str> {
    let from = host.rfind(']').unwrap_or(0);
    let Some(colon) = host.get(from..)?.find(':').map(|colon| from + colon) else { return Some(host) };
    let (name, port) = host.split_at_checked(colon)?;
    let digits = port.strip_prefix(':')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn addresses_and_local_names_are_allowed() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:6081",
            "192.168.0.2:6081",
            "[::1]",
            "[::1]:6081",
            "localhost",
            "LocalHost:6081",
            "localhost.",
            "forebay:6081",
            "web_1:6081",
            "a.localhost",
            "admin.example.com:6081",
            "ADMIN.example.com.",
        ] {
            assert!(allowed(host, &["admin.example.com".to_owned()]), "{host}");
        }
    }

    #[test]
    fn names_a_stranger_may_control_are_not() {
        for host in [
            "evil.example",
            "evil.example:6081",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example.",
            "127.0.0.1@evil.example",
            "evillocalhost.com",
            "[evil.example]",
            "[::1].evil.example",
            "[::1",
            "127.0.0.1:x",
            "localhost:80:evil.example",
            ".localhost",
            "",
            ":80",
            "..",
            "a b",
        ] {
            assert!(!allowed(host, &["admin.example.com".to_owned()]), "{host}");
        }
    }
}
