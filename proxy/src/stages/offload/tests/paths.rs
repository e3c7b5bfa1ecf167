//! Paths with more than one reading: rows of the attack catalogue on traversal and on bytes that no path should have.

use super::super::resolve::{Target, resolve};
use super::*;

#[tokio::test]
async fn traversal_in_any_encoding_is_400() {
    let site = Site::new(&[("a/style.css", "inside")]);
    let attacks = [
        "/..",
        "/../",
        "/../outside/secret.txt",
        "/a/../style.css",
        "/a/..",
        "/%2e%2e/outside/secret.txt",
        "/%2E%2e/",
        "/.%2e/",
        "/%2e%2e%2foutside/secret.txt",
        "/..%2foutside",
        "/..%5coutside",
        "/..\\outside",
        "/a\\b",
        "/a%5Cb",
        "/%252e%252e/outside/secret.txt",
        "/%25252e/",
        "/a%252fb",
        "/a%255cb",
        "/a%2500",
        "/a/..;/style.css",
        "/a/..;x=1/style.css",
        "/a/.;/style.css",
        "/a/;x/style.css",
        "/a/./style.css",
        "/a/%2e/style.css",
        "/.",
        "//etc/passwd",
        "//",
        "//a//style.css",
        "/a//../style.css",
        "/x/%2f..%2f",
        "/a%2Fstyle.css",
    ];
    for attack in attacks {
        assert_eq!(outcome(&site.get(attack).await), 400, "{attack}");
        assert_eq!(outcome(&site.ask(Method::GET, attack, &[], true).await), 400, "{attack}");
    }
}

#[tokio::test]
async fn nul_control_characters_and_bad_utf_8_are_400() {
    let site = Site::new(&[("a", "inside")]);
    let attacks: [&[u8]; 14] = [
        b"/a%00",
        b"/a%00.css",
        b"/a%0a",
        b"/a%0d%0aX:1",
        b"/a%7f",
        b"/a%c2%85",
        b"/a\x01",
        b"/\xff",
        b"/%ff",
        b"/%c0%ae%c0%ae/",
        b"/%e0%80%ae",
        b"/%ed%a0%80",
        b"/a?b",
        b"/a#b",
    ];
    for attack in attacks {
        let offload = offload(&site.root, &Method::GET, attack, &HeaderMap::new(), false).await;
        assert_eq!(outcome(&offload), 400, "{}", attack.escape_ascii());
    }
}

#[test]
fn incomplete_escapes_and_other_targets_are_400() {
    for path in ["/%", "/%2", "/%zz", "/%+1", "", "a", "*", "http://h/a"] {
        assert_eq!(resolve(path.as_bytes()), Err(StatusCode::BAD_REQUEST), "{path}");
    }
}

#[test]
fn paths_are_decoded_once() {
    let resolved = |path: &str| resolve(path.as_bytes()).unwrap();
    let file = |path: &str| Target { path: path.to_owned(), directory: false, empty_segment: false };
    assert_eq!(resolved("/a%20b/%7Ec.css"), file("a b/~c.css"));
    assert_eq!(resolved("/100%25.png"), file("100%.png"));
    assert_eq!(resolved("/%25e6.png"), file("%e6.png"));
    assert_eq!(resolved("/%E6%97%A5.png"), file("\u{65e5}.png"));
    assert_eq!(resolved("/a+b;c=d.css"), file("a+b;c=d.css"));
    assert_eq!(resolved("/a..b/c...css"), file("a..b/c...css"));
    assert_eq!(resolved("/"), Target { path: String::new(), directory: true, empty_segment: false });
    assert_eq!(resolved("/a/b/"), Target { path: "a/b".to_owned(), directory: true, empty_segment: false });
}

#[tokio::test]
async fn escaped_names_are_found() {
    let site = Site::new(&[("a b/\u{65e5}%.txt", "inside")]);
    assert_eq!(site.answer("/a%20b/%e6%97%a5%25.txt", &[]).await.content, "inside");
}

#[tokio::test]
async fn names_longer_than_the_file_system_allows_are_missing() {
    let site = Site::new(&[]);
    assert_eq!(outcome(&site.get(&format!("/{}", "a".repeat(300))).await), 0);
    assert_eq!(outcome(&site.get(&"/a".repeat(3000)).await), 0);
    assert_eq!(outcome(&site.ask(Method::GET, &"/a".repeat(3000), &[], true).await), 404);
}

/// WordPress's site editor asks for such paths.
#[tokio::test]
async fn empty_segments_go_to_the_application_server_and_open_nothing() {
    let site = Site::new(&[("wp-json/a", "inside"), ("a/style.css", "inside"), ("a/index.html", "inside")]);
    for path in
        ["/wp-json//a", "/wp-json/wp/v2/templates/twentytwentythree//home", "/a//style.css", "/a/style.css//", "/a//"]
    {
        assert_eq!(outcome(&site.get(path).await), 0, "{path}");
        assert_eq!(outcome(&site.ask(Method::GET, path, &[], true).await), 404, "{path}");
    }
    assert_eq!(outcome(&site.get("/.git//config").await), 404);
}
