//! Files that were sent a moment ago are held open, and what is answered of them is what the long way would answer.

use std::fs;
use std::path::Path;

use forebay_tests::client_h1::head;
use forebay_tests::{Answer, Proxy, assert_eventually};
use tempfile::TempDir;

const FILES: [(&str, usize); 5] =
    [("small.png", 4000), ("large.png", 300_000), ("style.css", 5000), ("built.js", 5000), ("empty.txt", 0)];

const FIELDS: [&[(&str, &str)]; 8] = [
    &[],
    &[("Accept-Encoding", "gzip")],
    &[("Accept-Encoding", "gzip, br"), ("User-Agent", "someone"), ("Cookie", "wordpress_logged_in=1")],
    &[("If-None-Match", "*")],
    &[("If-None-Match", "\"other\"")],
    &[("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")],
    &[("Range", "bytes=10-19")],
    &[("Cache-Control", "no-transform"), ("Accept-Encoding", "gzip")],
];

/// A root with [`FILES`], old enough to be held.
fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, length) in FILES {
        fs::write(root.path().join(name), content(name, length)).unwrap();
    }
    fs::write(root.path().join("built.js.br"), "made by a build").unwrap();
    settle(&root.path().join("built.js.br"));
    root
}

fn content(name: &str, length: usize) -> Vec<u8> {
    name.bytes().cycle().take(length).collect()
}

/// A file that was changed within the last second may change again without its times telling.
fn settle(path: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let changed = fs::metadata(path).unwrap().ctime();
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eventually!(now() > changed as u64 + 2);
}

fn exchange(proxy: &Proxy, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
    let mut client = proxy.connect();
    client.send(head(method, target, fields));
    client.read_response_to(method).unwrap()
}

/// The field lines in an order of their own, without the time.
fn said(answer: &Answer) -> Vec<String> {
    let text = answer.to_string();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines: Vec<_> = head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
    lines.sort();
    lines.push(body.to_owned());
    lines
}

#[test]
fn files_that_are_held_are_answered_as_by_the_long_way() {
    let root = root();
    let proxy = Proxy::config().root(root.path()).start();
    for method in ["GET", "HEAD"] {
        for (name, _) in FILES {
            for fields in FIELDS {
                let long: Vec<_> = fields.iter().copied().chain([("TE", "trailers")]).collect();
                let target = format!("/{name}");
                // The first makes what the second is answered by.
                let unconditional: Vec<_> =
                    fields.iter().copied().filter(|(name, _)| *name == "Accept-Encoding").collect();
                exchange(&proxy, "GET", &target, &unconditional);
                exchange(&proxy, method, &target, fields);
                let (short, long) =
                    (exchange(&proxy, method, &target, fields), exchange(&proxy, method, &target, &long));
                assert_eq!(said(&short), said(&long), "{method} {target} {fields:?}");
                assert!(short.field("date").is_some(), "{short}");
            }
        }
    }
}

#[test]
fn a_file_that_changes_is_sent_as_it_is_now() {
    let root = root();
    let proxy = Proxy::config().root(root.path()).start();
    let files = [("small.png", 4000), ("large.png", 300_000), ("style.css", 5000)];
    let path = |name: &str| root.path().join(name);
    let get = |name: &str| exchange(&proxy, "GET", &format!("/{name}"), &[("Accept-Encoding", "gzip")]);
    let tag = |name: &str| get(name).field("etag").unwrap().to_owned();
    let held = |name: &str| {
        settle(&path(name));
        assert_eq!((get(name).status, get(name).status), (200, 200));
        tag(name)
    };
    let changes: [fn(&Path, Vec<u8>); 2] = [
        |path, new| fs::write(path, new).unwrap(),
        |path, new| {
            let beside = path.with_extension("new");
            fs::write(&beside, new).unwrap();
            fs::rename(beside, path).unwrap();
        },
    ];
    for change in changes {
        for (name, length) in files {
            let before = held(name);
            change(&path(name), content("other", length));
            assert_ne!(tag(name), before, "{name}");
        }
    }
    for (name, _) in files {
        held(name);
        fs::remove_file(path(name)).unwrap();
        assert_eq!(get(name).status, 404, "{name}");
    }
}

#[test]
fn a_large_file_arrives_whole_and_in_parts() {
    let root = root();
    let length = 5_000_000;
    let expected = content("huge", length);
    fs::write(root.path().join("huge.zip"), &expected).unwrap();
    settle(&root.path().join("huge.zip"));
    for sendfile in ["sendfile = true", "sendfile = false"] {
        let proxy = Proxy::config().root(root.path()).site(sendfile).start();
        for _ in 0..3 {
            for mut client in [proxy.connect(), proxy.connect_tls()] {
                // Pipelined: what follows must not be mixed up with what the kernel sends.
                client.send(head("GET", "/huge.zip", &[]));
                client.send(head("GET", "/small.png", &[]));
                client.send(head("GET", "/huge.zip", &[("Range", "bytes=-100000")]));
                let whole = client.read_response();
                assert_eq!((whole.status, whole.body == expected), (200, true), "{sendfile}");
                assert_eq!(client.read_response().body, content("small.png", 4000));
                let part = client.read_response();
                assert_eq!((part.status, part.body == expected[length - 100_000..]), (206, true), "{sendfile}");
            }
        }
    }
}

#[test]
fn a_held_file_that_shrinks_while_it_is_sent_ends_the_connection() {
    for sendfile in ["sendfile = true", "sendfile = false"] {
        let root = root();
        let path = root.path().join("huge.zip");
        fs::write(&path, vec![b'a'; 32 << 20]).unwrap();
        settle(&path);
        let proxy = Proxy::config().root(root.path()).site(sendfile).start();
        assert_eq!(proxy.get("/huge.zip").body.len(), 32 << 20);
        let mut client = proxy.connect().with_small_receive_buffer();
        client.send(head("GET", "/huge.zip", &[]));
        assert_eq!(client.read_head().unwrap().field("content-length"), Some("33554432"));
        fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
        let rest = client.read_to_end();
        assert!(rest.len() < 32 << 20, "{sendfile}: {}", rest.len());
        assert_eq!(proxy.get("/small.png").status, 200);
    }
}

#[test]
fn a_removed_file_is_let_go_without_another_request() {
    let root = root();
    let proxy = Proxy::config().root(root.path()).start();
    let path = root.path().join("large.png");
    for _ in 0..3 {
        assert_eq!(proxy.get("/large.png").status, 200);
    }
    fs::remove_file(&path).unwrap();
    assert_eventually!(!proxy.open_files().iter().any(|open| open.to_string_lossy().contains("large.png")));
}
