//! What the documents show must work: every configuration of `docker/`, of the README and its chapters in `docs/` is loaded, every metric that
//! rules, dashboard and documents name is there.
//!
//! The files are written for machines that are not this one. A configuration is checked with its paths and the hosts of
//! its servers replaced by ones that exist here; every other word is as the reader finds it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use forebay_tests::{Origin, ProxyConfig, Reply, assert_eventually, certs, forebay};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(workspace().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The README and its chapters, with their names.
fn chapters() -> Vec<(String, String)> {
    let chapters = std::fs::read_dir(workspace().join("docs")).unwrap();
    let names = chapters.map(|file| format!("docs/{}", file.unwrap().file_name().to_string_lossy()));
    let names = names.filter(|name| name.ends_with(".md")).chain(["README.md".to_owned()]);
    names.map(|name| (name.clone(), read(&name))).collect()
}

/// All of them, one after the other.
fn told() -> String {
    chapters().into_iter().map(|(_, text)| text).collect()
}

/// Replaces what exists on the reader's machine alone: directories, certificates, log files, names of AP servers.
fn at_home(config: &str, directory: &Path) -> String {
    let site = certs::site(directory, &["www.example.com"]);
    let root = directory.join("root");
    std::fs::create_dir_all(&root).unwrap();
    let (certificate, key) = (site.certificate.display().to_string(), site.key.display().to_string());
    let log = directory.join("access.log").display().to_string();
    let mut table = String::new();
    let mut out = String::new();
    for line in config.lines() {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']', ' ']).to_owned();
        }
        let place = match (table.as_str(), line.split_once('=').map(|(word, _)| word.trim())) {
            (_, Some("root")) => Some(root.display().to_string()),
            (_, Some("certificate" | "ca" | "client_ca" | "secret_file")) => Some(certificate.clone()),
            (_, Some("key")) => Some(key.clone()),
            ("log", Some("path")) => Some(log.clone()),
            _ => None,
        };
        match (place, line.split_once('=')) {
            (Some(place), Some((word, _))) => out.push_str(&format!("{word}= {place:?}\n")),
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    // Names that only a container network has.
    out.replace("wordpress-1:", "127.0.0.1:").replace("wordpress-2:", "127.0.0.2:")
}

/// `forebay check` finds no mistake.
fn is_good(name: &str, config: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("forebay.toml");
    std::fs::write(&file, at_home(config, directory.path())).unwrap();
    let outcome = forebay(&["check", file.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(0), "{name}:\n{}", outcome.stderr);
}

#[test]
fn every_configuration_beside_the_container_files_is_good() {
    let examples = std::fs::read_dir(workspace().join("docker/examples")).unwrap();
    let mut files: Vec<PathBuf> = examples.map(|entry| entry.unwrap().path()).collect();
    files.push(workspace().join("docker/forebay.toml"));
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        assert_eq!(file.extension().unwrap(), "toml", "{}", file.display());
        is_good(&file.display().to_string(), &std::fs::read_to_string(&file).unwrap());
    }
}

/// The blocks of a document that begin with this line.
fn blocks(document: &str, begin: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while lines.by_ref().any(|line| line == begin) {
        blocks.push(lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect());
    }
    blocks
}

#[test]
fn every_configuration_in_a_chapter_is_good() {
    let mut count = 0;
    for (name, text) in chapters() {
        for whole in blocks(&text, "```toml") {
            is_good(&name, &whole);
            count += 1;
        }
    }
    assert!(count > 0);
}

/// A fragment stands within a configuration that has what it leaves out.
#[test]
fn every_fragment_in_a_chapter_is_good() {
    let mut count = 0;
    for (name, text) in chapters() {
        for fragment in blocks(&text, "```toml fragment") {
            is_good(&name, &(around(&fragment) + &fragment));
            count += 1;
        }
    }
    assert!(count >= 3, "{count}");
}

fn around(fragment: &str) -> String {
    let mut whole = String::new();
    if !fragment.contains("name = \"ap\"") {
        whole.push_str("[[upstream]]\nname = \"ap\"\nservers = [\"127.0.0.1:8081\"]\n");
    }
    if !fragment.contains("[[listen]]") {
        whole.push_str("[[listen]]\naddress = \"127.0.0.1:8080\"\n");
    }
    if !fragment.contains("[[site]]") {
        whole.push_str("[[site]]\nhosts = [\"*\"]\nupstream = \"ap\"\nroot = \"/var/www/html\"\n");
    }
    whole
}

#[test]
fn every_word_of_the_configuration_is_explained() {
    let told = told();
    let words = read("config/tests/cases/every_word.toml");
    let mut count = 0;
    for (word, _) in words.lines().filter_map(|line| line.split_once('=')) {
        let word = word.trim();
        if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit()) {
            assert!(told.contains(&format!("`{word}`")), "neither the README nor docs/ explains `{word}`");
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

/// Names of metrics in a text: `forebay_…` and `process_…`, recording rules (`site:forebay_…`) left out.
fn named(text: &str) -> BTreeSet<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let words = text.split(|c: char| !part(c));
    let words = words.filter(|word| word.starts_with("forebay_") || word.starts_with("process_"));
    words.filter(|word| !word.contains(':')).map(ToOwned::to_owned).collect()
}

/// A running instance's families after one request, with the series of its histograms.
fn metrics() -> (BTreeSet<String>, BTreeSet<String>) {
    let origin = Origin::answering(|_| Reply::ok("hello"));
    // A sibling and a Redis that are not there have their metrics all the same.
    let sibling = "[[icp.sibling]]\nicp = \"127.0.0.1:1\"\nhttp = \"127.0.0.1:1\"";
    let icp = format!("[icp]\naddress = \"127.0.0.1:0\"\ntimeout = \"10ms\"\n{sibling}");
    let cluster = "[cluster]\nredis = \"redis://127.0.0.1:1\"\nnode = \"a\"\n[cache.shared]";
    let by_name = "[[upstream]]\nname = \"named\"\nservers = [\"localhost:1\"]";
    let extra = ProxyConfig::new().origin(&origin).extra(&icp).extra(cluster).extra(by_name);
    let proxy = extra.upstream("health = { tcp = true }").start();
    assert_eq!(proxy.get("/").status, 200);
    // A request is accounted for when its answer is out.
    assert_eventually!(proxy.metric("forebay_http_requests_total", &[]) > 0.0);
    let text = proxy.metrics();
    let families: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(ToOwned::to_owned)
        .collect();
    let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
    let all = families.iter().cloned().chain(series.map(ToOwned::to_owned)).collect();
    (families, all)
}

#[test]
fn metrics_that_are_named_exist() {
    let (families, all) = metrics();
    let files = ["docker/alerts.yml", "docker/grafana/forebay.json", "ARCHITECTURE.md"];
    for (file, text) in files.map(|file| (file.to_owned(), read(file))).into_iter().chain(chapters()) {
        let named = named(&text);
        let unknown: Vec<_> = named.difference(&all).collect();
        assert!(unknown.is_empty(), "{file} names metrics that do not exist: {unknown:?}");
    }
    let told = named(&told());
    let untold: Vec<_> = families.difference(&told).collect();
    assert!(untold.is_empty(), "neither the README nor docs/ names {untold:?}");
}

#[test]
fn dashboard_is_json_that_grafana_imports() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("docker/grafana/forebay.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one id");
    for panel in panels {
        assert!(panel["gridPos"]["w"].as_u64().unwrap() <= 24);
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{}", panel["title"]);
    }
}
