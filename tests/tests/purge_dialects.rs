//! Purges in the dialects of plugins and other caches: each client is driven by the bytes it sends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use forebay_tests::{Origin, Proxy, Reply, assert_eventually, forebay};

use crate::purge_engine::numbered;

/// Sends these bytes and reads to the end, as sockets of PHP do.
fn raw(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn status(answer: &str) -> u16 {
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn result(answer: &str) -> &str {
    let line = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("cache-purge-result: "));
    line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value.trim())
}

/// Paths that are stored, of those asked for.
fn stored(proxy: &Proxy, paths: &[&str]) -> Vec<String> {
    let is_stored = |path: &&&str| proxy.get_with(path, &[("Cache-Control", "only-if-cached")]).status == 200;
    paths.iter().filter(is_stored).map(|path| (*path).to_owned()).collect()
}

const PATHS: [&str; 5] = ["/", "/hello/", "/hello/?a=b", "/blog/x", "/blog/y"];

fn filled(site: &str) -> (Origin, Proxy) {
    let origin = numbered();
    let proxy = Proxy::config().origin(&origin).site(site).start();
    fill(&proxy);
    (origin, proxy)
}

fn fill(proxy: &Proxy) {
    for path in PATHS {
        proxy.get(path);
    }
    assert_eventually!(stored(proxy, &PATHS).len() == PATHS.len());
}

/// Everything else but these is still there after the request.
#[track_caller]
fn purges(proxy: &Proxy, request: &str, expected: u16, gone: &[&str]) -> String {
    fill(proxy);
    let answer = raw(proxy.http(), request);
    assert_eq!(status(&answer), expected, "{request}\n{answer}");
    let left: Vec<_> = PATHS.iter().filter(|path| !gone.contains(path)).map(|path| (*path).to_owned()).collect();
    assert_eq!(stored(proxy, &PATHS), left, "{request}");
    answer
}

#[test]
fn every_plugin_purges_by_what_it_sends() {
    let (_origin, proxy) = filled("purge = { allow = [\"127.0.0.1\"], get_path = \"/purge/\" }");
    let close = "Host: site.test\r\nConnection: close\r\n";
    // Proxy Cache Purge.
    let wp = format!("{close}User-Agent: WordPress/6.7; http://site.test\r\n");
    let answer =
        purges(&proxy, &format!("PURGE /hello/ HTTP/1.1\r\n{wp}X-Purge-Method: default\r\n\r\n"), 200, &["/hello/"]);
    assert_eq!(result(&answer), "exact; count=1");
    let blog = &["/blog/x", "/blog/y"][..];
    let answer = purges(&proxy, &format!("PURGE /blog/.* HTTP/1.1\r\n{wp}X-Purge-Method: regex\r\n\r\n"), 200, blog);
    assert_eq!(result(&answer), "wildcard; count=2");
    let answer = purges(&proxy, &format!("PURGE /* HTTP/1.1\r\n{wp}X-Purge-Method: default\r\n\r\n"), 200, &PATHS);
    assert_eq!(result(&answer), "all; count=5");
    let tags = "X-Purge-Method: tags\r\nX-Cache-Tags-Pattern: blog/x|nothing\r\n";
    let answer = purges(&proxy, &format!("PURGE / HTTP/1.1\r\n{wp}{tags}\r\n"), 200, &["/blog/x"]);
    assert_eq!(result(&answer), "tags; count=1");
    // W3 Total Cache.
    let w3 = "Host: site.test\r\nUser-Agent: W3 Total Cache/2.8.1\r\nConnection: close\r\n";
    purges(&proxy, &format!("PURGE /hello/?a=b HTTP/1.1\r\n{w3}\r\n"), 200, &["/hello/?a=b"]);
    purges(&proxy, &format!("PURGE /.* HTTP/1.1\r\n{w3}\r\n"), 200, &PATHS);
    purges(&proxy, &format!("PURGE /b(lo)?g/[xy]$ HTTP/1.1\r\n{w3}\r\n"), 200, blog);
    // vcaching: a page whatever its query, exactly one, all.
    let vc = "Host: site.test\r\nX-VC-Purge-Host: site.test\r\nConnection: close\r\n";
    let page = &["/hello/", "/hello/?a=b"][..];
    purges(&proxy, &format!("PURGE /hello/ HTTP/1.1\r\n{vc}X-VC-Purge-Method: default\r\n\r\n"), 200, page);
    purges(&proxy, &format!("PURGE /hello/ HTTP/1.1\r\n{vc}\r\n"), 200, page);
    purges(&proxy, &format!("PURGE /hello/ HTTP/1.1\r\n{vc}X-VC-Purge-Method: exact\r\n\r\n"), 200, &["/hello/"]);
    purges(&proxy, &format!("PURGE /.* HTTP/1.1\r\n{vc}X-VC-Purge-Method: regex\r\n\r\n"), 200, &PATHS);
    // Drupal; Breeze; Super Page Cache; nginx-helper; toolbox; xkey; Souin; Squid.
    purges(&proxy, &format!("BAN / HTTP/1.1\r\n{close}Cache-Tags: hello node:1\r\n\r\n"), 200, page);
    purges(&proxy, &format!("URLPURGE /hello/?a=b HTTP/1.1\r\n{close}\r\n"), 200, &["/hello/?a=b"]);
    purges(&proxy, &format!("PURGE /* HTTP/1.1\r\n{close}\r\n"), 200, &PATHS);
    purges(&proxy, &format!("GET /purge/hello/ HTTP/1.1\r\n{close}\r\n"), 200, &["/hello/"]);
    assert_eq!(status(&raw(proxy.http(), &format!("GET /purge/none/ HTTP/1.1\r\n{close}\r\n"))), 404);
    purges(&proxy, &format!("PURGE /purgeall HTTP/1.1\r\n{close}\r\n"), 200, &PATHS);
    purges(&proxy, &format!("PURGE /blog/* HTTP/1.1\r\n{close}\r\n"), 200, blog);
    purges(&proxy, &format!("BANDIR /blog/ HTTP/1.1\r\n{close}\r\n"), 200, blog);
    purges(&proxy, &format!("BANALL / HTTP/1.1\r\n{close}\r\n"), 200, &PATHS);
    purges(&proxy, &format!("PURGETAG / HTTP/1.1\r\n{close}purgetag-list: blog/x, blog/y\r\n\r\n"), 200, blog);
    let answer = purges(&proxy, &format!("PURGE / HTTP/1.1\r\n{close}xkey: blog/x blog/y\r\n\r\n"), 200, blog);
    assert!(answer.contains("Invalidated 2 objects"), "{answer}");
    let souin = format!("PURGE /souin-api/souin/ HTTP/1.1\r\n{close}Surrogate-Key: blog/x, blog/y\r\n\r\n");
    purges(&proxy, &souin, 200, blog);
    purges(&proxy, &format!("PURGE http://site.test/hello/ HTTP/1.1\r\n{close}\r\n"), 200, &["/hello/"]);
    let gone = raw(proxy.http(), &format!("PURGE http://site.test/none HTTP/1.1\r\n{close}\r\n"));
    assert_eq!(status(&gone), 404);
    assert_eq!(proxy.metric("forebay_purge_dialects_total", &["dialect=\"vcaching\""]), 4.0);
}

#[test]
fn a_site_says_what_a_bare_slash_and_a_missing_page_are() {
    let words = "purge = { key_header = \"X-VC-Purge-Key\", key_value = \"turns-the-wheel\", slash = \"host\", not_cached = 412 }";
    let (_origin, proxy) = filled(words);
    let head = "Host: site.test\r\nX-VC-Purge-Key: turns-the-wheel\r\n";
    let missing = raw(proxy.http(), &format!("PURGE /none?a HTTP/1.1\r\n{head}\r\n"));
    assert_eq!(status(&missing), 412);
    purges(
        &proxy,
        &format!("PURGE / HTTP/1.1\r\n{head}X-Cache-Tags: blog/x,blog/y\r\n\r\n"),
        200,
        &["/blog/x", "/blog/y"],
    );
    purges(&proxy, &format!("PURGE / HTTP/1.1\r\n{head}\r\n"), 200, &PATHS);
    purges(&proxy, &format!("PURGE /blog/ HTTP/1.1\r\n{head}X-Purge-Regex: .*\r\n\r\n"), 200, &["/blog/x", "/blog/y"]);
}

#[test]
fn who_has_no_right_gets_405_and_purges_nothing() {
    let words = "purge = { allow = [\"192.0.2.0/24\"], token = \"0123456789abcdef\", get_path = \"/purge/\" }";
    for (words, denied) in [(words, 11.0), ("", 10.0)] {
        let (origin, proxy) = filled(words);
        let requests = origin.total();
        for method in ["PURGE", "BAN", "URLPURGE", "PURGEALL", "BANALL", "BANDIR", "PURGETAG"] {
            let answer = raw(proxy.http(), &format!("{method} / HTTP/1.1\r\nHost: site.test\r\nxkey: all\r\n\r\n"));
            assert_eq!(status(&answer), 405, "{method}: {answer}");
        }
        for forged in ["Authorization: Bearer 0123456789abcdee", "X-Forwarded-For: 192.0.2.1", "Fastly-Key: x"] {
            let answer = raw(proxy.http(), &format!("PURGE /.* HTTP/1.1\r\nHost: site.test\r\n{forged}\r\n\r\n"));
            assert_eq!(status(&answer), 405, "{forged}");
        }
        if !words.is_empty() {
            let get = raw(proxy.http(), "GET /purge/hello/ HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n");
            assert_eq!(status(&get), 405);
        }
        assert_eq!(stored(&proxy, &PATHS), PATHS, "nothing was purged");
        assert_eq!(origin.total(), requests, "and nothing passed on");
        assert_eq!(proxy.metric("forebay_purge_denied_total", &["origin=\"site\""]), denied);
    }
}

#[test]
fn what_cannot_be_understood_is_a_clear_4xx_and_purges_nothing() {
    let (_origin, proxy) = filled("purge = { allow = [\"127.0.0.1\"] }");
    let regex = "X-Purge-Method: regex\r\n";
    let tags = |bytes: usize| format!("xkey: {}\r\n", "t".repeat(bytes));
    let many = format!("xkey: {}\r\n", "tag ".repeat(5000));
    for (target, fields, expected) in [
        ("/(", regex.to_owned(), 400),
        ("/a{9999}{9999}", regex.to_owned(), 400),
        ("/(?=a)", regex.to_owned(), 400),
        ("/[", String::new(), 400),
        ("/../x", String::new(), 400),
        ("/%zz", String::new(), 400),
        ("/", "X-Purge-Method: tags\r\n".to_owned(), 400),
        ("/", "X-Purge-Method: nonsense\r\n".to_owned(), 400),
        ("/", tags(100 << 10), 431),
        ("/", many, 200),
        ("/", "X-VC-Purge-Host: a b\r\n".to_owned(), 400),
    ] {
        let answer = raw(proxy.http(), &format!("PURGE {target} HTTP/1.1\r\nHost: site.test\r\n{fields}\r\n"));
        assert_eq!(status(&answer), expected, "{target} {}", &fields[..fields.len().min(60)]);
    }
    assert_eq!(stored(&proxy, &PATHS), PATHS);
    let unknown = raw(proxy.http(), "EXPUNGE / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n");
    assert!(status(&unknown) < 500, "passed on, as any method");
}

#[test]
fn the_admin_listener_speaks_them_all_and_fastlys_api() {
    let (_origin, proxy) = filled("hosts = [\"site.test\", \"other.test\"]");
    let admin = |request: &str| raw(proxy.admin(), request);
    let gone = |paths: &[&str]| {
        let left: Vec<_> = PATHS.iter().filter(|path| !paths.contains(path)).map(|path| (*path).to_owned()).collect();
        assert_eq!(stored(&proxy, &PATHS), left);
        fill(&proxy);
    };
    let answer = admin("PURGE /hello/ HTTP/1.1\r\nHost: site.test\r\nX-Purge-Method: default\r\n\r\n");
    assert_eq!((status(&answer), result(&answer)), (200, "exact; count=1"));
    gone(&["/hello/"]);
    assert_eq!(status(&admin("PURGE /blog/* HTTP/1.1\r\nHost: other.test\r\n\r\n")), 200);
    gone(&[]);
    assert_eq!(status(&admin("PURGE /blog/* HTTP/1.1\r\nHost: 127.0.0.1:6081\r\n\r\n")), 200, "all hosts");
    gone(&["/blog/x", "/blog/y"]);
    assert_eq!(status(&admin("PURGE http://site.test/hello/?a=b HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    gone(&["/hello/?a=b"]);
    let key = "Host: localhost\r\nFastly-Key: any\r\nContent-Length: 0\r\n";
    let answer = admin(&format!("POST /service/site.test/purge HTTP/1.1\r\n{key}Surrogate-Key: blog/x none\r\n\r\n"));
    assert!(status(&answer) == 200 && answer.contains("\"status\":\"ok\""), "{answer}");
    gone(&["/blog/x"]);
    assert_eq!(status(&admin(&format!("POST /service/abc/purge/hello HTTP/1.1\r\n{key}\r\n"))), 200);
    gone(&["/hello/", "/hello/?a=b"]);
    assert_eq!(status(&admin(&format!("POST /service/other.test/purge_all HTTP/1.1\r\n{key}\r\n"))), 200);
    gone(&[]);
    assert_eq!(status(&admin(&format!("POST /service/abc/purge_all HTTP/1.1\r\n{key}\r\n"))), 200);
    gone(&PATHS);
    for (request, expected) in [
        ("PURGE / HTTP/1.1\r\nHost: unknown.example\r\n\r\n", 404),
        ("POST /service/abc/purge_all HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 403),
        ("PURGE /.* HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", 403),
        ("PURGE /.* HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n", 403),
        ("POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415),
        ("POST /purge HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}", 421),
        ("GET /purge HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    ] {
        assert_eq!(status(&admin(request)), expected, "{request}");
    }
    gone(&[]);
}

#[test]
fn the_command_purges_by_the_admin_listener() {
    let origin = numbered();
    let proxy = Proxy::config().origin(&origin).admin("token = \"0123456789abcdef\"").start();
    fill(&proxy);
    let admin = proxy.admin().to_string();
    let run = |arguments: &[&str]| {
        let all = [&["purge", "--admin", &admin, "--token", "0123456789abcdef"], arguments].concat();
        forebay(&all)
    };
    let outcome = run(&["--tag", "blog/x", "--tag", "blog/y", "--dry-run"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(0), "tags: would be purged; 2 stored responses found at once\n")
    );
    assert_eq!(stored(&proxy, &PATHS), PATHS);
    let outcome = run(&["http://site.test/hello/?a=b"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "exact: purged; 1 stored responses found at once\n"));
    assert_eq!(run(&["--prefix", "https://site.test/blog/"]).code, Some(0));
    assert_eq!(stored(&proxy, &PATHS), ["/", "/hello/"]);
    assert_eq!(run(&["--regex", "/hel+o", "--host", "other.test"]).code, Some(0));
    assert_eq!(stored(&proxy, &PATHS), ["/", "/hello/"], "another host");
    assert_eq!(run(&["--host", "site.test", "--soft"]).code, Some(0));
    fill(&proxy);
    assert_eq!(run(&["--all"]).code, Some(0));
    assert_eq!(stored(&proxy, &PATHS).len(), 0);
    let broken = run(&["--regex", "("]);
    assert!(broken.code == Some(1) && broken.stderr.contains("not a regular expression"), "{}", broken.stderr);
    assert_eq!(forebay(&["purge", "--admin", &admin, "--all"]).code, Some(1), "without the token");
    assert_eq!(forebay(&["purge", "--admin", "127.0.0.1:1", "--all"]).code, Some(2), "nobody there");
    assert_eq!(forebay(&["purge"]).code, Some(2), "what?");
}

#[test]
fn tags_are_for_the_cache_and_not_for_visitors() {
    let origin = Origin::answering(|request| {
        assert_eq!(request.field("Surrogate-Capability").as_deref(), Some("forebay=\"Surrogate/1.0 tags/1\""));
        let flood: Vec<String> = (0..10_000).map(|n| format!("tag-{n:05}")).collect();
        let reply = Reply::cacheable("x").field("Surrogate-Key", "a b").field("X-Cache-Tags", "c");
        if request.path() == "/flood" { reply.field("Cache-Tag", flood.join(",")) } else { reply }
    });
    for keeps in [false, true] {
        let words = format!("keep_tags = {keeps}\nsurrogate_capability = true\npurge = {{ allow = [\"127.0.0.1\"] }}");
        let proxy = Proxy::config().origin(&origin).site(&words).start();
        let forged = [("Surrogate-Capability", "evil=\"1\""), ("Surrogate-Key", "forged")];
        for answer in [proxy.get_with("/x", &forged), proxy.get("/x"), proxy.get("/x"), proxy.connect_tls().get("/x")] {
            assert_eq!(answer.field("surrogate-key").is_some(), keeps, "{answer}");
            assert_eq!(answer.field("x-cache-tags").is_some(), keeps, "{answer}");
        }
        let purge =
            |tag: &str| raw(proxy.http(), &format!("PURGE / HTTP/1.1\r\nHost: site.test\r\nxkey: {tag}\r\n\r\n"));
        assert_eq!(result(&purge("forged")), "tags; count=0", "what a client says is nothing");
        assert_eq!(result(&purge("c")), "tags; count=2", "on both schemes");
        assert_eq!(
            (proxy.get("/flood").status, proxy.get("/flood").cache()),
            (200, "HIT"),
            "110 KiB of tags do not hurt"
        );
        assert_eq!(result(&purge("tag-09999")), "tags; count=1", "what was left out is purged by any");
    }
}

#[test]
fn lscache_drives_the_cache_by_fields_of_responses() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let origin = Origin::answering(move |request| {
        assert_eq!(request.field("X-LSCACHE").as_deref(), Some("on"));
        let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_string();
        let page = || {
            Reply::ok(n.clone())
                .field("Cache-Control", "no-cache, must-revalidate")
                .field("X-LiteSpeed-Cache-Control", "public,max-age=604800")
        };
        match request.path() {
            "/post" => page().field("X-LiteSpeed-Tag", "a1_Po.12,a1_"),
            "/front" => page().field("X-LiteSpeed-Tag", "a1_F,a1_"),
            "/cart" => page().field("X-LiteSpeed-Vary", "cookie=wishlist"),
            "/mine" => {
                Reply::ok(n).field("X-LiteSpeed-Cache-Control", "private,max-age=9").field("Cache-Control", "public")
            }
            "/save" => {
                Reply::ok(n).field("X-LiteSpeed-Purge", "public,a1_Po.12;private,*").field("Cache-Control", "no-store")
            }
            "/soft" => Reply::ok(n).field("X-LiteSpeed-Purge", "public,stale,a1_F").field("Cache-Control", "no-store"),
            _ => Reply::ok(n).field("X-LiteSpeed-Purge", "*").field("Cache-Control", "no-store"),
        }
    });
    let proxy = Proxy::config().origin(&origin).site("litespeed = true").start();
    let cache = |path: &str| {
        let answer = proxy.get(path);
        assert!(answer.field("x-litespeed-tag").or_else(|| answer.field("x-litespeed-purge")).is_none(), "{answer}");
        assert!(answer.field("x-litespeed-cache-control").is_none(), "{answer}");
        assert_eq!(answer.field("x-litespeed-cache") == Some("hit"), matches!(answer.cache(), "HIT" | "STALE"));
        answer.cache().to_owned()
    };
    assert_eq!(["/post", "/post", "/front", "/front"].map(cache), ["MISS", "HIT", "MISS", "HIT"]);
    assert_eq!(["/mine", "/mine", "/cart", "/cart"].map(cache), ["MISS"; 4]);
    assert_eq!(proxy.get("/cart").field("cache-status").map(|said| said.contains("litespeed-vary")), Some(true));
    assert_eq!(proxy.get_with("/post", &[("Cookie", "_lscache_vary=role")]).cache(), "PASS");
    assert_eq!(["/save", "/post", "/front"].map(cache), ["MISS", "MISS", "HIT"], "a post was saved");
    assert_eq!(proxy.connect().request("POST", "/soft", &[("Content-Length", "0")]).status, 200);
    assert_eq!(cache("/post"), "HIT");
    assert_ne!(cache("/front"), "HIT", "stale, and not to be used without the origin");
    assert_eq!(["/all", "/post"].map(cache), ["MISS", "MISS"]);
    assert_eq!(proxy.get_with("/post", &[("X-LiteSpeed-Purge", "*")]).cache(), "HIT", "a client says nothing");
    assert_eq!(proxy.metric("forebay_purges_total", &["origin=\"upstream\"", "kind=\"tag\""]), 2.0);
}
