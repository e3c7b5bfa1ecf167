//! Requests whose end two readers would see in two places (RFC 9112, sections 2.2, 5, 6 and 7).

use crate::refusal::Pair;

const POST: &str = "POST /x HTTP/1.1\r\nHost: site.test\r\n";

fn post(fields: &str, content: &str) -> String {
    format!("{POST}{fields}\r\n{content}")
}

fn chunked(content: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", content)
}

#[test]
fn row_01_cl_te_is_refused() {
    let pair = Pair::start();
    pair.refuses_unseen(post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nX"), &[400]);
    pair.has_not_stored("/x");
}

#[test]
fn row_02_te_cl_is_refused() {
    let pair = Pair::start();
    let content = "5c\r\nGPOST / HTTP/1.1\r\nContent-Length: 15\r\n\r\nx=1\r\n0\r\n\r\n";
    pair.refuses_unseen(post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", content), &[400]);
    pair.has_not_stored("/x");
}

#[test]
fn row_03_te_that_only_looks_like_chunked_is_refused() {
    let pair = Pair::start();
    // 501 is RFC 9112 section 6.1's word for a transfer coding that is not known.
    for coding in [
        "xchunked",
        "chunked, chunked",
        "\u{b}chunked",
        "\"chunked\"",
        "chun ked",
        "chunked;",
        "chunked\u{0}",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: chunked",
    ] {
        pair.refuses_unseen(post(&format!("Transfer-Encoding: {coding}\r\n"), "0\r\n\r\n"), &[400, 501]);
    }
    pair.refuses_unseen(post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), &[400]);
}

#[test]
fn row_03_te_is_forwarded_in_its_canonical_form_only() {
    let pair = Pair::start();
    for line in ["Transfer-Encoding:\tchunked", "Transfer-Encoding: CHUNKED", "transfer-encoding:chunked \t"] {
        let (answer, _) = pair.proxy.send_raw(post(&format!("{line}\r\n"), "3\r\nabc\r\n0\r\n\r\n"));
        assert!(matches!(answer.unwrap().status, 200 | 400), "{line:?}");
    }
    for request in pair.origin.requests() {
        assert_eq!((request.body.as_slice(), request.field("content-length")), (&b"abc"[..], None));
        assert_eq!(request.field("transfer-encoding").as_deref(), Some("chunked"));
    }
}

#[test]
fn row_04_te_that_does_not_end_in_chunked_is_refused() {
    let pair = Pair::start();
    pair.refuses_unseen(post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), &[400]);
    pair.refuses_unseen(post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), &[400]);
}

#[test]
fn row_05_te_in_http_1_0_is_refused() {
    let pair = Pair::start();
    let request = "POST /x HTTP/1.0\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    pair.refuses_unseen(request, &[400]);
    pair.refuses_unseen(request.replace("Transfer", "Connection: keep-alive\r\nTransfer"), &[400]);
}

#[test]
fn row_06_invalid_content_length_is_refused() {
    let pair = Pair::start();
    for length in ["+5", "-1", "0x5", "5 6", "1_0", "18446744073709551621", "", " ", "5,", "\"5\"", "5.0", "five"] {
        pair.refuses_unseen(post(&format!("Content-Length: {length}\r\n"), "hello"), &[400]);
    }
}

#[test]
fn row_07_differing_content_lengths_are_refused() {
    let pair = Pair::start();
    pair.refuses_unseen(post("Content-Length: 5\r\nContent-Length: 0\r\n", "hello"), &[400]);
    pair.refuses_unseen(post("Content-Length: 5, 6\r\n", "hello"), &[400]);
}

#[test]
fn row_07_equal_content_lengths_become_one_or_are_refused() {
    let pair = Pair::start();
    for fields in ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n"] {
        let (answer, _) = pair.proxy.send_raw(post(fields, "hello"));
        assert!(matches!(answer.unwrap().status, 200 | 400));
    }
    for request in pair.origin.requests() {
        assert_eq!(request.field("content-length").as_deref(), Some("5"));
    }
}

#[test]
fn row_08_request_in_the_content_of_a_get_is_never_executed() {
    let pair = Pair::start();
    let inner = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";
    let request = format!("GET /x HTTP/1.1\r\nHost: site.test\r\nContent-Length: {}\r\n\r\n{inner}", inner.len());
    let (answer, _) = pair.proxy.send_raw(request);
    assert!(matches!(answer.unwrap().status, 200 | 400));
    assert_eq!(pair.proxy.get("/after").status, 200);
    assert_eq!(pair.origin.count("/smuggled"), 0);
    assert!(pair.origin.count("/x") <= 1);
}

#[test]
fn row_13_invalid_chunk_sizes_are_refused() {
    let pair = Pair::start();
    for size in ["0x5", "+5", "-5", " 5", "5_0", "00000000000000005", "fffffffffffffffff", "", "g", "5 5"] {
        pair.refuses(chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n")), &[400]);
    }
}

#[test]
fn row_14_line_ends_within_chunk_extensions_are_refused() {
    let pair = Pair::start();
    for extension in [";\n", ";a\rb\r\n", ";a=\"\r\n\"\r\n", ";a\n", ";\u{0}\r\n"] {
        pair.refuses(chunked(&format!("5{extension}hello\r\n0\r\n\r\n")), &[400]);
    }
}

#[test]
fn row_15_wrong_ends_of_chunk_data_are_refused() {
    let pair = Pair::start();
    for content in [
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
    ] {
        pair.refuses(chunked(content), &[400]);
    }
}

#[test]
fn row_16_trailers_are_never_merged_into_the_fields() {
    let pair = Pair::start();
    let trailers = "Content-Length: 3\r\nHost: evil.test\r\nAuthorization: Basic x\r\nX-Trailer: y\r\n";
    let (answer, _) = pair.proxy.send_raw(chunked(&format!("3\r\nabc\r\n0\r\n{trailers}\r\n")));
    assert_eq!(answer.unwrap().status, 200);
    let request = pair.origin.only("/x");
    assert_eq!((request.field("host").as_deref(), request.body.as_slice()), (Some("site.test"), &b"abc"[..]));
    assert_eq!((request.field("authorization"), request.field("x-trailer")), (None, None));
    let seen = String::from_utf8_lossy(&pair.origin.received()).to_lowercase();
    assert!(!seen.contains("evil.test") && !seen.contains("authorization"), "{seen}");
}

#[test]
fn row_17_bare_lf_cr_and_nul_are_refused() {
    let pair = Pair::start();
    for request in [
        "GET /x HTTP/1.1\nHost: site.test\n\n",
        "GET /x HTTP/1.1\r\nHost: site.test\nX: y\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: site.test\r\nX: a\rb\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: site.test\r\nX: a\u{0}b\r\n\r\n",
        "GET /x\rHTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET /x\u{0} HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET /x HTTP/1.1\r\rHost: site.test\r\n\r\n",
    ] {
        pair.refuses_unseen(request, &[400]);
    }
}

#[test]
fn row_17_obsolete_folding_is_refused_or_unfolded() {
    let pair = Pair::start();
    let (answer, _) = pair.proxy.send_raw("GET /x HTTP/1.1\r\nHost: site.test\r\nX: a\r\n b\r\n\r\n");
    match answer.unwrap().status {
        400 => assert!(pair.origin.received().is_empty()),
        status => {
            assert_eq!((status, pair.origin.only("/x").field("x").as_deref()), (200, Some("a b")));
        }
    }
    pair.has_not_stored("/y");
}

#[test]
fn row_18_field_names_outside_the_grammar_are_refused() {
    let pair = Pair::start();
    for line in [": x", "A B: x", "X\u{0}: y", "Content-Length : 5", "no colon", " X: leading", "X\u{e9}: y", "(X): y"]
    {
        pair.refuses_unseen(format!("POST /x HTTP/1.1\r\nHost: site.test\r\n{line}\r\n\r\nhello"), &[400]);
    }
    // A line that begins with white space is no field of the request line either.
    pair.refuses_unseen("GET /x HTTP/1.1\r\n X: y\r\nHost: site.test\r\n\r\n", &[400]);
}

#[test]
fn row_19_underscore_twins_are_never_acted_on() {
    let pair = Pair::start();
    let mut client = pair.proxy.connect();
    client.send(
        "GET /x HTTP/1.1\r\nHost: site.test\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n\
         X_Forwarded_For: 9.9.9.9\r\n\r\nGET /y HTTP/1.1\r\nHost: site.test\r\n\r\n",
    );
    assert_eq!(client.read_response().text(), "GET /x");
    assert_eq!(client.read_response().text(), "GET /y");
    let forwarded_for = pair.origin.only("/x").field("x-forwarded-for").unwrap();
    assert!(!forwarded_for.contains("9.9.9.9"), "{forwarded_for}");
}
