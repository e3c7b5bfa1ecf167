//! Cache groups (RFC 9875): responses that are to be invalidated together say so.

use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode};
use sfv::{BareItem, ListEntry, Parser};

use super::invalidation::is_safe;

/// `Cache-Groups` (RFC 9875 section 2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// `Cache-Group-Invalidation` (RFC 9875 section 3).
pub const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// Groups of one field beyond which no more are kept; the RFC asks for 32 at least.
const MAX_GROUPS: usize = 128;
/// Bytes of a group's name beyond which it is not kept; the RFC asks for 32 at least.
const MAX_NAME: usize = 256;

/// The groups a response belongs to, each once. Their names are case-sensitive and mean something to one origin alone.
#[must_use]
pub fn groups(response: &HeaderMap) -> Vec<String> {
    strings(response, &CACHE_GROUPS)
}

/// The groups that a response to `method` invalidates. None for a safe method (section 3: the field MUST be ignored), and
/// none for an error, which changed nothing.
#[must_use]
pub fn invalidated_groups(method: &Method, status: StatusCode, response: &HeaderMap) -> Vec<String> {
    if is_safe(method) || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    strings(response, &CACHE_GROUP_INVALIDATION)
}

/// A list of strings; a field that is none is ignored as a whole (RFC 9651 section 4.2), members of other types one by one.
fn strings(fields: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines: Vec<&[u8]> = fields.get_all(name).iter().map(|line| line.as_bytes()).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let Ok(members) = Parser::parse_list(&lines.join(&b", "[..])) else { return Vec::new() };
    let mut names: Vec<String> = members
        .into_iter()
        .filter_map(|member| match member {
            ListEntry::Item(item) => match item.bare_item {
                BareItem::String(name) => Some(name),
                _ => None,
            },
            ListEntry::InnerList(_) => None,
        })
        .filter(|name| name.len() <= MAX_NAME)
        .take(MAX_GROUPS)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields;
    use super::*;

    fn of(lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| ("Cache-Groups", *line)).collect();
        groups(&fields(&lines)).join(" ")
    }

    #[test]
    fn rfc9875_2_groups_are_the_strings_of_all_lines_with_their_case() {
        assert_eq!(of(&[r#""scripts", "Home";a=1"#, r#""scripts""#]), "Home scripts");
        assert_eq!(of(&[]), "");
    }

    #[test]
    fn rfc9875_2_what_is_no_list_of_strings_names_no_group() {
        assert_eq!(of(&[r#""open"#]), "");
        assert_eq!(of(&[r#"token, 1, ("inner"), "name""#]), "name");
    }

    #[test]
    fn rfc9875_2_at_least_32_groups_of_32_characters_are_kept() {
        let names: Vec<String> = (0..32).map(|n| format!("{n:032}")).collect();
        let field = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        assert_eq!(of(&[&field]), names.join(" "));
        let many: Vec<String> = (0..1000).map(|n| format!("\"{n}\"")).collect();
        assert_eq!(groups(&fields(&[("Cache-Groups", &many.join(","))])).len(), MAX_GROUPS);
    }

    #[test]
    fn rfc9875_3_invalidation_is_ignored_on_responses_to_safe_methods() {
        let response = fields(&[("Cache-Group-Invalidation", "\"a\"")]);
        let of = |method, status| invalidated_groups(&method, StatusCode::from_u16(status).unwrap(), &response).len();
        assert_eq!((of(Method::GET, 200), of(Method::HEAD, 200), of(Method::OPTIONS, 200)), (0, 0, 0));
        assert_eq!((of(Method::POST, 200), of(Method::PUT, 303), of(Method::DELETE, 204)), (1, 1, 1));
        assert_eq!((of(Method::POST, 403), of(Method::POST, 500)), (0, 0));
    }
}
