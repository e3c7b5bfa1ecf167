use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Version};

use super::*;
use crate::account::entry::UpstreamExchange;
use crate::account::metrics::Metrics;

fn entry(target: &str, cache: CacheOutcome, detail: Option<&'static str>, millis: u64) -> Entry {
    let metrics = Metrics::new().unwrap();
    let upstream = UpstreamExchange {
        hierarchy: "HIER_DIRECT",
        address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80),
        status: Some(200),
        connect: Some(Duration::ZERO),
        first_byte: Some(Duration::from_millis(millis)),
    };
    Entry {
        start: SystemTime::now(),
        duration: Duration::from_millis(millis),
        client: Ipv4Addr::LOCALHOST.into(),
        tls: None,
        method: Method::GET,
        target: Bytes::copy_from_slice(target.as_bytes()),
        version: Version::HTTP_11,
        host: None,
        status: 200,
        bytes: 0,
        referer: None,
        user_agent: None,
        content_type: None,
        cache,
        forward_reason: Some("uri-miss"),
        detail,
        upstream: Some(upstream),
        site: Arc::clone(metrics.unrouted()),
        aborted: false,
    }
}

#[test]
fn misses_are_counted_by_reason_and_parameters_by_values() {
    let top = Top::new();
    for n in 0..100 {
        top.record(&entry(&format!("/shop/?color=red&session={n}"), CacheOutcome::Miss, None, 20));
    }
    top.record(&entry("/cart/", CacheOutcome::Pass, Some("bypass-cookie"), 500));
    top.record(&entry("/hit", CacheOutcome::Hit, None, 1));
    let windows = top.windows.lock();
    let tally = windows.now.values().next().unwrap();
    assert_eq!((tally.reasons["uri-miss"], tally.reasons["bypass-cookie"]), (100, 1));
    let weight = |wanted: &str| tally.misses.iter().find(|(key, _)| *key == wanted).map(|(_, slot)| slot.weight);
    assert_eq!((weight("uri-miss /shop/"), weight("bypass-cookie /cart/")), (Some(100), Some(1)));
    let values = |wanted: &str| tally.parameters.iter().find(|(name, _)| *name == wanted).unwrap().1.value.count();
    assert!(values("color") == 1 && (90..=110).contains(&values("session")), "{}", values("session"));
    let slow = tally.slow.iter().find(|(path, _)| *path == "/cart/").unwrap().1;
    assert_eq!((slow.weight, slow.value.requests), (500_000, 1));
    assert!(tally.misses.iter().all(|(key, _)| !key.contains("/hit")));
}

#[test]
fn a_flood_of_paths_and_names_is_bounded() {
    let top = Top::new();
    for n in 0..5_000 {
        top.record(&entry(&format!("/{n}{}?p{n}=1", "x".repeat(1000)), CacheOutcome::Miss, None, 1));
    }
    let windows = top.windows.lock();
    let tally = windows.now.values().next().unwrap();
    assert_eq!((tally.misses.iter().count(), tally.parameters.iter().count()), (PATHS, PARAMETERS));
    assert!(tally.slow.iter().all(|(path, _)| path.len() <= PATH));
}

#[test]
fn what_a_terminal_obeys_does_not_reach_it() {
    let top = Top::new();
    top.record(&entry("/a\u{1b}[31m?b\u{7}=1", CacheOutcome::Miss, None, 1));
    let windows = top.windows.lock();
    let tally = windows.now.values().next().unwrap();
    assert!(tally.misses.iter().all(|(key, _)| !key.chars().any(char::is_control)));
    assert!(tally.parameters.iter().all(|(key, _)| !key.chars().any(char::is_control)));
}
