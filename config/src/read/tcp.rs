//! `[[tcp]]`

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::listen::{Listeners, PROXY_PROTOCOL};
use super::upstream::Pools;
use crate::model::{HostPattern, ProxyProtocol, ProxyVersion, Tcp};
use crate::reading::Located;
use crate::table::Table;
use crate::values::{address, choice, host_pattern, network};

/// The words of `send_proxy`.
pub(crate) const PROXY_VERSION: [(&str, Option<ProxyVersion>); 3] =
    [("off", None), ("v1", Some(ProxyVersion::V1)), ("v2", Some(ProxyVersion::V2))];

/// How long nobody may say anything.
const IDLE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);

/// Every `[[tcp]]`. The names that sites are terminated for are `claimed` already.
pub(super) fn read(
    root: &mut Table<'_, '_>,
    listeners: &Listeners,
    pools: &Pools,
    claimed: &[HostPattern],
) -> Vec<Tcp> {
    let Some(item) = root.take("tcp") else { return Vec::new() };
    let mut seen = Seen { names: HashMap::new(), list: Vec::new() };
    for table in item.tables("[[tcp]]") {
        seen.one(table, listeners, pools, claimed);
    }
    seen.list
}

/// What those that follow are compared with.
struct Seen {
    /// Where each name of an address was claimed; `None`: whatever is named.
    names: HashMap<(SocketAddr, Option<HostPattern>), Range<usize>>,
    list: Vec<Tcp>,
}

impl Seen {
    fn one(&mut self, mut table: Table<'_, '_>, listeners: &Listeners, pools: &Pools, claimed: &[HostPattern]) {
        let reading = table.reading;
        let listen = table
            .require("listen", "say where: listen = \"0.0.0.0:3306\"")
            .and_then(|item| item.parsed("0.0.0.0:3306", address::listen));
        let upstream = table
            .require("upstream", "say where connections go: upstream = \"…\", the name of an [[upstream]]")
            .and_then(|item| pools.find(&item));
        let sni_item = table.take("sni");
        let sni_span = sni_item.as_ref().map(|item| item.span.clone());
        let sni = sni_item.and_then(|item| item.list("db.example.com", host_pattern::parse)).unwrap_or_default();
        let send_proxy = table
            .take("send_proxy")
            .and_then(|item| item.parsed("v2", |text| choice::parse(text, &PROXY_VERSION)))
            .and_then(|found| found.value);
        let protocol = table.take("proxy_protocol");
        let proxy_protocol = protocol
            .as_ref()
            .and_then(|item| item.parsed("optional", |text| choice::parse(text, &PROXY_PROTOCOL)))
            .map_or(ProxyProtocol::Off, |found| found.value);
        let proxy_from = table.take("proxy_from").and_then(|item| item.list("10.0.0.0/8", network::parse));
        let proxy_from: Vec<_> = proxy_from.unwrap_or_default().into_iter().map(|found| found.value).collect();
        if let Some(item) = protocol.as_ref().filter(|_| proxy_protocol != ProxyProtocol::Off && proxy_from.is_empty())
        {
            let hint = "name the balancers whose word is taken: proxy_from = [\"10.0.0.0/8\"]";
            reading.misfit(&item.key, "`proxy_protocol` without `proxy_from`", hint);
        }
        let idle_timeout = table.take("idle_timeout").and_then(|item| item.duration(IDLE));
        let connections = table.take("connections").and_then(|item| item.integer(0..=1_000_000)).unwrap_or(0);
        table.finish();
        let Some(listen) = listen else { return };
        let public = listeners.list.iter().zip(&listeners.addresses).find(|(known, _)| known.address == listen.value);
        if let Some((public, place)) = public.filter(|_| listen.value.port() != 0) {
            if !public.tls {
                let hint = format!(
                    "line {} listens there for HTTP: choose another port",
                    reading.source.line(place.span.start)
                );
                reading.misfit(&listen.span, format!("`listen`: {} is taken", listen.value), hint);
            } else if sni.is_empty() && sni_span.is_none() {
                let hint = "sites are terminated there: name what is passed through, sni = [\"db.example.com\"]";
                reading.misfit(&listen.span, "`listen` is that of a [[listen]], and there is no `sni`", hint);
            }
            if let Some(item) = &protocol {
                let hint = "write it in the [[listen]] of this address";
                reading.misfit(&item.key, "`proxy_protocol` belongs to the [[listen]] here", hint);
            }
            for name in sni.iter().filter(|name| claimed.contains(&name.value)) {
                let hint = "a site has it: it is either terminated or passed through";
                reading.misfit(
                    &name.span,
                    format!("`sni`: {} is a host of a site", host_pattern::show(&name.value)),
                    hint,
                );
            }
        }
        self.claim(&listen, &sni, reading);
        let twin = self.list.iter().find(|other| other.listen == listen.value && listen.value.port() != 0);
        if let Some(twin) = twin.filter(|twin| twin.proxy_protocol != proxy_protocol || twin.proxy_from != proxy_from) {
            let hint = format!("say the same in every [[tcp]] of {}", twin.listen);
            reading.misfit(&listen.span, "`proxy_protocol` differs from that of another [[tcp]] of this address", hint);
        }
        self.list.push(Tcp {
            listen: listen.value,
            upstream: upstream.unwrap_or_default(),
            sni: sni.into_iter().map(|found| found.value).collect(),
            send_proxy,
            proxy_protocol,
            proxy_from,
            idle_timeout: idle_timeout.unwrap_or(Duration::from_secs(600)),
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
        });
    }

    /// Notes that names of an address are taken, and reports those that were before.
    fn claim(
        &mut self,
        listen: &Located<SocketAddr>,
        sni: &[Located<HostPattern>],
        reading: &crate::reading::Reading<'_>,
    ) {
        let mut names: Vec<(Option<HostPattern>, Range<usize>)> =
            sni.iter().map(|name| (Some(name.value.clone()), name.span.clone())).collect();
        if names.is_empty() {
            names.push((None, listen.span.clone()));
        }
        for (name, span) in names {
            if listen.value.port() == 0 {
                continue;
            }
            let shown = name.as_ref().map_or_else(|| listen.value.to_string(), host_pattern::show);
            match self.names.get(&(listen.value, name.clone())) {
                Some(first) => {
                    let hint = format!("line {} has it already: keep one of the two", reading.source.line(first.start));
                    reading.mistake(&span, format!("[[tcp]]: {shown} is claimed twice"), hint);
                }
                None => drop(self.names.insert((listen.value, name), span)),
            }
        }
    }
}
