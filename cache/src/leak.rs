//! Whether a stored page was shaped by the client that caused it: the leak canary's judgement, by value.
//!
//! What is stored is compared with two clean pages, made for nobody in particular. No two pages of a dynamic site are equal
//! byte by byte: there are nonces, times, numbers. So pages are taken apart into words, words that look like tokens or
//! numbers count as one, and what differs between the two clean pages is noise of the page itself. What is left says
//! something: words that the stored page has and neither clean page, or that both have and it has not.

use ahash::AHashSet;

/// Words that WordPress and its themes write for a visitor who is logged in.
const LOGGED_IN: [&str; 5] = ["logged-in", "admin-bar", "wpadminbar", "wp-admin-bar-my-account", "customize-support"];

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The stored page is what anybody would get.
    Clean,
    /// The clean pages differ beyond noise: nothing can be said, and nothing speaks of a person.
    Unstable,
    /// The stored page was shaped by its client: `words` of it no clean page has, or it lacks what both have.
    Shaped {
        /// How many words differ.
        words: usize,
    },
    /// The stored page has a sign of a person that the clean pages have not.
    Personal(Sign),
}

/// A sign of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// What themes write for who is logged in.
    LoggedIn,
    /// An e-mail address.
    Email,
}

impl Judgement {
    /// Whether the page must not be shared.
    #[must_use]
    pub const fn is_leak(self) -> bool {
        matches!(self, Self::Shaped { .. } | Self::Personal(_))
    }

    /// A word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Unstable => "unstable",
            Self::Shaped { .. } => "shaped-by-client",
            Self::Personal(Sign::LoggedIn) => "logged-in-page",
            Self::Personal(Sign::Email) => "email-address",
        }
    }
}

/// Judges `stored` by two clean pages.
#[must_use]
pub fn judge(stored: &[u8], one: &[u8], other: &[u8]) -> Judgement {
    if stored == one || stored == other {
        return Judgement::Clean;
    }
    let [stored, one, other] = [stored, one, other].map(words);
    let foreign: Vec<&Box<[u8]>> =
        stored.iter().filter(|word| !one.contains(*word) && !other.contains(*word)).collect();
    if foreign.iter().any(|word| LOGGED_IN.iter().any(|sign| sign.as_bytes() == word.as_ref())) {
        return Judgement::Personal(Sign::LoggedIn);
    }
    if foreign.iter().any(|word| is_email(word)) {
        return Judgement::Personal(Sign::Email);
    }
    let lacking = one.iter().filter(|word| other.contains(*word) && !stored.contains(*word)).count();
    let differing = foreign.len() + lacking;
    match (differing, one == other) {
        (0, _) => Judgement::Clean,
        (words, true) => Judgement::Shaped { words },
        (_, false) => Judgement::Unstable,
    }
}

/// The distinct words of a page, in lower case; numbers and tokens as what they are.
fn words(page: &[u8]) -> AHashSet<Box<[u8]>> {
    let is_part =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@') || *byte >= 0x80;
    let parts = page.split(|byte| !is_part(byte)).map(trimmed).filter(|part| !part.is_empty());
    parts.map(|part| normal(part).into()).collect()
}

/// Without the full stop of its sentence.
fn trimmed(mut part: &[u8]) -> &[u8] {
    while let [rest @ .., b'.' | b'-'] = part {
        part = rest;
    }
    part
}

/// In lower case. What holds a digit and is no address is a number, a nonce, a hash, a time, or a name with one: digits,
/// and all of what is as long as a token, become `#`.
fn normal(part: &[u8]) -> Vec<u8> {
    let mut word = part.to_ascii_lowercase();
    if !word.iter().any(u8::is_ascii_digit) || is_email(&word) {
        return word;
    }
    if word.len() >= 8 && word.iter().filter(|byte| byte.is_ascii_digit()).count() >= 2 {
        return b"#".to_vec();
    }
    for byte in &mut word {
        if byte.is_ascii_digit() {
            *byte = b'#';
        }
    }
    word.dedup_by(|one, other| *one == b'#' && *other == b'#');
    word
}

fn is_email(word: &[u8]) -> bool {
    let Some(at) = word.iter().position(|byte| *byte == b'@') else { return false };
    let (name, host) = word.split_at(at);
    let host = host.get(1..).unwrap_or_default();
    !name.is_empty() && host.contains(&b'.') && !host.contains(&b'@') && !host.starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with a nonce and a time of its own, for whom it is made.
    fn page(nonce: &str, body: &str) -> String {
        format!(
            "<body class=\"home blog\"><script>var n = {{\"nonce\":\"{nonce}\"}};</script>{body}\
             <p>A post, 12 comments.</p><!-- generated in 0.{nonce} seconds --></body>"
        )
    }

    fn judged(stored: &str, one: &str, other: &str) -> Judgement {
        judge(stored.as_bytes(), one.as_bytes(), other.as_bytes())
    }

    #[test]
    fn pages_that_differ_by_nonces_and_numbers_are_clean() {
        let pages = [page("a94f8c1b2e", ""), page("0d51e77c9f", ""), page("77aa01bb23", "")];
        assert_eq!(judged(&pages[0], &pages[1], &pages[2]), Judgement::Clean);
        assert_eq!(judged("1 234 times", "1 235 times", "9 times"), Judgement::Clean);
        assert_eq!(judged("", "", ""), Judgement::Clean);
    }

    #[test]
    fn a_page_with_a_name_in_it_was_shaped_by_its_client() {
        let [one, other] = [page("a94f8c1b2e", "<p>Log in</p>"), page("0d51e77c9f", "<p>Log in</p>")];
        let stored = page("77aa01bb23", "<p>Hello Jane</p>");
        assert_eq!(judged(&stored, &one, &other), Judgement::Shaped { words: 3 });
        let stored = page("77aa01bb23", "");
        assert_eq!(judged(&stored, &one, &other), Judgement::Shaped { words: 1 }, "or lacks what all others have");
    }

    #[test]
    fn signs_of_a_person_are_told_even_on_a_page_that_changes_each_time() {
        let [one, other] = [page("a94f8c1b2e", "<q>sailing</q>"), page("0d51e77c9f", "<q>milling</q>")];
        let stored = page("77aa01bb23", "<q>baking</q>");
        assert_eq!(judged(&stored, &one, &other), Judgement::Unstable);
        let logged_in = stored.replace("home blog", "home blog logged-in admin-bar");
        assert_eq!(judged(&logged_in, &one, &other), Judgement::Personal(Sign::LoggedIn));
        let address = stored.replace("baking", "to jane@wp.test.");
        assert_eq!(judged(&address, &one, &other), Judgement::Personal(Sign::Email));
    }

    #[test]
    fn an_address_that_everybody_sees_is_no_sign() {
        let pages = ["a94f8c1b2e", "0d51e77c9f", "77aa01bb23"].map(|nonce| page(nonce, "mail@wp.test"));
        assert_eq!(judged(&pages[0], &pages[1], &pages[2]), Judgement::Clean);
    }

    #[test]
    fn noise_of_one_clean_page_does_not_accuse_the_stored_one() {
        assert_eq!(judged("the mill", "the mill turns", "the mill"), Judgement::Clean);
        assert_eq!(judged("the mill turns", "the mill turns", "the mill"), Judgement::Clean);
    }

    #[test]
    fn any_bytes_are_judged() {
        let mut seed = 7_u64;
        for _ in 0..200 {
            let mut bytes = || {
                (0..64)
                    .map(|_| {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        u8::try_from(seed >> 56).unwrap()
                    })
                    .collect::<Vec<u8>>()
            };
            let (one, other, third) = (bytes(), bytes(), bytes());
            assert_eq!(judge(&one, &one, &other), Judgement::Clean);
            let _ = judge(&one, &other, &third);
        }
    }
}
