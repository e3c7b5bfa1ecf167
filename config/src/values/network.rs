//! Networks: `"10.0.0.0/8"`, `"2001:db8::/32"`, a single address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Wrong, quoted};

/// Parses a network or a single address.
pub(crate) fn parse(text: &str) -> Result<IpNet, Wrong> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    match text.parse::<IpNet>() {
        // Either the address or the mask is not what was meant, and trust hangs on it.
        Ok(network) if network.trunc() != network => {
            let hint = format!("write \"{}\", or \"{}\" for the one address", network.trunc(), network.addr());
            Err(Wrong::new(format!("{} has bits beyond its mask", quoted(text)), hint))
        }
        Ok(network) => Ok(network),
        Err(_) => {
            let hint = "write an address, or a network with its prefix length: \"10.0.0.0/8\"";
            Err(Wrong::new(format!("{} is not a network", quoted(text)), hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_address_is_a_network_of_one() {
        assert_eq!(parse("10.0.0.1"), Ok("10.0.0.1/32".parse().unwrap()));
        assert_eq!(parse("::1"), Ok("::1/128".parse().unwrap()));
        assert_eq!(parse("10.0.0.0/8"), Ok("10.0.0.0/8".parse().unwrap()));
    }

    #[test]
    fn bits_beyond_the_mask_are_refused() {
        let hint = parse("10.1.2.3/8").unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("write \"10.0.0.0/8\", or \"10.1.2.3\" for the one address"));
        for text in ["", "10.0.0.0/33", "localhost", "10.0.0.0/255.0.0.0"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
