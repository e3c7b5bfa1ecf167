//! One `refresh_pattern` line of a squid.conf: `[-i] regex min percent max`, times in minutes.

use std::time::Duration;

use super::{Wrong, quoted, regular_expression};
use crate::model::RefreshPattern;

/// Minutes in a year: Squid's own ceiling.
const MINUTES_MAX: u64 = 365 * 24 * 60;
/// Largest percentage.
pub(crate) const PERCENT_MAX: u32 = 1000;

/// Parses the line, with or without `refresh_pattern` before it.
pub(crate) fn parse(text: &str) -> Result<RefreshPattern, Wrong> {
    let mut fields: Vec<&str> = text.split_ascii_whitespace().collect();
    if fields.first() == Some(&"refresh_pattern") {
        fields.remove(0);
    }
    let ignore_case = fields.first() == Some(&"-i");
    if ignore_case {
        fields.remove(0);
    }
    let &[pattern, min, percent, max, ref options @ ..] = fields.as_slice() else {
        let hint = "write: [-i] regex min percent max, times in minutes: \". 30 20% 3600\"";
        return Err(Wrong::new(format!("{} is not a refresh_pattern of Squid", quoted(text)), hint));
    };
    if let Some(option) = options.first() {
        let hint = "remove it; what a response says of its own freshness is always obeyed";
        return Err(Wrong::new(format!("the option {} is not supported", quoted(option)), hint));
    }
    let percent_number =
        percent.strip_suffix('%').unwrap_or(percent).parse().ok().filter(|share| *share <= PERCENT_MAX);
    let Some(percent) = percent_number else {
        let hint = format!("write a share from 0% to {PERCENT_MAX}%");
        return Err(Wrong::new(format!("{} is not a percentage", quoted(percent)), hint));
    };
    let pattern = regular_expression::parse(pattern)?;
    Ok(RefreshPattern { pattern, ignore_case, min: minutes(min)?, percent, max: minutes(max)? })
}

fn minutes(text: &str) -> Result<Duration, Wrong> {
    match text.parse::<u64>() {
        Ok(number) if number <= MINUTES_MAX => Ok(Duration::from_secs(number * 60)),
        _ => {
            let hint = format!("write whole minutes from 0 to {MINUTES_MAX}, without unit");
            Err(Wrong::new(format!("{} is not a number of minutes", quoted(text)), hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_minutes() {
        let pattern = parse(". 30 20% 3600").unwrap();
        assert_eq!(pattern.min, Duration::from_secs(30 * 60));
        assert_eq!(pattern.percent, 20);
        assert_eq!(pattern.max, Duration::from_secs(60 * 3600));
        assert!(!pattern.ignore_case);
    }

    #[test]
    fn the_directive_and_its_flag_may_stand_before() {
        let pattern = parse(r"refresh_pattern -i \.jpg$ 0 50 10").unwrap();
        assert!(pattern.ignore_case);
        assert_eq!(pattern.pattern, r"\.jpg$");
    }

    #[test]
    fn what_squid_would_refuse_or_override_is_refused() {
        for line in ["", ".", ". 30 20%", ". 30m 20% 60", ". 1 x 2", "( 1 1% 1", ". 1 1001% 2", ". 999999999 1% 1"] {
            assert!(parse(line).is_err(), "{line:?}");
        }
        assert!(parse(". 1 1% 1 override-expire").unwrap_err().message.contains("override-expire"));
    }
}
