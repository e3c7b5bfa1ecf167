//! Who may at all: addresses, passwords, and how much they may send.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use forebay_tests::client_h1::{Client, head};
use forebay_tests::{Answer, Origin, Proxy, ProxyConfig, Reply, assert_eventually};

fn from(proxy: &Proxy, host: u8) -> Client {
    Client::connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), proxy.http())
}

/// A line for a user, made by Apache's own tool.
fn user(name: &str, password: &str) -> String {
    let made = Command::new("htpasswd").args(["-nbB", "-C", "4", name, password]).output().unwrap();
    assert!(made.status.success(), "run scripts/setup.sh test");
    String::from_utf8(made.stdout).unwrap().trim().to_owned() + "\n"
}

/// An origin that says which `Authorization` it saw.
fn origin() -> Origin {
    Origin::answering(|request| {
        let seen = request.field("authorization").unwrap_or_else(|| "nothing".to_owned());
        let reply = Reply::ok(seen);
        match request.path() {
            "/public" => reply.field("Cache-Control", "public, max-age=60"),
            _ => reply.field("Cache-Control", "max-age=60"),
        }
    })
}

/// A proxy with passwords for its site; `words` are further ones of `auth`.
fn guarded(origin: &Origin, words: &str, users: &Path) -> Proxy {
    let auth = format!("auth = {{ file = {users:?}{words} }}");
    ProxyConfig::new().origin(origin).site(&auth).start()
}

const ALICE: (&str, &str) = ("Authorization", "Basic YWxpY2U6c2VjcmV0"); // alice:secret
const MALLORY: (&str, &str) = ("Authorization", "Basic YWxpY2U6Z3Vlc3M="); // alice:guess
const NOBODY: (&str, &str) = ("Authorization", "Basic bm9ib2R5OnNlY3JldA=="); // nobody:secret

fn detail(answer: &Answer) -> &str {
    answer.cache_status().split("detail=").nth(1).unwrap_or_default()
}

#[test]
fn the_first_rule_that_matches_decides_by_address_and_path() {
    let origin = origin();
    let rules = "access = [{ path = \"/admin/\", allow = [\"127.0.0.2\"] }, { path = \"/admin/\", deny = [\"all\"] }, \
                 { deny = [\"127.0.0.3\"] }]";
    let proxy = ProxyConfig::new().origin(&origin).site(rules).start();
    let ask = |host, target: &str| from(&proxy, host).get(target).status;
    assert_eq!((ask(2, "/admin/"), ask(4, "/admin/"), ask(4, "/x"), ask(3, "/x")), (200, 403, 200, 403));
    for spelling in ["//admin/", "/%61dmin/", "/admin//x", "//admin//"] {
        assert_eq!(ask(4, spelling), 403, "{spelling}");
    }
    // What the one has filled the cache with is not for the other.
    assert_eq!((ask(2, "/admin/page"), ask(4, "/admin/page")), (200, 403));
    assert_eq!(detail(&from(&proxy, 3).get("/x")), "access-denied");
    assert_eq!(from(&proxy, 3).get("/x").field("x-cache"), Some("ERROR"));
}

#[test]
fn rfc7617_a_password_is_asked_for_and_verified() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("htpasswd");
    std::fs::write(&users, user("bob", "x") + &user("alice", "secret")).unwrap();
    let origin = origin();
    let proxy = guarded(&origin, ", realm = \"Staff only\"", &users);
    let without = proxy.get("/x");
    assert_eq!((without.status, detail(&without)), (401, "auth-required"));
    assert_eq!(without.field("www-authenticate"), Some("Basic realm=\"Staff only\", charset=\"UTF-8\""));
    let mut client = proxy.connect();
    for wrong in [MALLORY, NOBODY, ("Authorization", "Bearer x"), ("Authorization", "Basic !")] {
        assert_eq!(client.request("GET", "/x", &[wrong]).status, 401, "{wrong:?}");
    }
    // Kept from the AP server, and not for others although it could be stored.
    for _ in 0..2 {
        let answer = client.request("GET", "/x", &[ALICE]);
        assert_eq!((answer.status, answer.text(), answer.cache()), (200, "nothing", "PASS"), "{answer}");
    }
    assert_eq!(client.get("/x").status, 401);
    assert_eq!(origin.count("/x"), 2);
    assert_eventually!(proxy.metric("forebay_limited_requests_total", &["reason=\"auth-failed\""]) == 2.0);
}

#[test]
fn rfc9111_3_5_what_is_public_is_shared_among_those_who_may_see_it() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("htpasswd");
    std::fs::write(&users, user("alice", "secret")).unwrap();
    let origin = origin();
    let proxy = guarded(&origin, ", forward = true", &users);
    let first = proxy.get_with("/public", &[ALICE]);
    assert_eq!((first.status, first.text()), (200, ALICE.1));
    assert_eq!(proxy.get_with("/public", &[ALICE]).cache(), "HIT");
    assert_eq!(proxy.get("/public").status, 401);
    assert_eq!(proxy.get_with("/public", &[MALLORY]).status, 401);
    assert_eq!(origin.total(), 1);
}

#[test]
fn files_are_guarded_too() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("htpasswd");
    std::fs::write(&users, user("alice", "secret")).unwrap();
    let root = directory.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("a.txt"), "file").unwrap();
    let auth = format!("auth = {{ file = {users:?} }}\n[[site.route]]\npath = \"/open/\"\nauth = \"off\"");
    let origin = origin();
    let proxy = ProxyConfig::new().origin(&origin).root(&root).site(&auth).start();
    assert_eq!((proxy.get("/a.txt").status, proxy.get_with("/a.txt", &[ALICE]).text()), (401, "file"));
    assert_eq!((proxy.get("/open/x").status, proxy.get("//a.txt").status), (200, 401));
}

#[test]
fn users_are_read_again_by_a_reload() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("htpasswd");
    std::fs::write(&users, user("alice", "secret")).unwrap();
    let proxy = guarded(&origin(), "", &users);
    assert_eq!(proxy.get_with("/x", &[ALICE]).status, 200);
    std::fs::write(&users, user("alice", "changed")).unwrap();
    proxy.signal(rustix::process::Signal::HUP);
    assert_eventually!(proxy.get_with("/x", &[ALICE]).status == 401);
}

#[test]
fn verifying_passwords_holds_nobody_else_up() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("htpasswd");
    // A cost that takes a good part of a second.
    let made = Command::new("htpasswd").args(["-nbB", "-C", "12", "alice", "secret"]).output().unwrap();
    std::fs::write(&users, made.stdout).unwrap();
    let auth = format!("cache = \"on\"\n[[site.route]]\npath = \"/staff/\"\nauth = {{ file = {users:?} }}");
    let origin = Origin::answering(|_| Reply::cacheable("served"));
    let proxy = ProxyConfig::new().origin(&origin).server("threads = 1").site(&auth).start();
    assert_eq!(proxy.get("/x").status, 200);
    let mut guessing: Vec<Client> = (0..200).map(|_| proxy.connect()).collect();
    for (index, client) in guessing.iter_mut().enumerate() {
        // Each another password: nothing is known of any of them.
        let name = format!("Basic YWxpY2U6{}", ["AAAA", "AAAB", "AABA", "ABAA"][index % 4].repeat(1 + index / 4));
        client.send(head("GET", "/staff/x", &[("Authorization", &name)]));
    }
    for _ in 0..50 {
        assert_eq!(proxy.get("/x").cache(), "HIT");
    }
    // The queue is short: most are told to come again.
    assert_eventually!(proxy.metric("forebay_limited_requests_total", &["reason=\"auth-busy\""]) >= 100.0);
}

#[test]
fn request_content_is_bounded_by_site_and_route() {
    let words = "body_size = 10\n[[site.route]]\npath = \"/upload/\"\nbody_size = \"1MiB\"";
    let origin = Origin::answering(|_| Reply::ok("served"));
    let proxy = ProxyConfig::new().origin(&origin).limits("body_size = 100").site(words).start();
    let post = |target: &str, length: usize| {
        let body = "x".repeat(length);
        let head = format!("POST {target} HTTP/1.1\r\nHost: site.test\r\nContent-Length: {length}\r\n\r\n{body}");
        proxy.send_raw(head).0.unwrap().status
    };
    assert_eq!((post("/x", 10), post("/x", 11), post("/upload/x", 5000)), (200, 413, 200));
    let chunked = "POST /x HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   b\r\nhello world\r\n0\r\n\r\n";
    assert_eq!(proxy.send_raw(chunked).0.unwrap().status, 413);
}
