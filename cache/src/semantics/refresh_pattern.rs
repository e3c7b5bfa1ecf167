//! Squid's `refresh_pattern`: freshness lifetimes by URL for responses that give none.

use std::time::Duration;

use regex::bytes::{Regex, RegexBuilder};

/// One rule: `refresh_pattern regex min percent max`.
///
/// Squid asks of a response without explicit expiry, each time it is used: stale if its age is above `max`; fresh if its
/// age is below `percent` of the time between its `Last-Modified` and its `Date`; fresh if its age is below `min`; else
/// stale. Each of these turns once, at a fixed age, so the rule is exactly a freshness lifetime,
/// `min(max, greater of (min, share of Last-Modified's age))`, fixed when the response is stored. (At an age of exactly
/// `max` Squid still says fresh where RFC 9111's "lifetime above age" does not; the RFC's sense is kept.)
#[derive(Debug, Clone)]
pub struct RefreshPattern {
    regex: Regex,
    min: Duration,
    percent: u32,
    max: Duration,
}

impl RefreshPattern {
    /// Compiles a rule. The pattern is searched (not anchored) in the absolute URL.
    ///
    /// # Errors
    ///
    /// If the pattern is no regular expression, or too large a one.
    pub fn new(
        pattern: &str,
        ignore_case: bool,
        min: Duration,
        percent: u32,
        max: Duration,
    ) -> Result<Self, Box<regex::Error>> {
        let regex = RegexBuilder::new(pattern).case_insensitive(ignore_case).unicode(false).build()?;
        Ok(Self { regex, min, percent, max })
    }

    /// Freshness lifetime of a response whose `Last-Modified` lies `modified_ago` before its `Date`, if it does.
    #[must_use]
    pub fn lifetime(&self, modified_ago: Option<Duration>) -> Duration {
        let share = modified_ago.map_or(Duration::ZERO, |ago| percent_of(ago, self.percent));
        share.max(self.min).min(self.max)
    }
}

/// `percent` of `duration`, saturating, to the millisecond below.
pub(super) fn percent_of(duration: Duration, percent: u32) -> Duration {
    let millis = duration.as_millis().saturating_mul(u128::from(percent)) / 100;
    u64::try_from(millis).map_or(Duration::MAX, Duration::from_millis)
}

/// The rules of a site, in order.
#[derive(Debug, Clone, Default)]
pub struct RefreshPatterns(Vec<RefreshPattern>);

impl RefreshPatterns {
    /// The first rule whose pattern is found in `url`.
    #[must_use]
    pub fn find(&self, url: &str) -> Option<&RefreshPattern> {
        self.0.iter().find(|rule| rule.regex.is_match(url.as_bytes()))
    }
}

impl FromIterator<RefreshPattern> for RefreshPatterns {
    fn from_iter<I: IntoIterator<Item = RefreshPattern>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rule(pattern: &str, min: u32, percent: u32, max: u32) -> RefreshPattern {
        RefreshPattern::new(pattern, false, MINUTE * min, percent, MINUTE * max).unwrap()
    }

    #[test]
    fn the_line_of_the_farm_means_30_minutes_20_percent_60_hours() {
        let rule = rule(".", 30, 20, 3600);
        assert_eq!(rule.lifetime(None), MINUTE * 30, "no Last-Modified: min");
        assert_eq!(rule.lifetime(Some(MINUTE * 10)), MINUTE * 30, "a share below min: min");
        assert_eq!(rule.lifetime(Some(MINUTE * 600)), MINUTE * 120, "20 % of 10 h");
        assert_eq!(rule.lifetime(Some(MINUTE * 1_000_000)), MINUTE * 3600, "never above max");
    }

    #[test]
    fn a_rule_of_zeros_is_always_stale_and_max_caps_min() {
        assert_eq!(rule(".", 0, 0, 0).lifetime(Some(MINUTE * 600)), Duration::ZERO);
        assert_eq!(rule(".", 30, 20, 10).lifetime(None), MINUTE * 10);
        assert_eq!(rule(".", 0, u32::MAX, u32::MAX).lifetime(Some(Duration::MAX)), MINUTE * u32::MAX);
    }

    #[test]
    fn the_first_match_wins() {
        let rules: RefreshPatterns =
            [rule(r"\.css$", 1, 0, 1), rule(r"\?", 2, 0, 2), rule(".", 3, 0, 3)].into_iter().collect();
        let minutes = |url| rules.find(url).map(|rule| rule.lifetime(None).as_secs() / 60);
        assert_eq!(minutes("http://h/a.css"), Some(1));
        assert_eq!(minutes("http://h/a.css?v=1"), Some(2));
        assert_eq!(minutes("http://h/"), Some(3));
        assert_eq!(RefreshPatterns::default().find("http://h/").map(|_| ()), None);
    }

    #[test]
    fn ignore_case_is_squids_minus_i() {
        let rule = |ignore| RefreshPattern::new("/CGI-bin/", ignore, MINUTE, 0, MINUTE).unwrap();
        assert!(RefreshPatterns(vec![rule(true)]).find("http://h/cgi-BIN/x").is_some());
        assert!(RefreshPatterns(vec![rule(false)]).find("http://h/cgi-BIN/x").is_none());
        assert!(RefreshPattern::new("(", false, MINUTE, 0, MINUTE).is_err());
    }
}
