//! Numbers for log lines. A line has a dozen of them, and the general way of `write!` is what most of its time went to.

use std::net::IpAddr;
use std::time::Duration;

/// Appends a number.
pub(super) fn decimal(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number, filled up with zeros to three digits.
pub(super) fn three_digits(out: &mut Vec<u8>, number: u64) {
    if number < 100 {
        out.extend_from_slice(if number < 10 { b"00" } else { b"0" });
    }
    decimal(out, number);
}

/// Appends seconds with three decimals, the unit nginx logs times in.
pub(super) fn seconds(out: &mut Vec<u8>, time: Duration) {
    decimal(out, time.as_secs());
    out.push(b'.');
    three_digits(out, u64::from(time.subsec_millis()));
}

/// Appends milliseconds with three decimals: a hit takes microseconds.
pub(super) fn millis(out: &mut Vec<u8>, time: Duration) {
    let micros = time.as_micros();
    decimal(out, micros / 1000);
    out.push(b'.');
    three_digits(out, u64::try_from(micros % 1000).unwrap_or(0));
}

/// Appends an address.
pub(crate) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            decimal(out, a);
            for octet in [b, c, d] {
                out.push(b'.');
                decimal(out, octet);
            }
        }
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn text(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_have_three_decimals() {
        assert_eq!(text(|out| seconds(out, Duration::from_millis(61_007))), "61.007");
        assert_eq!(text(|out| seconds(out, Duration::from_micros(999))), "0.000");
        assert_eq!(text(|out| millis(out, Duration::from_micros(1_050))), "1.050");
        assert_eq!(text(|out| millis(out, Duration::MAX)), "18446744073709551615999.999");
    }

    #[test]
    fn three_digits_are_at_least_three() {
        for (number, expected) in [(0, "000"), (9, "009"), (10, "010"), (99, "099"), (100, "100"), (1000, "1000")] {
            assert_eq!(text(|out| three_digits(out, number)), expected);
        }
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for ip in
            [Ipv4Addr::new(0, 10, 200, 255).into(), IpAddr::V6(Ipv6Addr::LOCALHOST), "2001:db8::7".parse().unwrap()]
        {
            assert_eq!(text(|out| address(out, ip)), ip.to_string());
        }
    }
}
