use super::*;
use crate::semantics::storability::Reason;
use crate::semantics::testing::{Case, T0, at, date, fields};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn field<'a>(stored: &'a StoredResponse, name: &str) -> Option<&'a str> {
    stored.fields().get(name).map(|value| value.to_str().unwrap())
}

/// What becomes of a stored response with these fields by a 304 with those, 100 s later.
fn freshened(stored: &[(&str, &str)], received: &[(&str, &str)]) -> (StoredResponse, Storability) {
    let stored = Case::response(stored).stored();
    let validation = Case::response(received).status(304);
    let mut exchange = validation.exchange();
    exchange.request_time = at(100);
    exchange.response_time = at(100);
    stored.freshen(&exchange, &validation.policy)
}

#[test]
fn rfc9111_3_1_all_fields_are_stored_unknown_ones_too() {
    let lines = [
        ("X-Unknown", "1"),
        ("x-unknown", "2"),
        ("Content-Range", "whatever"),
        ("Content-Encoding", "x"),
        ("Date", "d"),
    ];
    let mut stored = Case::response(&lines).stored().fields().clone();
    stored.remove("date");
    assert_eq!(stored, fields(&lines[..4]));
}

#[test]
fn rfc9111_3_1_connection_fields_and_those_nominated_are_not_stored() {
    let stored = Case::response(&[
        ("Connection", "a, b"),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("Keep-Alive", "x"),
        ("Transfer-Encoding", "chunked"),
        ("Proxy-Authenticate", "x"),
        ("Trailer", "t"),
        ("Date", &date(0)),
    ])
    .stored();
    let names: Vec<_> = stored.fields().keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["c", "date"]);
}

#[test]
fn rfc9111_5_2_2_4_and_5_2_2_7_fields_named_by_no_cache_and_private_are_not_stored() {
    let stored = Case::response(&[
        ("Cache-Control", r#"max-age=9, no-cache="a", private="B""#),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
    ])
    .stored();
    assert_eq!((field(&stored, "a"), field(&stored, "b"), field(&stored, "c")), (None, None, Some("3")));
    assert!(!stored.metadata().validate_always);
}

#[test]
fn set_cookie_is_stored_only_where_the_policy_says_rfc() {
    let kept = |set_cookie| {
        let case = Case::response(&[("Set-Cookie", "a=b"), ("Set-Cookie2", "c=d")])
            .policy(|policy| policy.set_cookie = set_cookie);
        case.stored().fields().len() - 1
    };
    assert_eq!([SetCookie::Refuse, SetCookie::Strip, SetCookie::Rfc].map(kept), [0, 0, 2]);
}

#[test]
fn rfc9110_6_6_1_a_missing_or_malformed_date_is_the_time_of_receipt_and_a_good_one_stays() {
    assert_eq!(field(&Case::response(&[]).stored(), "date"), Some(&*date(0)));
    assert_eq!(field(&Case::response(&[("Date", "foo")]).stored(), "date"), Some(&*date(0)));
    let past = date(-50);
    assert_eq!(field(&Case::response(&[("Date", &past)]).stored(), "date"), Some(&*past));
}

#[test]
fn rfc9111_4_2_3_age_is_distilled_and_grows() {
    let stored = Case::response(&[("Cache-Control", "max-age=60"), ("Age", "30"), ("Date", &date(0))]).stored();
    assert_eq!(field(&stored, "age"), None);
    assert_eq!(stored.current_age(at(12)), secs(42));
    assert_eq!((stored.remaining(at(12)), stored.staleness(at(12)), stored.ttl(at(12))), (secs(18), secs(0), 18));
    assert!(stored.is_fresh(at(29)) && !stored.is_fresh(at(30)));
    assert_eq!((stored.remaining(at(40)), stored.staleness(at(40)), stored.ttl(at(40))), (secs(0), secs(10), -10));
}

#[test]
fn useless_at_is_the_end_of_lifetime_and_windows() {
    let control = ("Cache-Control", "max-age=60, stale-while-revalidate=5, stale-if-error=20");
    assert_eq!(Case::response(&[control, ("Age", "30")]).stored().useless_at(), at(50));
    assert_eq!(Case::response(&[]).stored().useless_at(), T0);
}

#[test]
fn weight_counts_every_byte_that_is_held() {
    let bare = Case::response(&[]).stored();
    let weight = |stored: &StoredResponse| stored.weight();
    assert_eq!(weight(&bare.clone().with_content(Bytes::from(vec![0; 1000]))), weight(&bare) - 7 + 1000);
    let more = Case::response(&[("X", &"v".repeat(5000))]).stored();
    assert!(weight(&more) >= weight(&bare) + 5001);
    let keyed = Case::response(&[("xkey", "k ")]).stored();
    assert_eq!(keyed.metadata().surrogate_keys.len(), 1);
}

#[test]
fn parts_put_together_again_are_the_same_response() {
    let stored = Case::response(&[("Cache-Control", "max-age=60"), ("Vary", "Foo"), ("xkey", "k")])
        .request(&[("Foo", "1")])
        .stored();
    let (metadata, fields, content) = (stored.metadata().clone(), stored.fields().clone(), stored.content().clone());
    assert_eq!(StoredResponse::from_parts(metadata, fields, content), stored);
}

#[test]
fn rfc9111_3_2_a_304_replaces_fields_and_leaves_those_it_does_not_have() {
    let (new, storability) = freshened(
        &[
            ("Cache-Control", "max-age=1"),
            ("ETag", "\"a\""),
            ("X-Kept", "old"),
            ("X-Two", "1"),
            ("X-Two", "2"),
            ("Content-Type", "text/plain"),
        ],
        &[
            ("Cache-Control", "max-age=3600"),
            ("ETag", "\"a\""),
            ("X-Two", "3"),
            ("X-New", "n"),
            ("Content-Type", "text/html"),
        ],
    );
    assert!(storability.is_yes());
    let got = ["cache-control", "x-kept", "x-two", "x-new", "content-type"].map(|name| field(&new, name));
    assert_eq!(got, [Some("max-age=3600"), Some("old"), Some("3"), Some("n"), Some("text/html")]);
    assert_eq!(new.fields().get_all("x-two").iter().count(), 1);
    assert_eq!((new.status(), new.content().as_ref()), (StatusCode::OK, b"content".as_slice()));
    assert_eq!(new.metadata().lifetime, secs(3600));
    assert!(new.is_fresh(at(3699)) && !new.is_fresh(at(3700)), "the age begins anew");
}

#[test]
fn rfc9111_3_2_content_length_and_what_describes_the_stored_bytes_stay() {
    let names = ["Content-Length", "Content-Encoding", "Content-Range", "Content-MD5", "ETag"];
    let (new, _) = freshened(&names.map(|name| (name, "5")), &names.map(|name| (name, "10")));
    for name in names {
        assert_eq!(field(&new, name), Some("5"), "{name}");
    }
    let (new, _) = freshened(&[], &[("ETag", "\"new\"")]);
    assert_eq!(field(&new, "etag"), Some("\"new\""), "an entity tag is added where there was none");
}

#[test]
fn rfc9111_3_2_hop_by_hop_fields_of_a_304_are_not_taken() {
    let (new, _) = freshened(&[("X-Hop", "old")], &[("Connection", "X-Hop"), ("X-Hop", "new"), ("Keep-Alive", "1")]);
    assert_eq!((field(&new, "x-hop"), field(&new, "keep-alive"), field(&new, "connection")), (Some("old"), None, None));
}

#[test]
fn rfc9111_4_3_4_age_and_date_are_those_of_the_304() {
    let stored = [("Cache-Control", "max-age=60"), ("Date", &*date(0)), ("Age", "50")];
    let (new, _) = freshened(&stored, &[("Age", "7"), ("Date", &date(100))]);
    assert_eq!((new.current_age(at(100)), field(&new, "date")), (secs(7), Some(&*date(100))));
    let (new, _) = freshened(&stored, &[]);
    assert_eq!((new.current_age(at(100)), field(&new, "date")), (secs(0), Some(&*date(100))), "no Date: receipt");
}

#[test]
fn rfc9111_3_2_a_304_may_take_the_permission_to_store_back() {
    let fresh = [("Cache-Control", "max-age=60"), ("ETag", "\"a\"")];
    let storability = |control| freshened(&fresh, &[("Cache-Control", control)]).1;
    assert_eq!(storability("no-store"), Storability::No(Reason::NoStore));
    assert_eq!(storability("private"), Storability::No(Reason::Private));
    assert_eq!(freshened(&fresh, &[("Vary", "*")]).1, Storability::No(Reason::VaryStar));
    assert_eq!(freshened(&fresh, &[("Set-Cookie", "a=b")]).1, Storability::No(Reason::SetCookie));
}

#[test]
fn rfc9111_4_1_the_variance_stays_unless_a_304_changes_vary() {
    let stored = Case::response(&[("Vary", "Foo"), ("Cache-Control", "max-age=1")]).request(&[("Foo", "1")]).stored();
    let freshen = |vary| {
        let validation = Case::response(&[("Vary", vary)]).status(304).request(&[("Foo", "2"), ("Bar", "b")]);
        stored.freshen(&validation.exchange(), &validation.policy).0
    };
    assert!(freshen("foo").variance().matches(&fields(&[("Foo", "1")])));
    assert!(freshen("Foo, Bar").variance().matches(&fields(&[("Foo", "2"), ("Bar", "b")])));
    assert!(stored.for_request(&fields(&[("Foo", "2")])).variance().matches(&fields(&[("Foo", "2")])));
}

#[test]
fn a_lifetime_without_explicit_expiration_survives_a_bare_304() {
    let modified = date(-86400);
    let (new, storability) = freshened(&[("Last-Modified", &modified), ("Date", &date(0))], &[]);
    assert!(storability.is_yes());
    assert_eq!((new.metadata().source, new.metadata().lifetime), (LifetimeSource::Heuristic, secs(8650)));
}

#[test]
fn made_stale_is_stale_from_that_time_on_and_never_fresher_than_it_was() {
    let stored = Case::response(&[("Cache-Control", "max-age=60, stale-while-revalidate=30")]).stored();
    let stale = stored.made_stale(at(10));
    assert_eq!((stale.is_fresh(at(10)), stale.staleness(at(15))), (false, secs(5)));
    assert_eq!(stored.made_stale(at(100)).metadata().lifetime, secs(60));
}

#[test]
fn content_length_is_the_stated_one_where_the_content_is_elsewhere() {
    let head = Case::response(&[("Content-Length", "5000")]).stored().with_content(Bytes::new());
    assert_eq!(head.content_length(), 5000);
    assert_eq!(Case::response(&[]).stored().content_length(), 7);
}
