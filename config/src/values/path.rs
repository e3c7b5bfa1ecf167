//! Paths of the file system and names of files.

use std::path::{Path, PathBuf};

use super::{Wrong, quoted};

/// An absolute path. What stands there is not looked at.
pub(crate) fn absolute(text: &str) -> Result<PathBuf, Wrong> {
    if text.contains('\0') {
        return Err(Wrong::new(format!("{} has a NUL in it", quoted(text)), "remove it"));
    }
    if text.starts_with('/') {
        return Ok(PathBuf::from(text));
    }
    let hint = if text.starts_with('~') {
        "write the home directory out: \"/home/…\"".to_owned()
    } else {
        "write it from the root: \"/…\"".to_owned()
    };
    Err(Wrong::new(format!("{} is not an absolute path", quoted(text)), hint))
}

/// An absolute path of a directory that exists and may be served.
pub(crate) fn directory(text: &str) -> Result<PathBuf, Wrong> {
    let path = absolute(text)?;
    match path.canonicalize() {
        Ok(canonical) if canonical == Path::new("/") => {
            let hint = "name the directory of the site's files: \"/var/www/html\"";
            return Err(Wrong::new(format!("{} is the whole machine", quoted(text)), hint));
        }
        _ => {}
    }
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err(Wrong::new(format!("{} is not a directory", quoted(text)), "name the directory it is in")),
        Err(error) => Err(unreachable(&path, &error)),
    }
}

/// An absolute path of a file that exists.
pub(crate) fn file(text: &str) -> Result<PathBuf, Wrong> {
    let path = absolute(text)?;
    match path.metadata() {
        Ok(found) if found.is_dir() => {
            Err(Wrong::new(format!("{} is a directory", quoted(text)), "name the file within"))
        }
        Ok(_) => Ok(path),
        Err(error) => Err(unreachable(&path, &error)),
    }
}

/// An absolute path of a file that exists or can be made: its directory exists.
pub(crate) fn file_to_write(text: &str) -> Result<PathBuf, Wrong> {
    let path = absolute(text)?;
    if path.is_dir() || text.ends_with('/') {
        return Err(Wrong::new(format!("{} is a directory", quoted(text)), "name the file within"));
    }
    match path.parent() {
        Some(parent) if !parent.is_dir() => {
            let hint = format!("create the directory {} first", parent.display());
            Err(Wrong::new(format!("the directory of {} does not exist", quoted(text)), hint))
        }
        _ => Ok(path),
    }
}

fn unreachable(path: &Path, error: &std::io::Error) -> Wrong {
    let shown = quoted(&path.to_string_lossy());
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            // The first part that is missing tells a typing error from a volume that is not mounted.
            let there = path.ancestors().skip(1).find(|part| part.is_dir()).unwrap_or_else(|| Path::new("/"));
            Wrong::new(format!("{shown} does not exist"), format!("{} exists; look there", there.display()))
        }
        _ => Wrong::new(format!("{shown} cannot be looked at: {error}"), "see that its directories can be entered"),
    }
}

/// The name of an index file: one segment of a path.
pub(crate) fn file_name(text: &str) -> Result<String, Wrong> {
    let plain = !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\0']);
    if plain {
        Ok(text.to_owned())
    } else {
        let hint = "write a name without directories that does not begin with a dot: \"index.html\"";
        Err(Wrong::new(format!("{} is not a file name", quoted(text)), hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_refused() {
        for text in ["", "html", "./html", "../html", "~/html"] {
            assert!(absolute(text).is_err(), "{text:?}");
        }
        assert!(absolute("/var\0").is_err());
        assert_eq!(absolute("/var/www"), Ok(PathBuf::from("/var/www")));
    }

    #[test]
    fn the_hint_for_a_missing_directory_names_the_part_that_exists() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("a/b/c");
        let wrong = super::directory(missing.to_str().unwrap()).unwrap_err();
        assert_eq!(wrong.hint, Some(format!("{} exists; look there", directory.path().display())));
    }

    #[test]
    fn a_file_is_no_directory_and_a_directory_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, "").unwrap();
        assert!(super::directory(path.to_str().unwrap()).is_err());
        assert!(super::directory(directory.path().to_str().unwrap()).is_ok());
        assert!(super::directory("/").is_err());
        assert!(super::directory("/tmp/..").is_err());
        assert!(file(path.to_str().unwrap()).is_ok());
        assert!(file(directory.path().to_str().unwrap()).is_err());
        assert!(file_to_write(directory.path().to_str().unwrap()).is_err());
        assert!(file_to_write(directory.path().join("new.log").to_str().unwrap()).is_ok());
        assert!(file_to_write(directory.path().join("no/new.log").to_str().unwrap()).is_err());
    }

    #[test]
    fn an_index_file_is_one_segment() {
        assert!(file_name("index.html").is_ok());
        for text in ["", ".", "..", "../x", "a/b", ".htaccess", "a\0"] {
            assert!(file_name(text).is_err(), "{text:?}");
        }
    }
}
