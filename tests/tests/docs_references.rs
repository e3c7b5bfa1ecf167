//! What the documents refer to is there: files, headings, tests, reasons.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use forebay_tests::forebay;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Files beneath `directory` with this extension; not those of builds.
fn files(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
}

fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(workspace(), "md", &mut found);
    assert!(found.len() > 10, "{found:?}");
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// A document without its code blocks.
fn prose(text: &str) -> String {
    let mut within = false;
    let lines = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        within ^= fence;
        !within && !fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The anchor that a heading gets: lower case, spaces as hyphens, no other punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    for (path, text) in documents() {
        for link in prose(&text).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !heading.is_empty() {
                let other = std::fs::read_to_string(&target).unwrap();
                let found = other.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(found, "{}: no heading for {link}", path.display());
            }
        }
    }
}

/// Everything between single backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_that_is_named_exists() {
    let mut sources = Vec::new();
    files(workspace(), "rs", &mut sources);
    let all: String = sources.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let mut named = BTreeSet::new();
    for document in ["SECURITY.md", "decisions/0005-fills-forward-what-the-key-stands-for.md"] {
        let text = std::fs::read_to_string(workspace().join(document)).unwrap();
        let is_test = |name: &&str| {
            name.matches('_').count() >= 3 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        named.extend(code(&text).filter(is_test).map(ToOwned::to_owned));
    }
    assert!(named.len() > 25, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !all.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Kebab-case literals of the sources that make refusals, bypasses and upstream errors.
#[test]
fn every_reason_is_explained() {
    let mut sources = Vec::new();
    files(&workspace().join("proxy/src"), "rs", &mut sources);
    sources.push(workspace().join("cache/src/semantics/storability.rs"));
    let mut reasons = BTreeSet::new();
    for path in sources {
        let text = std::fs::read_to_string(path).unwrap();
        let text = text.split("mod tests {").next().unwrap_or_default();
        for call in ["Refusal::bad(", "Refusal::new(", "bad_gateway(", "bypass(", "Self::new(StatusCode::", "Reason::"]
        {
            for rest in text.split(call).skip(1) {
                // The literal of the same call: nothing but a status may stand before it.
                let call = rest.split([')', ';', '{']).next().unwrap_or_default();
                reasons.extend(call.split('"').nth(1).map(ToOwned::to_owned));
            }
        }
        reasons.extend(
            text.split("Self::")
                .skip(1)
                .filter_map(|rest| rest.split_once(" => \"")?.1.split('"').next())
                .filter(|_| text.contains("pub enum Reason"))
                .map(ToOwned::to_owned),
        );
    }
    let table: serde_json::Value = serde_json::from_str(&forebay(&["reasons", "--json"]).stdout).unwrap();
    let known: BTreeSet<&str> = table.as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap()).collect();
    let kebab =
        |reason: &&String| reason.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
    let missing: Vec<_> = reasons.iter().filter(kebab).filter(|reason| !known.contains(reason.as_str())).collect();
    assert!(reasons.len() > 50, "{reasons:?}");
    assert!(missing.is_empty(), "proxy/src/reason/ does not explain {missing:?}");
}

#[test]
fn the_table_of_reasons_is_the_one_of_the_binary() {
    let chapter = std::fs::read_to_string(workspace().join("docs/explain.md")).unwrap();
    let table = chapter.split("<!-- reasons:begin -->\n").nth(1).unwrap().split("<!-- reasons:end -->").next().unwrap();
    let hint = "replace what is between the marks of docs/explain.md by the output of `forebay reasons`";
    assert!(table == forebay(&["reasons"]).stdout, "{hint}");
}
