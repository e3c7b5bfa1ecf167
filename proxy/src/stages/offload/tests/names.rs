//! What is refused or passed on by name, though it is there.

use super::*;

/// Writes each path into a site and compares the outcome of asking for it.
async fn every(paths: &[&str], expected: u16, expected_static_only: u16) {
    let site = Site::new(&[]);
    for path in paths {
        site.write(path, "inside");
        let target = format!("/{}", path.replace('#', "%23").replace(' ', "%20"));
        assert_eq!(outcome(&site.get(&target).await), expected, "{path}");
        assert_eq!(outcome(&site.ask(Method::GET, &target, &[], true).await), expected_static_only, "{path}");
    }
}

#[tokio::test]
async fn programs_go_to_the_application_server_and_are_never_shown() {
    let programs = [
        "a.php",
        "a.PHP",
        "a.php3",
        "a.php8",
        "a.phtml",
        "a.pht",
        "a.phar",
        "a.phps",
        "a.inc",
        "a.cgi",
        "a.pl",
        "a.py",
        "a.asp",
        "a.aspx",
        "a.jsp",
        "a.shtml",
        "a.php.jpg",
        "a.php.",
        "a.php ",
        "a.jpg.php",
        "wp-config.php",
        "wp-config-sample.php",
        "wp-login.php",
        "b.php/x.css",
        "index.php/x/y.css",
        "d/e.phtml/f/g.js",
    ];
    every(&programs, 0, 404).await;
}

#[tokio::test]
async fn hidden_files_and_directories_are_404() {
    every(
        &[".htaccess", ".env", ".git/config", "a/.svn/entries", ".git/hook.php", "a/.b.css", ".well-known/.x"],
        404,
        404,
    )
    .await;
    every(&["a/.well-known/x", "...", "..a"], 404, 404).await;
}

#[tokio::test]
async fn rfc8615_well_known_is_served() {
    every(&[".well-known/acme-challenge/token", ".well-known/security.txt"], 200, 200).await;
}

#[tokio::test]
async fn copies_of_the_wordpress_configuration_are_404() {
    every(&["wp-config.txt", "wp-config", "wp-config.php.bak", "WP-CONFIG.old", "wp-config.php~"], 404, 404).await;
    every(&["a/wp-config", "wp-config-backup"], 404, 404).await;
    // Apache may execute or show this one; here it is refused.
    every(&["wp-config.php.txt"], 404, 404).await;
}

#[tokio::test]
async fn article_about_wp_config_goes_to_the_application_server() {
    let site = Site::new(&[]);
    for path in ["/wp-config-explained", "/wp-config-explained/", "/wp-config-explained/feed/"] {
        assert_eq!(outcome(&site.get(path).await), 0, "{path}");
    }
}

#[tokio::test]
async fn backups_dumps_logs_and_settings_are_404() {
    let private = [
        "a.css~",
        "a.php~",
        "a.bak",
        "a.php.bak",
        "a.OLD",
        "a.orig",
        "a.save",
        "a.swp",
        "a.tmp",
        "a.dist",
        "#a.css#",
        "dump.sql",
        "dump.sql.gz",
        "dump.sql.1.gz",
        "dump.sql.zip",
        "debug.log",
        "error_log",
        "error_log.1",
        "error.log-20260101",
        "error.log.2.xz",
        "php.ini",
        "prod.env",
        "a.htaccess",
        "yarn.lock",
        "composer.json",
        "composer.lock",
        "web.config",
        "db.sqlite",
        "key.pem",
        "a.bak.",
        "a/b/c.log",
    ];
    every(&private, 404, 404).await;
}

#[tokio::test]
async fn what_only_looks_similar_is_served() {
    let public = [
        "jquery-3.6.0.min.js",
        "datepicker.pl.js",
        "mysql.css",
        "catalog",
        "package.json",
        "archive.zip",
        "a.gz",
        "photo.1.jpg",
        "php.css",
        "robots.txt",
        "a~b.css",
        "log.css",
        "LICENSE",
        "a.phpx",
        "readme.html",
        "1.2.3",
        "wp-conf.css",
    ];
    every(&public, 200, 200).await;
}

#[tokio::test]
async fn refusal_does_not_tell_whether_the_file_exists() {
    let site = Site::new(&[]);
    for path in ["/.env", "/wp-config.bak", "/a.sql"] {
        assert_eq!(outcome(&site.get(path).await), 404, "{path}");
    }
}

#[tokio::test]
async fn other_methods_belong_to_the_application() {
    let site = Site::new(&[("a.css", "inside")]);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        assert_eq!(outcome(&site.ask(method, "/a.css", &[], false).await), 0);
    }
}

#[tokio::test]
async fn rfc9110_15_5_6_405_says_what_is_allowed() {
    let site = Site::new(&[("a.css", "inside")]);
    match site.ask(Method::POST, "/a.css", &[], true).await {
        Offload::Answer(answer) => {
            assert_eq!(answer.status, 405);
            assert_eq!(answer.fields["allow"], "GET, HEAD");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn missing_files_go_to_the_application_server_or_are_404() {
    let site = Site::new(&[("a.css", "inside")]);
    for path in ["/b.css", "/a.css/", "/a.css/b", "/2026/02/hello-world/", "/"] {
        assert_eq!(outcome(&site.get(path).await), 0, "{path}");
        assert_eq!(outcome(&site.ask(Method::GET, path, &[], true).await), 404, "{path}");
    }
}

#[tokio::test]
async fn directory_is_answered_by_its_index() {
    let site = Site::new(&[("index.html", "inside top"), ("a/index.html", "inside a"), ("b/c.css", "inside")]);
    assert_eq!(site.answer("/", &[]).await.content, "inside top");
    let page = site.answer("/a/", &[]).await;
    assert_eq!((page.content.as_str(), page.field("content-type")), ("inside a", "text/html; charset=utf-8"));
    assert_eq!(outcome(&site.get("/b/").await), 0);
}

#[tokio::test]
async fn index_that_is_a_program_leaves_the_directory_to_the_application_server() {
    let site = Site::new(&[("index.php", "<?php"), ("index.html", "inside")]);
    assert_eq!(outcome(&site.get("/").await), 0);
    assert_eq!(outcome(&site.ask(Method::GET, "/", &[], true).await), 404);
}

#[tokio::test]
async fn directory_without_slash_is_redirected_only_when_there_is_no_application_server() {
    let site = Site::new(&[("a b/index.html", "inside")]);
    assert_eq!(outcome(&site.get("/a%20b").await), 0);
    match site.ask(Method::GET, "/a%20b", &[], true).await {
        Offload::Answer(answer) => {
            assert_eq!(answer.status, 301);
            assert_eq!(answer.fields["location"], "/a%20b/");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn index_names_that_are_paths_are_an_error_at_start() {
    let base = tempfile::tempdir().unwrap();
    for name in ["", "../x", "a/b", ".index"] {
        let error = Root::open(base.path(), &[name.to_owned()], false).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name}");
    }
    assert!(Root::open(&base.path().join("absent"), &[], false).is_err());
}
