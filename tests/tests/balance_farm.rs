//! The farm that people ask about: real Apache servers with PHP, and a real nginx on two ports.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use forebay_tests::apache::Apache;
use forebay_tests::nginx::Nginx;
use forebay_tests::{Browser, Proxy, ProxyConfig, assert_eventually};

/// Logs in, tells who is logged in, and says which server it is. Sessions are files of this server alone.
const PAGE: &str = "<?php
ini_set('session.save_path', 'SESSIONS');
header('Cache-Control: no-store');
session_start();
if (isset($_GET['user'])) { $_SESSION['user'] = $_GET['user']; }
echo ($_SESSION['user'] ?? 'nobody'), ' at Web Server NUMBER';
";

fn directory() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("forebay-farm").tempdir().unwrap();
    readable(directory.path());
    directory
}

/// Apache's workers are another user when the tests run as root.
fn readable(path: &Path) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// Two Apaches that share nothing.
fn apaches(directory: &Path) -> [Apache; 2] {
    [1, 2].map(|number| {
        let docroot: PathBuf = directory.join(format!("html{number}"));
        let sessions = directory.join(format!("sessions{number}"));
        for made in [&docroot, &sessions] {
            std::fs::create_dir(made).unwrap();
            readable(made);
        }
        std::fs::set_permissions(&sessions, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let page = PAGE.replace("SESSIONS", sessions.to_str().unwrap()).replace("NUMBER", &number.to_string());
        std::fs::write(docroot.join("index.php"), page).unwrap();
        Apache::start(directory, &docroot, number)
    })
}

fn before(ap: &[Apache; 2], words: &str) -> ProxyConfig {
    Proxy::config().server_at(ap[0].address(), 1).server_at(ap[1].address(), 1).upstream(words)
}

#[test]
fn nginx_on_two_ports_answers_in_turns() {
    let directory = directory();
    let nginx = Nginx::saying(directory.path(), &["Web Server 1", "Web Server 2"]);
    let proxy = Proxy::config().server_at(nginx.address(0), 1).server_at(nginx.address(1), 1).start();
    let answers: Vec<String> = (0..6).map(|_| proxy.get("/").text().to_owned()).collect();
    assert_eq!(answers, ["Web Server 1", "Web Server 2"].repeat(3));
}

#[test]
fn nginx_with_weights_2_and_1_answers_exactly_so_over_300() {
    let directory = directory();
    let nginx = Nginx::saying(directory.path(), &["Web Server 1", "Web Server 2"]);
    let proxy = Proxy::config().server_at(nginx.address(0), 2).server_at(nginx.address(1), 1).start();
    let mut client = proxy.connect();
    let answers: Vec<String> = (0..300).map(|_| client.get("/").text().to_owned()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "Web Server 1").count(), 200);
    for turn in answers.chunks(3) {
        assert_eq!(turn.iter().filter(|answer| *answer == "Web Server 2").count(), 1);
    }
}

#[test]
fn login_is_lost_between_servers_that_do_not_share_sessions() {
    let directory = directory();
    let ap = apaches(directory.path());
    let proxy = before(&ap, "").start();
    let mut browser = Browser::http("site.test", &proxy);
    assert_eq!(browser.get("/index.php?user=miller").text(), "miller at Web Server 1");
    assert_eq!(browser.get("/index.php").text(), "nobody at Web Server 2");
}

#[test]
fn login_is_kept_with_a_cookie_of_ours_or_of_the_applications() {
    let directory = directory();
    let ap = apaches(directory.path());
    for words in ["sticky = { cookie = \"FOREBAY\" }", "sticky = { application_cookie = \"PHPSESSID\" }"] {
        let proxy = before(&ap, words).start();
        for number in 0..8 {
            let mut browser = Browser::http("site.test", &proxy);
            let at = browser.get(&format!("/index.php?user=miller{number}")).text().to_owned();
            assert!(at.starts_with(&format!("miller{number} at ")), "{at}");
            for _ in 0..5 {
                assert_eq!(browser.get("/index.php").text(), at, "{words}");
            }
        }
        let requests = ap.each_ref().map(|ap| ap.log().len());
        assert!(requests.iter().all(|count| *count >= 6), "both were used: {requests:?}");
    }
}

#[test]
fn apache_killed_under_64_clients_costs_no_error_and_is_back_after_rise_checks() {
    let directory = directory();
    let mut ap = apaches(directory.path());
    let words = "health = { path = \"/index.php\", interval = \"100ms\", rise = 2, fall = 2 }\nslow_start = \"0s\"";
    let proxy = before(&ap, words).start();
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..64 {
            let (proxy, done, answered) = (&proxy, &done, &answered);
            scope.spawn(move || {
                let mut connection = proxy.connect();
                let mut count = 0;
                while !done.load(Ordering::SeqCst) {
                    let answer = connection.get(&format!("/index.php?{client}.{count}"));
                    assert_eq!(answer.status, 200, "{answer}");
                    count += 1;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        assert_eventually!(answered.load(Ordering::SeqCst) > 200);
        ap[0].kill();
        let killed_at = answered.load(Ordering::SeqCst);
        assert_eventually!(answered.load(Ordering::SeqCst) > killed_at + 200);
        done.store(true, Ordering::SeqCst);
    });
    let up = format!("server=\"{}\"", ap[0].address());
    assert_eventually!(proxy.metric("forebay_upstream_up", &[&up]) == 0.0);
    ap[0].start_again();
    assert_eventually!(proxy.metric("forebay_upstream_up", &[&up]) == 1.0);
    let answers: Vec<String> = (0..4).map(|_| proxy.get("/index.php").text().to_owned()).collect();
    assert!(answers.iter().any(|answer| answer.ends_with('1')), "{answers:?}");
}
