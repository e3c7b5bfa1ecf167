//! Frames that break the rules, and those that use them to the full (RFC 9113, section 3 to 8).

use std::time::Duration;

use forebay_tests::client_h1::HOST;
use forebay_tests::client_h2_raw::{Fate, encode, frame};
use forebay_tests::origin::Ending;
use forebay_tests::{Origin, Proxy, RawH2, Reply};

/// Error codes (RFC 9113, section 7).
mod code {
    pub(super) const NO_ERROR: u32 = 0;
    pub(super) const PROTOCOL_ERROR: u32 = 1;
    pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
    pub(super) const STREAM_CLOSED: u32 = 5;
    pub(super) const FRAME_SIZE_ERROR: u32 = 6;
    pub(super) const REFUSED_STREAM: u32 = 7;
    pub(super) const COMPRESSION_ERROR: u32 = 9;
    pub(super) const ENHANCE_YOUR_CALM: u32 = 11;
}

const FIELDS: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/x")];
const UPLOAD: [(&str, &str); 4] = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", "/x")];

fn echo() -> Origin {
    Origin::answering(|request| match request.path() {
        "/large" => Reply::cacheable(vec![b'x'; 300_000]),
        "/page" => Reply::cacheable("page"),
        "/hang" => Reply::silence(Ending::Hang),
        _ => Reply::ok(request.body.clone()),
    })
}

fn to(path: &str) -> Vec<u8> {
    encode(&[FIELDS[0], FIELDS[1], FIELDS[2], (":path", path)])
}

/// What becomes of a connection that sends these frames: type, flags, stream, payload.
fn fate_of(proxy: &Proxy, frames: &[(u8, u8, u32, &[u8])]) -> Fate {
    let mut client = RawH2::connect(proxy.https(), HOST);
    for (kind, flags, stream, payload) in frames {
        client.send(*kind, *flags, *stream, payload);
    }
    client.fate(1)
}

const HEADERS: u8 = frame::HEADERS;
const DATA: u8 = frame::DATA;
const SETTINGS: u8 = frame::SETTINGS;
const WINDOW_UPDATE: u8 = frame::WINDOW_UPDATE;
const END: u8 = frame::END_STREAM | frame::END_HEADERS;

/// The client's frames up to the end of the response of a stream: its content, or what came instead.
fn response(client: &mut RawH2, stream: u32) -> Result<Vec<u8>, Fate> {
    let mut content = Vec::new();
    while let Some((kind, flags, of, payload)) = client.read() {
        match kind {
            DATA if of == stream => content.extend_from_slice(&payload),
            frame::RST_STREAM if of == stream => return Err(Fate::Reset(number(&payload))),
            frame::GOAWAY => return Err(Fate::GoAway(number(&payload[4..]))),
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && of == stream && flags & frame::END_STREAM != 0 {
            return Ok(content);
        }
    }
    Err(Fate::Closed)
}

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]])
}

fn next(client: &mut RawH2, kind: u8, flags: u8) -> Vec<u8> {
    loop {
        let (of, with, _, payload) = client.read().unwrap();
        if (of, with) == (kind, flags) {
            return payload;
        }
    }
}

#[test]
fn rfc9113_3_4_the_preface_comes_first_and_settings_behind_it() {
    let proxy = Proxy::before(&echo());
    let mut client = RawH2::dial(proxy.https(), HOST);
    client.write(b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eq!(client.fate(1), Fate::GoAway(code::PROTOCOL_ERROR));
    let mut client = RawH2::dial(proxy.https(), HOST);
    client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(frame::PING, 0, 0, &[0; 8]);
    assert_eq!(client.fate(1), Fate::GoAway(code::PROTOCOL_ERROR));
    // In as many pieces as there are bytes, it is the same.
    let mut client = RawH2::dial(proxy.https(), HOST);
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".iter().for_each(|byte| client.write(&[*byte]));
    client.send(SETTINGS, 0, 0, &[]);
    for byte in [&[0, 0, to("/page").len() as u8, HEADERS, END, 0, 0, 0, 1][..], &to("/page")].concat() {
        client.write(&[byte]);
    }
    assert_eq!(client.fate(1), Fate::Status(200));
}

#[test]
fn rfc9113_4_2_frames_are_no_larger_than_was_offered() {
    let proxy = Proxy::before(&echo());
    let large = vec![0; 16 * 1024 + 1];
    assert_eq!(fate_of(&proxy, &[(DATA, 0, 1, &large)]), Fate::GoAway(code::FRAME_SIZE_ERROR));
}

#[test]
fn rfc9113_4_3_blocks_that_cannot_be_understood_end_the_connection() {
    let proxy = Proxy::before(&echo());
    assert_eq!(fate_of(&proxy, &[(HEADERS, END, 1, &[0xff])]), Fate::GoAway(code::COMPRESSION_ERROR));
    assert_eq!(fate_of(&proxy, &[(HEADERS, END, 1, &[0xbe])]), Fate::GoAway(code::COMPRESSION_ERROR));
}

#[test]
fn rfc9113_5_1_frames_fit_the_state_of_their_stream() {
    let proxy = Proxy::before(&echo());
    let block = encode(&UPLOAD);
    let (whole, begun) = ((HEADERS, END, 1, &block[..]), (HEADERS, frame::END_HEADERS, 1, &block[..]));
    let goes_away = Fate::GoAway(code::PROTOCOL_ERROR);
    // Idle.
    assert_eq!(fate_of(&proxy, &[(DATA, 0, 1, b"x")]), goes_away);
    assert_eq!(fate_of(&proxy, &[(frame::RST_STREAM, 0, 1, &[0; 4])]), goes_away);
    assert_eq!(fate_of(&proxy, &[(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])]), goes_away);
    assert_eq!(fate_of(&proxy, &[(frame::CONTINUATION, 0, 1, &[])]), goes_away);
    // Of the server, or pushed by the client.
    assert_eq!(fate_of(&proxy, &[(HEADERS, END, 2, &block)]), goes_away);
    assert_eq!(fate_of(&proxy, &[(HEADERS, END, 0, &block)]), goes_away);
    assert_eq!(fate_of(&proxy, &[(frame::PUSH_PROMISE, 4, 1, &[0; 4])]), goes_away);
    // Half closed, while it is answered.
    let hang = to("/hang");
    let hanging = (HEADERS, END, 1, &hang[..]);
    assert_eq!(fate_of(&proxy, &[hanging, (DATA, 0, 1, b"x")]), Fate::Reset(code::STREAM_CLOSED));
    assert_eq!(fate_of(&proxy, &[hanging, (HEADERS, END, 1, &[])]), Fate::Reset(code::STREAM_CLOSED));
    // Closed: nothing that may have crossed on the way ends the connection.
    let mut client = RawH2::connect(proxy.https(), HOST);
    client.send(whole.0, whole.1, 1, whole.3);
    assert_eq!(response(&mut client, 1), Ok(Vec::new()));
    client.send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    client.send(frame::RST_STREAM, 0, 1, &[0; 4]);
    client.send(frame::PRIORITY, 0, 1, &[0; 5]);
    client.send(DATA, 0, 1, b"x");
    assert_eq!(response(&mut client, 1), Err(Fate::Reset(code::STREAM_CLOSED)));
    // A smaller number than before is a stream that was closed by the larger (section 5.1.1).
    client.send(HEADERS, END, 5, &block);
    assert_eq!(response(&mut client, 5), Ok(Vec::new()));
    client.send(HEADERS, END, 3, &block);
    assert_eq!(response(&mut client, 3), Err(Fate::Reset(code::STREAM_CLOSED)));
    client.send(HEADERS, END, 7, &block);
    assert_eq!(response(&mut client, 7), Ok(Vec::new()));
    // Trailers end a request, and have no pseudo-fields (section 8.1).
    let trailer = encode(&[("x", "y")]);
    assert_eq!(fate_of(&proxy, &[begun, (HEADERS, END, 1, &trailer)]), Fate::Status(200));
    let without_end = (HEADERS, frame::END_HEADERS, 1, &trailer[..]);
    assert_eq!(fate_of(&proxy, &[begun, without_end]), Fate::Reset(code::PROTOCOL_ERROR));
    let pseudo = encode(&[(":path", "/")]);
    assert_eq!(fate_of(&proxy, &[begun, (HEADERS, END, 1, &pseudo)]), Fate::Reset(code::PROTOCOL_ERROR));
}

#[test]
fn rfc9113_5_1_2_no_more_streams_at_a_time_than_offered() {
    let proxy = Proxy::config().origin(&echo()).limits("h2_streams = 3").start();
    let mut client = RawH2::connect(proxy.https(), HOST);
    for stream in [1, 3, 5, 7] {
        client.send(HEADERS, END, stream, &to("/hang"));
    }
    assert_eq!(client.fate(7), Fate::Reset(code::REFUSED_STREAM));
    // One that is given up makes room.
    client.send(frame::RST_STREAM, 0, 3, &[0, 0, 0, 8]);
    client.send(HEADERS, END, 9, &to("/x"));
    assert_eq!(client.fate(9), Fate::Status(200));
}

#[test]
fn rfc9113_5_5_frames_of_unknown_kinds_are_ignored() {
    let proxy = Proxy::before(&echo());
    let block = to("/page");
    assert_eq!(fate_of(&proxy, &[(0xfe, 0xff, 9, b"what"), (HEADERS, END, 1, &block)]), Fate::Status(200));
    // But not within a head (section 6.10).
    let begun = (HEADERS, frame::END_STREAM, 1, &block[..]);
    assert_eq!(fate_of(&proxy, &[begun, (0xfe, 0, 1, b"what")]), Fate::GoAway(code::PROTOCOL_ERROR));
}

#[test]
fn rfc9113_6_1_and_6_2_padding_and_priority_are_taken_off() {
    let proxy = Proxy::before(&echo());
    let head = [&[3, 0, 0, 0, 0, 10][..], &encode(&UPLOAD), &[0; 3]].concat();
    let mut client = RawH2::connect(proxy.https(), HOST);
    client.send(HEADERS, frame::END_HEADERS | frame::PADDED | frame::WITH_PRIORITY, 1, &head);
    client.send(DATA, frame::PADDED, 1, b"\x02hello\0\0");
    client.send(DATA, frame::PADDED | frame::END_STREAM, 1, b"\x00 you");
    assert_eq!(response(&mut client, 1).unwrap(), b"hello you");
    let goes_away = Fate::GoAway(code::PROTOCOL_ERROR);
    let begun = (HEADERS, frame::END_HEADERS, 1, &encode(&UPLOAD)[..]);
    assert_eq!(fate_of(&proxy, &[begun, (DATA, frame::PADDED, 1, b"\x05hell")]), goes_away);
    assert_eq!(fate_of(&proxy, &[(HEADERS, END | frame::PADDED, 1, b"\xff")]), goes_away);
}

#[test]
fn rfc9113_6_3_and_6_4_priority_and_reset_have_their_sizes() {
    let proxy = Proxy::before(&echo());
    let hang = (HEADERS, END, 1, &to("/hang")[..]);
    assert_eq!(fate_of(&proxy, &[hang, (frame::PRIORITY, 0, 1, &[0; 4])]), Fate::Reset(code::FRAME_SIZE_ERROR));
    assert_eq!(fate_of(&proxy, &[(frame::PRIORITY, 0, 0, &[0; 5])]), Fate::GoAway(code::PROTOCOL_ERROR));
    assert_eq!(fate_of(&proxy, &[hang, (frame::RST_STREAM, 0, 1, &[0; 5])]), Fate::GoAway(code::FRAME_SIZE_ERROR));
}

#[test]
fn rfc9113_6_5_settings() {
    let proxy = Proxy::before(&echo());
    let mut client = RawH2::connect(proxy.https(), HOST);
    assert_eq!(next(&mut client, SETTINGS, frame::ACK), b"");
    for (flags, stream, payload, code) in [
        (0, 1, &[][..], code::PROTOCOL_ERROR),
        (frame::ACK, 0, &[0; 6], code::FRAME_SIZE_ERROR),
        (0, 0, &[0; 5], code::FRAME_SIZE_ERROR),
        (0, 0, &[0, 2, 0, 0, 0, 2], code::PROTOCOL_ERROR),
        (0, 0, &[0, 4, 0x80, 0, 0, 0], code::FLOW_CONTROL_ERROR),
        (0, 0, &[0, 5, 0, 0, 0x3f, 0xff], code::PROTOCOL_ERROR),
        (0, 0, &[0, 5, 1, 0, 0, 0], code::PROTOCOL_ERROR),
    ] {
        assert_eq!(fate_of(&proxy, &[(SETTINGS, flags, stream, payload)]), Fate::GoAway(code), "{payload:?}");
    }
}

#[test]
fn rfc9113_6_7_pings_are_answered() {
    let proxy = Proxy::before(&echo());
    let mut client = RawH2::connect(proxy.https(), HOST);
    client.send(frame::PING, 0, 0, b"whatever");
    assert_eq!(next(&mut client, frame::PING, frame::ACK), b"whatever");
    assert_eq!(fate_of(&proxy, &[(frame::PING, 0, 0, b"short")]), Fate::GoAway(code::FRAME_SIZE_ERROR));
    assert_eq!(fate_of(&proxy, &[(frame::PING, 0, 1, &[0; 8])]), Fate::GoAway(code::PROTOCOL_ERROR));
}

/// Both on the front's way, and on the long one.
#[test]
fn rfc9113_6_9_no_more_content_is_sent_than_the_client_takes() {
    let proxy = Proxy::before(&echo());
    for round in 0..3 {
        let mut client = RawH2::connect(proxy.https(), HOST);
        // 100 bytes a stream.
        client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100]);
        client.send(HEADERS, END, 1, &to("/large"));
        assert_eq!(next(&mut client, DATA, 0).len(), 100, "round {round}");
        // 50 more, then so few that what was sent is more than the window, then again 10 more than was sent.
        client.send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 50]);
        assert_eq!(next(&mut client, DATA, 0).len(), 50);
        client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        client.send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 110]);
        assert_eq!(next(&mut client, DATA, 0).len(), 10);
        // The whole of what the connection takes: 65,535 less what came.
        client.send(WINDOW_UPDATE, 0, 1, &[0, 0x0f, 0xff, 0xff]);
        let mut came = 160;
        while came < 65_535 {
            came += next(&mut client, DATA, 0).len();
        }
        assert_eq!(came, 65_535);
        client.send(frame::PING, 0, 0, &[0; 8]);
        assert_eq!(client.read().map(|(kind, ..)| kind), Some(frame::PING), "and no content");
        client.send(WINDOW_UPDATE, 0, 0, &[0, 0x0f, 0xff, 0xff]);
        assert_eq!(response(&mut client, 1).map(|rest| rest.len()), Ok(300_000 - 65_535));
    }
}

#[test]
fn rfc9113_6_9_windows_are_never_too_large_nor_widened_by_nothing() {
    let proxy = Proxy::before(&echo());
    let hang = (HEADERS, END, 1, &to("/hang")[..]);
    let largest = [0x7f, 0xff, 0xff, 0xff];
    let goes_away = Fate::GoAway(code::PROTOCOL_ERROR);
    assert_eq!(fate_of(&proxy, &[(WINDOW_UPDATE, 0, 0, &[0; 4])]), goes_away);
    assert_eq!(fate_of(&proxy, &[hang, (WINDOW_UPDATE, 0, 1, &[0; 4])]), Fate::Reset(code::PROTOCOL_ERROR));
    assert_eq!(fate_of(&proxy, &[(WINDOW_UPDATE, 0, 0, &largest)]), Fate::GoAway(code::FLOW_CONTROL_ERROR));
    assert_eq!(fate_of(&proxy, &[hang, (WINDOW_UPDATE, 0, 1, &largest)]), Fate::Reset(code::FLOW_CONTROL_ERROR));
    assert_eq!(fate_of(&proxy, &[(WINDOW_UPDATE, 0, 0, &[0; 3])]), Fate::GoAway(code::FRAME_SIZE_ERROR));
    // A window that was widened as far as it goes cannot be made larger for all (section 6.9.2).
    let widened = (WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0, 0][..]);
    let more = (SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff][..]);
    assert_eq!(fate_of(&proxy, &[hang, widened, more]), Fate::GoAway(code::FLOW_CONTROL_ERROR));
}

/// What the AP server does not take is not taken from the client, and what is more than was offered ends the stream.
#[test]
fn rfc9113_6_9_1_content_beyond_the_window_is_refused() {
    let origin = Origin::scripted(|connection| {
        let _ = connection.read_head();
        std::thread::sleep(Duration::from_secs(600));
    });
    let proxy = Proxy::before(&origin);
    let mut client = RawH2::connect(proxy.https(), HOST);
    client.send(HEADERS, frame::END_HEADERS, 1, &encode(&UPLOAD));
    // 16 MiB: more than all buffers on the way.
    for _ in 0..1024 {
        client.send(DATA, 0, 1, &[0; 16 * 1024]);
    }
    let fate = client.fate(1);
    let refused = [Fate::Reset(code::FLOW_CONTROL_ERROR), Fate::GoAway(code::FLOW_CONTROL_ERROR)];
    assert!(refused.contains(&fate), "{fate:?}");
}

#[test]
fn large_content_goes_both_ways() {
    let proxy = Proxy::before(&echo());
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number / 7) as u8).collect();
    let content: &'static [u8] = content.leak();
    let mut client = proxy.connect_h2();
    assert!(client.request("POST", "/x", &[], content).body == content);
    assert_eq!(client.get("/large").body.len(), 300_000);
    assert_eq!(client.get("/large").body.len(), 300_000);
}

/// RFC 9113 section 8.1: who was refused before all of the content came need not send the rest.
#[test]
fn rfc9113_8_1_a_client_that_was_answered_early_is_told_to_stop() {
    let proxy = Proxy::config().origin(&echo()).limits("body_size = \"1KiB\"").start();
    let mut client = RawH2::connect(proxy.https(), HOST);
    let declared: Vec<_> = UPLOAD.into_iter().chain([("content-length", "100000")]).collect();
    client.send(HEADERS, frame::END_HEADERS, 1, &encode(&declared));
    assert_eq!(client.fate(1), Fate::Status(413));
    assert_eq!(client.fate(1), Fate::Reset(code::NO_ERROR));
    client.send(HEADERS, END, 3, &to("/page"));
    assert_eq!(client.fate(3), Fate::Status(200));
}

#[test]
fn heads_that_are_too_large_are_answered_and_the_connection_goes_on() {
    let proxy = Proxy::config().origin(&echo()).limits("head_size = \"8KiB\"").start();
    let mut client = RawH2::connect(proxy.https(), HOST);
    let long = "x".repeat(9000);
    client.send(HEADERS, END, 1, &encode(&[&FIELDS[..], &[("x", &long)]].concat()));
    assert_eq!(client.fate(1), Fate::Status(431));
    client.send(HEADERS, END, 3, &to("/page"));
    assert_eq!(client.fate(3), Fate::Status(200));
}

/// Even the largest that can be allowed is more than a frame for each of its parts.
#[test]
fn heads_of_the_largest_size_may_come_in_frames_as_small_as_need_be() {
    let proxy = Proxy::config().origin(&echo()).limits("head_size = \"1MiB\"").start();
    let mut client = RawH2::connect(proxy.https(), HOST);
    let long = "x".repeat(1_000_000);
    let block = encode(&[&FIELDS[..], &[("x", &long)]].concat());
    let pieces: Vec<_> = block.chunks(16 * 1024).collect();
    client.send(HEADERS, frame::END_STREAM, 1, pieces[0]);
    for (place, piece) in pieces.iter().enumerate().skip(1) {
        client.send(frame::CONTINUATION, if place + 1 == pieces.len() { frame::END_HEADERS } else { 0 }, 1, piece);
    }
    assert_eq!(client.fate(1), Fate::Status(200));
}

#[test]
fn rfc9113_6_10_a_head_may_go_on_in_further_frames() {
    let proxy = Proxy::before(&echo());
    let block = to("/page");
    let mut client = RawH2::connect(proxy.https(), HOST);
    client.send(HEADERS, frame::END_STREAM, 1, &block[..3]);
    client.send(frame::CONTINUATION, 0, 1, &block[3..4]);
    client.send(frame::CONTINUATION, frame::END_HEADERS, 1, &block[4..]);
    assert_eq!(client.fate(1), Fate::Status(200));
    let begun = (HEADERS, frame::END_STREAM, 1, &block[..3]);
    let goes_away = Fate::GoAway(code::PROTOCOL_ERROR);
    assert_eq!(fate_of(&proxy, &[begun, (frame::PING, 0, 0, &[0; 8])]), goes_away);
    assert_eq!(fate_of(&proxy, &[begun, (frame::CONTINUATION, 4, 3, &block[3..])]), goes_away);
}

/// Each of these floods costs its sender less than us, and asks for nothing.
#[test]
fn floods_end_the_connection() {
    let proxy = Proxy::before(&echo());
    let block = encode(&UPLOAD);
    let begun = (HEADERS, frame::END_HEADERS, 1, &block[..]);
    type Frame<'a> = (u8, u8, u32, &'a [u8]);
    let floods: [(&str, &[Frame<'_>], Frame<'_>); 7] = [
        ("ping", &[], (frame::PING, 0, 0, &[0; 8])),
        ("settings", &[], (SETTINGS, 0, 0, &[])),
        ("priority", &[], (frame::PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("empty data", &[begun], (DATA, 0, 1, &[])),
        ("padding", &[begun], (DATA, frame::PADDED, 1, &[0])),
        ("unknown", &[], (0xfe, 0, 0, &[])),
        ("continuation", &[(HEADERS, frame::END_STREAM, 1, &block)], (frame::CONTINUATION, 0, 1, &[])),
    ];
    for (name, before, flood) in floods {
        let frames: Vec<_> = before.iter().copied().chain(std::iter::repeat_n(flood, 1100)).collect();
        assert_eq!(fate_of(&proxy, &frames), Fate::GoAway(code::ENHANCE_YOUR_CALM), "{name}");
    }
}

/// Requests that are given up at once, by the client (CVE-2023-44487) or by what it makes us do (CVE-2025-8671).
#[test]
fn rapid_resets_end_the_connection() {
    let resets: [(u8, &[u8]); 4] =
        [(frame::RST_STREAM, &[0, 0, 0, 8]), (WINDOW_UPDATE, &[0; 4]), (frame::PRIORITY, &[0; 4]), (DATA, b"x")];
    for (kind, payload) in resets {
        let origin = echo();
        let proxy = Proxy::before(&origin);
        let mut client = RawH2::connect(proxy.https(), HOST);
        for stream in 0..500 {
            client.send(HEADERS, END, stream * 2 + 1, &to("/hang"));
            client.send(kind, 0, stream * 2 + 1, payload);
        }
        let fate = std::iter::from_fn(|| client.read()).find(|(kind, ..)| *kind == frame::GOAWAY);
        let code = fate.map(|(.., payload)| number(&payload[4..]));
        assert_eq!(code, Some(code::ENHANCE_YOUR_CALM), "{kind}");
        assert!(origin.total() <= 201, "{kind}: {}", origin.total());
        assert_eq!(proxy.get("/x").status, 200);
    }
}

#[test]
fn timed_heads_that_drip_end_at_the_deadline() {
    let proxy = Proxy::config().origin(&echo()).limits("head_timeout = \"1s\"").start();
    // Nothing, half a preface, half a frame, half a head.
    for (preface, frames) in [(0, 0), (10, 0), (24, 1), (24, 2)] {
        let mut client = RawH2::dial(proxy.https(), HOST);
        client.write(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..preface]);
        if frames > 0 {
            client.send(SETTINGS, 0, 0, &[]);
        }
        match frames {
            1 => client.write(&[0, 0, 8, HEADERS, 5]),
            2 => client.send(HEADERS, frame::END_STREAM, 1, &to("/page")),
            _ => {}
        }
        let began = std::time::Instant::now();
        assert_eq!(response(&mut client, 1), Err(Fate::GoAway(code::NO_ERROR)));
        assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    }
}

/// Hits are written without a task of their own: a client that asks for many and takes none is held to the floor all the same,
/// and what has come of its requests does not count as incomplete.
#[test]
fn timed_clients_that_take_no_hits_are_let_go() {
    for (floor, is_cut) in [("1KiB", true), ("0", false)] {
        let limits = format!("send_rate_floor = \"{floor}\"\nsend_grace = \"1s\"\nhead_timeout = \"1s\"");
        let origin = Origin::answering(|_| Reply::cacheable(vec![b'x'; 60_000]));
        let proxy = Proxy::config().origin(&origin).limits(&limits).start();
        assert_eq!(proxy.connect_h2().get("/page").status, 200);
        let mut client = RawH2::connect(proxy.https(), HOST);
        client.send(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
        client.send(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]);
        // 24 MB: more than the buffers of both sides hold.
        for stream in 0..400 {
            client.send(HEADERS, END, stream * 2 + 1, &to("/page"));
        }
        std::thread::sleep(Duration::from_secs(4));
        let came = (0..400).take_while(|stream| response(&mut client, stream * 2 + 1).is_ok()).count();
        assert_eq!(came < 400, is_cut, "{floor}: {came} responses");
    }
}

/// Random frames, most of them nearly right: no connection takes another one's with it.
#[test]
fn nonsense_is_refused_and_nothing_else_suffers() {
    let proxy = Proxy::before(&echo());
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let heads = [to("/page"), to("/large"), encode(&UPLOAD)];
    for _ in 0..150 {
        let mut client = RawH2::connect(proxy.https(), HOST);
        for _ in 0..random(40) + 1 {
            let kind = [0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10][random(13)];
            let mut payload = match kind {
                HEADERS | frame::CONTINUATION => heads[random(heads.len())].clone(),
                SETTINGS => [&[0, random(8) as u8][..], &(random(1 << 31) as u32).to_be_bytes()].concat(),
                _ => (0..[0, 4, 5, 8, 100][random(5)]).map(|_| random(256) as u8).collect(),
            };
            if random(4) == 0 && !payload.is_empty() {
                let place = random(payload.len());
                payload[place] = random(256) as u8;
            }
            let flags = if random(4) == 0 { random(256) as u8 } else { [0, 1, 4, 5][random(4)] };
            client.send(kind, flags, random(12) as u32, &payload);
        }
    }
    let mut client = RawH2::connect(proxy.https(), HOST);
    client.send(HEADERS, END, 1, &to("/page"));
    assert_eq!(response(&mut client, 1).unwrap(), b"page");
    assert!(!proxy.stderr().iter().any(|line| line.contains("panicked")), "{:#?}", proxy.stderr());
}
