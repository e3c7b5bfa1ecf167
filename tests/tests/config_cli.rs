//! The command line, and mistakes in a configuration: all of them at once, before anything is bound.

use std::net::{SocketAddr, TcpListener};

use forebay_tests::{Client, Origin, Outcome, Proxy, ProxyConfig, Reply, forebay};

/// Runs `forebay ARGUMENTS… FILE` on this configuration.
fn run(arguments: &[&str], config: &str) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("forebay.toml");
    std::fs::write(&file, config).unwrap();
    forebay(&[arguments, &[file.to_str().unwrap()]].concat())
}

fn good(origin: &Origin) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let text = ProxyConfig::new().origin(origin).write(directory.path());
    (directory, text)
}

/// Four mistakes in four places.
const BAD: &str = r#"
[[listen]]
address = "127.0.0.1:0"
adress = "127.0.0.1:1"
[limits]
head_timeout = "ten seconds"
[[upstream]]
name = "ap"
servers = [{ address = "127.0.0.1:9" }]
[[site]]
hosts = ["site.test"]
upstream = "pa"
root = "/no/such/directory"
"#;

#[test]
fn check_accepts_a_good_configuration() {
    let origin = Origin::answering(|_| Reply::ok(""));
    for verb in [&["check"][..], &["-t", "-c"]] {
        let (_directory, text) = good(&origin);
        let outcome = run(verb, &text);
        assert_eq!(outcome.code, Some(0), "{verb:?}: {outcome:?}");
        assert!(!(outcome.stdout + &outcome.stderr).is_empty(), "{verb:?}: it says nothing");
    }
    assert!(origin.connections().is_empty(), "check connected to an AP server");
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    for verb in [&["check"][..], &["-t", "-c"], &["run", "--config"]] {
        let outcome = run(verb, BAD);
        assert_eq!(outcome.code, Some(1), "{verb:?}: {outcome:?}");
        let report = outcome.stderr;
        for (place, words) in [
            ("forebay.toml:4:", &["adress", "address"][..]),
            ("forebay.toml:6:", &["ten seconds"]),
            ("forebay.toml:12:", &["pa", "ap"]),
            ("forebay.toml:13:", &["/no/such/directory"]),
        ] {
            assert!(report.contains(place), "{verb:?}: {place} is missing in\n{report}");
            assert!(words.iter().all(|word| report.contains(word)), "{verb:?}: {words:?} in\n{report}");
        }
    }
}

#[test]
fn syntax_error_is_reported_with_its_place() {
    let outcome = run(&["check"], "[server\nthreads = 1\n");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("forebay.toml:1:"), "{}", outcome.stderr);
}

#[test]
fn nothing_is_bound_when_the_configuration_is_bad() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let outcome = run(&["run", "--config"], &BAD.replace("\"127.0.0.1:0\"", &format!("\"{free}\"")));
    assert_eq!(outcome.code, Some(1));
    assert!(!outcome.stderr.contains("listening on"), "{}", outcome.stderr);
    assert!(TcpListener::bind(free).is_ok());
}

#[test]
fn port_that_is_taken_is_found_before_anything_serves() {
    let origin = Origin::answering(|_| Reply::ok(""));
    let (directory, text) = good(&origin);
    let taken: SocketAddr = origin.address();
    let text = text.replacen("127.0.0.1:0", &taken.to_string(), 1);
    let file = directory.path().join("forebay.toml");
    std::fs::write(&file, text).unwrap();
    let outcome = forebay(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&taken.port().to_string()), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("\nready"), "{}", outcome.stderr);
}

#[test]
fn certificates_and_keys_are_checked() {
    let origin = Origin::answering(|_| Reply::ok(""));
    let directory = tempfile::tempdir().unwrap();
    let text = ProxyConfig::new().origin(&origin).write(directory.path());
    let other = forebay_tests::certs::site(directory.path(), &["other.test"]);
    let key = format!("key = {:?}", directory.path().join("site.test.key"));
    for (broken, word) in [
        (text.replace(&key, &format!("key = {:?}", other.key)), "not that of the certificate"),
        (text.replace(&key, "key = \"/no/such.key\""), "/no/such.key"),
        (text.replace(&key, &format!("key = {:?}", other.certificate)), "key"),
    ] {
        assert_ne!(broken, text);
        let outcome = run(&["check"], &broken);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(word) && outcome.stderr.contains("forebay.toml:"), "{}", outcome.stderr);
    }
}

#[test]
fn file_that_is_not_there_is_said_to_be() {
    for arguments in [&["check", "/no/such.toml"][..], &["run", "--config", "/no/such.toml"]] {
        let outcome = forebay(arguments);
        assert_eq!(outcome.code, Some(1), "{arguments:?}");
        assert!(outcome.stderr.contains("/no/such.toml"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    }
}

#[test]
fn help_and_version_are_printed() {
    let version = forebay(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.starts_with("forebay 0."), "{version:?}");
    for arguments in [&["--help"][..], &["-h"]] {
        let help = forebay(arguments);
        assert_eq!(help.code, Some(0));
        for word in ["run", "check", "--version", "--config"] {
            let says_it = help.stdout.contains(word) || word == "--config" && help.stdout.contains("config");
            assert!(says_it, "{word} in {arguments:?}: {}", help.stdout);
        }
    }
    let run = forebay(&["run", "--help"]);
    assert!(run.stdout.contains("--config"), "{}", run.stdout);
}

#[test]
fn word_that_is_not_known_is_a_mistake() {
    for arguments in [&["serve-it"][..], &["run", "--colour"], &["check"]] {
        let outcome = forebay(arguments);
        assert!(matches!(outcome.code, Some(1 | 2 | 64)), "{arguments:?}: {outcome:?}");
        assert!(!outcome.stderr.is_empty());
    }
}

#[test]
fn admin_can_be_off_and_is_off_the_network_by_default() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let directory = tempfile::tempdir().unwrap();
    let text = ProxyConfig::new().origin(&origin).write(directory.path());
    let text = text.replace("[admin]\naddress = \"127.0.0.1:0\"", "[admin]\noff = true");
    let proxy = Proxy::start_in(directory, &text);
    assert_eq!(proxy.sockets("admin").count(), 0);
    assert_eq!(Client::connect(proxy.http()).get("/x").status, 200);
}

#[test]
fn reload_with_a_bad_configuration_keeps_the_old_one() {
    let origin = Origin::answering(|_| Reply::ok("x"));
    let mut proxy = Proxy::before(&origin);
    std::fs::write(proxy.directory().join("forebay.toml"), BAD).unwrap();
    proxy.signal(rustix::process::Signal::HUP);
    for _ in 0..20 {
        assert_eq!(proxy.get("/x").status, 200);
    }
    assert!(proxy.is_running());
}
