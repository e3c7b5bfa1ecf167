//! One look-up: a name, or a service, becomes addresses.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use forebay_config::model::{Resolver, ServerName};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{RData, Record};

/// Servers taken from one name; more are a mistake, or an attack.
const MOST: usize = 256;

/// A server that a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::upstream) struct Target {
    pub(in crate::upstream) address: SocketAddr,
    /// What its certificate is for.
    pub(in crate::upstream) host: String,
    /// Its share, and whether it only stands in, where the name says so.
    pub(in crate::upstream) of_service: Option<(u32, bool)>,
}

/// What a look-up came to: never empty.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) targets: Vec<Target>,
    pub(super) ttl: Duration,
}

/// Why nothing was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The name is not there, or has no addresses.
    Empty(String),
    /// Nobody could tell.
    Failed(String),
}

/// Looks `name` up, with the system's files and settings as they are now. `known` keeps the addresses of a service's hosts, for
/// one of them that cannot be looked up while the others can.
pub(super) async fn look_up(
    name: &ServerName,
    settings: &Resolver,
    known: &mut HashMap<String, Vec<IpAddr>>,
) -> Result<Found, Failure> {
    let resolver = resolver(settings).map_err(|error| Failure::Failed(error.to_string()))?;
    match name {
        ServerName::Host { host, port } => {
            let (addresses, ttl) = addresses(&resolver, host).await?;
            let target =
                |address| Target { address: SocketAddr::new(address, *port), host: host.clone(), of_service: None };
            Ok(Found { targets: addresses.into_iter().take(MOST).map(target).collect(), ttl })
        }
        ServerName::Service(service) => of_service(&resolver, service, known).await,
    }
}

fn resolver(settings: &Resolver) -> Result<TokioResolver, NetError> {
    let mut builder = if settings.servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = settings.servers.iter().map(|address| {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            server
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = settings.timeout;
    options.attempts = 1;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    // What is known is kept by who asks.
    options.cache_size = 0;
    builder.build()
}

/// The addresses of a host, in an order that is the same for the same answer.
async fn addresses(resolver: &TokioResolver, host: &str) -> Result<(Vec<IpAddr>, Duration), Failure> {
    let found = resolver.lookup_ip(host).await.map_err(|error| failure(&error))?;
    let mut addresses: Vec<IpAddr> = found.iter().collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(Failure::Empty(format!("{host} has no address")));
    }
    Ok((addresses, shortest(found.as_lookup().answers())))
}

fn shortest(records: &[Record]) -> Duration {
    Duration::from_secs(records.iter().map(|record| record.ttl).min().unwrap_or(0).into())
}

fn failure(error: &NetError) -> Failure {
    if error.is_nx_domain() || error.is_no_records_found() {
        Failure::Empty(error.to_string())
    } else {
        Failure::Failed(error.to_string())
    }
}

/// RFC 2782: those of the lowest priority take requests by weight, the others stand in for them.
async fn of_service(
    resolver: &TokioResolver,
    service: &str,
    known: &mut HashMap<String, Vec<IpAddr>>,
) -> Result<Found, Failure> {
    let found = resolver.srv_lookup(service).await.map_err(|error| failure(&error))?;
    let mut ttl = shortest(found.answers());
    let mut services: Vec<&SRV> = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(service) if !service.target.is_root() => Some(service),
            _ => None,
        })
        .collect();
    services.sort_unstable_by_key(|service| (service.priority, service.target.to_ascii(), service.port));
    services.truncate(MOST);
    let Some(first) = services.first().map(|service| service.priority) else {
        return Err(Failure::Empty(format!("{service} is not offered")));
    };
    let named: Vec<String> = services.iter().map(|service| service.target.to_ascii()).collect();
    known.retain(|host, _| named.contains(host));
    let (mut targets, mut complaint) = (Vec::new(), None);
    for service in services {
        let host = service.target.to_ascii();
        let found = match addresses(resolver, &host).await {
            Ok((found, of_host)) => {
                ttl = ttl.min(of_host);
                known.insert(host.clone(), found.clone());
                found
            }
            Err(failure) => {
                complaint = Some(failure);
                // It is still named, so it keeps what it had.
                known.get(&host).cloned().unwrap_or_default()
            }
        };
        let of_service = Some((u32::from(service.weight).max(1), service.priority > first));
        let plain = host.trim_end_matches('.').to_owned();
        targets.extend(found.into_iter().map(|address| Target {
            address: SocketAddr::new(address, service.port),
            host: plain.clone(),
            of_service,
        }));
    }
    match complaint {
        Some(failure) if targets.is_empty() => Err(failure),
        _ => Ok(Found { targets, ttl }),
    }
}
