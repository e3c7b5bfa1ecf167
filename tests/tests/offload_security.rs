//! Files that must never be served, and ways to ask for them (rows 53 to 57).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forebay_tests::{Origin, Proxy, ReadError, Reply};

const SECRET: &str = "the secret outside";

/// A static site: `index.html` within its root, `secret.txt` beside the root.
struct Tree {
    directory: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secret.txt"), SECRET).unwrap();
        fs::create_dir_all(directory.path().join("root/sub")).unwrap();
        let tree = Self { directory };
        tree.file("index.html", "index");
        tree.file("sub/page.html", "page");
        tree
    }

    fn root(&self) -> std::path::PathBuf {
        self.directory.path().join("root")
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn proxy(&self) -> Proxy {
        Proxy::config().root(&self.root()).start()
    }
}

fn get(proxy: &Proxy, target: impl AsRef<[u8]>) -> forebay_tests::Answer {
    let target = target.as_ref();
    let bytes = [b"GET ", target, b" HTTP/1.1\r\nHost: site.test\r\n\r\n"].concat();
    proxy.send_raw(bytes).0.unwrap_or_else(|error| panic!("{}: {error:?}", String::from_utf8_lossy(target)))
}

#[test]
fn row_53_traversal_never_leaves_the_root() {
    let tree = Tree::new();
    let proxy = tree.proxy();
    for target in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/%252e%252e/secret.txt",
        "/sub/../../secret.txt",
        "/sub/..;/../secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%u002e%u002e/secret.txt",
        "//etc/passwd",
        "///etc/passwd",
        "/sub/%2f..%2f..%2fsecret.txt",
        "/.%2e/secret.txt",
        "/sub/./.././../secret.txt",
        "/....//secret.txt",
        "/sub/%2e%2e/%2e%2e/etc/passwd",
    ] {
        let answer = get(&proxy, target);
        assert!(matches!(answer.status, 400 | 403 | 404), "{target}: {answer}");
        assert!(!answer.text().contains(SECRET) && !answer.text().contains("root:"), "{target}: {answer}");
    }
}

#[test]
fn row_54_nul_control_and_malformed_utf_8_are_refused() {
    let tree = Tree::new();
    let proxy = tree.proxy();
    for target in
        ["/index.html%00", "/index.html%00.png", "/%0aindex.html", "/%0d%0a", "/%7f", "/%1b", "/%", "/%4", "/%zz"]
    {
        assert_eq!(get(&proxy, target).status, 400, "{target}");
    }
    assert_eq!(get(&proxy, b"/\xff").status, 400);
    for target in ["/%c0%af", "/%ff", "/%e0%80%af"] {
        assert!(matches!(get(&proxy, target).status, 400 | 404), "{target}");
    }
}

#[test]
fn row_55_symlink_out_of_the_root_is_not_followed() {
    let tree = Tree::new();
    symlink(tree.directory.path().join("secret.txt"), tree.root().join("absolute.txt")).unwrap();
    symlink("../secret.txt", tree.root().join("relative.txt")).unwrap();
    symlink("..", tree.root().join("up")).unwrap();
    symlink("/proc/self/root/etc", tree.root().join("magic")).unwrap();
    let proxy = tree.proxy();
    for target in ["/absolute.txt", "/relative.txt", "/up/secret.txt", "/magic/passwd"] {
        assert_eq!(get(&proxy, target).status, 404, "{target}");
    }
}

#[test]
fn row_55_directory_swapped_for_a_symlink_never_leaks() {
    let tree = Tree::new();
    let outside = tree.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("page.html"), SECRET).unwrap();
    let proxy = tree.proxy();
    let (sub, kept, link) = (tree.root().join("sub"), tree.root().join("kept"), tree.root().join("link"));
    symlink(&outside, &link).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                fs::rename(&sub, &kept).unwrap();
                fs::rename(&link, &sub).unwrap();
                fs::rename(&sub, &link).unwrap();
                fs::rename(&kept, &sub).unwrap();
            }
        });
        let (start, mut served, mut client) = (Instant::now(), 0, proxy.connect());
        while start.elapsed() < Duration::from_secs(3) {
            let answer = client.get("/sub/page.html");
            assert!(matches!(answer.status, 200 | 404), "{answer}");
            assert!(!answer.text().contains(SECRET), "leaked after {served}");
            served += usize::from(answer.status == 200);
        }
        over.store(true, Ordering::Relaxed);
        assert!(served > 0, "the race was never run");
    });
}

#[test]
fn row_56_hidden_and_sensitive_files_are_never_served() {
    let tree = Tree::new();
    let names = [
        ".git/config",
        ".htaccess",
        ".env",
        "sub/.hidden",
        "wp-config.php",
        "wp-config.php.bak",
        "wp-config.txt",
        "wp-config-sample.php",
        "page.php",
        "page.phtml",
        "page.PHP",
        "page.php5",
        "page.phar",
        "page.inc",
        "dump.sql",
        "dump.sql.gz",
        "debug.log",
        "page.html~",
        "page.html.bak",
        "page.html.orig",
        "page.swp",
        "page.html.old",
    ];
    names.iter().for_each(|name| tree.file(name, SECRET));
    let proxy = tree.proxy();
    for name in names {
        let answer = get(&proxy, format!("/{name}"));
        assert!(matches!(answer.status, 403 | 404), "{name}: {answer}");
        assert!(!answer.text().contains(SECRET), "{name}: {answer}");
    }
    for target in ["/%2egit/config", "/page%2ephp", "/page.php/", "/page.php/x.css", "/page.php%20", "/wp%2dconfig.php"]
    {
        assert!(!get(&proxy, target).text().contains(SECRET), "{target}");
    }
}

#[test]
fn row_56_php_goes_to_the_ap_server_and_dotfiles_do_not() {
    let tree = Tree::new();
    tree.file("page.php", SECRET);
    tree.file(".env", SECRET);
    let origin = Origin::answering(|request| Reply::ok(format!("made by PHP: {}", request.target)));
    let proxy = Proxy::config().origin(&origin).root(&tree.root()).start();
    assert_eq!(get(&proxy, "/page.php?a=b").text(), "made by PHP: /page.php?a=b");
    assert_eq!(get(&proxy, "/index.html").text(), "index");
    assert!(!get(&proxy, "/.env").text().contains(SECRET));
    assert_eq!(origin.count("/index.html"), 0);
}

#[test]
fn row_56_well_known_is_no_dotfile() {
    let tree = Tree::new();
    tree.file(".well-known/acme-challenge/token", "proof");
    assert_eq!(get(&tree.proxy(), "/.well-known/acme-challenge/token").text(), "proof");
}

#[test]
fn row_56_fifo_and_socket_never_block_a_worker() {
    let tree = Tree::new();
    let status = std::process::Command::new("mkfifo").arg(tree.root().join("fifo.txt")).status().unwrap();
    assert!(status.success());
    let _socket = std::os::unix::net::UnixListener::bind(tree.root().join("socket.txt")).unwrap();
    let proxy = tree.proxy();
    for _ in 0..8 {
        for target in ["/fifo.txt", "/socket.txt"] {
            let mut client = proxy.connect();
            client.set_patience(Duration::from_secs(1));
            assert_eq!(client.get(target).status, 404, "{target}");
        }
    }
    assert_eq!(get(&proxy, "/index.html").text(), "index");
}

#[test]
fn row_56_directory_is_never_listed() {
    let tree = Tree::new();
    let proxy = tree.proxy();
    let answer = get(&proxy, "/sub/");
    assert!(matches!(answer.status, 403 | 404), "{answer}");
    let answer = get(&proxy, "/sub");
    assert!(matches!(answer.status, 301 | 404), "{answer}");
}

#[test]
fn row_57_file_that_shrinks_ends_the_connection() {
    let tree = Tree::new();
    let path = tree.root().join("large.bin");
    fs::write(&path, vec![b'a'; 32 << 20]).unwrap();
    let proxy = tree.proxy();
    let mut client = proxy.connect().with_small_receive_buffer();
    client.send("GET /large.bin HTTP/1.1\r\nHost: site.test\r\n\r\n");
    let head = client.read_head().unwrap();
    assert_eq!(head.field("content-length"), Some("33554432"));
    truncate(&path, 1 << 20);
    let rest = client.read_to_end();
    assert!(rest.len() < 32 << 20, "padded to {}", rest.len());
    assert!(rest.iter().all(|byte| *byte == b'a'), "something else was mixed in");
}

#[test]
fn row_57_file_replaced_while_it_is_sent_is_sent_as_it_was() {
    let tree = Tree::new();
    let path = tree.root().join("large.bin");
    fs::write(&path, vec![b'a'; 16 << 20]).unwrap();
    let proxy = tree.proxy();
    let mut client = proxy.connect().with_small_receive_buffer();
    client.send("GET /large.bin HTTP/1.1\r\nHost: site.test\r\n\r\n");
    let mut answer = client.read_head().unwrap();
    let new = tree.root().join("large.new");
    fs::write(&new, vec![b'b'; 16 << 20]).unwrap();
    fs::rename(&new, &path).unwrap();
    answer.body = client.read_exactly(16 << 20);
    assert!(answer.body.iter().all(|byte| *byte == b'a'));
    assert_ne!(proxy.get("/large.bin").field("etag"), answer.field("etag"));
}

#[test]
fn row_57_shrunken_file_is_no_whole_answer_in_h2() {
    let tree = Tree::new();
    let path = tree.root().join("large.bin");
    fs::write(&path, vec![b'a'; 32 << 20]).unwrap();
    let proxy = tree.proxy();
    let mut client = proxy.connect_h2();
    let pending = client.start("GET", "/large.bin", &[], true);
    // Nothing is read before this: flow control holds most of the file back.
    truncate(&path, 1 << 20);
    match client.finish(pending) {
        Err(ReadError::Reset(_) | ReadError::Closed) => {}
        Ok(answer) => assert_eq!(answer.body.len(), 1 << 20, "truncated before it was opened"),
        Err(other) => panic!("{other:?}"),
    }
}

fn truncate(path: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}
