//! Sizes: `"256MiB"`, `"8 GiB"`, `"512KB"`, and bare numbers of bytes.

use std::ops::RangeInclusive;

use bytesize::ByteSize;

use super::{Wrong, quoted};

/// Parses a size and checks its range.
pub(crate) fn parse_within(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Wrong> {
    let size = parse(text)?;
    if range.contains(&size) {
        Ok(size)
    } else {
        Err(Wrong::out_of_range(quoted(text), show(*range.start()), show(*range.end())))
    }
}

fn parse(text: &str) -> Result<u64, Wrong> {
    let trimmed = text.trim();
    // "8k" is 8192 to nginx and 8000 to others: whoever writes it has to say which.
    if let Some((number, unit)) = one_letter(trimmed) {
        let hint = format!("write \"{number}{unit}iB\" (powers of 1024) or \"{number}{unit}B\" (powers of 1000)");
        return Err(Wrong::new(format!("{} leaves open which unit is meant", quoted(text)), hint));
    }
    trimmed.parse::<ByteSize>().map(|size| size.as_u64()).map_err(|_| {
        let hint = "write a number and a unit: \"64KiB\", \"256MiB\", \"8GiB\"";
        Wrong::new(format!("{} is not a size", quoted(text)), hint)
    })
}

/// Splits a number with a unit of one letter that is not `B`.
fn one_letter(text: &str) -> Option<(&str, char)> {
    let unit = text.chars().next_back()?.to_ascii_uppercase();
    let number = text.strip_suffix(|last: char| "KMGTPkmgtp".contains(last))?.trim_end();
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some((number, unit))
}

/// A size as it is written in a file: in the largest unit that is exact.
pub(crate) fn show(size: u64) -> String {
    const UNITS: [(u32, &str); 5] = [(50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match UNITS.iter().find(|(shift, _)| size > 0 && size.trailing_zeros() >= *shift) {
        Some((shift, unit)) => format!("{}{unit}", size >> shift),
        None => format!("{size}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_and_decimal_units_are_understood() {
        assert_eq!(parse("256MiB"), Ok(256 << 20));
        assert_eq!(parse("8 GiB"), Ok(8 << 30));
        assert_eq!(parse("512KB"), Ok(512_000));
        assert_eq!(parse("1.5KiB"), Ok(1536));
        assert_eq!(parse("100"), Ok(100));
        assert_eq!(parse("100 B"), Ok(100));
    }

    #[test]
    fn a_unit_of_one_letter_is_refused_with_both_readings_as_hint() {
        let hint = parse("8k").unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("write \"8KiB\" (powers of 1024) or \"8KB\" (powers of 1000)"));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "-1", "1 banana", "1..2KiB", "é", "0x10"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_size_too_large_for_64_bits_is_out_of_every_range() {
        assert!(parse_within("99999999999999999999EiB", &(0..=u64::MAX - 1)).is_err());
    }

    #[test]
    fn what_is_shown_parses_to_the_same() {
        for size in [0, 1, 1000, 1023, 1024, 1025, 1 << 20, (1 << 20) + 1, 3 << 30, 1 << 62] {
            assert_eq!(parse(&show(size)), Ok(size), "{}", show(size));
        }
        assert_eq!(show(256 << 20), "256MiB");
    }
}
