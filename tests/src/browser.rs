//! A browser with cookies, for a site that has a life of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::answer::Answer;
use crate::certs;
use crate::client_h1::{Client, head};
use crate::proxy::Proxy;

/// Keeps cookies, follows redirects when told to. Each request has a connection of its own.
pub struct Browser {
    host: &'static str,
    address: SocketAddr,
    /// TLS settings for https.
    tls: Option<Arc<rustls::ClientConfig>>,
    cookies: BTreeMap<String, String>,
    source: IpAddr,
}

// === impl Browser ===

impl Browser {
    /// Speaks to this address about `host`, with TLS when settings are given.
    #[must_use]
    pub const fn to(host: &'static str, address: SocketAddr, tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        Self { host, address, tls, cookies: BTreeMap::new(), source: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }

    /// Speaks plain HTTP with the proxy.
    #[must_use]
    pub fn http(host: &'static str, proxy: &Proxy) -> Self {
        Self::to(host, proxy.http(), None)
    }

    /// Speaks HTTPS with the proxy.
    #[must_use]
    pub fn https(host: &'static str, proxy: &Proxy) -> Self {
        Self::to(host, proxy.https(), Some(Arc::new(certs::client_config(&["http/1.1"]))))
    }

    /// Comes from this (loopback) address.
    #[must_use]
    pub fn from(self, source: [u8; 4]) -> Self {
        Self { source: source.into(), ..self }
    }

    /// The first cookie whose name begins so.
    #[must_use]
    pub fn cookie(&self, prefix: &str) -> Option<&str> {
        self.cookies.iter().find(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value.as_str())
    }

    /// Sets a cookie.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// `GET`.
    pub fn get(&mut self, target: &str) -> Answer {
        self.send("GET", target, &[], b"")
    }

    /// `GET`, redirects followed; panics at the sixth.
    pub fn visit(&mut self, target: &str) -> Answer {
        let mut target = target.to_owned();
        for _ in 0..6 {
            let answer = self.get(&target);
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return answer;
            }
            let location = answer.field("location").expect("Location");
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            let here = format!("{scheme}://{}", self.host);
            target = location.strip_prefix(&here).unwrap_or(location).to_owned();
            assert!(target.starts_with('/'), "redirected away from {here}: {location}");
        }
        panic!("too many redirects: {target}");
    }

    /// Posts a form.
    pub fn post(&mut self, target: &str, form: &[(&str, &str)]) -> Answer {
        let pairs: Vec<_> = form.iter().map(|(name, value)| format!("{}={}", quote(name), quote(value))).collect();
        let fields = [("Content-Type", "application/x-www-form-urlencoded")];
        self.send("POST", target, &fields, pairs.join("&").as_bytes())
    }

    /// Sends a request with the cookies, and keeps those of the response.
    pub fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)], content: &[u8]) -> Answer {
        let mut client = Client::connect_from(self.source, self.address);
        if let Some(config) = &self.tls {
            client = client.start_tls(self.host, Arc::clone(config)).expect("TLS handshake");
        }
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (cookies, length) = (cookies.join("; "), content.len().to_string());
        let mut all = vec![("Host", self.host), ("Connection", "close")];
        all.extend_from_slice(fields);
        if !cookies.is_empty() {
            all.push(("Cookie", cookies.as_str()));
        }
        if !content.is_empty() {
            all.push(("Content-Length", length.as_str()));
        }
        client.set_patience(std::time::Duration::from_secs(30));
        client.send(head(method, target, &all));
        client.send(content);
        let answer = client.read_response_to(method).unwrap_or_else(|error| panic!("{method} {target}: {error:?}"));
        for line in answer.lines("set-cookie") {
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            self.set_cookie(name, value);
        }
        answer
    }
}

fn quote(text: &str) -> String {
    let quoted = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    quoted.collect()
}
