//! What is looked at, in this order. A check that depends on another says so by a note.

use http::StatusCode;

use super::Severity::{Note, Warning, Wrong};
use super::visit::Answer;
use super::{Check, Visitor};
use crate::reason::{self, Kind};

/// Redirects from the page that was named to the one that answers.
const REDIRECTS: usize = 5;
/// Pages smaller than this need not be compressed.
const WORTH_COMPRESSING: usize = 1400;

/// One site while it is looked at.
struct Site<'a> {
    visitor: &'a Visitor,
    /// The page that answers.
    url: String,
    /// Different for each run: what is asked with it is not stored yet.
    token: String,
}

/// All checks, and the page they are about.
pub(super) fn all(visitor: &Visitor, url: &str) -> (String, Vec<Check>) {
    let token = format!("{:x}", ahash::RandomState::new().hash_one(std::process::id()));
    // A URL without a path is the page at its root.
    let bare = url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
    let url = if bare { format!("{url}/") } else { url.to_owned() };
    let mut site = Site { visitor, url, token };
    let mut checks = Vec::new();
    let Some(page) = site.arrive(&mut checks) else { return (site.url, checks) };
    checks.push(by_forebay(&page));
    checks.push(cookie_for_everybody(&page));
    let stored = site.twice(&mut checks);
    checks.push(site.without_sharing(
        "cart",
        "a visitor with a cart",
        "woocommerce_items_in_cart=1; woocommerce_cart_hash=doctor",
    ));
    checks.push(site.without_sharing("login", "a visitor who is logged in", "wordpress_logged_in_doctor=doctor"));
    checks.push(site.preview());
    checks.push(site.tracking(stored));
    checks.push(site.head());
    checks.push(site.conditional(&page));
    checks.push(site.compression(&page));
    checks.push(site.redirect());
    checks.push(site.forged_host());
    checks.push(site.purge());
    (site.url, checks)
}

/// What keeps a page from being shared, as far as this visitor is told.
fn why(answer: &Answer) -> String {
    let known = answer
        .detail()
        .and_then(|code| [Kind::NotStored, Kind::Pass].into_iter().find_map(|kind| reason::find(kind, code)));
    match known {
        Some(reason) => format!("{} {}", reason.sentence, reason.change),
        None => "Ask `forebay explain` of the same URL on the machine that serves it.".to_owned(),
    }
}

fn by_forebay(page: &Answer) -> Check {
    let told = page.fields.get_all("cache-status").iter().any(|line| line.as_bytes().starts_with(b"Forebay"));
    if told {
        return Check::good("server", "the answer comes through Forebay");
    }
    let hint = "Is this the address of Forebay? Something in front may remove `Cache-Status`, or answer itself.";
    Check::new("server", Warning, "no `Cache-Status` of Forebay", hint)
}

fn cookie_for_everybody(page: &Answer) -> Check {
    let cookies = page.fields.get_all("set-cookie").iter().filter_map(|line| line.to_str().ok());
    let names: Vec<&str> = cookies.filter_map(|cookie| cookie.split('=').next()).collect();
    if names.is_empty() {
        return Check::good("cookies", "a stranger is given none");
    }
    let hint = "Such a page is never shared. Find the plugin that sets it for strangers; `ignore_cookies` names those that mean \
                nothing.";
    Check::new("cookies", Wrong, format!("every stranger is given: {}", names.join(", ")), hint)
}

impl Site<'_> {
    fn ask(&self, method: &str, url: &str, fields: &[(&str, &str)]) -> Result<Answer, String> {
        self.visitor.ask(method, url, fields)
    }

    /// `GET` of the page with a query.
    fn page(&self, query: &str, fields: &[(&str, &str)]) -> Result<Answer, String> {
        let mark = if query.is_empty() {
            ""
        } else if self.url.contains('?') {
            "&"
        } else {
            "?"
        };
        self.ask("GET", &format!("{}{mark}{query}", self.url), fields)
    }

    /// The page that answers, after redirects.
    fn arrive(&mut self, checks: &mut Vec<Check>) -> Option<Answer> {
        for _ in 0..=REDIRECTS {
            let answer = match self.ask("GET", &self.url, &[]) {
                Ok(answer) => answer,
                Err(error) => {
                    let hint = "Is the name right, and does Forebay listen there? `--resolve HOST:ADDRESS` goes to another \
                                address, `--insecure` accepts any certificate.";
                    checks.push(Check::new("page", Wrong, error, hint));
                    return None;
                }
            };
            match (answer.status, answer.field("location")) {
                (status, Some(location)) if status.is_redirection() => {
                    let next = resolved(&self.url, location);
                    if next == self.url {
                        let hint = "The application does not know that the visitor is there already: for WordPress behind \
                                    https see the four lines for wp-config.php in the README.";
                        checks.push(Check::new("page", Wrong, format!("{next} redirects to itself"), hint));
                        return None;
                    }
                    checks.push(Check::new("page", Note, format!("{} redirects to {next}", self.url), ""));
                    self.url = next;
                }
                (StatusCode::OK, _) => {
                    checks.push(Check::good("page", format!("{} answers 200", self.url)));
                    return Some(answer);
                }
                (status, _) => {
                    let hint = if status == StatusCode::MISDIRECTED_REQUEST {
                        "Add the host to `hosts` of a site."
                    } else {
                        "Name a page that a stranger may see."
                    };
                    checks.push(Check::new("page", Wrong, format!("{} answers {}", self.url, answer.shown()), hint));
                    return None;
                }
            }
        }
        checks.push(Check::new(
            "page",
            Wrong,
            "it redirects without end",
            "Look at the address WordPress is told to have.",
        ));
        None
    }

    /// Whether the second stranger is answered from the cache.
    fn twice(&self, checks: &mut Vec<Check>) -> bool {
        let check = match self.page("", &[]) {
            Ok(second) if second.is_from_cache() => {
                Check::good("stranger", format!("the second one is answered from the cache ({})", second.shown()))
            }
            Ok(second) => Check::new(
                "stranger",
                Wrong,
                format!("the second one is not answered from the cache ({})", second.shown()),
                why(&second),
            ),
            Err(error) => Check::new("stranger", Wrong, error, ""),
        };
        let stored = check.severity == super::Severity::Good;
        checks.push(check);
        stored
    }

    fn without_sharing(&self, name: &'static str, who: &str, cookie: &str) -> Check {
        match self.page("", &[("cookie", cookie)]) {
            Ok(answer) if answer.is_from_cache() => Check::new(
                name,
                Wrong,
                format!("{who} is given the page of a stranger ({})", answer.shown()),
                "Name the cookie in `bypass_cookies`, or use `preset = \"wordpress\"`.",
            ),
            Ok(answer) => Check::good(name, format!("{who} is answered by the AP server ({})", answer.shown())),
            Err(error) => Check::new(name, Warning, error, ""),
        }
    }

    fn preview(&self) -> Check {
        let query = format!("p=1&preview=true&doctor={}", self.token);
        let asked = self.page(&query, &[]).and_then(|_| self.page(&query, &[]));
        match asked {
            Ok(answer) if answer.is_from_cache() => Check::new(
                "preview",
                Wrong,
                format!("a preview is stored ({})", answer.shown()),
                "Name `preview` in `bypass_params`, or use `preset = \"wordpress\"`.",
            ),
            Ok(answer) => Check::good("preview", format!("a preview is not stored ({})", answer.shown())),
            Err(error) => Check::new("preview", Warning, error, ""),
        }
    }

    fn tracking(&self, stored: bool) -> Check {
        let query = format!("utm_source=doctor&fbclid={}", self.token);
        match self.page(&query, &[]) {
            _ if !stored => Check::new("tracking", Note, "cannot be told while the page itself is not stored", ""),
            Ok(answer) if answer.is_from_cache() => {
                Check::good("tracking", format!("`utm_source` and `fbclid` make no difference ({})", answer.shown()))
            }
            Ok(answer) => Check::new(
                "tracking",
                Warning,
                format!("each visitor of a campaign asks the AP server ({})", answer.shown()),
                "Name the parameters in `ignore_params`, or use `preset = \"wordpress\"`.",
            ),
            Err(error) => Check::new("tracking", Warning, error, ""),
        }
    }

    fn head(&self) -> Check {
        match self.ask("HEAD", &self.url, &[]) {
            Ok(answer) if answer.status == StatusCode::OK && answer.content.is_empty() => {
                Check::good("HEAD", format!("is answered as GET, without content ({})", answer.shown()))
            }
            Ok(answer) => Check::new(
                "HEAD",
                Warning,
                format!("is answered {}, where GET is answered 200", answer.shown()),
                "Monitors and link checkers ask with HEAD: find what treats it otherwise.",
            ),
            Err(error) => Check::new("HEAD", Warning, error, ""),
        }
    }

    fn conditional(&self, page: &Answer) -> Check {
        let condition = page
            .field("etag")
            .map(|tag| ("if-none-match", tag))
            .or_else(|| page.field("last-modified").map(|date| ("if-modified-since", date)));
        let Some((name, value)) = condition else {
            let seen = "the page has neither `ETag` nor `Last-Modified`: a browser fetches it anew each time";
            return Check::new("condition", Note, seen, "");
        };
        match self.page("", &[(name, value)]) {
            Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => {
                Check::good("condition", format!("who has the page is told 304 (`{name}`)"))
            }
            Ok(answer) => Check::new(
                "condition",
                Warning,
                format!("who has the page is sent it again (`{name}`: {})", answer.shown()),
                "The validator changes with each response, or something in front removes it.",
            ),
            Err(error) => Check::new("condition", Warning, error, ""),
        }
    }

    fn compression(&self, page: &Answer) -> Check {
        match self.page("", &[("accept-encoding", "gzip, br, zstd")]) {
            Ok(answer) if answer.fields.contains_key("content-encoding") => {
                let coding = answer.field("content-encoding").unwrap_or_default();
                let (from, to) = (page.content.len(), answer.content.len());
                Check::good("compression", format!("{coding}: {from} bytes become {to}"))
            }
            Ok(_) if page.content.len() < WORTH_COMPRESSING => {
                Check::new("compression", Note, format!("{} bytes are too few for it", page.content.len()), "")
            }
            Ok(_) => Check::new(
                "compression",
                Warning,
                format!("{} bytes are sent as they are", page.content.len()),
                "Look at `compress` of the site, and at `no-transform` of the response.",
            ),
            Err(error) => Check::new("compression", Warning, error, ""),
        }
    }

    fn redirect(&self) -> Check {
        let Some(rest) = self.url.strip_prefix("https://") else {
            return Check::new("https", Note, "the page is served by plain http", "Give the site a certificate.");
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, "/"));
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let url = format!("http://{host}{path}");
        match self.ask("GET", &url, &[]) {
            Ok(answer) if answer.field("location").is_some_and(|to| to.starts_with("https://")) => {
                Check::good("https", format!("{url} redirects to https ({})", answer.status.as_u16()))
            }
            Ok(answer) => Check::new(
                "https",
                Warning,
                format!("{url} does not redirect to https ({})", answer.shown()),
                "Let WordPress know its address by https, or redirect in the site.",
            ),
            Err(error) => Check::new("https", Note, format!("plain http is not served: {error}"), ""),
        }
    }

    /// Whether a field that is no part of the key shapes a page that others are given.
    fn forged_host(&self) -> Check {
        const FORGED: &str = "forged.invalid";
        let query = format!("doctor={}", self.token);
        let fields = [("x-forwarded-host", FORGED), ("x-original-url", "/forged.invalid")];
        match self.page(&query, &fields) {
            Ok(answer) if String::from_utf8_lossy(&answer.content).contains(FORGED) => Check::new(
                "forged host",
                Wrong,
                "`X-Forwarded-Host` of a visitor shapes the page",
                "Something in front passes it on, or `trusted_proxies` is too wide: a page made by an attacker could be stored.",
            ),
            Ok(_) => Check::good("forged host", "`X-Forwarded-Host` of a visitor makes no difference"),
            Err(error) => Check::new("forged host", Warning, error, ""),
        }
    }

    /// Of a URL that is not there, so nothing is lost where it works.
    fn purge(&self) -> Check {
        let base = self.url.split('?').next().unwrap_or(&self.url);
        match self.ask("PURGE", &format!("{base}doctor-{}", self.token), &[]) {
            Ok(answer) if answer.status.is_client_error() => {
                Check::good("purge", format!("a stranger may not ({})", answer.status.as_u16()))
            }
            Ok(answer) => Check::new(
                "purge",
                Wrong,
                format!("PURGE from here is answered {}", answer.shown()),
                "Whoever can purge can make the AP servers work. If this machine is meant to, ask from another.",
            ),
            Err(error) => Check::new("purge", Note, error, ""),
        }
    }
}

/// `location` as seen from `url`.
fn resolved(url: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(start..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |at| start + at);
    let (origin, path) = url.split_at_checked(end).unwrap_or((url, ""));
    if location.starts_with('/') {
        return format!("{origin}{location}");
    }
    let directory = path.split('?').next().unwrap_or_default().rsplit_once('/').map_or("", |(directory, _)| directory);
    format!("{origin}{directory}/{location}")
}

#[cfg(test)]
mod tests {
    use super::resolved;

    #[test]
    fn locations_are_resolved_against_the_page() {
        let base = "https://a.test/dir/page?x=/y";
        assert_eq!(resolved(base, "https://b.test/"), "https://b.test/");
        assert_eq!(resolved(base, "/z"), "https://a.test/z");
        assert_eq!(resolved(base, "z"), "https://a.test/dir/z");
        assert_eq!(resolved("https://a.test", "z"), "https://a.test/z");
    }
}
