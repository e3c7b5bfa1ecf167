//! Words from a fixed list: `set_cookie = "refuse"`.

use super::{Wrong, nearest, quoted};

/// The value of `text` in `choices`.
pub(crate) fn parse<T: Copy>(text: &str, choices: &[(&'static str, T)]) -> Result<T, Wrong> {
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let hint = match nearest(text, &words) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("choose one of: {}", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ")),
    };
    Err(Wrong::new(format!("{} is not one of its words", quoted(text)), hint))
}

/// The word for `value`: the way back.
pub(crate) fn word<T: Copy + PartialEq>(value: T, choices: &[(&'static str, T)]) -> &'static str {
    choices.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICES: [(&str, u8); 3] = [("refuse", 1), ("strip", 2), ("rfc", 3)];

    #[test]
    fn a_word_is_its_value_and_back() {
        for (text, value) in CHOICES {
            assert_eq!(parse(text, &CHOICES), Ok(value));
            assert_eq!(word(value, &CHOICES), text);
        }
    }

    #[test]
    fn another_word_is_refused_with_the_nearest_or_all_as_hint() {
        assert_eq!(parse("refuze", &CHOICES).unwrap_err().hint.as_deref(), Some("did you mean \"refuse\"?"));
        let hint = parse("banana", &CHOICES).unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("choose one of: \"refuse\", \"strip\", \"rfc\""));
    }
}
