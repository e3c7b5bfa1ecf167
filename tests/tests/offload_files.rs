//! Files served from the root, without an AP server (rows 58, 60 and 61).

use std::fs;
use std::io::Write as _;
use std::path::Path;

use forebay_tests::{Origin, Proxy, Reply};

fn root(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn touch(path: &Path, seconds_ago: u64) {
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds_ago);
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn no_ap_server_sees_a_request_for_a_file() {
    let root = root(&[("a.css", b"a {}"), ("b/c.js", b"c()")]);
    let origin = Origin::answering(|_| Reply::ok("origin"));
    let proxy = Proxy::config().origin(&origin).root(root.path()).start();
    assert_eq!(proxy.get("/a.css").text(), "a {}");
    assert_eq!(proxy.get("/b/c.js?ver=6.1").text(), "c()");
    assert_eq!(proxy.connect_h2().get("/a.css").text(), "a {}");
    assert_eq!(origin.total(), 0);
    assert_eq!(proxy.get("/not-there.css").text(), "origin");
}

#[test]
fn content_types_are_those_of_the_names() {
    let root =
        root(&[("a.css", b""), ("a.js", b""), ("a.png", b""), ("a.svg", b""), ("a.woff2", b""), ("a.html", b"")]);
    let proxy = Proxy::config().root(root.path()).start();
    for (name, expected) in [
        ("a.css", "text/css"),
        ("a.js", "text/javascript"),
        ("a.png", "image/png"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("a.html", "text/html"),
    ] {
        let answer = proxy.get(&format!("/{name}"));
        assert!(answer.field("content-type").unwrap().starts_with(expected), "{name}: {answer}");
        assert_eq!(answer.field("content-length"), Some("0"), "{name}");
    }
}

#[test]
fn row_61_unknown_types_are_never_sniffed() {
    let root = root(&[("a.unknown-ext", b"<script>"), ("none", b"<html>")]);
    let proxy = Proxy::config().root(root.path()).start();
    for name in ["a.unknown-ext", "none"] {
        let answer = proxy.get(&format!("/{name}"));
        assert_eq!(answer.field("content-type"), Some("application/octet-stream"), "{answer}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{answer}");
    }
}

#[test]
fn index_file_answers_for_its_directory() {
    let root = root(&[("index.html", b"top"), ("sub/index.html", b"sub")]);
    let proxy = Proxy::config().root(root.path()).start();
    assert_eq!(proxy.get("/").text(), "top");
    assert_eq!(proxy.get("/sub/").text(), "sub");
    assert_eq!(proxy.get("/sub/index.html").text(), "sub");
}

#[test]
fn head_has_the_fields_of_get_and_no_content() {
    let root = root(&[("a.css", b"a {}")]);
    let proxy = Proxy::config().root(root.path()).start();
    let mut client = proxy.connect();
    let (get, head) = (client.get("/a.css"), client.request("HEAD", "/a.css", &[]));
    for name in ["content-length", "content-type", "etag", "last-modified"] {
        assert!(get.field(name).is_some(), "{name}");
        assert_eq!(get.field(name), head.field(name), "{name}");
    }
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn methods_other_than_get_and_head_do_not_touch_files() {
    let root = root(&[("a.css", b"a {}")]);
    let proxy = Proxy::config().root(root.path()).start();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = proxy.connect().request(method, "/a.css", &[("Content-Length", "0")]);
        assert_eq!(answer.status, 405, "{method}: {answer}");
        assert!(answer.field("allow").unwrap().contains("GET"), "{answer}");
    }
    assert_eq!(fs::read(root.path().join("a.css")).unwrap(), b"a {}");
}

#[test]
fn row_58_precompressed_file_is_chosen_by_preference() {
    let plain = b"body { color: red }".repeat(100);
    let brotli = {
        let mut out = Vec::new();
        brotli::BrotliCompress(&mut &plain[..], &mut out, &brotli::enc::BrotliEncoderParams::default()).unwrap();
        out
    };
    let (gz, zst) = (gzip(&plain), zstd::encode_all(&plain[..], 3).unwrap());
    let root = root(&[("a.css", &plain), ("a.css.gz", &gz), ("a.css.br", &brotli), ("a.css.zst", &zst)]);
    let proxy = Proxy::config().root(root.path()).site("compress = [\"br\", \"zstd\", \"gzip\"]").start();
    for (accept, coding, length) in [
        ("gzip", Some("gzip"), gz.len()),
        ("br", Some("br"), brotli.len()),
        ("zstd", Some("zstd"), zst.len()),
        ("gzip, br, zstd", Some("br"), brotli.len()),
        ("gzip;q=1, br;q=0.5, zstd;q=0.1", Some("gzip"), gz.len()),
        ("gzip;q=0, br;q=0, zstd", Some("zstd"), zst.len()),
        ("*;q=0", None, plain.len()),
        ("identity", None, plain.len()),
        ("deflate", None, plain.len()),
        ("", None, plain.len()),
    ] {
        let answer = proxy.get_with("/a.css", &[("Accept-Encoding", accept)]);
        if accept == "*;q=0" && answer.status == 406 {
            continue;
        }
        assert_eq!((answer.status, answer.field("content-encoding")), (200, coding), "{accept}: {answer}");
        assert_eq!(answer.body.len(), length, "{accept}");
        assert_eq!(answer.decoded(), plain, "{accept}");
        assert_eq!(answer.field("content-length"), Some(length.to_string().as_str()), "{accept}");
        assert!(answer.field("vary").unwrap().to_lowercase().contains("accept-encoding"), "{accept}: {answer}");
        assert!(answer.field("content-type").unwrap().starts_with("text/css"), "{accept}: {answer}");
    }
}

#[test]
fn row_58_codings_have_etags_of_their_own() {
    let plain = b"body { color: red }".repeat(100);
    let root = root(&[("a.css", &plain), ("a.css.gz", &gzip(&plain))]);
    let proxy = Proxy::config().root(root.path()).start();
    let (plain, coded) = (proxy.get("/a.css"), proxy.get_with("/a.css", &[("Accept-Encoding", "gzip")]));
    assert_eq!(coded.field("content-encoding"), Some("gzip"));
    assert_ne!(plain.field("etag").unwrap(), coded.field("etag").unwrap());
}

#[test]
fn row_58_precompressed_file_older_than_its_source_is_not_used() {
    let root = root(&[("a.css", b"new new new"), ("a.css.gz", &gzip(b"old"))]);
    touch(&root.path().join("a.css.gz"), 3600);
    let proxy = Proxy::config().root(root.path()).start();
    let answer = proxy.get_with("/a.css", &[("Accept-Encoding", "gzip")]);
    assert_eq!(answer.decoded(), b"new new new", "{answer}");
}

#[test]
fn row_58_precompressed_file_asked_for_by_name_is_itself() {
    let coded = gzip(b"content");
    let root = root(&[("a.css", b"content"), ("a.css.gz", &coded)]);
    let proxy = Proxy::config().root(root.path()).start();
    let answer = proxy.get_with("/a.css.gz", &[("Accept-Encoding", "gzip")]);
    assert_eq!((answer.field("content-encoding"), answer.body.as_slice()), (None, &coded[..]), "{answer}");
}

#[test]
fn row_60_coded_content_of_the_origin_is_passed_on_as_it_is() {
    let bomb = gzip(&vec![0; 64 << 20]);
    let coded = bomb.clone();
    let origin = Origin::answering(move |_| Reply::cacheable(coded.clone()).field("Content-Encoding", "gzip"));
    let proxy = Proxy::before(&origin);
    let before = proxy.resident_kib();
    for _ in 0..20 {
        let answer = proxy.get_with("/x", &[("Accept-Encoding", "gzip")]);
        assert_eq!(answer.field("content-encoding"), Some("gzip"));
        assert!(answer.body == bomb);
    }
    // A client that cannot decode it may get it all the same, or 406; nobody decodes it for him.
    let answer = proxy.get_with("/x", &[("Accept-Encoding", "identity")]);
    assert!(answer.status == 406 || answer.body == bomb, "{answer}");
    assert!(proxy.resident_kib() < before + 32 * 1024, "{} -> {} KiB", before, proxy.resident_kib());
}
