use super::*;
use crate::admin::{ConnectionStatus, ServerStatus};

const ATTACK: &str = "<script>alert('x')</script>\"&";

fn report(text: &str) -> StatusReport {
    StatusReport {
        version: text.to_owned(),
        uptime: Duration::from_secs(93_784),
        requests: 1_234_567,
        served: 1_200_000,
        fills_in_flight: 3,
        connections: ConnectionStatus { open: 42, limit: 10_000, refused: 1 },
        tiers: vec![TierStatus {
            name: text.to_owned(),
            objects: 1024,
            bytes: 64 << 20,
            capacity: 256 << 20,
            hits: 999,
            misses: 1,
        }],
        sites: vec![SiteStatus {
            label: text.to_owned(),
            hosts: vec![text.to_owned(), "*.example.com".to_owned()],
            upstream: Some(text.to_owned()),
            requests: 10,
            served: 9,
        }],
        upstreams: vec![UpstreamStatus {
            name: text.to_owned(),
            balance: "round-robin",
            queued: 0,
            servers: vec![ServerStatus {
                name: text.to_owned(),
                weight: 2,
                state: "down",
                requests: 5,
                errors: 5,
                ..ServerStatus::default()
            }],
            ..UpstreamStatus::default()
        }],
    }
}

#[test]
fn figures_are_shown_for_people() {
    let page = render(&report("0.1.0"), &[]);
    for text in [
        "up 1 d 2 h",
        "<strong>1,234,567</strong>",
        "<strong>97.2 %</strong>",
        "of 10,000; 1 refused",
        "<td>64.0 MiB</td><td>256.0 MiB</td>",
        "<meter min=\"0\" max=\"268435456\" value=\"67108864\">25.0 %</meter>",
        "<td>99.9 %</td>",
        "*.example.com",
        "<span class=\"badge bad\">down</span>",
        "<p class=\"badge good\">ready</p>",
    ] {
        assert!(page.contains(text), "{text}\n{page}");
    }
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let page = render(&report(ATTACK), &[ATTACK.to_owned()]);
    assert!(!page.contains("<script"), "{page}");
    assert_eq!(page.matches("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;").count(), 8);
    assert!(page.contains("not ready"));
}

#[test]
fn the_page_stands_alone_and_closes_what_it_opens() {
    let page = render(&report("x"), &["starting".to_owned()]);
    for outside in ["http:", "https:", "src=", "<link", "url(", "@import", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for element in [
        "html", "head", "body", "style", "header", "main", "section", "div", "table", "tr", "td", "ul", "li", "p",
        "footer",
    ] {
        let opened = page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
        assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        assert_ne!(opened, 0, "{element}");
    }
}

#[test]
fn numbers_at_their_edges() {
    assert_eq!((thousands(0), thousands(999), thousands(1000)), ("0".into(), "999".into(), "1,000".into()));
    assert_eq!((ratio(0, 0), ratio(999_999, 1_000_000)), ("–".to_owned(), "99.9 %".to_owned()));
    assert_eq!(ratio(u64::MAX, u64::MAX), "100.0 %");
    assert_eq!((bytes(0), bytes(1023), bytes(1024)), ("0 B".into(), "1023 B".into(), "1.0 KiB".into()));
    assert_eq!(bytes(u64::MAX), "15.9 EiB");
    let times = [5, 65, 3700].map(|seconds| duration(Duration::from_secs(seconds)));
    assert_eq!(times, ["5 s", "1 min 5 s", "1 h 1 min"]);
}
