//! What is published, edited, trashed and commented upon is what a stranger sees in the next request, when a plugin has sent
//! its purge. A plugin of the farm's sends what Proxy Cache Purge does, byte by byte, at the end of a request.

use forebay_tests::patience::eventually;
use forebay_tests::wordpress::SITE;
use forebay_tests::{Answer, Browser, Proxy, WordPress};

/// URLs of a post as Proxy Cache Purge lists them: itself, home, feeds, its archives.
const PLUGIN: &str = r#"<?php
$GLOBALS['purges'] = [];
function purge_of_post($id) {
    $post = get_post($id);
    if (!$post || wp_is_post_revision($id) || wp_is_post_autosave($id) || $post->post_type !== 'post') { return; }
    $path = wp_parse_url(str_replace('__trashed', '', get_permalink($id)), PHP_URL_PATH);
    foreach ([$path, '/', '/feed/', '/comments/feed/', '/author/miller/'] as $url) {
        $GLOBALS['purges'][$url] = 'default';
    }
    foreach (get_the_category($id) as $category) {
        $GLOBALS['purges'][wp_parse_url(get_category_link($category), PHP_URL_PATH) . '.*'] = 'regex';
    }
}
// In the trash a post has no address of its own any more: what it was is noted before.
foreach (['save_post', 'deleted_post', 'wp_trash_post', 'edit_post', 'delete_attachment'] as $hook) {
    add_action($hook, 'purge_of_post');
}
function purge_of_comment($id) { $comment = get_comment($id); if ($comment) { purge_of_post($comment->comment_post_ID); } }
foreach (['comment_post', 'edit_comment', 'wp_set_comment_status'] as $hook) { add_action($hook, 'purge_of_comment'); }
add_action('shutdown', function () {
    $target = trim((string) @file_get_contents(WP_CONTENT_DIR . '/purge-target'));
    foreach ($target === '' ? [] : $GLOBALS['purges'] as $path => $method) {
        $socket = stream_socket_client("tcp://$target", $error, $message, 5);
        fwrite($socket, "PURGE $path HTTP/1.1\r\nHost: wp.test\r\nUser-Agent: WordPress/6.7; http://wp.test\r\n"
            . "Accept: */*\r\nX-Purge-Method: $method\r\nConnection: close\r\n\r\n");
        stream_get_contents($socket);
        fclose($socket);
    }
});
"#;

/// The farm with the plugin, and Forebay before it, which the AP servers may purge.
fn farm() -> (WordPress, Proxy) {
    let farm = WordPress::start();
    std::fs::write(farm.docroot().join("wp-content/mu-plugins/purge.php"), PLUGIN).unwrap();
    let proxy = farm.config().site("purge = { allow = [\"127.0.0.1\"] }").start();
    std::fs::write(farm.docroot().join("wp-content/purge-target"), proxy.http().to_string()).unwrap();
    (farm, proxy)
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.decoded()).into_owned()
}

/// What a stranger gets, who has been there before: everything is stored.
fn stored(proxy: &Proxy, path: &str) -> String {
    let mut stranger = Browser::http(SITE, proxy);
    stranger.visit(path);
    let again = stranger.visit(path);
    assert_eq!(again.cache(), "HIT", "{path}: {again}");
    text(&again)
}

/// Does something that purges so often (five URLs, and archives), and waits until that has been acknowledged.
#[track_caller]
fn purging<T>(proxy: &Proxy, purges: f64, act: impl FnOnce() -> T) -> T {
    let count = || proxy.metric("forebay_purges_total", &["origin=\"site\""]);
    let before = count();
    let done = act();
    let told = eventually(|| count() >= before + purges);
    assert!(told, "{} purges came", count() - before);
    done
}

fn api(admin: &mut Browser, method: &str, target: &str, document: &serde_json::Value) -> serde_json::Value {
    let nonce = admin.get("/wp-admin/admin-ajax.php?action=rest-nonce").text().to_owned();
    let fields = [("Content-Type", "application/json"), ("X-WP-Nonce", nonce.as_str())];
    let answer = admin.send(method, target, &fields, document.to_string().as_bytes());
    assert!((200..300).contains(&answer.status), "{method} {target}: {answer}");
    serde_json::from_slice(&answer.decoded()).unwrap()
}

#[test]
fn what_is_published_edited_trashed_and_commented_is_seen_in_the_next_request() {
    let (_farm, proxy) = farm();
    let mut admin = Browser::http(SITE, &proxy);
    admin.log_in();
    let mut stranger = Browser::http(SITE, &proxy);

    assert!(!stored(&proxy, "/").contains("Grist for all"));
    stored(&proxy, "/category/uncategorized/");
    let path = purging(&proxy, 6.0, || admin.publish("Grist for all", "Ground coarse."));
    for page in ["/", "/category/uncategorized/"] {
        let next = stranger.get(page);
        assert!(text(&next).contains("Grist for all"), "published: {page}: {next}");
    }

    assert!(stored(&proxy, &path).contains("Ground coarse."));
    let slug = path.trim_matches('/').to_owned();
    let found = api(&mut admin, "GET", &format!("/wp-json/wp/v2/posts?slug={slug}"), &serde_json::json!({}));
    let id = found[0]["id"].as_u64().unwrap();
    let one = format!("/wp-json/wp/v2/posts/{id}");
    purging(&proxy, 6.0, || api(&mut admin, "POST", &one, &serde_json::json!({ "content": "Ground fine." })));
    let next = stranger.get(&path);
    assert!(text(&next).contains("Ground fine."), "edited: {next}");

    stored(&proxy, &path);
    let comment = serde_json::json!({ "post": id, "content": "What a fine flour." });
    purging(&proxy, 6.0, || api(&mut admin, "POST", "/wp-json/wp/v2/comments", &comment));
    let next = stranger.get(&path);
    assert!(text(&next).contains("What a fine flour."), "commented: {next}");

    stored(&proxy, &path);
    stored(&proxy, "/");
    purging(&proxy, 6.0, || api(&mut admin, "DELETE", &one, &serde_json::json!({})));
    let next = stranger.get(&path);
    assert_eq!(next.status, 404, "trashed: {next}");
    let next = stranger.get("/");
    assert!(!text(&next).contains("Grist for all"), "trashed: {next}");
    assert_eq!(stored(&proxy, "/sample-page/").matches("Grist").count(), 0);
}

#[test]
fn strangers_cannot_purge_the_farm() {
    let farm = WordPress::start();
    let proxy = farm.proxy();
    stored(&proxy, "/");
    let asked = Browser::http(SITE, &proxy).send("PURGE", "/.*", &[("X-Purge-Method", "regex")], b"");
    assert_eq!(asked.status, 405, "{asked}");
    assert_eq!(Browser::http(SITE, &proxy).get("/").cache(), "HIT");
}
