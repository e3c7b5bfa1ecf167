//! The disk tier in trouble, and at its beginning: a device that is read-only, a directory that is not ours, two processes in
//! an upgrade. No request fails for it, and what is wrong is told.

use std::process::Command;

use forebay_tests::{Origin, Proxy, ProxyConfig, Reply, assert_eventually, binary_path, forebay};

/// `/N` has 900,000 bytes: it goes to the log, and a few of them fill a segment.
fn origin() -> Origin {
    Origin::answering(|request| match request.method.as_str() {
        "GET" => Reply::cacheable(request.target.repeat(900_000 / request.target.len())),
        _ => Reply::ok("done"),
    })
}

fn config(origin: &Origin) -> ProxyConfig {
    Proxy::config().origin(origin).memory("size = \"4MiB\"\nmax_object = \"1MiB\"").disk("").site("compress = []")
}

fn degraded(proxy: &Proxy) -> bool {
    proxy.metric("forebay_disk_degraded", &[]) == 1.0
}

fn stored(proxy: &Proxy) -> f64 {
    proxy.metric("forebay_cache_objects", &["tier=\"disk\""])
}

/// What is open for writing keeps a whole device from being made read-only, so the directories are, beneath the process.
#[test]
fn a_device_that_becomes_read_only_costs_entries_and_no_request_and_heals() {
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    let text = config(&origin).write(directory.path());
    let proxy = Proxy::start_on_small_device(directory, &text, "96m");
    assert_eq!(proxy.get("/0").cache(), "MISS");
    assert_eventually!(stored(&proxy) == 1.0);
    proxy.on_device("for d in segments large; do mount --bind $d $d; mount -o remount,bind,ro $d; done");
    let mut number = 0;
    assert_eventually!({
        number += 1;
        assert_eq!(proxy.get(&format!("/{number}")).status, 200);
        degraded(&proxy)
    });
    let ready = proxy.ask_admin("/ready");
    assert_eq!(ready.status, 200, "it serves");
    assert!(ready.text().contains("disk tier degraded: Read-only file system"), "{}", ready.text());
    assert!(proxy.ask_admin("/ready?verbose").text().contains("\"degraded\":[\"disk tier degraded: Read-only"));
    assert!(proxy.metric("forebay_disk_write_errors_total", &[]) >= 1.0);
    for each in 100..110 {
        assert_eq!(proxy.get(&format!("/{each}")).status, 200);
    }
    assert!(proxy.metric("forebay_cache_rejections_total", &["tier=\"disk\""]) >= 1.0);
    let before = proxy.metric("forebay_cache_hits_total", &["tier=\"disk\""]);
    assert_eq!(proxy.get("/0").cache(), "HIT", "what is there is read");
    assert_eq!(proxy.metric("forebay_cache_hits_total", &["tier=\"disk\""]), before + 1.0);
    proxy.on_device("umount segments large");
    assert_eventually!(!degraded(&proxy));
    assert_eq!(proxy.ask_admin("/ready").text().trim(), "ready");
    let before = stored(&proxy);
    assert_eq!(proxy.get("/after").cache(), "MISS");
    assert_eventually!(stored(&proxy) > before);
}

#[test]
fn in_an_upgrade_the_newcomer_waits_for_the_directory_and_takes_over_what_is_in_it() {
    let origin = origin();
    let old = config(&origin).start();
    for name in ["/kept", "/changed"] {
        assert_eq!(old.get(name).cache(), "MISS");
    }
    assert_eventually!(stored(&old) == 2.0);
    let cache = old.directory().join("cache");
    let of_successor = || {
        let directory = tempfile::tempdir().unwrap();
        let text = config(&origin).disk(&format!("path = {cache:?}")).write(directory.path());
        (directory, text)
    };
    // Who is not told of it says so and ends.
    let (directory, text) = of_successor();
    let file = directory.path().join("forebay.toml");
    std::fs::write(&file, text).unwrap();
    let refused = forebay(&["run", "--config", file.to_str().unwrap()]);
    assert!(refused.code == Some(1) && refused.stderr.contains("in use by another process"), "{}", refused.stderr);

    let (directory, text) = of_successor();
    let new = Proxy::start_as_successor(directory, &text);
    assert!(degraded(&new) && !degraded(&old));
    let ready = new.ask_admin("/ready");
    assert!(ready.status == 200 && ready.text().contains("disk tier degraded"), "{}", ready.text());
    assert_eq!(new.get("/kept").cache(), "MISS", "it serves, uncached by the disk");
    assert_eq!(new.connect().request("POST", "/changed", &[("Content-Length", "0")]).status, 200);
    assert_eq!(old.get("/kept").cache(), "HIT", "the old one goes on meanwhile");
    old.get("/late");
    old.terminate();
    let mut old = old;
    assert!(old.wait().success());
    assert_eventually!(!degraded(&new));
    assert_eq!(new.get("/late").cache(), "HIT", "stored by the one before it");
    assert_eq!(new.get("/changed").cache(), "MISS", "invalidated while the directory was another's");
    assert_eq!(new.metric("forebay_disk_corrupt_total", &[]), 0.0);
    assert_eventually!(stored(&new) >= 3.0);
}

/// `/tmp` is root's and everybody may write to it.
#[test]
fn a_directory_of_another_user_is_refused_at_start_with_the_reason_and_left_alone() {
    let origin = origin();
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let text = config(&origin).disk("path = \"/tmp\"").write(directory.path());
    let file = directory.path().join("forebay.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        // Root may take any directory; somebody else reads what root has written here.
        assert!(Command::new("chmod").args(["-R", "a+rwX"]).arg(directory.path()).status().unwrap().success());
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(binary_path());
        command
    } else {
        Command::new(binary_path())
    };
    let output = command.args(["run", "--config"]).arg(&file).current_dir(directory.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/tmp belongs to uid 0, this process runs as uid"), "{stderr}");
    assert!(!std::path::Path::new("/tmp/segments").exists());
}

/// What every tier is watched by.
#[test]
fn both_tiers_tell_what_they_hold_and_what_became_of_what_was_asked() {
    let origin = origin();
    let proxy = config(&origin).start();
    for _ in 0..2 {
        proxy.get("/a");
    }
    let metrics = proxy.metrics();
    let names =
        ["objects", "bytes", "hits_total", "misses_total", "admissions_total", "rejections_total", "evictions_total"];
    for name in names {
        for tier in ["memory", "disk"] {
            let series = format!("forebay_cache_{name}{{tier=\"{tier}\"}} ");
            assert!(metrics.lines().any(|line| line.starts_with(&series)), "{series}");
        }
    }
    for name in ["write_errors_total", "read_errors_total", "corrupt_total", "recovery_seconds", "degraded"] {
        let series = format!("forebay_disk_{name} ");
        assert!(metrics.lines().any(|line| line.starts_with(&series)), "{series}");
    }
    let bytes = proxy.metric("forebay_cache_bytes", &["tier=\"disk\""]);
    assert!(bytes > 900_000.0 && bytes <= (64 << 20) as f64, "{bytes}");
}
