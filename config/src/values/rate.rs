//! Rates: `"10/s"`, `"300/m"`, `"5/h"`.

use std::time::Duration;

use super::{Wrong, quoted};
use crate::model::Rate;

/// Most requests of a rate.
const MOST: u32 = 1_000_000;

const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// Parses a rate. nginx's `10r/s` is understood as well.
pub(crate) fn parse(text: &str) -> Result<Rate, Wrong> {
    let hint = "write requests in a second, minute or hour: \"10/s\", \"300/m\", \"5/h\"";
    let wrong = || Wrong::new(format!("{} is not a rate", quoted(text)), hint);
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
    let count = count.trim();
    let count = count.strip_suffix('r').unwrap_or(count);
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    match count.parse::<u32>() {
        Ok(requests @ 1..=MOST) => Ok(Rate { requests, period: Duration::from_secs(*seconds) }),
        _ => Err(Wrong::out_of_range(quoted(text), "1/h", "1000000/s")),
    }
}

/// A rate as it is written in a file.
pub(crate) fn show(rate: Rate) -> String {
    let seconds = rate.period.as_secs();
    let unit = UNITS.iter().find(|(_, length)| *length == seconds).map_or("s", |(name, _)| *name);
    format!("{}/{unit}", rate.requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_parses_to_the_same() {
        for text in ["10/s", "300/m", "5/h", "1/s", "1000000/s"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
        assert_eq!(parse("10r/s"), parse("10/s"));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "10", "/s", "10/", "10/d", "0/s", "-1/s", "1.5/s", "1000001/s", "ten/s", "10/s/s"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
