use super::*;

const CODINGS: [(Coding, &str); 3] = [(Coding::Zstd, "-zst"), (Coding::Brotli, "-br"), (Coding::Gzip, "-gz")];

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, value.parse().unwrap());
    }
    map
}

fn values<'a>(map: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    map.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn a_stored_variant_has_its_own_coding_length_and_tag() {
    let mut fields = map(&[
        ("content-type", "text/css"),
        ("content-length", "5000"),
        ("accept-ranges", "bytes"),
        ("etag", "\"abc\""),
        ("content-encoding", "identity"),
    ]);
    encoded(&mut fields, Coding::Gzip, Some(900));
    let expected = map(&[
        ("content-type", "text/css"),
        ("content-length", "900"),
        ("accept-ranges", "bytes"),
        ("etag", "\"abc-gz\""),
        ("content-encoding", "gzip"),
        ("vary", "Accept-Encoding"),
    ]);
    assert_eq!(fields, expected);
}

#[test]
fn a_stream_of_unknown_length_has_neither_length_nor_ranges() {
    let mut fields = map(&[("content-length", "5000"), ("accept-ranges", "bytes")]);
    encoded(&mut fields, Coding::Zstd, None);
    assert_eq!(fields, map(&[("content-encoding", "zstd"), ("vary", "Accept-Encoding")]));
}

#[test]
fn rfc9530_digests_of_the_plain_content_do_not_stay() {
    let mut fields = map(&[
        ("content-md5", "Q2hlY2sgSW50ZWdyaXR5IQ=="),
        ("digest", "sha-256=x"),
        ("content-digest", "sha-256=:x:"),
        ("repr-digest", "sha-256=:x:"),
        ("want-repr-digest", "sha-256=1"),
    ]);
    encoded(&mut fields, Coding::Brotli, None);
    let expected = map(&[("want-repr-digest", "sha-256=1"), ("content-encoding", "br"), ("vary", "Accept-Encoding")]);
    assert_eq!(fields, expected);
}

#[test]
fn vary_is_merged_once() {
    for (before, after) in [
        (&[][..], &["Accept-Encoding"][..]),
        (&["Cookie"], &["Cookie, Accept-Encoding"]),
        (&["Cookie", "User-Agent"], &["Cookie, User-Agent, Accept-Encoding"]),
        (&[""], &["Accept-Encoding"]),
        (&["accept-encoding"], &["accept-encoding"]),
        (&["Cookie", "x,ACCEPT-ENCODING"], &["Cookie", "x,ACCEPT-ENCODING"]),
        (&["*"], &["*"]),
        (&["Cookie, *"], &["Cookie, *"]),
        (&["Accept-Encoding-X"], &["Accept-Encoding-X, Accept-Encoding"]),
    ] {
        let lines: Vec<_> = before.iter().map(|value| ("vary", *value)).collect();
        let mut fields = map(&lines);
        vary(&mut fields);
        vary(&mut fields);
        assert_eq!(values(&fields, "vary"), after, "{before:?}");
    }
}

#[test]
fn rfc9110_8_8_3_3_each_coding_has_a_tag_of_its_own_and_it_leads_back() {
    for (coding, ending) in CODINGS {
        for (plain, start) in [("\"abc\"", "\"abc"), ("W/\"abc\"", "W/\"abc"), ("\"\"", "\""), ("\"a-gz\"", "\"a-gz")] {
            let tag = with_coding_suffix(&HeaderValue::from_static(plain), coding).unwrap();
            assert_eq!(tag.to_str().unwrap(), format!("{start}{ending}\""));
            assert_eq!(strip_coding_suffix(tag.as_bytes()), Some((plain.as_bytes().to_vec(), coding)));
        }
    }
}

#[test]
fn what_is_no_tag_of_ours_is_not_stripped() {
    for tag in
        ["\"abc\"", "\"abc-gzip\"", "\"abc-GZ\"", "abc-gz", "\"abc-gz", "w/\"abc-gz\"", "\"a b-gz\"", "*", "\"", ""]
    {
        assert_eq!(strip_coding_suffix(tag.as_bytes()), None, "{tag}");
    }
}

#[test]
fn a_malformed_tag_does_not_stay_on_a_coded_response() {
    for tag in ["abc", "\"abc", "\"a\"b\"", "W/abc", "\"a b\""] {
        let mut fields = map(&[]);
        fields.insert(ETAG, HeaderValue::from_static(tag));
        encoded(&mut fields, Coding::Gzip, None);
        assert!(!fields.contains_key(ETAG), "{tag}");
    }
    let mut fields = map(&[("etag", "\"a\""), ("etag", "\"b\"")]);
    encoded(&mut fields, Coding::Gzip, None);
    assert!(!fields.contains_key(ETAG));
}

#[test]
fn conditions_reach_the_upstream_with_the_plain_tag_beside_the_coded() {
    let mut request = map(&[
        ("if-none-match", "\"abc-gz\", W/\"x,y-br\""),
        ("if-none-match", "\"plain\""),
        ("if-match", "\"v1-zst\""),
    ]);
    restore_conditions(&mut request);
    assert_eq!(values(&request, "if-none-match"), ["\"abc-gz\", W/\"x,y-br\", \"plain\", \"abc\", W/\"x,y\""]);
    assert_eq!(values(&request, "if-match"), ["\"v1-zst\", \"v1\""]);
}

#[test]
fn conditions_without_our_tags_stay_as_they_are() {
    let before = map(&[
        ("if-none-match", "\"abc\""),
        ("if-none-match", "*"),
        ("if-match", "*"),
        ("if-range", "\"abc\""),
        ("range", "bytes=0-9"),
    ]);
    let mut request = before.clone();
    restore_conditions(&mut request);
    assert_eq!(request, before);
    let before = map(&[("if-range", "Sun, 06 Nov 1994 08:49:37 GMT"), ("range", "bytes=0-9")]);
    let mut request = before.clone();
    restore_conditions(&mut request);
    assert_eq!(request, before);
}

#[test]
fn rfc9110_13_1_5_a_range_of_coded_content_is_not_asked_of_an_upstream_that_has_the_plain() {
    let mut request = map(&[("if-range", "\"abc-gz\""), ("range", "bytes=100-")]);
    restore_conditions(&mut request);
    assert_eq!(request, map(&[]));
}

#[test]
fn rfc9110_15_4_5_a_304_carries_the_tag_of_what_the_client_holds() {
    let etag = HeaderValue::from_static("\"abc\"");
    let held = |value: &'static str, preferred| held_coding(&map(&[("if-none-match", value)]), &etag, preferred);
    assert_eq!(held("\"abc-gz\"", None), Some(Coding::Gzip));
    assert_eq!(held("\"abc-gz\"", Some(Coding::Brotli)), Some(Coding::Gzip));
    assert_eq!(held("\"abc-gz\", \"abc-br\"", Some(Coding::Brotli)), Some(Coding::Brotli));
    assert_eq!(held("W/\"abc-gz\"", Some(Coding::Gzip)), Some(Coding::Gzip));
    assert_eq!(held("\"abc\"", Some(Coding::Gzip)), None);
    assert_eq!(held("\"abc\", \"abc-gz\"", None), None);
    assert_eq!(held("\"other-gz\"", Some(Coding::Gzip)), None);
    assert_eq!(held("*", Some(Coding::Gzip)), None);
}
