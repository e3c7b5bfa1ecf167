//! `[[listen]]`

use std::net::SocketAddr;
use std::ops::Range;

use ipnet::IpNet;

use crate::model::{Listen, ProxyProtocol};
use crate::reading::Located;
use crate::table::Table;
use crate::values::{address, choice, network};

/// The words of `proxy_protocol`.
pub(crate) const PROXY_PROTOCOL: [(&str, ProxyProtocol); 3] =
    [("off", ProxyProtocol::Off), ("optional", ProxyProtocol::Optional), ("required", ProxyProtocol::Required)];

/// Every listener, and what other tables are compared with.
pub(super) struct Listeners {
    pub(super) list: Vec<Listen>,
    pub(super) addresses: Vec<Located<SocketAddr>>,
    /// Where the first listener says `tls = true`.
    pub(super) tls: Option<Range<usize>>,
}

pub(super) fn read(root: &mut Table<'_, '_>) -> Listeners {
    let mut listeners = Listeners { list: Vec::new(), addresses: Vec::new(), tls: None };
    let hint = "say where to listen: [[listen]] and beneath it address = \"0.0.0.0:80\"";
    let reading = root.reading;
    let Some(item) = root.require("listen", hint) else { return listeners };
    let span = item.span.clone();
    let one_by_mistake = item.is_table();
    let tables = item.tables("[[listen]]");
    if tables.is_empty() && !one_by_mistake {
        reading.misfit(&span, "there is no [[listen]]", hint);
    }
    for table in tables {
        one(table, &mut listeners);
    }
    listeners
}

fn one(mut table: Table<'_, '_>, listeners: &mut Listeners) {
    let reading = table.reading;
    let address = table
        .require("address", "say where to listen: address = \"0.0.0.0:80\"")
        .and_then(|item| item.parsed("0.0.0.0:80", address::listen));
    if let Some(address) = &address {
        let twin = listeners.addresses.iter().find(|other| other.value == address.value && address.value.port() != 0);
        if let Some(twin) = twin {
            let hint = format!("line {} listens there already", reading.source.line(twin.span.start));
            reading.mistake(&address.span, format!("`address`: {} is listened on twice", address.value), hint);
        }
        listeners.addresses.push(address.clone());
    }
    let tls_item = table.take("tls");
    let tls = tls_item.as_ref().and_then(|item| item.boolean()).unwrap_or(false);
    if let Some(item) = tls_item.filter(|_| tls) {
        listeners.tls.get_or_insert(item.key);
    }
    let http2 = match table.take("http2") {
        None => tls,
        Some(item) => {
            let http2 = item.boolean().unwrap_or(tls);
            if http2 && !tls {
                let hint = "add tls = true here, or remove http2";
                reading.mistake(&item.key, "`http2` is offered within TLS alone, by ALPN", hint);
            }
            http2
        }
    };
    let protocol = table.take("proxy_protocol");
    let proxy_protocol = protocol
        .as_ref()
        .and_then(|item| item.parsed("optional", |text| choice::parse(text, &PROXY_PROTOCOL)))
        .map_or(ProxyProtocol::Off, |found| found.value);
    let proxy_from: Vec<IpNet> = table
        .take("proxy_from")
        .and_then(|item| item.list("10.0.0.0/8", network::parse))
        .map(|networks| networks.into_iter().map(|found| found.value).collect())
        .unwrap_or_default();
    if let Some(item) = protocol.filter(|_| proxy_protocol != ProxyProtocol::Off && proxy_from.is_empty()) {
        let hint = "name the balancers whose word is taken: proxy_from = [\"10.0.0.0/8\"]";
        reading.misfit(&item.key, "`proxy_protocol` without `proxy_from`", hint);
    }
    table.finish();
    let address = address.map_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)), |found| found.value);
    listeners.list.push(Listen { address, tls, http2, proxy_protocol, proxy_from });
}
