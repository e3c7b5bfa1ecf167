//! Valid files, mutated: whatever the text, there is no panic, and each mistake stands within it.

use std::net::{IpAddr, SocketAddr};

use super::parse_with;

const SEEDS: [&str; 3] = [
    include_str!("../tests/cases/design.toml"),
    include_str!("../tests/cases/wordpress_farm.toml"),
    include_str!("../tests/cases/every_word.toml"),
];

/// A case that needs no directory of its own: without certificates, and with paths that exist everywhere.
fn seed(text: &str) -> String {
    let needs_files =
        ["certificate =", "key =", "client_", "protocol =", "tls =", "sticky =", "http2 =", "auth =", "secret_file ="];
    let lines = text.lines().filter(|line| !needs_files.iter().any(|word| line.starts_with(word)));
    lines.map(|line| line.replace("@DIR@/www", "/tmp").replace("@DIR@", "/tmp") + "\n").collect()
}

#[test]
fn every_seed_is_valid_before_it_is_mutated() {
    for text in SEEDS {
        assert!(parse_with(&seed(text), "f.toml", addresses_alone).is_ok());
    }
}

/// Addresses alone resolve: mutated names would be asked for in the network.
fn addresses_alone(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    let address: IpAddr = host.parse().map_err(|_| std::io::Error::other("a name"))?;
    Ok(vec![SocketAddr::new(address, port)])
}

/// Vigna's xorshift64*: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    fn mutate(&mut self, text: &mut Vec<char>) {
        const PIECES: [&str; 16] = [
            "\"",
            "'",
            "[",
            "]]",
            "{",
            "}",
            "=",
            "\n",
            "\0",
            "é",
            "\u{feff}",
            "\r",
            "99999999999999999999",
            "#",
            ".",
            "\\u",
        ];
        let at = self.below(text.len() + 1);
        let length = self.below(12).min(text.len() - at);
        match self.below(7) {
            0 => drop(text.drain(at..at + length)),
            1 => drop(text.splice(at..at + length, PIECES[self.below(PIECES.len())].chars())),
            2 => drop(text.splice(at..at, PIECES[self.below(PIECES.len())].chars())),
            3 => {
                let from = self.below(text.len());
                let copied: Vec<char> = text.iter().skip(from).take(self.below(200)).copied().collect();
                drop(text.splice(at..at, copied));
            }
            4 | 5 => {
                // Digits alone: what comes out is often valid still.
                let digits: Vec<usize> = (0..text.len()).filter(|index| text[*index].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    text[digits[self.below(digits.len())]] = char::from(b'0' + self.below(10) as u8);
                }
            }
            _ => {
                let other = self.below(text.len());
                if at < text.len() && other < text.len() {
                    text.swap(at, other);
                }
            }
        }
    }
}

#[test]
fn mutated_files_never_panic_and_each_mistake_stands_within_the_file() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for round in 0..2000 {
        let mut text: Vec<char> = seed(SEEDS[round % SEEDS.len()]).chars().collect();
        for _ in 0..=random.below(3) {
            random.mutate(&mut text);
        }
        let text: String = text.into_iter().collect();
        match parse_with(&text, "f.toml", addresses_alone) {
            Ok(config) => {
                let again = parse_with(&config.to_toml(), "dump.toml", addresses_alone);
                assert_eq!(again.as_ref(), Ok(&config), "round {round}: the dump reads differently\n{text}");
            }
            Err(report) => {
                refused += 1;
                within(&report, &text);
            }
        }
    }
    assert!((500..1900).contains(&refused), "the mutations break too little or too much: {refused} of 2000");
}

fn within(report: &super::Report, text: &str) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(!report.mistakes.is_empty());
    assert!(report.to_string().lines().count() > report.mistakes.len());
    for mistake in &report.mistakes {
        assert!((1..=lines.len()).contains(&mistake.line), "{mistake:?}\n{text}");
        let length = lines[mistake.line - 1].chars().count();
        assert!((1..=length + 1).contains(&mistake.column), "{mistake:?}\n{text}");
    }
}
