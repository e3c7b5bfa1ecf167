//! How other programs write numbers.

/// `256 MB`, `8m`, `1g`, `512 KB`, `1024`: bytes. The unit may be a word of its own.
pub(super) fn bytes(number: &str, unit: Option<&str>) -> Option<u64> {
    let digits = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = if digits.len() < number.len() { number.get(digits.len()..)? } else { unit.unwrap_or_default() };
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        "t" | "tb" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// `30s`, `500ms`, `10m`, `1h`, `2d`, `5 minutes`, a bare number in `default`: as our durations are written.
pub(super) fn duration(number: &str, unit: Option<&str>, default: &str) -> Option<String> {
    let digits = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let own = number.get(digits.len()..)?;
    let unit = if own.is_empty() { unit.unwrap_or(default) } else { own };
    let unit = match unit.to_ascii_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => "ms",
        "s" | "second" | "seconds" => "s",
        "m" | "min" | "minute" | "minutes" => "m",
        "h" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    Some(if unit == "d" { format!("{}h", number.checked_mul(24)?) } else { format!("{number}{unit}") })
}

/// A size as ours are written, in the largest unit without a remainder.
pub(super) fn show(bytes: u64) -> String {
    for (factor, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// An address to listen on: `80`, `:80`, `*:80`, `1.2.3.4:80`, `[::]:80`, `localhost:80`.
pub(super) fn listen(text: &str) -> Option<String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u16>().ok().map(|port| format!("0.0.0.0:{port}"));
    }
    let text = text.strip_prefix("ipv4@").unwrap_or(text);
    if let Some(port) = text.strip_prefix("*:").or_else(|| text.strip_prefix(':')) {
        return listen(port).filter(|_| !port.contains(':'));
    }
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(std::net::SocketAddr::new(address, 80).to_string());
    }
    text.parse::<std::net::SocketAddr>().ok().map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_three_are_read() {
        assert_eq!(
            (bytes("256", Some("MB")), bytes("8m", None), bytes("1x", None)),
            (Some(256 << 20), Some(8 << 20), None)
        );
        assert_eq!(duration("5", Some("minutes"), "s").as_deref(), Some("5m"));
        assert_eq!(duration("2d", None, "s").as_deref(), Some("48h"));
        assert_eq!(duration("2000", None, "ms").as_deref(), Some("2000ms"));
        assert_eq!(show(3 << 19), "1536KiB");
        for (text, address) in
            [("80", "0.0.0.0:80"), ("*:8080", "0.0.0.0:8080"), ("[::]:443", "[::]:443"), ("10.0.0.1", "10.0.0.1:80")]
        {
            assert_eq!(listen(text).as_deref(), Some(address));
        }
        assert_eq!(listen("unix:/run/x"), None);
    }
}
