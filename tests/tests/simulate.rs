//! `forebay simulate`: logs against configurations.

use std::fmt::Write as _;
use std::path::PathBuf;

use forebay_tests::{Origin, Outcome, Proxy, ProxyConfig, Reply, forebay};
use serde_json::Value;

/// A directory with a configuration before an origin that is never asked.
fn configured(site: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|_| Reply::ok("never"));
    let text = ProxyConfig::new().origin(&origin).site(site).write(directory.path());
    let file = directory.path().join("forebay.toml");
    std::fs::write(&file, text).unwrap();
    (directory, file)
}

fn simulate(config: &std::path::Path, arguments: &[&str]) -> Outcome {
    forebay(&[&["simulate", "--config", config.to_str().unwrap()], arguments].concat())
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// A combined log: the target of each second.
fn combined(targets: impl IntoIterator<Item = String>) -> String {
    let mut log = String::new();
    for (second, target) in targets.into_iter().enumerate() {
        let (minute, second) = (second / 60 % 60, second % 60);
        let date = format!("10/Oct/2000:13:{minute:02}:{second:02} +0000");
        writeln!(log, "192.0.2.1 - - [{date}] \"GET {target} HTTP/1.1\" 200 20000 \"-\" \"-\"").unwrap();
    }
    log
}

#[test]
fn curve_bypasses_and_gains_are_told_of_a_combined_log() {
    let (directory, config) = configured("preset = \"wordpress\"");
    let log = directory.path().join("access.log");
    let targets = (0..600).map(|n| match n % 6 {
        0 => "/wp-login.php".to_owned(),
        1 => format!("/shop/?ref={n}"),
        2 => format!("/shop/?utm_source={n}"),
        _ => format!("/p/{}/", n % 50),
    });
    std::fs::write(&log, combined(targets) + "not a line of a log\n").unwrap();
    let log = log.to_str().unwrap();
    let outcome = simulate(&config, &[log, "--json", "--memory", "1MiB,64MiB", "--host", "site.test"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let found = json(&outcome);
    assert_eq!((&found["requests"], &found["unread"], &found["cacheable"]), (&600.into(), &1.into(), &500.into()));
    assert_eq!(found["examples"][0]["line"], 601);
    let (small, large) = (&found["sizes"][0], &found["sizes"][1]);
    assert!(small["hit_ratio"].as_f64() < large["hit_ratio"].as_f64(), "{found:#}");
    assert_eq!((&found["reasons"][0]["code"], &found["reasons"][0]["requests"]), (&"bypass-path".into(), &100.into()));
    assert_eq!(found["reasons"][0]["paths"], serde_json::json!(["/wp-login.php"]));
    assert_eq!((&found["parameters"][0]["name"], &found["parameters"].as_array().unwrap().len()), (&"ref".into(), &1));
    assert!(found["parameters"][0]["gained"].as_u64() >= Some(95), "{found:#}");

    let text = simulate(&config, &[log, "--memory", "64MiB"]).stdout;
    for part in ["600 requests", "hit ratio", "64.0 MiB", "bypass-path", "ref, of 100 requests", "line 601: not a line"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn what_is_predicted_of_an_own_log_is_what_happened() {
    let origin = Origin::answering(|request| match request.path() {
        "/session" => Reply::ok("x").field("Set-Cookie", "a=b"),
        _ => Reply::ok("hello"),
    });
    for format in ["json", "combined+cache", "squid"] {
        let proxy = Proxy::config()
            .origin(&origin)
            .site("preset = \"wordpress\"")
            .log(&format!("format = \"{format}\""))
            .start();
        let mut client = proxy.connect();
        let mut hits = 0;
        for n in 0..60 {
            let target = match n % 5 {
                0 => format!("/{format}/a?utm_source={n}"),
                1 => "/wp-admin/".to_owned(),
                _ => format!("/{format}/{}", n % 7),
            };
            hits += u64::from(client.get(&target).cache() == "HIT");
        }
        let log = proxy.access_log_of(60).join("\n");
        let file = proxy.directory().join("access.log");
        std::fs::write(&file, log).unwrap();
        let config = proxy.directory().join("forebay.toml");
        let outcome = simulate(&config, &[file.to_str().unwrap(), "--json", "--memory", "64MiB"]);
        let found = json(&outcome);
        let size = &found["sizes"][0];
        let predicted = size["hit_ratio"].as_f64().unwrap() * found["cacheable"].as_f64().unwrap();
        assert_eq!(predicted.round() as u64, hits, "{format}: {found:#}");
        assert_eq!((&found["unread"], &found["requests"]), (&0.into(), &60.into()), "{format}");
    }
}

#[test]
fn lifetimes_and_assumed_fields_decide() {
    let (directory, config) = configured("");
    let log = directory.path().join("access.log");
    std::fs::write(&log, combined((0..100).map(|_| "/".to_owned()))).unwrap();
    let log = log.to_str().unwrap();
    let silent = json(&simulate(&config, &[log, "--json"]));
    assert_eq!((&silent["cacheable"], &silent["reasons"][0]["code"]), (&0.into(), &"no-freshness".into()));
    let said = json(&simulate(&config, &[log, "--json", "--response", "Cache-Control: max-age=10"]));
    assert_eq!(said["sizes"][0]["hit_ratio"], 0.9, "{said:#}");
}

#[test]
fn packed_logs_are_read_and_what_is_no_log_is_an_error() {
    let (directory, config) = configured("preset = \"wordpress\"");
    let log = directory.path().join("access.log");
    std::fs::write(&log, combined((0..10).map(|_| "/".to_owned()))).unwrap();
    assert!(std::process::Command::new("gzip").arg(&log).status().unwrap().success());
    let packed = directory.path().join("access.log.gz");
    let found = json(&simulate(&config, &[packed.to_str().unwrap(), "--json"]));
    assert_eq!(found["requests"], 10);
    let missing = simulate(&config, &["/no/such.log"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("/no/such.log"), "{}", missing.stderr);
    let noise = directory.path().join("noise");
    std::fs::write(&noise, [0xffu8; 200_000]).unwrap();
    assert_eq!(simulate(&config, &[noise.to_str().unwrap()]).code, Some(1));
}
