//! What comes in by UDP: anything. Who is asked for what he has says so truthfully, and to nobody else.

use std::time::Duration;

use forebay_tests::icp::{self, DECHO, DENIED, ERR, HIT, Icp, MISS, QUERY, SECHO, packet};
use forebay_tests::nodes::Nodes;
use forebay_tests::{Origin, Proxy, Reply, assert_eventually};

/// Long enough for an answer that is not to come.
const A_WHILE: Duration = Duration::from_millis(300);

/// A generator of its own, so that a failure comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

fn ignored(proxy: &Proxy, reason: &str) -> f64 {
    proxy.metric("forebay_icp_ignored_total", &[&format!("reason=\"{reason}\"")])
}

#[test]
fn a_sibling_is_told_what_a_plain_get_would_find() {
    let nodes = Nodes::new();
    let origin = Origin::answering(|request| match request.path() {
        "/private" => Reply::ok("x").field("Cache-Control", "private, max-age=60"),
        "/encoded" => Reply::cacheable("x").field("Vary", "Accept-Encoding"),
        "/varies" => Reply::cacheable("x").field("Vary", "Accept-Language"),
        _ => Reply::cacheable("x"),
    });
    let proxy = nodes.forebay(1, &[2], &origin).site("ignore_params = [\"utm_*\"]").start();
    let (sibling, ask) = (Icp::bind(nodes.icp(2)), nodes.icp(1));
    assert_eq!(sibling.ask(ask, "http://site.test/x"), MISS);
    for target in ["/x", "/private", "/encoded", "/varies", "/q?a=1"] {
        // It asks us, who do not answer its questions here: they are taken off the socket.
        proxy.get(target);
        while sibling.receive_within(A_WHILE).is_some_and(|packet| matches!(packet.opcode, QUERY | SECHO)) {}
    }
    for (url, said) in [
        ("http://site.test/x", HIT),
        ("HTTP://SITE.TEST:80/%78", HIT),
        ("http://site.test/q?utm_source=y&a=1", HIT),
        ("http://site.test/encoded", HIT),
        ("http://site.test/varies", MISS),
        ("http://site.test/private", MISS),
        ("https://site.test/x", MISS),
        ("http://other.test/x", MISS),
        ("http://site.test/../x", ERR),
        ("/x", ERR),
        ("", ERR),
        ("ftp://site.test/x", ERR),
    ] {
        sibling.send(ask, &packet(QUERY, 9, url.as_bytes()));
        let answer = loop {
            let packet = sibling.receive();
            if !matches!(packet.opcode, QUERY | SECHO) {
                break packet;
            }
        };
        assert_eq!((answer.opcode, answer.url.as_str(), answer.number), (said, url, 9), "{url}");
    }
}

#[test]
fn host_of_no_site_is_denied_and_an_echo_is_answered_once() {
    let (nodes, origin) = (Nodes::new(), Origin::answering(|_| Reply::cacheable("x")));
    let config = nodes.forebay(1, &[2], &origin).site("hosts = [\"site.test\"]");
    let _proxy = config.start();
    let (sibling, ask) = (Icp::bind(nodes.icp(2)), nodes.icp(1));
    assert_eq!(sibling.ask(ask, "http://other.test/"), DENIED);
    sibling.send(ask, &packet(SECHO, 5, b"http://site.test/"));
    let echo = sibling.receive();
    assert_eq!((echo.opcode, echo.number), (DECHO, 5));
    // An echo of the echo would go on for ever.
    sibling.send(ask, &echo.bytes);
    assert!(sibling.receive_within(A_WHILE).is_none());
}

#[test]
fn strangers_are_not_answered_unless_they_are_allowed() {
    let (nodes, origin) = (Nodes::new(), Origin::answering(|_| Reply::cacheable("x")));
    let allow = format!("allow = [\"{}\"]", nodes.ip(8));
    let proxy = nodes.forebay_with(1, &[2], &allow, &origin).start();
    let (stranger, guest) = (Icp::bind(nodes.icp(9)), Icp::bind(nodes.icp(8)));
    for opcode in [QUERY, HIT, MISS, SECHO, DECHO, DENIED] {
        stranger.send(nodes.icp(1), &packet(opcode, 1, b"http://site.test/"));
    }
    assert_eq!(guest.ask(nodes.icp(1), "http://site.test/"), MISS);
    assert!(stranger.receive_within(A_WHILE).is_none());
    assert_eq!(ignored(&proxy, "stranger"), 6.0);
    assert_eq!(proxy.metric("forebay_icp_answers_total", &["peer=\"other\""]), 1.0);
}

#[test]
fn flood_is_answered_at_the_rate_and_no_faster() {
    let (nodes, origin) = (Nodes::new(), Origin::answering(|_| Reply::cacheable("x")));
    let proxy = nodes.forebay_with(1, &[2], "rate = 50", &origin).start();
    let sibling = Icp::bind(nodes.icp(2));
    let question = packet(QUERY, 1, b"http://site.test/");
    (0..500).for_each(|_| sibling.send(nodes.icp(1), &question));
    assert_eventually!(ignored(&proxy, "limited") > 100.0);
    let answered = proxy.metric("forebay_icp_answers_total", &["result=\"miss\""]);
    assert!((50.0..400.0).contains(&answered), "{answered}");
}

#[test]
fn malformed_packets_are_counted_and_nothing_else() {
    let (nodes, origin) = (Nodes::new(), Origin::answering(|_| Reply::cacheable("x")));
    let proxy = nodes.forebay(1, &[2], &origin).start();
    let sibling = Icp::bind(nodes.icp(2));
    let good = packet(QUERY, 1, b"http://site.test/");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let huge = packet(QUERY, 1, &vec![b'a'; 65_507 - 25]);
    let bad = [
        Vec::new(),
        good[..10].to_vec(),
        good[..30].to_vec(),
        with(1, 3),
        with(3, 0),
        with(0, 99),
        with(41, b'x'),
        huge,
    ];
    for bytes in &bad {
        sibling.send(nodes.icp(1), bytes);
    }
    assert_eq!(sibling.ask(nodes.icp(1), "http://site.test/"), MISS);
    assert_eq!(ignored(&proxy, "malformed"), bad.len() as f64);
}

#[test]
fn ten_thousand_mutated_packets_do_no_harm() {
    let (nodes, origin) = (Nodes::new(), Origin::answering(|_| Reply::cacheable("x")));
    let proxy = nodes.forebay(1, &[2], &origin).start();
    let (sibling, stranger) = (Icp::bind(nodes.icp(2)), Icp::bind(nodes.icp(9)));
    let mut random = Random(3);
    let mut send = |count: usize| {
        for n in 0..count {
            let mut bytes = if n % 4 == 0 {
                (0..random.below(200)).map(|_| random.byte()).collect()
            } else {
                let opcode = [QUERY, HIT, MISS, ERR, SECHO, DECHO, icp::MISS_NOFETCH, DENIED][random.below(8)];
                packet(
                    opcode,
                    random.below(1 << 30) as u32,
                    format!("http://site.test/{}", random.below(1000)).as_bytes(),
                )
            };
            for _ in 0..random.below(4) {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    bytes[at] = random.byte();
                }
            }
            let from = if n % 2 == 0 { &sibling } else { &stranger };
            from.send(nodes.icp(1), &bytes);
            // In step with the other side, whose buffer would overflow otherwise.
            if n % 100 == 99 {
                while let Some(answer) = sibling.receive_within(Duration::from_millis(2)) {
                    assert!(answer.bytes.len() <= 400);
                }
            }
        }
    };
    send(1_000);
    let before = proxy.resident_kib();
    send(10_000);
    let after = proxy.resident_kib();
    assert!(after < before + 8 * 1024, "{before} KiB, then {after} KiB");
    assert!(stranger.receive_within(A_WHILE).is_none(), "a stranger was answered");
    while sibling.receive_within(A_WHILE).is_some() {}
    assert_eq!(sibling.ask(nodes.icp(1), "http://site.test/"), MISS);
    assert_eq!(origin.total(), 0);
}
