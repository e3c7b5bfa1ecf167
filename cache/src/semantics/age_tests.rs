use super::super::testing::{T0, at, date, fields};
use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn value(lines: &[&str]) -> u64 {
    let lines: Vec<_> = lines.iter().map(|line| ("Age", *line)).collect();
    age_value(&fields(&lines)).as_secs()
}

#[test]
fn rfc9111_5_1_the_first_member_of_age_counts() {
    assert_eq!(value(&["7200, 0"]), 7200);
    assert_eq!(value(&["0, 7200"]), 0);
    assert_eq!(value(&["7200", "0"]), 7200);
    assert_eq!(value(&["0", "7200"]), 0);
}

#[test]
fn rfc9111_5_1_an_invalid_age_is_ignored() {
    for text in ["", "abc", "-7200", "7200.0", "7200;foo=bar", "abc, 5", "1 2"] {
        assert_eq!(value(&[text]), 0, "{text}");
    }
}

#[test]
fn rfc9111_1_2_2_a_huge_age_clamps() {
    assert_eq!(value(&["2147483647"]), (1 << 31) - 1);
    for text in ["2147483648", "2147483649", "99999999999999999999999"] {
        assert_eq!(value(&[text]), 1 << 31, "{text}");
    }
}

#[test]
fn rfc9111_4_2_3_apparent_age_is_what_date_says() {
    let response = fields(&[("Date", &date(-7200))]);
    assert_eq!(initial_age(&response, T0, T0), secs(7200));
}

#[test]
fn rfc9111_4_2_3_a_date_in_the_future_is_no_negative_age() {
    let response = fields(&[("Date", &date(10)), ("Age", "15")]);
    assert_eq!(initial_age(&response, T0, T0), secs(15));
}

#[test]
fn rfc9111_4_2_3_response_delay_is_added_to_age_but_not_to_date() {
    let response = fields(&[("Date", &date(-5)), ("Age", "30")]);
    assert_eq!(initial_age(&response, T0, at(4)), secs(34));
    assert_eq!(initial_age(&fields(&[("Date", &date(-5))]), T0, at(1)), secs(6));
}

#[test]
fn rfc9111_4_2_3_resident_time_is_added() {
    assert_eq!(current_age(secs(30), T0, at(12)), secs(42));
    assert_eq!(current_age(secs(30), T0, at(-12)), secs(30), "a clock set back makes nothing younger than it came");
    assert_eq!(current_age(Duration::MAX, T0, at(1)), Duration::MAX);
}

#[test]
fn a_malformed_date_says_nothing() {
    assert_eq!(initial_age(&fields(&[("Date", "foo")]), T0, T0), Duration::ZERO);
}
