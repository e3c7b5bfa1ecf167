use bytes::BytesMut;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
    let mut lines = Lines::default();
    lines.begin(1 << 16);
    decoder.decode(block, &mut lines)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(lines.iter().map(|(name, value)| (text(name), text(value))).collect())
}

fn lines(expected: &[(&str, &str)]) -> Result<Vec<(String, String)>, Malformed> {
    Ok(expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn rfc7541_c_3_requests_without_huffman_coding() {
    let mut decoder = Decoder::new();
    let first = &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
    let block = hex("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d");
    assert_eq!(decode(&mut decoder, &block), lines(first));
    let second: Vec<_> = first.iter().copied().chain([("cache-control", "no-cache")]).collect();
    assert_eq!(decode(&mut decoder, &hex("8286 84be 5808 6e6f 2d63 6163 6865")), lines(&second));
    let third = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ];
    let block = hex("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65");
    assert_eq!(decode(&mut decoder, &block), lines(&third));
}

#[test]
fn rfc7541_c_4_requests_with_huffman_coding() {
    let mut decoder = Decoder::new();
    let first = &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
    assert_eq!(decode(&mut decoder, &hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff")), lines(first));
    let second: Vec<_> = first.iter().copied().chain([("cache-control", "no-cache")]).collect();
    assert_eq!(decode(&mut decoder, &hex("8286 84be 5886 a8eb 1064 9cbf")), lines(&second));
    let third = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ];
    let block = hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
    assert_eq!(decode(&mut decoder, &block), lines(&third));
}

#[test]
fn rfc7541_4_2_the_table_is_resized_at_the_beginning_of_a_block_and_within_what_is_allowed() {
    let mut decoder = Decoder::new();
    assert_eq!(decode(&mut decoder, &hex("3f e1 1f 82")), lines(&[(":method", "GET")]), "4096");
    assert_eq!(decode(&mut decoder, &hex("20 3f e1 1f 82")), lines(&[(":method", "GET")]), "0, then 4096");
    assert_eq!(decode(&mut decoder, &hex("3f e2 1f 82")), Err(Malformed), "4097");
    assert_eq!(decode(&mut decoder, &hex("82 20")), Err(Malformed), "at the end");
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for bad in [
        "80",                // number 0
        "be",                // a number that nothing has
        "7f 80 80 80 80 01", // a number too long
        "ff",                // a number that breaks off
        "40",                // no name
        "40 01",             // a name that breaks off
        "40 01 61",          // no value
        "44 85 f1 e3",       // a coded value that breaks off
        "44 81 00",          // a coded value that is padded with zeros
        "0f 80 01",          // a literal whose name's number nothing has... but its value is missing
    ] {
        assert_eq!(decode(&mut Decoder::new(), &hex(bad)), Err(Malformed), "{bad}");
    }
}

/// One byte of a block can stand for a line of 4 KiB: what is too much is not kept, and the table stays right all the same.
#[test]
fn lines_beyond_the_largest_size_are_not_kept() {
    let mut decoder = Decoder::new();
    // 4,000 is 127, 33, and 30 times 128.
    let length = 4000;
    let mut block = vec![0x40, 1, b'x', 0x7f, 0x80 | 33, 30];
    block.extend_from_slice(&[b'y'; 4000]);
    block.extend_from_slice(&[0xbe; 100]);
    let mut lines = Lines::default();
    lines.begin(10_000);
    decoder.decode(&block, &mut lines).unwrap();
    assert!(lines.is_too_large());
    assert_eq!(lines.iter().count(), 2);
    lines.begin(10_000);
    decoder.decode(&[0xbe], &mut lines).unwrap();
    assert!(!lines.is_too_large());
    assert_eq!(lines.iter().map(|(name, value)| (name.len(), value.len())).collect::<Vec<_>>(), [(1, length)]);
}

/// What is encoded is what a decoder understands, and it uses no table.
#[test]
fn heads_come_back() {
    let mut fields = HeaderMap::new();
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    fields.append(SET_COOKIE, HeaderValue::from_static("a=b"));
    fields.append(SET_COOKIE, HeaderValue::from_static("c=d"));
    fields.insert("x-empty", HeaderValue::from_static(""));
    fields.insert("x-odd", HeaderValue::from_bytes(b"\xff\xfe~~~~").unwrap());
    fields.insert("x-long", HeaderValue::from_str(&"long ".repeat(200)).unwrap());
    for code in [200, 204, 206, 304, 400, 404, 500, 103, 302, 599] {
        let code = StatusCode::from_u16(code).unwrap();
        let mut block = BytesMut::from(&[NO_TABLE][..]);
        head(&mut block, code, &fields);
        let mut decoded = Lines::default();
        decoded.begin(1 << 16);
        Decoder::new().decode(&block, &mut decoded).unwrap();
        let mut decoded = decoded.iter();
        assert_eq!(decoded.next(), Some((&b":status"[..], code.as_str().as_bytes())));
        let expected: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
        assert_eq!(decoded.collect::<Vec<_>>(), expected);
    }
}
