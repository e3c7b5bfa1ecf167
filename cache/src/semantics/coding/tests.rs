use super::*;
use Coding::{Brotli, Gzip, Zstd};

const ALL: &[Coding] = &[Zstd, Brotli, Gzip];

fn with(lines: &[&str], offered: &[Coding]) -> Negotiated {
    let mut request = HeaderMap::new();
    for line in lines {
        request.append(header::ACCEPT_ENCODING, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    negotiate(&request, offered)
}

fn of(field: &str) -> Negotiated {
    with(&[field], ALL)
}

#[test]
fn rfc9110_12_5_3_no_field_or_an_empty_one_gets_identity() {
    assert_eq!(with(&[], ALL), Negotiated::Identity);
    assert_eq!(of(""), Negotiated::Identity);
}

#[test]
fn rfc9110_12_5_3_highest_weight_wins_whatever_its_place() {
    assert_eq!(of("gzip;q=1.0, br;q=0.8, zstd;q=0.9"), Negotiated::Coding(Gzip));
    assert_eq!(of("gzip;q=0.001, br;q=0.002"), Negotiated::Coding(Brotli));
}

#[test]
fn equal_weights_go_to_the_order_of_the_server() {
    assert_eq!(of("gzip, deflate, br, zstd"), Negotiated::Coding(Zstd));
    assert_eq!(with(&["gzip, br, zstd"], &[Gzip, Zstd]), Negotiated::Coding(Gzip));
}

#[test]
fn rfc9110_12_5_3_weight_of_zero_is_not_acceptable() {
    assert_eq!(of("gzip;q=0"), Negotiated::Identity);
    assert_eq!(of("gzip;q=0.000, br"), Negotiated::Coding(Brotli));
}

#[test]
fn rfc9110_12_5_3_asterisk_stands_for_what_is_not_listed() {
    assert_eq!(of("*"), Negotiated::Coding(Zstd));
    assert_eq!(of("zstd;q=0, *"), Negotiated::Coding(Brotli));
    assert_eq!(of("gzip;q=0.5, *;q=0.1"), Negotiated::Coding(Gzip));
    assert_eq!(of("gzip, *;q=0"), Negotiated::Coding(Gzip));
}

#[test]
fn rfc9110_12_5_3_identity_is_acceptable_unless_excluded() {
    assert_eq!(of("deflate"), Negotiated::Identity);
    assert_eq!(of("identity;q=0"), Negotiated::NotAcceptable);
    assert_eq!(of("*;q=0"), Negotiated::NotAcceptable);
    assert_eq!(of("identity, *;q=0"), Negotiated::Identity);
    assert_eq!(with(&["identity;q=0, gzip"], &[]), Negotiated::NotAcceptable);
    assert_eq!(of("identity;q=0, gzip;q=0.1"), Negotiated::Coding(Gzip));
}

#[test]
fn rfc9110_12_5_3_identity_preferred_over_a_coding_is_obeyed() {
    assert_eq!(of("gzip;q=0.5, identity"), Negotiated::Identity);
    assert_eq!(of("gzip;q=0.5, identity;q=0.5"), Negotiated::Coding(Gzip));
    assert_eq!(with(&["gzip;q=0.2, *;q=0.8"], &[Gzip]), Negotiated::Identity);
}

#[test]
fn rfc9110_5_3_all_field_lines_are_one_list() {
    assert_eq!(with(&["br;q=0.1", "gzip"], ALL), Negotiated::Coding(Gzip));
    assert_eq!(with(&["identity;q=0", "*;q=0"], ALL), Negotiated::NotAcceptable);
}

#[test]
fn rfc9110_8_4_1_3_x_gzip_is_gzip() {
    assert_eq!(of("x-gzip"), Negotiated::Coding(Gzip));
    assert_eq!(Coding::from_token("X-GZIP"), Some(Gzip));
}

#[test]
fn rfc9110_8_4_1_names_are_case_insensitive() {
    assert_eq!(of("GZip ; Q=0.3 , BR\t;\tq=0.2"), Negotiated::Coding(Gzip));
    assert_eq!(of("IDENTITY;q=0"), Negotiated::NotAcceptable);
}

#[test]
fn rfc9110_12_4_2_malformed_weights_make_the_member_absent() {
    for field in
        ["gzip;q=1.001", "gzip;q=0.1234", "gzip;q=2", "gzip;q=.5", "gzip;q=-1", "gzip;q=", "gzip;q", "gzip;w=1"]
    {
        assert_eq!(of(field), Negotiated::Identity, "{field}");
    }
    assert_eq!(of("gzip;q=1."), Negotiated::Coding(Gzip));
    assert_eq!(of("gzip;q=nan, br;q=0.1"), Negotiated::Coding(Brotli));
    assert_eq!(of("\u{e9}, gzip"), Negotiated::Coding(Gzip));
    assert_eq!(of("gzip;q=0.5;x=1, br;q=0.1"), Negotiated::Coding(Brotli));
}

#[test]
fn the_first_mention_of_a_coding_counts() {
    assert_eq!(of("gzip;q=0, gzip;q=1"), Negotiated::Identity);
}
