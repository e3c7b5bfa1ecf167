//! What an attacker sends so that others get it, or so that he gets what is others' (rows 27 to 52). An attacker asks
//! first, a victim second; or a victim is lured and the attacker asks second.

use forebay_tests::origin::{Ending, closed_address};
use forebay_tests::{Answer, Origin, Proxy, Reply, Request};

/// Pages as an application makes them that takes any path for its account page, and whose server gives a lifetime to
/// whatever is called a file.
fn account(request: &Request) -> Reply {
    let is_file = [".css", ".js", ".png", ".jpg"].iter().any(|suffix| request.path().ends_with(suffix));
    let user = request.field("cookie").unwrap_or_else(|| "nobody".to_owned());
    let page = Reply::ok(format!("account of {user}")).field("Content-Type", "text/html; charset=UTF-8");
    if is_file { page.field("Cache-Control", "max-age=3600") } else { page }
}

/// Names under which one page may be had, as frameworks and servers take them apart.
const DECEPTIONS: [&str; 14] = [
    "/account/x.css",
    "/account/x.CSS",
    "/account;x.css",
    "/account;/x.js",
    "/account%3Bx.css",
    "/account%3Fx.css",
    "/account%23x.css",
    "/account!x.png",
    "/account%00x.css",
    "/account%0Ax.css",
    "/account%0D%0Ax.js",
    "/account%2Fx.jpg",
    "/account%2f..%2fstatic/x.js",
    "/static/..%2faccount/x.css",
];

#[test]
fn row_33_private_pages_under_static_names_are_never_stored() {
    let origin = Origin::answering(account);
    for site in ["", "lifetimes = { \"200\" = \"1h\" }", "preset = \"wordpress\"", "drop_cookies = true"] {
        let proxy = Proxy::config().origin(&origin).site(site).start();
        for target in DECEPTIONS {
            proxy.get_with(target, &[("Cookie", "session=victim")]);
            let attacker = proxy.get(target);
            assert_ne!(attacker.cache(), "HIT", "{site} {target}: {attacker}");
            assert!(!attacker.text().contains("victim"), "{site} {target}: {attacker}");
        }
    }
    // The armour is what keeps it: the application says that it may be stored.
    let open = Proxy::config().origin(&origin).site("deception_armor = false").start();
    open.get_with("/account/x.css", &[("Cookie", "session=victim")]);
    assert!(open.get("/account/x.css").text().contains("victim"));
    let answer = Proxy::before(&origin).get("/account/x.css");
    assert!(answer.cache_status().contains("detail=page-under-file-name"), "{answer}");
}

#[test]
fn row_33_paths_that_pass_pass_in_every_spelling() {
    let origin = Origin::answering(|_| Reply::cacheable("x"));
    let proxy = Proxy::config().origin(&origin).site("preset = \"wordpress\"").start();
    for target in [
        "/wp-admin/",
        "/%77p-admin/",
        "/wp%2Dadmin/x.css",
        "//wp-admin/",
        "/x//wp-admin/",
        "/wp-admin%2F",
        "/x%2Fwp-admin%2fx.css",
        "/wp-login.php/x.css",
        "/wp-login.php;x.css",
        "/wp-login.php%3Fx.css",
        "/?%70review=1",
        "/?x=1;preview=true",
        "/?preview[]=1",
        "/?pre%76iew=true",
    ] {
        for _ in 0..2 {
            let answer = proxy.get(target);
            assert_eq!(answer.cache(), "PASS", "{target}: {answer}");
        }
    }
}

#[test]
fn row_27_unkeyed_fields_do_not_reach_the_origin_over_h2_either() {
    let origin = Origin::answering(|request| Reply::cacheable(request.head.clone()));
    let proxy = Proxy::before(&origin);
    let mut h2 = proxy.connect_h2();
    for name in [
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-ssl",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-http-method",
        "forwarded",
        "x_forwarded_host",
        "x-real-ip",
        "true-client-ip",
        "proxy",
    ] {
        let target = format!("/{name}");
        h2.request("GET", &target, &[(name, "evil.test")], b"");
        let victim = h2.get(&target);
        assert_eq!(victim.cache(), "HIT", "{name}");
        assert!(!victim.text().contains("evil.test"), "{name}: {}", victim.text());
    }
}

#[test]
fn row_29_parameters_that_are_ignored_never_hide_one_that_counts() {
    // This application splits at `;` too, as some frameworks do, and takes the last of two.
    let origin = Origin::answering(|request| {
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let read = |name: &str| {
            let pairs = query.split(['&', ';']).filter_map(|pair| pair.split_once('='));
            pairs.rev().find(|(key, _)| *key == name).map_or("none", |(_, value)| value).to_owned()
        };
        Reply::cacheable(read("callback"))
    });
    let proxy = Proxy::config().origin(&origin).site("preset = \"wordpress\"").start();
    for (cloaked, plain) in [
        ("/a?utm_content=x;callback=evil", "/a"),
        ("/b?callback=good&utm_content=x;callback=evil", "/b?callback=good"),
        ("/c?callback=good&callback=evil", "/c?callback=good"),
        ("/d?fbclid=1;callback=evil&callback=good", "/d?callback=good"),
        ("/e?utm_source%3Bcallback=evil", "/e"),
    ] {
        proxy.get(cloaked);
        let victim = proxy.get(plain);
        assert_ne!(victim.text(), "evil", "{cloaked} for {plain}");
    }
    // Sorted, what an application may take for one parameter keeps its order.
    assert_eq!(
        (proxy.get("/f?callback=1&callback=2").text(), proxy.get("/f?callback=2&callback=1").text()),
        ("2", "1")
    );
}

#[test]
fn row_32_requests_that_make_the_origin_fail_fail_for_their_sender_alone() {
    let origin = Origin::answering(|request| {
        let largest = request.fields.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
        match request.method.as_str() {
            // Above the origin's limit, beneath ours.
            _ if largest > 8 * 1024 => Reply::new(400, "field too large"),
            "GET" => Reply::cacheable("page"),
            _ => Reply::new(405, "no such method"),
        }
    });
    let proxy = Proxy::before(&origin);
    let oversize = "x".repeat(20 * 1024);
    let attacks: [(&str, &[(&str, &str)]); 5] = [
        ("/oversize", &[("X-Oversize", &oversize)]),
        ("/override", &[("X-HTTP-Method-Override", "POST")]),
        ("/override-2", &[("X-Method-Override", "DELETE")]),
        ("/range", &[("Range", "bytes=999999-")]),
        ("/expect", &[("Expect", "something")]),
    ];
    for (target, fields) in attacks {
        let attacker = proxy.get_with(target, fields);
        assert_ne!(attacker.cache(), "HIT", "{target}: {attacker}");
        let victim = proxy.get(target);
        assert_eq!((victim.status, victim.text()), (200, "page"), "{target}: {victim}");
    }
    let (refused, _) = proxy.send_raw("GET /meta HTTP/1.1\r\nHost: site.test\r\nX-Meta: a\x07b\r\n\r\n");
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status == 400 || answer.text() == "page"));
    assert_eq!(proxy.get("/meta").text(), "page");
    assert_eq!(proxy.get("/oversize").cache(), "HIT", "what is stored meanwhile stays");
    assert_eq!(proxy.get_with("/oversize", &[("X-Oversize", &oversize)]).text(), "page");
}

#[test]
fn row_37_no_variant_is_given_to_a_request_it_was_not_made_for() {
    let origin = Origin::answering(|request| {
        let vary = request.path().trim_start_matches('/').to_owned();
        let value = request.field(&vary).unwrap_or_else(|| "none".to_owned());
        Reply::cacheable(value).field("Vary", vary)
    });
    let proxy = Proxy::config().origin(&origin).site("compress = []").start();
    for name in ["Cookie", "Accept-Encoding", "Accept-Language", "User-Agent", "X-A"] {
        let target = format!("/{name}");
        for _ in 0..2 {
            for value in ["one", "two", "three"] {
                assert_eq!(proxy.get_with(&target, &[(name, value)]).text(), value, "{name}");
            }
            assert_eq!(proxy.get(&target).text(), "none", "{name}");
        }
    }
    let authorized = |value: &str| proxy.get_with("/Authorization", &[("Authorization", value)]);
    for value in ["Basic b25l", "Basic dHdv", "Basic b25l"] {
        assert_eq!(authorized(value).text(), value);
    }
    assert_eq!(proxy.get("/Authorization").text(), "none");
}

#[test]
fn row_47_answers_do_not_tell_whether_somebody_else_has_seen_a_private_page() {
    let origin = Origin::answering(|request| match request.path() {
        "/private" => Reply::ok("x").field("Cache-Control", "private, max-age=60"),
        _ => Reply::cacheable("x"),
    });
    let site = "bypass_cookies = [\"session\"]";
    let proxy = Proxy::config().origin(&origin).site(site).start();
    for target in ["/private", "/account?secret=1"] {
        proxy.get_with(target, &[("Cookie", "session=victim")]);
        let answer = proxy.get(target);
        assert_eq!((answer.cache(), answer.age()), ("MISS", None), "{target}: {answer}");
        assert!(!answer.cache_status().contains("key"), "{answer}");
    }
}

/// A byte for each place of each path: whatever stands elsewhere is somebody else's.
fn byte(path: &str, at: usize) -> u8 {
    let seed = path.bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
    u8::try_from((seed ^ at.wrapping_mul(2_654_435_761)) >> 3 & 0xff).unwrap()
}

fn content(path: &str, length: usize) -> Vec<u8> {
    (0..length).map(|at| byte(path, at)).collect()
}

/// A small generator is enough for requests that never repeat (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        usize::try_from((mixed ^ (mixed >> 27)) >> 1).unwrap() % bound
    }
}

fn holds_only_its_own(answer: &Answer, path: &str, length: usize) {
    let start = match answer.field("content-range").and_then(|range| range.strip_prefix("bytes ")) {
        Some(range) if answer.status == 206 => range.split('-').next().unwrap().parse().unwrap(),
        _ => 0,
    };
    assert!(start + answer.body.len() <= length, "{path}: {answer}");
    for (at, found) in answer.body.iter().enumerate() {
        assert_eq!(*found, byte(path, start + at), "{path}: byte {at} of {answer}");
    }
}

#[test]
fn row_49_odd_ranges_and_cut_content_never_show_bytes_of_another_response() {
    const LENGTHS: [usize; 4] = [1, 4097, 70_000, 300_000];
    let origin = Origin::answering(|request| {
        let path = request.path();
        let length = LENGTHS[usize::from(path.as_bytes()[1] - b'0')];
        let reply = Reply::cacheable(content(path, length)).field("ETag", format!("\"{path}\""));
        if path.ends_with("cut") { reply.truncated_at(length / 2).then(Ending::Reset) } else { reply }
    });
    let proxy = Proxy::config()
        .origin(&origin)
        .memory("size = \"4MiB\"\nmax_object = \"128KiB\"")
        .disk("size = \"64MiB\"")
        .site("compress = []")
        .start();
    let mut random = Random(49);
    let mut client = proxy.connect();
    for _ in 0..400 {
        let kind = random.below(LENGTHS.len());
        let length = LENGTHS[kind];
        let ending = if random.below(8) == 0 { "cut" } else { "whole" };
        let path = format!("/{kind}{}{ending}", random.below(4));
        let (one, other) = (random.below(length + 10), random.below(length + 10));
        let range = match random.below(6) {
            0 => None,
            1 => Some(format!("bytes={one}-")),
            2 => Some(format!("bytes=-{one}")),
            3 => Some(format!("bytes={other}-{one}")),
            4 => Some(format!("bytes={one}-18446744073709551615")),
            _ => Some(format!("bytes={}-{}", one.min(other), one.max(other))),
        };
        let fields: Vec<(&str, &str)> = range.iter().map(|range| ("Range", range.as_str())).collect();
        if ending == "cut" {
            let mut own = proxy.connect();
            own.send(forebay_tests::client_h1::head("GET", &path, &[("Host", "site.test")]));
            // Cut for the client too, or refused: never whole.
            if let Ok(answer) = own.read_response_to("GET") {
                assert_ne!((answer.status, answer.body.len()), (200, length), "{path}");
            }
            continue;
        }
        let answer = client.request("GET", &path, &fields);
        assert!(matches!(answer.status, 200 | 206 | 416), "{path} {range:?}: {answer}");
        if answer.status != 416 {
            holds_only_its_own(&answer, &path, length);
        }
    }
}

#[test]
fn row_51_long_chains_of_addresses_are_replaced_or_refused() {
    let origin = Origin::answering(|request| Reply::ok(request.field("x-forwarded-for").unwrap_or_default()));
    let proxy = Proxy::before(&origin);
    let chain = vec!["203.0.113.7"; 1500].join(", ");
    assert_eq!(proxy.get_with("/x", &[("X-Forwarded-For", &chain)]).text(), "127.0.0.1");
    let longer = vec!["203.0.113.7"; 5000].join(", ");
    assert_eq!(proxy.get_with("/x", &[("X-Forwarded-For", &longer)]).status, 431);
    let trusting = Proxy::config().origin(&origin).server("trusted_proxies = [\"127.0.0.0/8\"]").start();
    let told = trusting.get_with("/x", &[("X-Forwarded-For", "198.51.100.1, 203.0.113.7")]);
    assert_eq!(told.text(), "198.51.100.1, 203.0.113.7, 127.0.0.1");
    assert_eq!(trusting.get_with("/x", &[("X-Forwarded-For", &longer)]).status, 431);
}

#[test]
fn row_52_upstream_that_leads_back_is_a_508_after_one_hop() {
    let own = closed_address();
    let proxy = Proxy::config().http(&format!("address = \"{own}\"")).server_at(own, 1).start();
    for (method, cookie) in [("GET", ""), ("POST", ""), ("GET", "session=1")] {
        let answer = proxy.connect().request(method, "/x", &[("Cookie", cookie), ("Content-Length", "0")]);
        assert_eq!(answer.status, 508, "{method}: {answer}");
    }
    forebay_tests::assert_eventually!(proxy.access_log().len() == 6, "two for each");
}
