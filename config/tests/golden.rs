//! Config in, resolved config or report out: `tests/cases/NAME.toml` with `NAME.resolved` or `NAME.errors`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p forebay-config` writes what comes out as what is expected: read the difference before
//! it is committed. In a case `@DIR@` stands for a directory with certificates and a document root.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test: to panic is to fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use forebay_config::{Config, parse, warnings};

mod support;

/// What came out, and the name of the file that says what should.
enum Outcome {
    Resolved(String),
    Errors(String),
}

impl Outcome {
    fn of(text: &str, directory: &Path, name: &str) -> Self {
        let directory = directory.to_str().unwrap();
        match parse(&text.replace("@DIR@", directory), name) {
            Ok(config) => {
                reads_the_same_again(&config, name);
                let mut shown = config.to_toml();
                for warning in warnings(&config) {
                    shown.push_str(&format!("\n# warning: {warning}\n"));
                }
                Self::Resolved(shown.replace(directory, "@DIR@"))
            }
            Err(report) => Self::Errors(format!("{report}\n").replace(directory, "@DIR@")),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Resolved(text) | Self::Errors(text) => text,
        }
    }

    fn path(&self, case: &Path) -> PathBuf {
        case.with_extension(match self {
            Self::Resolved(_) => "resolved",
            Self::Errors(_) => "errors",
        })
    }
}

fn reads_the_same_again(config: &Config, name: &str) {
    let again = parse(&config.to_toml(), "the dump").unwrap_or_else(|report| panic!("{name}: {report}"));
    assert_eq!(&again, config, "{name}: the dump reads differently");
}

fn cases() -> BTreeMap<String, PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let cases = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    cases.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

/// The lines that differ, with `-` what is expected and `+` what came out.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let same_start = expected.iter().zip(&found).take_while(|(one, other)| one == other).count();
    let rest = expected.len().min(found.len()) - same_start;
    let same_end =
        expected.iter().rev().zip(found.iter().rev()).take(rest).take_while(|(one, other)| one == other).count();
    let mut shown = format!("  (after line {same_start})\n");
    for (sign, lines) in [('-', &expected), ('+', &found)] {
        for line in &lines[same_start..lines.len() - same_end] {
            shown.push_str(&format!("  {sign} {line}\n"));
        }
    }
    shown
}

#[test]
fn every_case_comes_out_as_it_is_written_down() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let directory = support::directory();
    let cases = cases();
    assert!(cases.len() >= 40, "only {} cases were found", cases.len());
    let mut differing = String::new();
    for (name, case) in cases {
        let text = fs::read_to_string(&case).unwrap();
        let outcome = Outcome::of(&text, directory.path(), &name);
        let path = outcome.path(&case);
        if update {
            let _ = fs::remove_file(case.with_extension("resolved"));
            let _ = fs::remove_file(case.with_extension("errors"));
            fs::write(&path, outcome.text()).unwrap();
            continue;
        }
        let other = case.with_extension(if path.ends_with("errors") { "resolved" } else { "errors" });
        if path != other && other.exists() {
            differing.push_str(&format!(
                "{name}: {} is expected, this came out:\n{}\n",
                other.display(),
                outcome.text()
            ));
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if expected != outcome.text() {
            differing.push_str(&format!("{name}:\n{}\n", difference(&expected, outcome.text())));
        }
    }
    assert!(differing.is_empty(), "\n{differing}UPDATE_GOLDEN=1 writes these down as they came out");
}

#[test]
fn every_expectation_belongs_to_one_case() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut stems: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension != "toml"))
        .map(|path| path.with_extension("toml"))
        .collect();
    stems.sort();
    for pair in stems.windows(2) {
        assert_ne!(pair[0], pair[1], "both .resolved and .errors");
    }
    for case in stems {
        assert!(case.exists(), "{} is gone", case.display());
    }
}
