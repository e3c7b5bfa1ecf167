//! What the AP server is told, and what the client is not (RFC 9110, section 7.6; RFC 7239).

use forebay_tests::{Origin, Proxy, ProxyConfig, Reply, Request};

fn origin() -> Origin {
    Origin::answering(|_| Reply::ok("x").field("Cache-Control", "no-store"))
}

/// What the origin saw of a request with these fields, through a cacheable GET and through a POST.
fn forwarded(config: ProxyConfig, fields: &[(&str, &str)]) -> [Request; 2] {
    let origin = origin();
    let proxy = config.origin(&origin).start();
    assert_eq!(proxy.get_with("/get", fields).status, 200);
    let posted = [fields, &[("Content-Length", "0")]].concat();
    assert_eq!(proxy.connect().request("POST", "/post", &posted).status, 200);
    [origin.only("/get"), origin.only("/post")]
}

#[test]
fn ap_server_is_told_of_the_client() {
    let origin = origin();
    let proxy = Proxy::before(&origin);
    proxy.connect().request("GET", "/http", &[("Host", "site.test:8080")]);
    proxy.connect_tls().get("/https");
    proxy.connect_h2().get("/h2");
    for (target, scheme, host) in
        [("/http", "http", "site.test:8080"), ("/https", "https", "site.test"), ("/h2", "https", "site.test")]
    {
        let request = origin.only(target);
        assert_eq!(request.field("host").as_deref(), Some(host), "{target}");
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"), "{target}");
        assert_eq!(request.field("x-forwarded-proto").as_deref(), Some(scheme), "{target}");
        assert_eq!(request.field("x-forwarded-host").as_deref(), Some(host), "{target}");
        assert_eq!(request.field("x-real-ip").as_deref(), Some("127.0.0.1"), "{target}");
        let port = request.field("x-forwarded-port").unwrap();
        assert!(port.parse::<u16>().is_ok(), "{target}: {port}");
        let forwarded = request.field("forwarded").unwrap();
        assert!(forwarded.contains("for=127.0.0.1") && forwarded.contains(&format!("proto={scheme}")), "{forwarded}");
        let via = request.field("via").unwrap();
        assert!(via.starts_with(if target == "/h2" { "2" } else { "1.1" }), "{target}: {via}");
    }
}

#[test]
fn client_is_told_of_the_proxy() {
    let proxy = Proxy::before(&origin());
    let via = proxy.get("/x").field("via").unwrap().to_owned();
    assert!(via.starts_with("1.1 "), "{via}");
    assert!(proxy.connect_h2().get("/x").field("via").is_some());
}

#[test]
fn via_of_earlier_hops_is_kept() {
    for request in forwarded(Proxy::config(), &[("Via", "1.0 fred")]) {
        assert!(request.field("via").unwrap().starts_with("1.0 fred, 1.1 "), "{}", request.head);
    }
}

const SPOOFED: [(&str, &str); 8] = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Port", "666"),
    ("Forwarded", "for=6.6.6.6;proto=gopher;host=evil.test"),
    ("X-Real-IP", "6.6.6.6"),
    ("X-Original-URL", "/evil"),
    ("X-Rewrite-URL", "/evil"),
];

#[test]
fn spoofed_fields_are_replaced() {
    for request in forwarded(Proxy::config(), &SPOOFED) {
        let head = &request.head;
        for word in ["6.6.6.6", "gopher", "evil", "666"] {
            assert!(!head.contains(word), "{head}");
        }
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    }
}

#[test]
fn fields_of_trusted_proxies_are_believed() {
    let config = Proxy::config().server("trusted_proxies = [\"127.0.0.0/8\"]");
    let fields =
        [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "site.test")];
    for request in forwarded(config, &fields) {
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some("203.0.113.7, 127.0.0.1"), "{}", request.head);
        assert_eq!(request.field("x-forwarded-proto").as_deref(), Some("https"));
        assert_eq!(request.field("x-real-ip").as_deref(), Some("203.0.113.7"));
    }
}

#[test]
fn fields_of_proxies_that_are_not_trusted_are_not_believed() {
    let config = Proxy::config().server("trusted_proxies = [\"10.0.0.0/8\"]");
    for request in forwarded(config, &SPOOFED) {
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    }
}

#[test]
fn hop_by_hop_fields_of_a_request_are_not_forwarded() {
    let fields = [
        ("Connection", "keep-alive, X-Nominated"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic x"),
        ("TE", "trailers"),
        ("Trailer", "X-T"),
        ("Upgrade", "foo/2"),
        ("Proxy", "http://evil.test"),
        ("X-Nominated", "y"),
        ("X-Kept", "z"),
    ];
    for request in forwarded(Proxy::config(), &fields) {
        for name in ["keep-alive", "proxy-connection", "te", "trailer", "upgrade", "x-nominated", "proxy"] {
            assert_eq!(request.field(name), None, "{name}: {}", request.head);
        }
        assert_eq!(request.field("x-kept").as_deref(), Some("z"));
        assert_eq!(request.field("connection").as_deref(), Some("close"));
    }
}

#[test]
fn fields_we_add_and_framing_cannot_be_nominated_away() {
    let nominated = "close, X-Forwarded-For, X-Real-IP, Via, Host, Cache-Control, Content-Length";
    for request in forwarded(Proxy::config(), &[("Connection", nominated)]) {
        for name in ["x-forwarded-for", "x-real-ip", "via", "host"] {
            assert!(request.field(name).is_some(), "{name}: {}", request.head);
        }
    }
}

#[test]
fn hop_by_hop_fields_of_a_response_reach_nobody() {
    let origin = Origin::answering(|request| {
        let fresh = if request.path() == "/stored" { "max-age=60" } else { "no-store" };
        let reply = Reply::ok("x").field("Cache-Control", fresh).field("Connection", "X-Nominated");
        let reply = reply.field("Keep-Alive", "timeout=5").field("Proxy-Authenticate", "Basic").field("X-Kept", "z");
        reply.field("X-Nominated", "y").field("Upgrade", "foo/2").field("Proxy-Connection", "close")
    });
    let proxy = Proxy::before(&origin);
    let mut h2 = proxy.connect_h2();
    for target in ["/stored", "/stored", "/passed"] {
        for answer in [proxy.get(target), h2.get(target)] {
            for name in ["x-nominated", "keep-alive", "proxy-authenticate", "upgrade", "proxy-connection"] {
                assert_eq!(answer.field(name), None, "{target}: {answer}");
            }
            assert_eq!(answer.field("x-kept"), Some("z"), "{target}: {answer}");
        }
    }
}

#[test]
fn date_is_the_origins_and_is_added_when_it_is_missing() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let origin = Origin::answering(move |request| match request.path() {
        "/dated" => Reply::ok("x").field("Date", date).field("Cache-Control", "no-store"),
        _ => Reply::ok("x").field("Cache-Control", "no-store"),
    });
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.get("/dated").field("date"), Some(date));
    assert!(proxy.get("/undated").field("date").is_some_and(|date| date.ends_with(" GMT")));
}

#[test]
fn target_and_end_to_end_fields_are_forwarded_as_they_came() {
    let origin = origin();
    let proxy = Proxy::before(&origin);
    let target = "/a%20b/%E2%82%AC/c;d=e?x=1&y=%2F&z=a+b&x=2";
    let fields = [("Cookie", "a=b; c=d"), ("Authorization", "Basic Zm9v"), ("User-Agent", "test/1"), ("X-A", "1")];
    proxy.get_with(target, &fields);
    let request = origin.only(target);
    for (name, value) in fields {
        assert_eq!(request.field(name).as_deref(), Some(value), "{name}");
    }
}
