//! Servers by name: looked up in the background, and what joins and leaves by it.

use std::net::IpAddr;

use forebay_tests::load::no_client_sees_an_error;
use forebay_tests::nameserver::{Conduct, NameServer};
use forebay_tests::{Origin, Proxy, ProxyConfig, Reply, assert_eventually, forebay as run};

fn say(what: &'static str) -> impl Fn(&forebay_tests::Request) -> Reply + Send + Sync + 'static {
    move |_| Reply::ok(what).field("Cache-Control", "no-store")
}

/// Origins at 127.0.0.2, 127.0.0.3… with one port, saying `a`, `b`…
fn at_one_port<const COUNT: usize>() -> ([Origin; COUNT], u16) {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let ip = |index: usize| IpAddr::from([127, 0, 0, 2 + u8::try_from(index).unwrap()]);
    loop {
        let first = Origin::answering_at(ip(0), say(NAMES[0]));
        let port = first.address().port();
        let more = (1..COUNT).map(|index| Origin::try_answering_on((ip(index), port).into(), say(NAMES[index])));
        let all: Option<Vec<Origin>> = std::iter::once(Some(first)).chain(more).collect();
        if let Some(all) = all {
            return (all.try_into().unwrap_or_else(|_| panic!("as many as were asked for")), port);
        }
    }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// A pool of these servers, whose names this name server knows.
fn before(names: &NameServer, servers: &str, words: &str) -> ProxyConfig {
    let words = format!("name = \"ap\"\nservers = [{servers}]\n{words}");
    let resolver = format!(
        "[resolver]\nservers = [\"{}\"]\nmin_ttl = \"100ms\"\nmax_ttl = \"2s\"\ntimeout = \"300ms\"\n",
        names.address()
    );
    Proxy::config().site("upstream = \"ap\"").extra(&format!("{resolver}[[upstream]]\n{words}"))
}

/// Who answers `count` requests, sorted and without repetition.
fn answering(proxy: &Proxy, count: usize) -> String {
    let mut told: Vec<String> = (0..count).map(|n| proxy.get(&format!("/{n}")).text().to_owned()).collect();
    told.sort();
    told.dedup();
    told.concat()
}

fn pool(proxy: &Proxy) -> serde_json::Value {
    let told: serde_json::Value = serde_json::from_str(proxy.ask_admin("/upstreams").text()).unwrap();
    told["upstreams"][0].clone()
}

#[test]
fn servers_of_a_name_join_and_leave_by_its_ttl() {
    let (_origins, port) = at_one_port::<3>();
    let names = NameServer::start();
    names.set("ap.test", 0, &[ip(2), ip(3)]);
    let proxy = before(&names, &format!("\"ap.test:{port}\""), "").start();
    assert_eq!(answering(&proxy, 4), "ab", "known before the first request");
    names.set("ap.test", 0, &[ip(3), ip(4)]);
    assert_eventually!(answering(&proxy, 4) == "bc");
    let told = pool(&proxy);
    assert_eq!((told["names"][0]["state"].as_str(), told["names"][0]["servers"].as_u64()), (Some("fresh"), Some(2)));
    assert!(told["servers"].as_array().unwrap().iter().all(|server| server["origin"] == "name"), "{told}");
    assert!(proxy.metric("forebay_name_lookups_total", &["ap.test", "good"]) >= 2.0);
    assert_eq!(proxy.metric("forebay_name_addresses", &["ap.test"]), 2.0);
}

#[test]
fn ttl_is_kept_within_min_ttl_and_max_ttl() {
    let (_origins, port) = at_one_port::<1>();
    let names = NameServer::start();
    // A day: `max_ttl` is 2 s.
    names.set("ap.test", 86_400, &[ip(2)]);
    let proxy = before(&names, &format!("\"ap.test:{port}\""), "").start();
    let before = names.asked("ap.test");
    assert_eventually!(names.asked("ap.test") > before + 1);
    assert_eq!(pool(&proxy)["names"][0]["ttl"], 86_400);
}

#[test]
fn last_good_answer_holds_while_the_name_server_fails_or_knows_nothing() {
    let (_origins, port) = at_one_port::<2>();
    let names = NameServer::start();
    names.set("ap.test", 0, &[ip(2), ip(3)]);
    let proxy = before(&names, &format!("\"ap.test:{port}\""), "").start();
    assert_eq!(answering(&proxy, 4), "ab");
    let failed = |result| proxy.metric("forebay_name_lookups_total", &["ap.test", result]);
    for (result, change) in [
        ("failed", &(|| names.conduct(Conduct::Failing)) as &dyn Fn()),
        ("failed", &|| names.conduct(Conduct::Silent)),
        ("empty", &|| {
            names.conduct(Conduct::Answering);
            names.set("ap.test", 0, &[]);
        }),
        ("empty", &|| names.forget("ap.test")),
    ] {
        let before = failed(result);
        change();
        assert_eventually!(failed(result) > before, "{result}");
        assert_eventually!(pool(&proxy)["names"][0]["state"] == "kept");
        assert_eq!(answering(&proxy, 4), "ab", "{result}");
    }
    assert!(pool(&proxy)["names"][0]["complaint"].is_string());
    names.set("ap.test", 0, &[ip(3)]);
    assert_eventually!(answering(&proxy, 2) == "b");
    assert_eq!(pool(&proxy)["names"][0]["state"], "fresh");
}

#[test]
fn service_gives_hosts_ports_shares_and_backups() {
    let [a, b, stands_in] = ["a", "b", "c"].map(|what| Origin::answering(say(what)));
    let names = NameServer::start();
    names.set("host.test", 0, &[ip(1)]);
    let port = |origin: &Origin| origin.address().port();
    let service = "_http._tcp.ap.test";
    let places = |first, second| {
        [
            (10, first, port(&a), "host.test"),
            (10, second, port(&b), "host.test"),
            (20, 5, port(&stands_in), "host.test"),
        ]
    };
    names.set_service(service, 0, &places(2, 1));
    let proxy = before(&names, &format!("\"srv:{service}\""), "").start();
    let count = |what: &str| (0..30).filter(|n| proxy.get(&format!("/{what}{n}")).text() == what).count();
    assert_eq!((count("a"), count("b"), count("c")), (20, 10, 0), "by weight, and no backup while others are there");
    // Only the backup is left: it is what has the lowest priority now.
    names.set_service(service, 0, &places(1, 1)[2..]);
    assert_eventually!(answering(&proxy, 3) == "c");
    names.set_service(service, 0, &places(0, 0));
    assert_eventually!(answering(&proxy, 6) == "ab");
    // "." says that the service is not offered: what was known holds.
    names.set_service(service, 0, &[(0, 0, 0, ".")]);
    assert_eventually!(pool(&proxy)["names"][0]["state"] == "kept");
    assert_eq!(answering(&proxy, 6), "ab");
    let list = run(&["upstream", "list", "--admin", &proxy.admin().to_string()]).stdout;
    assert!(list.contains(&format!("srv:{service}")) && list.contains("kept") && list.contains("backup"), "{list}");
}

#[test]
fn requests_in_flight_are_not_cut_when_their_server_leaves() {
    let ([leaving, _staying], port) = at_one_port::<2>();
    let names = NameServer::start();
    names.set("ap.test", 0, &[ip(2)]);
    let proxy = before(&names, &format!("\"ap.test:{port}\""), "").start();
    leaving.hold();
    let mut waiting = proxy.connect();
    waiting.send("GET /before HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eventually!(leaving.total() == 1);
    names.set("ap.test", 0, &[ip(3)]);
    assert_eventually!(pool(&proxy)["servers"][0]["address"].as_str().unwrap().starts_with("127.0.0.3:"));
    assert_eq!(answering(&proxy, 2), "b");
    let servers = pool(&proxy)["servers"].as_array().unwrap().clone();
    let states: Vec<_> = servers.iter().map(|server| server["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["up", "leaving"]);
    leaving.release();
    assert_eq!(waiting.read_response().text(), "a");
    assert_eventually!(pool(&proxy)["servers"].as_array().unwrap().len() == 1);
}

#[test]
fn name_that_is_not_known_yet_is_a_503_until_it_is() {
    let (_origins, port) = at_one_port::<1>();
    let names = NameServer::start();
    let proxy = before(&names, &format!("\"ap.test:{port}\""), "").start();
    let answer = proxy.get("/x");
    assert_eq!(answer.status, 503, "{answer}");
    assert_eq!(pool(&proxy)["names"][0]["state"], "unknown");
    names.set("ap.test", 0, &[ip(2)]);
    assert_eventually!(proxy.get("/x").status == 200);
}

#[test]
fn answers_that_change_all_the_time_cost_no_client_an_error() {
    let (_origins, port) = at_one_port::<4>();
    let names = NameServer::start();
    names.set("ap.test", 0, &[ip(2)]);
    let proxy = before(&names, &format!("\"ap.test:{port}\""), "").start();
    no_client_sees_an_error(&proxy, 16, || {
        for round in 0..12u8 {
            let asked = names.asked("ap.test");
            names.set("ap.test", 0, &[ip(2 + round % 4), ip(2 + (round + 1) % 4)]);
            assert_eventually!(names.asked("ap.test") > asked + 1);
        }
    });
}

#[test]
fn reload_keeps_what_is_known_while_the_name_server_is_gone() {
    let (_origins, port) = at_one_port::<1>();
    let names = NameServer::start();
    names.set("ap.test", 0, &[ip(2)]);
    let proxy = before(&names, &format!("\"ap.test:{port}\""), "").start();
    names.conduct(Conduct::Silent);
    let before = proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]);
    proxy.signal(rustix::process::Signal::HUP);
    assert_eventually!(proxy.metric("forebay_config_last_reload_success_timestamp_seconds", &[]) > before);
    assert_eq!(answering(&proxy, 2), "a");
}

#[test]
fn name_in_the_systems_files_is_known_without_a_name_server() {
    let origin = Origin::answering(say("a"));
    let words = format!("name = \"ap\"\nservers = [\"localhost:{}\"]", origin.address().port());
    let proxy = Proxy::config().site("upstream = \"ap\"").extra(&format!("[[upstream]]\n{words}")).start();
    assert_eq!(answering(&proxy, 4), "a");
}
