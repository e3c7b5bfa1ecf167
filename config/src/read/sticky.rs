//! `sticky = { … }` of `[[upstream]]`

use super::upstream::token;
use crate::model::Sticky;
use crate::table::Item;
use crate::values::path;

pub(super) fn read(item: Item<'_, '_>) -> Option<Sticky> {
    const HINT: &str = "write { cookie = \"FOREBAY\" } for one of ours, or { application_cookie = \"PHPSESSID\" }";
    let reading = item.reading;
    let mut table = item.table("{ cookie = \"FOREBAY\" }")?;
    let span = table.span.clone();
    let (ours, theirs) = (table.take("cookie"), table.take("application_cookie"));
    let key_file = table.take("key_file");
    table.finish();
    match (ours, theirs) {
        (Some(ours), None) => Some(Sticky::Inserted {
            name: ours.parsed("FOREBAY", token)?.value,
            key_file: key_file
                .and_then(|item| item.parsed("/etc/forebay/sticky.key", path::file))
                .map(|file| file.value),
        }),
        (None, Some(theirs)) => {
            if let Some(item) = key_file {
                reading.misfit(&item.key, "`key_file` with `application_cookie`, which is not signed", "remove it");
            }
            Some(Sticky::Application { name: theirs.parsed("PHPSESSID", token)?.value })
        }
        (Some(_), Some(_)) => {
            reading.misfit(&span, "`sticky` with both `cookie` and `application_cookie`", HINT);
            None
        }
        (None, None) => {
            reading.misfit(&span, "`sticky` without a cookie", HINT);
            None
        }
    }
}
