//! What is never served though it lies beneath the root, judged by name alone: no system call tells a client whether such a file exists.

use super::resolve::Target;

/// What a name allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A file to serve, if it is there.
    Serve,
    /// Something an application server executes, whose source must not be shown; or no name of a file at all.
    Upstream,
    /// Nobody's business, be it there or not.
    Refuse,
    /// Nobody's business if it is a file; else an address like any other, such as that of an article about `wp-config`.
    RefuseFile,
}

/// Judges a whole path. A refusal anywhere outweighs a program anywhere: `/.git/hook.php` is refused.
pub(super) fn judge(target: &Target) -> Verdict {
    let mut upstream = target.empty_segment;
    let mut last = "";
    for (place, segment) in target.segments().enumerate() {
        // RFC 8615: the one directory that begins with a dot and is meant for the public; only at the top.
        let well_known = place == 0 && segment == ".well-known";
        upstream |= is_program(segment);
        if (segment.starts_with('.') && !well_known) || (is_wordpress_secret(segment) && segment.contains(['.', '~'])) {
            return Verdict::Refuse;
        }
        last = segment;
    }
    if is_private(last) {
        Verdict::Refuse
    } else if upstream {
        Verdict::Upstream
    } else if is_wordpress_secret(last) {
        Verdict::RefuseFile
    } else {
        Verdict::Serve
    }
}

/// Whether an application server would execute a file of that name.
///
/// The PHP family counts at any place of the name (`x.php.jpg`), because Apache's `AddHandler` does so too; the others at the end
/// only, for `datepicker.pl.js` is Polish, not Perl.
pub(super) fn is_program(name: &str) -> bool {
    const OTHERS: [&str; 23] = [
        "inc", "cgi", "fcgi", "pl", "pm", "py", "pyc", "rb", "sh", "lua", "asp", "aspx", "ashx", "asmx", "ascx", "jsp",
        "jspx", "jspf", "cfm", "cfc", "shtml", "shtm", "stm",
    ];
    let name = name.trim_end_matches([' ', '.']);
    let mut last = "";
    for extension in name.split('.').skip(1) {
        let extension = extension.trim();
        if is_php(extension) {
            return true;
        }
        last = extension;
    }
    listed(&OTHERS, last)
}

/// `php`, `php3` to `php8` and any later digit, `phtml`, `pht`, `phar`, `phps`, `phpt`.
fn is_php(extension: &str) -> bool {
    let digits = |rest: &[u8]| rest.iter().all(u8::is_ascii_digit);
    listed(&["phtml", "pht", "phar", "phps", "phpt"], extension)
        || matches!(extension.as_bytes().split_at_checked(3), Some((start, rest)) if start.eq_ignore_ascii_case(b"php") && digits(rest))
}

/// `wp-config.php` is a program; every copy of it that is none shows the password of the database.
fn is_wordpress_secret(name: &str) -> bool {
    let starts = name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("wp-config"));
    let program = name.rsplit_once('.').is_some_and(|(_, extension)| is_php(extension));
    starts && !program
}

/// Backups, dumps, logs, settings: by the last extension, once archive and rotation suffixes (`.gz`, `.1`, `-20260101`) are taken off.
fn is_private(name: &str) -> bool {
    const NAMES: [&str; 5] = ["composer.json", "composer.lock", "error_log", "web.config", "thumbs.db"];
    const PRIVATE: [&str; 29] = [
        "bak", "bkp", "backup", "old", "orig", "save", "sav", "swp", "swo", "tmp", "temp", "dist", "rej", "copy",
        "sql", "dump", "sqlite", "sqlite3", "mdb", "log", "ini", "env", "htaccess", "htpasswd", "lock", "conf", "cfg",
        "pem", "pfx",
    ];
    let name = name.trim_end_matches([' ', '.']);
    if name.ends_with('~') || (name.len() > 1 && name.starts_with('#') && name.ends_with('#')) {
        return true;
    }
    let mut rest = name;
    while let Some((stem, extension)) = rest.rsplit_once('.') {
        if listed(&NAMES, rest) {
            return true;
        }
        // `error.log-20260101`, as logrotate names it.
        let extension = match extension.split_once('-') {
            Some((before, date)) if is_number(date) => before,
            _ => extension,
        };
        if listed(&PRIVATE, extension) || extension.ends_with('~') {
            return true;
        }
        if !is_wrapping(extension) {
            return false;
        }
        rest = stem;
    }
    listed(&NAMES, rest)
}

/// An archive or rotation suffix, behind which the extension that matters stands.
fn is_wrapping(extension: &str) -> bool {
    const ARCHIVES: [&str; 10] = ["gz", "bz2", "xz", "zst", "br", "lz4", "lzma", "zip", "7z", "rar"];
    listed(&ARCHIVES, extension) || is_number(extension)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn listed(list: &[&str], word: &str) -> bool {
    list.iter().any(|listed| listed.eq_ignore_ascii_case(word))
}
