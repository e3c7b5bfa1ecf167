//! For how long a stored response is reused (RFC 9111, section 4.2; Squid's `refresh_pattern`). Time is told by the
//! origin: a response that arrives with an `Age` is that old.

use std::time::{Duration, SystemTime};

use forebay_tests::{Answer, Origin, Proxy, ProxyConfig, Reply};

fn ago(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(seconds))
}

/// The second answer to a request whose response has these fields.
fn second(config: ProxyConfig, target: &'static str, fields: &[(&str, String)]) -> Answer {
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let origin = Origin::answering(move |_| {
        fields.iter().fold(Reply::ok("x"), |reply, (name, value)| reply.field(name, value.clone()))
    });
    let proxy = config.origin(&origin).start();
    proxy.get(target);
    proxy.get(target)
}

fn is_fresh(fields: &[(&str, String)]) -> bool {
    second(Proxy::config(), "/x", fields).cache() == "HIT"
}

#[test]
fn rfc9111_4_2_3_age_of_the_upstream_counts() {
    let fields = |age: &str| [("Cache-Control", "max-age=60".into()), ("Age", age.into())];
    assert!(is_fresh(&fields("30")));
    assert!(!is_fresh(&fields("60")));
    assert!(!is_fresh(&fields("100")));
}

#[test]
fn rfc9111_4_2_3_old_date_counts_as_age() {
    assert!(is_fresh(&[("Cache-Control", "max-age=600".into()), ("Date", ago(300))]));
    assert!(!is_fresh(&[("Cache-Control", "max-age=600".into()), ("Date", ago(900))]));
}

#[test]
fn rfc9111_5_3_expires_is_obeyed_and_max_age_overrides_it() {
    let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
    assert!(is_fresh(&[("Expires", later.clone()), ("Date", ago(0))]));
    assert!(!is_fresh(&[("Expires", ago(600)), ("Date", ago(0))]));
    assert!(!is_fresh(&[("Expires", "0".into())]));
    assert!(is_fresh(&[("Expires", ago(600)), ("Cache-Control", "max-age=60".into())]));
    assert!(!is_fresh(&[("Expires", later), ("Cache-Control", "max-age=0".into())]));
}

#[test]
fn row_46_absurd_ages_and_dates_are_never_fresh_forever() {
    let max_age = || ("Cache-Control", "max-age=60".to_owned());
    assert!(!is_fresh(&[max_age(), ("Age", "99999999999".into())]));
    assert!(!is_fresh(&[max_age(), ("Age", "9999999999999999999999999".into())]));
    for value in ["-1", "x", ""] {
        let answer = second(Proxy::config(), "/x", &[max_age(), ("Age", value.into())]);
        assert!(answer.age().is_none_or(|age| age < 10), "{value}: {answer}");
    }
    let future = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100_000));
    let answer = second(Proxy::config(), "/x", &[max_age(), ("Date", future)]);
    assert!(answer.age().is_none_or(|age| age < 10), "{answer}");
    assert!(is_fresh(&[("Cache-Control", "max-age=99999999999999999999".into())]));
}

fn pattern(lines: &str) -> ProxyConfig {
    Proxy::config().site(lines)
}

/// The seed's line: `refresh_pattern . 30 20% 3600`.
fn seed() -> ProxyConfig {
    pattern("[[site.refresh_pattern]]\npattern = \".\"\nmin = \"30m\"\npercent = 20\nmax = \"60h\"")
}

fn is_fresh_by_pattern(fields: &[(&str, String)]) -> bool {
    second(seed(), "/x", fields).cache() == "HIT"
}

#[test]
fn refresh_pattern_fresh_beneath_min() {
    assert!(is_fresh_by_pattern(&[]));
    assert!(is_fresh_by_pattern(&[("Age", "1700".into())]));
    assert!(!is_fresh_by_pattern(&[("Age", "1900".into())]));
}

#[test]
fn refresh_pattern_fresh_by_percent_of_the_age_of_last_modified() {
    // Last modified 100,000 s before it was made; 20 % are 20,000 s.
    let fields = |age: u64| [("Age", age.to_string()), ("Date", ago(age)), ("Last-Modified", ago(100_000 + age))];
    assert!(is_fresh_by_pattern(&fields(15_000)));
    assert!(!is_fresh_by_pattern(&fields(25_000)));
}

#[test]
fn refresh_pattern_stale_above_max() {
    // 20 % of 5,000,000 s would be 1,000,000 s; max is 60 h = 216,000 s.
    let fields = |age: u64| [("Age", age.to_string()), ("Date", ago(age)), ("Last-Modified", ago(5_000_000 + age))];
    assert!(is_fresh_by_pattern(&fields(200_000)));
    assert!(!is_fresh_by_pattern(&fields(230_000)));
}

#[test]
fn refresh_pattern_yields_to_what_the_response_says() {
    assert!(!is_fresh_by_pattern(&[("Cache-Control", "max-age=0".into())]));
    assert!(!is_fresh_by_pattern(&[("Cache-Control", "no-store".into())]));
    assert!(!is_fresh_by_pattern(&[("Cache-Control", "max-age=60".into()), ("Age", "100".into())]));
    assert!(!is_fresh_by_pattern(&[("Set-Cookie", "a=b".into())]));
}

#[test]
fn refresh_pattern_first_match_wins() {
    let lines = "[[site.refresh_pattern]]\npattern = '\\.css$'\nmin = \"1h\"\npercent = 0\nmax = \"1h\"\n\
                 [[site.refresh_pattern]]\npattern = \"STYLE\"\nignore_case = true\nmin = \"2h\"\npercent = 0\nmax = \"2h\"\n\
                 [[site.refresh_pattern]]\npattern = \"^http://site\\\\.test/\"\nmin = \"0s\"\npercent = 0\nmax = \"0s\"";
    let hit = |target: &'static str| second(pattern(lines), target, &[("Age", "5000".into())]).cache() == "HIT";
    assert!(!hit("/style.css"), "an hour by the first line, though the second would match");
    assert!(hit("/style.js"), "two hours by the second line");
    assert!(!hit("/page"), "never by the third");
}

#[test]
fn max_lifetime_is_a_ceiling() {
    let config = || Proxy::config().site("max_lifetime = \"1h\"");
    let fields = |age: &str| [("Cache-Control", "max-age=86400".to_owned()), ("Age", age.to_owned())];
    assert_eq!(second(config(), "/x", &fields("3000")).cache(), "HIT");
    assert_ne!(second(config(), "/x", &fields("4000")).cache(), "HIT");
}
