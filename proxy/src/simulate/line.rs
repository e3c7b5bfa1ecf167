//! One line of an access log: combined of nginx and Apache, with a virtual host in front or with Forebay's words behind,
//! Squid's native format, Forebay's JSON.

use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::Value;

/// What a line tells of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) method: Method,
    /// `None`: the format does not tell.
    pub(crate) https: Option<bool>,
    pub(crate) host: Option<String>,
    pub(crate) target: String,
    pub(crate) status: u16,
    /// Content bytes that were sent.
    pub(crate) bytes: u64,
    /// The reason code, where Forebay wrote the line.
    pub(crate) detail: Option<String>,
    /// Milliseconds that an AP server took to its first byte.
    pub(crate) origin_ms: Option<f64>,
}

/// Reads a line; `None` for what is none of the formats.
pub(crate) fn parse(line: &str) -> Option<Record> {
    match line.as_bytes().first()? {
        b'{' => json(line),
        b'0'..=b'9' => squid(line).or_else(|| combined(line)),
        _ => combined(line),
    }
}

// --- JSON ---

fn json(line: &str) -> Option<Record> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    Some(Record {
        at: seconds(humantime::parse_rfc3339_weak(text("time")?).ok()?),
        method: text("method")?.parse().ok()?,
        https: text("scheme").map(|scheme| scheme == "https"),
        host: text("host").map(str::to_owned),
        target: text("target")?.to_owned(),
        status: entry.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok())?,
        bytes: entry.get("bytes").and_then(Value::as_u64)?,
        detail: text("detail").map(str::to_owned),
        origin_ms: entry.pointer("/upstream/first_byte_ms").and_then(Value::as_f64),
    })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

// --- Squid ---

/// `time.ms elapsed client RESULT/status bytes METHOD URL - HIERARCHY/server type`
fn squid(line: &str) -> Option<Record> {
    let mut words = line.split_ascii_whitespace();
    let time: f64 = words.next().filter(|word| word.contains('.'))?.parse().ok()?;
    let elapsed: u64 = words.next()?.parse().ok()?;
    let result = words.nth(1)?;
    let (code, status) = result.rsplit_once('/')?;
    let bytes = words.next()?.parse().ok()?;
    let method = words.next()?.parse().ok()?;
    let url = words.next()?;
    let (scheme, rest) = url.split_once("://")?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(at)?;
    let ended = Duration::try_from_secs_f64(time).ok()?;
    Some(Record {
        // Squid writes when a request ended.
        at: ended.saturating_sub(Duration::from_millis(elapsed)).as_secs(),
        method,
        https: Some(scheme == "https"),
        host: Some(host.to_owned()),
        target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
        status: status.parse().ok()?,
        bytes,
        detail: None,
        origin_ms: u32::try_from(elapsed).ok().filter(|_| code.contains("MISS")).map(f64::from),
    })
}

// --- combined ---

/// `[vhost[:port]] client - user [date] "METHOD target VERSION" status bytes "referer" "agent" …`
fn combined(line: &str) -> Option<Record> {
    let (before, rest) = line.split_once(" [")?;
    let (date, rest) = rest.split_once("] \"")?;
    let mut before = before.split(' ');
    let (first, rest_before) = (before.next()?, before.count());
    let (request, rest) = quoted(rest)?;
    let mut request = request.split(' ');
    let (method, target) = (request.next()?.parse().ok()?, request.next()?.to_owned());
    let mut words = rest.trim_start().splitn(3, ' ');
    let status = words.next()?.parse().ok()?;
    let bytes = words.next().and_then(|word| if word == "-" { Some(0) } else { word.parse().ok() })?;
    let rest = words.next().unwrap_or_default();
    let mut record = Record {
        at: common_date(date)?,
        method,
        https: None,
        host: (rest_before == 3).then(|| first.to_owned()),
        target,
        status,
        bytes,
        detail: None,
        origin_ms: None,
    };
    forebays_own(rest, &mut record);
    Some(record)
}

/// Text up to the closing quote, unescaped, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => return Some((String::from_utf8_lossy(&found).into_owned(), text.get(at + 1..)?)),
            b'\\' if bytes.get(at + 1) == Some(&b'x') => {
                found.push(u8::from_str_radix(text.get(at + 2..at + 4)?, 16).ok()?);
                at += 4;
            }
            b'\\' => {
                found.push(*bytes.get(at + 1)?);
                at += 2;
            }
            byte => {
                found.push(*byte);
                at += 1;
            }
        }
    }
}

/// What `combined+cache` adds.
fn forebays_own(rest: &str, record: &mut Record) {
    let value = |name: &str| {
        let value = rest.split_once(name)?.1.split(' ').next()?;
        (value != "-").then_some(value)
    };
    let Some((_, host)) = rest.rsplit_once(" host=\"") else { return };
    record.host = quoted(host).map(|(host, _)| host).filter(|host| host != "-").or_else(|| record.host.take());
    record.detail = value(" detail=").map(str::to_owned);
    record.https = Some(value(" tls=").is_some());
    record.origin_ms = value(" uh=").and_then(|seconds| seconds.parse::<f64>().ok()).map(|seconds| seconds * 1000.0);
}

/// `10/Oct/2000:13:55:36 +0200` in seconds since 1970.
fn common_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, zone) = text.split_once(' ')?;
    let mut parts = date.splitn(4, ['/', ':']);
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let at = seconds(humantime::parse_rfc3339_weak(&format!("{year}-{month:02}-{day}T{time}Z")).ok()?);
    let (sign, zone) = zone.split_at_checked(1)?;
    let zone: u64 = zone.parse().ok()?;
    let offset = (zone / 100 * 60 + zone % 100) * 60;
    if sign == "-" { at.checked_add(offset) } else { at.checked_sub(offset) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &str) -> Record {
        parse(line).unwrap_or_else(|| panic!("{line}"))
    }

    #[test]
    fn combined_of_nginx_and_apache_is_read() {
        let line =
            r#"192.0.2.1 - - [10/Oct/2000:13:55:36 +0200] "GET /a?b=c HTTP/1.1" 200 2326 "-" "Mozilla/4.08 [en]""#;
        let found = record(line);
        assert_eq!((found.at, found.status, found.bytes), (971_178_936, 200, 2326));
        assert_eq!((found.target.as_str(), found.host), ("/a?b=c", None));
        let escaped = record(r#"::1 - bob [10/Oct/2000:13:55:36 +0000] "GET /\x22\"x HTTP/1.0" 304 - "-" "-""#);
        assert_eq!((escaped.target.as_str(), escaped.bytes), ("/\"\"x", 0));
        let vhost =
            record(r#"www.a.test:443 192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 1 "-" "-""#);
        assert_eq!(vhost.host.as_deref(), Some("www.a.test:443"));
    }

    #[test]
    fn what_forebay_adds_is_read() {
        let line = "192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /x HTTP/2.0\" 200 5 \"-\" \"a host=\\x22b\" MISS \
                    fwd=uri-miss detail=set-cookie rt=0.020 up=127.0.0.1:80 us=200 uc=0.000 uh=0.018 tls=TLSv1.3 \
                    aborted=0 site=\"*\" host=\"www.a.test\"";
        let found = record(line);
        assert_eq!((found.host.as_deref(), found.detail.as_deref()), (Some("www.a.test"), Some("set-cookie")));
        assert_eq!((found.https, found.origin_ms), (Some(true), Some(18.0)));
    }

    #[test]
    fn squid_and_json_are_read() {
        let squid = record(
            "1700000000.250    250 192.0.2.1 TCP_MISS/200 512 GET http://a.test/x?y - HIER_DIRECT/192.0.2.9 text/html",
        );
        assert_eq!((squid.at, squid.host.as_deref(), squid.target.as_str()), (1_700_000_000, Some("a.test"), "/x?y"));
        assert_eq!((squid.origin_ms, squid.https), (Some(250.0), Some(false)));
        let json = record(
            r#"{"time":"2000-10-10T13:55:36.123Z","client":"192.0.2.1","method":"GET","scheme":"https","host":"a.test","target":"/x","version":"HTTP/1.1","status":200,"bytes":7,"duration_ms":1.5,"site":"a.test","cache":"PASS","detail":"bypass-cookie","upstream":{"address":"127.0.0.1:80","first_byte_ms":20.5},"aborted":false}"#,
        );
        assert_eq!((json.at, json.detail.as_deref(), json.origin_ms), (971_186_136, Some("bypass-cookie"), Some(20.5)));
    }

    #[test]
    fn what_is_no_line_is_none() {
        for line in [
            "",
            "nonsense",
            "{}",
            "{\"time\":1}",
            "1700000000.1 x",
            "a - - [10/Foo/2000:13:55:36 +0000] \"GET / HTTP/1.1\" 200 1",
            "a - - [10/Oct/2000:13:55:36 +0000] \"GET",
            "a - - [10/Oct/2000:13:55:36 +0000] \"\\x4\" 200 1",
            "a - - [] \"\" 1 1",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
