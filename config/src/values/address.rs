//! Addresses: what we listen on (`0.0.0.0:80`, `[::]:443`) and where AP servers are (`host:port`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Wrong, quoted};

/// An address to listen on: numeric, with port.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let message = format!("{} is not an address with port", quoted(text));
        let bare_port = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")).unwrap_or(text);
        let hint = if let Ok(port) = bare_port.parse::<u16>() {
            format!("write \"0.0.0.0:{port}\" for IPv4 or \"[::]:{port}\" for IPv6")
        } else if let Ok(address) = text.parse::<Ipv4Addr>() {
            format!("add the port: \"{address}:80\"")
        } else if let Ok(address) = text.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
            format!("add brackets and port: \"[{address}]:80\"")
        } else if let Some(port) = text.strip_prefix("localhost:") {
            format!("write {}", quoted(&format!("127.0.0.1:{port}")))
        } else {
            "write a numeric address and a port: \"0.0.0.0:80\", \"[::]:443\"".to_owned()
        };
        Wrong::new(message, hint)
    })
}

/// `host:port` of an AP server; the host is a name or an address, IPv6 in brackets.
pub(crate) fn host_port(text: &str) -> Result<(String, u16), Wrong> {
    let wrong = |message: &str, hint: String| Err(Wrong::new(format!("{} {message}", quoted(text)), hint));
    for scheme in ["http://", "https://"] {
        if let Some(rest) = text.strip_prefix(scheme) {
            let host = rest.split('/').next().unwrap_or_default();
            return wrong("is a URL, not an address", format!("leave {scheme} out: {}", quoted(host)));
        }
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return wrong("has no brackets", format!("write \"[{address}]:80\""));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return wrong("has no port", format!("write {}", quoted(&format!("{text}:80"))));
    };
    // Digits alone: `parse` would take "+80".
    let number = port.parse().ok().filter(|number| *number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(port) = number else {
        return wrong("has no valid port", "write a port from 1 to 65535 after the colon".to_owned());
    };
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.parse::<Ipv6Addr>() {
            Ok(_) => Ok((address.to_owned(), port)),
            Err(_) => wrong("is not an IPv6 address in brackets", "write \"[2001:db8::1]:80\"".to_owned()),
        };
    }
    if is_host_name(host) {
        Ok((host.to_owned(), port))
    } else {
        wrong(
            "is not host:port",
            "write a host name or an address, a colon and a port: \"192.168.0.100:80\"".to_owned(),
        )
    }
}

/// Whether the characters are those of a host name (RFC 1123, and `_`, which container networks use) or of IPv4.
pub(crate) fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_takes_numeric_addresses_with_port_alone() {
        assert_eq!(listen("[::]:443"), Ok("[::]:443".parse().unwrap()));
        assert_eq!(listen("127.0.0.1:0"), Ok("127.0.0.1:0".parse().unwrap()));
        for (text, hint) in [
            (":80", "write \"0.0.0.0:80\" for IPv4 or \"[::]:80\" for IPv6"),
            ("80", "write \"0.0.0.0:80\" for IPv4 or \"[::]:80\" for IPv6"),
            ("10.0.0.1", "add the port: \"10.0.0.1:80\""),
            ("::1", "add brackets and port: \"[::1]:80\""),
            ("localhost:80", "write \"127.0.0.1:80\""),
            ("banana", "write a numeric address and a port: \"0.0.0.0:80\", \"[::]:443\""),
        ] {
            assert_eq!(listen(text).unwrap_err().hint.as_deref(), Some(hint), "{text}");
        }
    }

    #[test]
    fn host_port_takes_names_and_both_kinds_of_address() {
        assert_eq!(host_port("ap1.internal:8080"), Ok(("ap1.internal".into(), 8080)));
        assert_eq!(host_port("192.168.0.100:80"), Ok(("192.168.0.100".into(), 80)));
        assert_eq!(host_port("[2001:db8::1]:80"), Ok(("2001:db8::1".into(), 80)));
        assert_eq!(host_port("wordpress_1:80"), Ok(("wordpress_1".into(), 80)));
    }

    #[test]
    fn host_port_refuses_what_could_not_be_connected_to() {
        for text in
            ["", ":", "a", "a:", ":80", "a:0", "a:65536", "a:+80", "a b:80", "[::1:80", "http://a:80", "::1", "-a:80"]
        {
            assert!(host_port(text).is_err(), "{text:?}");
        }
        assert_eq!(host_port("http://ap/x").unwrap_err().hint.as_deref(), Some("leave http:// out: \"ap\""));
        assert_eq!(host_port("ap").unwrap_err().hint.as_deref(), Some("write \"ap:80\""));
    }
}
