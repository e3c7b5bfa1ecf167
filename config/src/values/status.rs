//! Status codes of `lifetimes`.

use super::{Wrong, quoted};

/// A final status that can be stored as a response of its own.
pub(crate) fn parse(text: &str) -> Result<u16, Wrong> {
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(206 | 304) => {
            let hint = "leave it out: it updates a stored response and is none itself";
            Err(Wrong::new(format!("{} has no lifetime of its own", quoted(text)), hint))
        }
        Ok(status) if digits && (200..=599).contains(&status) => Ok(status),
        _ => {
            let hint = "write each status by itself: { \"200\" = \"1h\", \"404\" = \"60s\" }";
            Err(Wrong::new(format!("{} is not a status from 200 to 599", quoted(text)), hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_statuses_alone_have_a_lifetime() {
        assert_eq!(parse("200"), Ok(200));
        assert_eq!(parse("599"), Ok(599));
        for text in ["", "any", "2xx", "100", "206", "304", "600", "0200", "+20"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
