//! L7 routing: which route takes a request, what the upstream sees of it, what is answered without one, which fields change.

use std::net::{IpAddr, Ipv4Addr};

use forebay_tests::client_h1::Client;
use forebay_tests::{Origin, Proxy, ProxyConfig, Reply};

/// An origin that says what it saw, which may be stored.
fn origin(name: &'static str) -> Origin {
    Origin::answering(move |request| {
        Reply::cacheable(format!("{name} {}", request.target)).field("X-Powered-By", "PHP").field("X-Keep", "1")
    })
}

/// A proxy with a second upstream, `other`, and these lines in its site.
fn pair(site: &str) -> (Origin, Origin, Proxy) {
    let (one, other) = (origin("one"), origin("other"));
    let upstream = format!("[[upstream]]\nname = \"other\"\nservers = [\"{}\"]", other.address());
    let proxy = ProxyConfig::new().origin(&one).site(site).extra(&upstream).start();
    (one, other, proxy)
}

#[test]
fn the_longest_path_wins_and_of_the_same_path_the_one_with_conditions() {
    let routes = "
        [[site.route]]
        path = \"/api/\"
        upstream = \"other\"
        [[site.route]]
        path = \"/api/old/\"
        [[site.route]]
        path = \"/api/x$\"
        respond = { status = 418, body = \"whole\" }
        [[site.route]]
        path = \"/api/\"
        methods = [\"DELETE\"]
        respond = { status = 403, body = \"conditions\" }
        [[site.route]]
        suffix = [\".do\"]
        upstream = \"other\"
        [[site.route]]
        regex = '^/user/[0-9]+$'
        upstream = \"other\"
        [[site.route]]
        query = { v = \"2\" }
        upstream = \"other\"
        [[site.route]]
        headers = { \"X-Canary\" = \"~^(1|yes)$\" }
        upstream = \"other\"
        [[site.route]]
        cookies = { canary = \"*\" }
        upstream = \"other\"
        [[site.route]]
        from = [\"127.0.0.9\"]
        upstream = \"other\"";
    let (_one, _other, proxy) = pair(routes);
    for (path, answer) in [
        ("/", "one /"),
        ("/api/y", "other /api/y"),
        ("//api//y", "other //api//y"),
        ("/api/old/y", "one /api/old/y"),
        ("/api/x", "whole"),
        ("/api/xy", "other /api/xy"),
        ("/a.do", "other /a.do"),
        ("/user/17", "other /user/17"),
        ("/user/x", "one /user/x"),
        ("/?v=2", "other /?v=2"),
        ("/?v=3", "one /?v=3"),
    ] {
        assert_eq!(proxy.get(path).text(), answer, "{path}");
    }
    assert_eq!(proxy.connect().request("DELETE", "/api/y", &[]).text(), "conditions");
    // The same URL, stored for those without conditions, is not what the others get; nor the other way round.
    assert_eq!(proxy.get("/").cache(), "HIT");
    let canary = proxy.get_with("/", &[("X-Canary", "yes")]);
    assert_eq!((canary.text(), canary.cache()), ("other /", "PASS"));
    assert_eq!(proxy.get_with("/", &[("X-Canary", "no")]).text(), "one /");
    assert_eq!(proxy.get_with("/", &[("Cookie", "canary=1")]).text(), "other /");
    let near = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    assert_eq!(Client::connect_from(near, proxy.http()).get("/").text(), "other /");
    assert_eq!(proxy.get("/").text(), "one /");
}

#[test]
fn the_upstream_sees_the_path_rewritten_and_the_cache_that_of_the_client() {
    let routes = "
        [[site.route]]
        path = \"/api/\"
        strip_prefix = \"/api\"
        [[site.route]]
        path = \"/v1/\"
        rewrite = \"/v2{path}\"
        [[site.route]]
        path = \"/user/\"
        regex = '^/user/([a-z]+)$'
        rewrite = \"/index.php?user={1}\"";
    let (one, _other, proxy) = pair(routes);
    for (path, answer) in
        [("/api/x?a=b", "one /x?a=b"), ("/v1/x", "one /v2/v1/x"), ("/user/ann?p=1", "one /index.php?user=ann&p=1")]
    {
        assert_eq!((proxy.get(path).text(), proxy.get(path).cache()), (answer, "HIT"), "{path}");
    }
    // Another URL is another response, although the upstream sees the same of both.
    assert_eq!(proxy.get("/x?a=b").cache(), "MISS");
    let mut client = proxy.connect();
    client.send("POST //api//form HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.read_response().text(), "one /form");
    assert_eq!(proxy.get("/api/..%2f..%2fetc/passwd").status, 400);
    assert!(one.requests().iter().all(|request| !request.target.contains("passwd")));
}

#[test]
fn a_route_has_files_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let (main, docs) = (directory.path().join("main"), directory.path().join("docs"));
    for (root, name) in [(&main, "a.txt"), (&docs, "b.txt")] {
        std::fs::create_dir(root).unwrap();
        std::fs::write(root.join(name), name).unwrap();
    }
    let route = format!("[[site.route]]\npath = \"/docs/\"\nroot = {docs:?}\nstrip_prefix = \"/docs\"");
    let proxy = ProxyConfig::new().origin(&origin("one")).root(&main).site(&route).start();
    assert_eq!((proxy.get("/a.txt").text(), proxy.get("/docs/b.txt").text()), ("a.txt", "b.txt"));
    assert_eq!((proxy.get("/docs/a.txt").text(), proxy.get("/b.txt").text()), ("one /a.txt", "one /b.txt"));
    assert_eq!(proxy.get("/docs/b.txt").cache(), "OFFLOAD");
}

#[test]
fn redirects_and_fixed_answers_need_no_upstream() {
    let routes = "
        [[site.route]]
        path = \"/old/\"
        redirect = \"https://{host}/new{uri}\"
        status = 308
        [[site.route]]
        path = \"/here/\"
        redirect = \"{path}\"
        [[site.route]]
        path = \"/robots.txt$\"
        respond = { body = \"User-agent: *\\nDisallow: /\\n\" }
        [[site.route]]
        path = \"/gone/\"
        respond = { status = 410 }";
    let (one, _other, proxy) = pair(routes);
    let moved = proxy.get("/old/a?b=c");
    assert_eq!((moved.status, moved.field("location")), (308, Some("https://site.test/new/old/a?b=c")));
    // No way to a host of somebody else's.
    assert_eq!(proxy.get("//here//evil.example").field("location"), Some("/here/evil.example"));
    let robots = proxy.get("/robots.txt");
    assert_eq!((robots.status, robots.text()), (200, "User-agent: *\nDisallow: /\n"));
    assert_eq!(robots.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!((proxy.get("/gone/x").status, proxy.get("/robots.txt2").text()), (410, "one /robots.txt2"));
    assert_eq!(one.total(), 1);
}

#[test]
fn requests_are_led_to_https_and_to_the_canonical_host() {
    let site = "hosts = [\"site.test\", \"www.site.test\"]\nhttps_redirect = true\ncanonical_host = \"www.site.test\"";
    let (one, _other, proxy) = pair(site);
    let led = |client: &mut Client, method: &str, host: &str| {
        let answer = client.request(method, "/a?b", &[("Host", host)]);
        (answer.status, answer.field("location").map(ToOwned::to_owned))
    };
    let to = |url: &str| Some(url.to_owned());
    let mut plain = proxy.connect();
    assert_eq!(led(&mut plain, "GET", "site.test"), (301, to("https://www.site.test/a?b")));
    assert_eq!(led(&mut plain, "GET", "www.site.test:8080"), (301, to("https://www.site.test/a?b")));
    assert_eq!(led(&mut plain, "DELETE", "site.test"), (308, to("https://www.site.test/a?b")));
    let mut tls = proxy.connect_tls();
    assert_eq!(led(&mut tls, "GET", "site.test:8443"), (301, to("https://www.site.test:8443/a?b")));
    for _ in 0..2 {
        assert_eq!(tls.request("GET", "/a", &[("Host", "www.site.test")]).text(), "one /a");
    }
    assert_eq!(one.total(), 1);
}

#[test]
fn fields_change_on_the_way_in_and_out_at_the_hit_as_at_the_miss() {
    let site = "
        response_headers = { set = { \"X-Frame-Options\" = \"DENY\" }, remove = [\"X-Powered-By\", \"Via\"] }
        request_headers = { set = { \"X-Edge\" = \"forebay\" }, remove = [\"X-Secret\"] }
        [[site.route]]
        path = \"/app/\"
        response_headers = { add = { \"X-Frame-Options\" = \"SAMEORIGIN\" } }";
    let (one, _other, proxy) = pair(site);
    for outcome in ["MISS", "HIT", "HIT"] {
        let answer = proxy.get_with("/x", &[("X-Edge", "client"), ("X-Secret", "1")]);
        assert_eq!(answer.cache(), outcome);
        assert_eq!((answer.field("x-frame-options"), answer.field("x-keep")), (Some("DENY"), Some("1")));
        assert_eq!((answer.field("x-powered-by"), answer.field("via")), (None, None), "{answer}");
    }
    let seen = one.only("/x");
    assert_eq!((seen.field("x-edge").as_deref(), seen.field("x-secret")), (Some("forebay"), None));
    let lines: Vec<String> = proxy.get("/app/x").lines("x-frame-options").map(ToOwned::to_owned).collect();
    assert_eq!(lines, ["DENY", "SAMEORIGIN"]);
    // A reload without these words shows none of them, neither do heads that were kept.
    let file = proxy.directory().join("forebay.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"DENY\"", "\"changed\"")).unwrap();
    proxy.signal(rustix::process::Signal::HUP);
    forebay_tests::assert_eventually!(proxy.get("/x").field("x-frame-options") == Some("changed"));
}
