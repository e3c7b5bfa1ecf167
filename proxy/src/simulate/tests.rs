use super::*;
use crate::assemble;

fn runtime() -> (Arc<Runtime>, tempfile::TempDir) {
    let text = "[[listen]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"ap\"\nservers = [\"127.0.0.1:9\"]\n\
                [[site]]\nhosts = [\"a.test\"]\nupstream = \"ap\"\npreset = \"wordpress\"\n";
    let config = forebay_config::parse(text, "test").unwrap_or_else(|report| panic!("{report}"));
    assemble::offline(config, forebay_config::Places::new("test", text)).unwrap()
}

fn summary(sizes: &[u64], lines: impl IntoIterator<Item = String>) -> Summary {
    let (runtime, _directory) = runtime();
    let assumed = Assumed { host: "a.test".to_owned(), https: false, response: HeaderMap::new() };
    let mut simulation = Simulation::new(runtime, assumed, sizes);
    let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tasks.block_on(async {
        for line in lines {
            simulation.line(&line).await;
        }
    });
    simulation.finish()
}

fn line(second: u64, target: &str, bytes: u64) -> String {
    let (minute, second) = (second / 60, second % 60);
    format!(
        r#"192.0.2.1 - - [10/Oct/2000:13:{minute:02}:{second:02} +0000] "GET {target} HTTP/1.1" 200 {bytes} "-" "-""#
    )
}

#[test]
fn hits_passes_and_gains_are_counted() {
    let targets = ["/p/", "/p/?utm_source=x", "/p/?ref=1", "/p/?ref=2", "/wp-login.php", "/p/?preview=true", "/p/"];
    let mut lines: Vec<String> = (0..).zip(targets).map(|(second, target)| line(second, target, 1000)).collect();
    lines.insert(3, "nonsense\u{1b}".to_owned());
    let summary = summary(&[64 << 20], lines);
    assert_eq!((summary.requests, summary.unread, summary.cacheable, summary.passed), (7, 1, 5, 2));
    assert_eq!((summary.examples[0].line, summary.examples[0].text.as_str()), (4, "nonsense?"));
    let curve = &summary.sizes[0];
    assert!((curve.hit_ratio - 0.4).abs() < 1e-9, "{curve:?}");
    assert_eq!((curve.origin_requests, curve.busiest_minute), (5, 5));
    let codes: Vec<_> = summary.reasons.iter().map(|count| (count.code.as_str(), count.requests)).collect();
    assert_eq!(codes, [("bypass-param", 1), ("bypass-path", 1)]);
    assert_eq!(summary.parameters[0], gains::Gain { name: "ref".to_owned(), requests: 2, gained: 2 });
}

#[test]
fn a_larger_cache_hits_more_often() {
    let lines = (0..20_000).map(|n| line(n / 20, &format!("/{}", n * 7919 % 1000), 50_000));
    let summary = summary(&[4 << 20, 64 << 20], lines);
    let [small, large] = &summary.sizes[..] else { panic!("{summary:?}") };
    assert!(small.hit_ratio < large.hit_ratio - 0.3 && large.hit_ratio > 0.9, "{summary:#?}");
    assert!(small.origin_requests > large.origin_requests);
}

#[test]
fn what_forebay_logged_of_cookies_is_believed() {
    let entry = |detail: &str| {
        format!(
            r#"{{"time":"2000-10-10T13:55:36.123Z","method":"GET","scheme":"http","host":"a.test","target":"/x","status":200,"bytes":7,"detail":"{detail}"}}"#
        )
    };
    let summary = summary(&[64 << 20], ["bypass-cookie", "set-cookie", "no-freshness"].map(entry));
    assert_eq!((summary.passed, summary.cacheable), (2, 1), "{summary:?}");
}
