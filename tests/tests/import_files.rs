//! `forebay import`: configurations of others become ones of ours that are good, and that serve.

use std::path::Path;

use forebay_tests::nodes::Nodes;
use forebay_tests::{Origin, Proxy, Reply, forebay};

fn cases() -> Vec<std::path::PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("import");
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = paths.filter(|path| path.extension().is_some_and(|kind| kind != "toml")).collect();
    cases.sort();
    cases
}

/// `UPDATE_GOLDEN=1` writes down what comes out.
#[test]
fn every_case_becomes_what_is_written_down_and_check_accepts_it() {
    let cases = cases();
    assert!(cases.len() >= 4, "{cases:?}");
    for case in cases {
        let outcome = forebay(&["import", case.to_str().unwrap()]);
        let golden = case.with_extension("toml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &outcome.stdout).unwrap();
        }
        assert_eq!(outcome.stdout, std::fs::read_to_string(&golden).unwrap_or_default(), "{}", case.display());
        assert_eq!(outcome.code, Some(0), "{}:\n{}", case.display(), outcome.stderr);
        let check = forebay(&["check", golden.to_str().unwrap()]);
        assert_eq!(check.code, Some(0), "{}:\n{}", golden.display(), check.stderr);
        // Whatever is left out is said in both places.
        let comments = outcome.stdout.lines().filter(|line| line.starts_with("#   ")).count();
        let said = outcome.stderr.lines().filter(|line| line.contains("not translated")).count();
        assert!(comments == said && said > 0, "{}: {comments}, {said}", case.display());
    }
}

#[test]
fn file_of_nobody_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.conf");
    std::fs::write(&file, "hello\n").unwrap();
    let outcome = forebay(&["import", file.to_str().unwrap()]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    assert!(outcome.stderr.contains("--from"), "{}", outcome.stderr);
    for text in ["server {", "http_port\ncache_peer\nacl\ncache_dir x", "\u{1}{;}{", "frontend\nbind\nserver"] {
        std::fs::write(&file, text).unwrap();
        for from in ["squid", "nginx", "haproxy"] {
            let outcome = forebay(&["import", "--from", from, file.to_str().unwrap()]);
            assert!(matches!(outcome.code, Some(0 | 1)), "{from}: {text:?}: {outcome:?}");
        }
    }
}

#[test]
fn imported_farm_serves_and_asks_its_sibling() {
    let (nodes, origin) = (Nodes::new(), Origin::answering(|_| Reply::cacheable("hello")));
    let directory = tempfile::tempdir().unwrap();
    let import = |n: u8, other: u8| {
        let text = format!(
            "http_port {} accel vhost\ncache_peer {} parent {} 0 no-query originserver\n\
             cache_peer {} sibling 8080 3130\nicp_port 3130\nudp_incoming_address {}\n\
             cache_mem 32 MB\nrefresh_pattern . 0 20% 4320\naccess_log none\n",
            nodes.http(n),
            origin.address().ip(),
            origin.address().port(),
            nodes.ip(other),
            nodes.ip(n),
        );
        let file = directory.path().join("squid.conf");
        std::fs::write(&file, text).unwrap();
        let outcome = forebay(&["import", file.to_str().unwrap()]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let home = tempfile::tempdir().unwrap();
        let own = format!("[server]\nstate_dir = {:?}\n[admin]\naddress = \"127.0.0.1:0\"\n", home.path());
        Proxy::start_in(home, &(outcome.stdout + &own))
    };
    let (one, two) = (import(1, 2), import(2, 1));
    assert_eq!((one.get("/x").cache(), one.get("/x").cache()), ("MISS", "HIT"));
    assert_eq!(two.get("/x").text(), "hello");
    assert_eq!(origin.count("/x"), 1);
}
