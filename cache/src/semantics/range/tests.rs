use super::*;

fn of(field: &str, length: u64) -> Ranges {
    parse(&HeaderValue::from_str(field).unwrap(), length, 16)
}

#[test]
fn rfc9110_14_1_2_first_and_last_are_inclusive_and_last_is_clamped() {
    assert_eq!(of("bytes=0-499", 1000), Ranges::Single(0..500));
    assert_eq!(of("bytes=0-0", 1000), Ranges::Single(0..1));
    assert_eq!(of("bytes=500-", 1000), Ranges::Single(500..1000));
    assert_eq!(of("bytes=999-5000", 1000), Ranges::Single(999..1000));
}

#[test]
fn rfc9110_14_1_2_suffix_range_is_the_end_or_the_whole() {
    assert_eq!(of("bytes=-500", 1000), Ranges::Single(500..1000));
    assert_eq!(of("bytes=-5000", 1000), Ranges::Single(0..1000));
}

#[test]
fn rfc9110_14_1_2_suffix_of_zero_is_unsatisfiable() {
    assert_eq!(of("bytes=-0", 1000), Ranges::Unsatisfiable);
    assert_eq!(of("bytes=-0", 0), Ranges::Unsatisfiable);
}

#[test]
fn rfc9110_14_1_2_suffix_of_an_empty_representation_is_answered_whole() {
    assert_eq!(of("bytes=-1", 0), Ranges::Ignore);
    assert_eq!(of("bytes=0-", 0), Ranges::Unsatisfiable);
}

#[test]
fn rfc9110_14_1_2_first_beyond_the_end_is_unsatisfiable() {
    assert_eq!(of("bytes=1000-", 1000), Ranges::Unsatisfiable);
    assert_eq!(of("bytes=1000-1001,2000-", 1000), Ranges::Unsatisfiable);
}

#[test]
fn rfc9110_14_1_2_one_satisfiable_range_suffices() {
    assert_eq!(of("bytes=5000-,0-1", 1000), Ranges::Single(0..2));
}

#[test]
fn rfc9110_14_1_unit_is_case_insensitive_and_others_are_ignored() {
    assert_eq!(of("BYTES=0-1", 10), Ranges::Single(0..2));
    assert_eq!(of("pages=0-1", 10), Ranges::Ignore);
    assert_eq!(of("bytes", 10), Ranges::Ignore);
}

#[test]
fn rfc9110_14_1_1_malformed_is_ignored() {
    let malformed = [
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=5",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=0-1-2",
        "bytes=--1",
        "bytes=0 -1",
        "bytes=+0-1",
        "bytes =0-1",
        "bytes=0-1;2-3",
        "bytes=0-1,x",
        "bytes=0x0-1",
    ];
    for field in malformed {
        assert_eq!(of(field, 10), Ranges::Ignore, "{field}");
    }
}

#[test]
fn rfc9110_5_6_1_2_empty_list_members_and_white_space_are_accepted() {
    assert_eq!(of("bytes=, 0-1 ,\t, 4-5,", 10), Ranges::Multiple(vec![0..2, 4..6]));
}

#[test]
fn numbers_of_any_length_never_overflow() {
    assert_eq!(of("bytes=99999999999999999999999999999999-", 10), Ranges::Unsatisfiable);
    assert_eq!(of("bytes=0-18446744073709551615", 10), Ranges::Single(0..10));
    assert_eq!(of("bytes=0-18446744073709551615", u64::MAX), Ranges::Single(0..u64::MAX));
    assert_eq!(of("bytes=-18446744073709551616", 10), Ranges::Single(0..10));
    assert_eq!(of("bytes=18446744073709551615-18446744073709551616", u64::MAX), Ranges::Unsatisfiable);
}

#[test]
fn rfc9110_15_3_7_2_overlapping_and_touching_ranges_are_merged_in_the_order_asked() {
    assert_eq!(of("bytes=0-9,10-19", 100), Ranges::Single(0..20));
    assert_eq!(of("bytes=50-59,0-9,5-14,-10", 100), Ranges::Multiple(vec![50..60, 0..15, 90..100]));
    assert_eq!(of("bytes=0-,0-,0-,1-", 100), Ranges::Single(0..100));
    // The range that bridges two others comes last; all three become one at the place of the first.
    assert_eq!(of("bytes=0-1,50-51,4-5,2-3", 100), Ranges::Multiple(vec![0..6, 50..52]));
}

#[test]
fn more_than_the_allowed_number_of_ranges_is_ignored() {
    let many = |count: usize| {
        let specs: Vec<String> = (0..count).map(|place| format!("{}-{}", place * 10, place * 10)).collect();
        of(&format!("bytes={}", specs.join(",")), 100_000)
    };
    assert!(matches!(many(16), Ranges::Multiple(ranges) if ranges.len() == 16));
    assert_eq!(many(17), Ranges::Ignore);
    assert_eq!(of(&format!("bytes={}", vec!["0-"; 1000].join(",")), 10), Ranges::Ignore);
}

#[test]
fn rfc9110_14_2_several_range_lines_are_ignored() {
    let mut request = HeaderMap::new();
    assert_eq!(of_request(&request, 10, 16), Ranges::Ignore);
    request.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
    assert_eq!(of_request(&request, 10, 16), Ranges::Single(0..2));
    request.append(header::RANGE, HeaderValue::from_static("bytes=4-5"));
    assert_eq!(of_request(&request, 10, 16), Ranges::Ignore);
}

#[test]
fn rfc9110_14_4_content_range_names_inclusive_positions_and_the_length() {
    assert_eq!(content_range(&(0..500), 1234), "bytes 0-499/1234");
    assert_eq!(unsatisfied_content_range(1234), "bytes */1234");
}

#[test]
fn rfc9110_14_6_multipart_has_a_content_range_in_each_part_and_counts_every_byte() {
    let content: Vec<u8> = (b'a'..=b'z').collect();
    let media_type = HeaderValue::from_static("text/plain");
    let boundary = Boundary::new(0xfeed);
    let multipart = Multipart::new(boundary, vec![0..2, 10..13], 26, Some(&media_type));
    let mut sent = Vec::new();
    for (head, range) in multipart.parts() {
        sent.extend_from_slice(&head);
        sent.extend_from_slice(&content[range.start as usize..range.end as usize]);
    }
    sent.extend_from_slice(&multipart.closing());
    let line = "0000000000000000000000000000feed";
    assert_eq!(
        String::from_utf8(sent.clone()).unwrap(),
        format!(
            "--{line}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/26\r\n\r\nab\r\n\
             --{line}\r\nContent-Type: text/plain\r\nContent-Range: bytes 10-12/26\r\n\r\nklm\r\n--{line}--\r\n"
        )
    );
    assert_eq!(multipart.content_length(), sent.len() as u64);
    assert_eq!(multipart.content_type(), format!("multipart/byteranges; boundary={line}"));
}
