use super::super::testing::{Case, at, date, fields};
use super::*;

fn stored(lines: &[(&str, &str)]) -> StoredResponse {
    Case::response(lines).stored()
}

fn freshened(response: &[(&str, &str)], candidates: &[&[(&str, &str)]]) -> Vec<usize> {
    let stored: Vec<_> = candidates.iter().map(|lines| stored(lines)).collect();
    freshened_by_304(&fields(response), &stored.iter().collect::<Vec<_>>())
}

#[test]
fn rfc9111_4_3_1_all_entity_tags_are_sent_each_once_as_received() {
    let (strong, weak, none) = (stored(&[("ETag", "\"a\"")]), stored(&[("ETag", "W/\"b\"")]), stored(&[]));
    let sent = Preconditions::for_stored(&[&strong, &weak, &none, &strong]);
    assert_eq!(sent.if_none_match.unwrap(), "\"a\", W/\"b\"");
    assert_eq!(sent.if_modified_since, None);
    let unquoted = Preconditions::for_stored(&[&stored(&[("ETag", "abc")])]);
    assert_eq!(unquoted.if_none_match.unwrap(), "abc");
}

#[test]
fn rfc9111_4_3_1_last_modified_is_sent_for_a_single_stored_response() {
    let modified = date(-3000);
    let one = stored(&[("ETag", "\"a\""), ("Last-Modified", &modified)]);
    let sent = Preconditions::for_stored(&[&one]);
    assert_eq!(
        (sent.if_none_match.unwrap(), sent.if_modified_since.unwrap()),
        ("\"a\"".parse().unwrap(), modified.parse().unwrap())
    );
    assert_eq!(Preconditions::for_stored(&[&one, &one]).if_modified_since, None);
    assert!(Preconditions::for_stored(&[&stored(&[("Last-Modified", "garbage")])]).is_empty());
    assert!(Preconditions::for_stored(&[]).is_empty());
}

#[test]
fn rfc9111_4_3_1_the_clients_own_preconditions_are_replaced() {
    let mut request = fields(&[
        ("If-None-Match", "\"client\""),
        ("If-Modified-Since", &date(0)),
        ("If-Match", "*"),
        ("If-Unmodified-Since", &date(0)),
        ("If-Range", "\"client\""),
        ("Accept", "*/*"),
    ]);
    Preconditions::for_stored(&[&stored(&[("ETag", "\"a\"")])]).apply(&mut request);
    assert_eq!(request, fields(&[("Accept", "*/*"), ("If-None-Match", "\"a\"")]));
}

#[test]
fn rfc9111_4_3_4_a_strong_validator_freshens_all_with_the_same_strong_one() {
    let candidates: [&[(&str, &str)]; 4] =
        [&[("ETag", "\"a\"")], &[("ETag", "\"b\"")], &[("ETag", "\"a\"")], &[("ETag", "W/\"a\"")]];
    assert_eq!(freshened(&[("ETag", "\"a\"")], &candidates), [0, 2]);
}

#[test]
fn rfc9111_4_3_4_a_strong_validator_of_no_stored_response_must_not_update_any() {
    let modified = date(-9);
    assert_eq!(freshened(&[("ETag", "\"z\"")], &[&[("ETag", "\"a\"")]]), [0; 0]);
    let both = [("ETag", "\"z\""), ("Last-Modified", modified.as_str())];
    assert_eq!(freshened(&both, &[&[("ETag", "\"a\""), both[1]]]), [0; 0], "an equal date does not outweigh it");
    assert_eq!(freshened(&[("ETag", "\"a\"")], &[&[("ETag", "W/\"a\"")]]), [0; 0]);
}

#[test]
fn rfc9111_4_3_4_a_weak_validator_freshens_the_most_recent_match() {
    let (old, new) = (date(-60), date(-30));
    let tag = ("ETag", "W/\"a\"");
    assert_eq!(freshened(&[tag], &[&[tag, ("Date", &old)], &[tag, ("Date", &new)], &[("ETag", "\"b\"")]]), [1]);
    assert_eq!(freshened(&[("Last-Modified", &old)], &[&[("Last-Modified", &old)]]), [0]);
    assert_eq!(freshened(&[("Last-Modified", &new)], &[&[("Last-Modified", &old)]]), [0; 0]);
    assert_eq!(freshened(&[tag, ("Last-Modified", &new)], &[&[tag, ("Last-Modified", &old)]]), [0; 0]);
    assert_eq!(freshened(&[tag, ("Last-Modified", &new)], &[&[tag]]), [0]);
    assert_eq!(freshened(&[("Last-Modified", &new)], &[&[tag]]), [0; 0]);
}

#[test]
fn rfc9111_4_3_4_no_validator_freshens_only_a_single_candidate() {
    assert_eq!(freshened(&[], &[&[("ETag", "\"a\"")]]), [0]);
    assert_eq!(freshened(&[], &[&[("ETag", "\"a\"")], &[("ETag", "\"b\"")]]), [0; 0]);
    assert_eq!(freshened(&[], &[]), [0; 0]);
}

#[test]
fn rfc9111_4_3_5_head_freshens_what_it_agrees_with_and_makes_the_rest_stale() {
    let modified = date(-9);
    let response = stored(&[("ETag", "\"a\""), ("Last-Modified", &modified)]);
    let effect = |lines: &[(&str, &str)]| head_effect(&response, StatusCode::OK, &fields(lines));
    assert_eq!(effect(&[]), HeadEffect::Freshen);
    assert_eq!(
        effect(&[("ETag", "\"a\""), ("Last-Modified", &modified), ("Content-Length", "7")]),
        HeadEffect::Freshen
    );
    assert_eq!(effect(&[("ETag", "\"b\"")]), HeadEffect::MakeStale);
    assert_eq!(effect(&[("Last-Modified", &date(-8))]), HeadEffect::MakeStale);
    assert_eq!(effect(&[("Content-Length", "8")]), HeadEffect::MakeStale);
    assert_eq!(head_effect(&response, StatusCode::GONE, &fields(&[])), HeadEffect::None);
    assert!(!response.made_stale(at(0)).is_fresh(at(0)));
}

#[test]
fn rfc9110_8_8_3_2_comparison_of_entity_tags() {
    let all = ["W/\"1\"", "W/\"2\"", "\"1\"", "\"2\""].map(|tag| fields(&[("ETag", tag)]));
    let compare = |a: usize, b: usize| {
        let (a, b) = (EntityTag::of(&all[a]).unwrap(), EntityTag::of(&all[b]).unwrap());
        (a.strong_eq(b), a.weak_eq(b))
    };
    assert_eq!(compare(0, 0), (false, true));
    assert_eq!(compare(0, 1), (false, false));
    assert_eq!(compare(0, 2), (false, true));
    assert_eq!(compare(2, 2), (true, true));
    assert_eq!(compare(2, 3), (false, false));
}
