//! The words of routing: conditions, rewriting, answers of a route's own, changes of fields.

use ipnet::IpNet;

use super::protection::{field_name, method};
use crate::model::{Action, Condition, Conditions, FieldEdits, Rewriting, Wanted};
use crate::table::{Item, Table};
use crate::values::{Wrong, name_pattern, network, path_pattern, quoted, regular_expression, template};

/// Fields that say where a message ends or what a connection does: a change of them would let two readers see different
/// messages. `Host` of a request may be set.
const FRAMING: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "range",
];

/// Redirects that say where to.
const REDIRECTS: [u64; 5] = [301, 302, 303, 307, 308];

/// Largest content of a fixed response, bytes.
const BODY_MAX: usize = 64 * 1024;

pub(super) fn conditions(table: &mut Table<'_, '_>) -> Conditions {
    let suffix = |text: &str| match text {
        "" => Err(Wrong::new("an ending is empty", "remove it, or write \".php\"")),
        _ if text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#*".contains(&byte)) => Ok(text.to_owned()),
        _ => Err(Wrong::new(format!("{} is not the end of a path", quoted(text)), "write it out: \".php\"")),
    };
    let suffixes = table.take("suffix").and_then(|item| item.list(".php", suffix)).unwrap_or_default();
    let regex = table.take("regex").and_then(|item| item.parsed("^/user/[0-9]+$", regular_expression::parse));
    let methods = table.take("methods").and_then(|item| item.list("GET", method)).unwrap_or_default();
    let networks = table.take("from").and_then(|item| item.list("10.0.0.0/8", network::parse)).unwrap_or_default();
    Conditions {
        suffixes: suffixes.into_iter().map(|found| found.value).collect(),
        regex: regex.map(|found| found.value),
        methods: methods.into_iter().map(|found| found.value).collect(),
        headers: values(table, "headers", "{ \"X-Canary\" = \"1\" }", field_name),
        cookies: values(table, "cookies", "{ canary = \"1\" }", |text| match text.ends_with('*') {
            true => Err(Wrong::new(format!("{} ends in *", quoted(text)), "write the whole name")),
            false => name_pattern::cookie(text),
        }),
        query: values(table, "query", "{ preview = \"*\" }", |text| match text.ends_with('*') {
            true => Err(Wrong::new(format!("{} ends in *", quoted(text)), "write the whole name")),
            false => name_pattern::parameter(text),
        }),
        from: networks.into_iter().map(|found| found.value).collect::<Vec<IpNet>>(),
    }
}

/// `{ name = "value" }`, in the order of the names.
fn values(
    table: &mut Table<'_, '_>,
    word: &'static str,
    example: &str,
    name: fn(&str) -> Result<String, Wrong>,
) -> Vec<Condition> {
    let Some(item) = table.take(word) else { return Vec::new() };
    let reading = item.reading;
    let Some(mut entries) = item.table(&format!("{word} = {example}")) else { return Vec::new() };
    let mut found = Vec::new();
    for (key, mut item) in entries.take_all() {
        item.word = word;
        let value = item.parsed("*", wanted);
        match name(&key.value) {
            Ok(name) => found.extend(value.map(|value| Condition { name, value: value.value })),
            Err(wrong) => reading.wrong(&key.span, word, wrong),
        }
    }
    found
}

fn wanted(text: &str) -> Result<Wanted, Wrong> {
    match text.strip_prefix('~') {
        _ if text == "*" => Ok(Wanted::Present),
        Some(pattern) => regular_expression::parse(pattern).map(Wanted::Matching),
        None => Ok(Wanted::Exactly(text.to_owned())),
    }
}

/// `path` is that of the route.
pub(super) fn rewriting(table: &mut Table<'_, '_>, path: Option<&str>) -> Rewriting {
    let strip = table.take("strip_prefix");
    let strip_prefix = strip.as_ref().and_then(|item| item.parsed("/api", path_pattern::prefix));
    if let (Some(item), Some(prefix), Some(path)) = (&strip, &strip_prefix, path)
        && !path.trim_end_matches('$').starts_with(&prefix.value)
    {
        let hint = format!("it has to be the begin of {}", quoted(path));
        item.reading.misfit(&item.span, "`strip_prefix` is not the begin of the route's `path`", hint);
    }
    let rewrite = table.take("rewrite").and_then(|item| item.parsed("/v2{path}", template::path));
    Rewriting { strip_prefix: strip_prefix.map(|found| found.value), rewrite: rewrite.map(|found| found.value) }
}

pub(super) fn action(table: &mut Table<'_, '_>) -> Option<Action> {
    let redirect = table.take("redirect");
    let status = table.take("status");
    let respond = table.take("respond");
    if let (Some(_), Some(item)) = (&redirect, &respond) {
        let hint = "keep one of the two";
        item.reading.misfit(&item.key, "`redirect` and `respond` in one route", hint);
    }
    if let (None, Some(item)) = (&redirect, &status) {
        let hint = "write respond = { status = 200, body = \"…\" }, or add a redirect";
        item.reading.misfit(&item.key, "`status` without `redirect`", hint);
    }
    if let Some(item) = redirect {
        let to = item.parsed("https://{host}{uri}", template::location);
        let status = status.and_then(|item| redirect_status(&item)).unwrap_or(302);
        return to.map(|to| Action::Redirect { to: to.value, status });
    }
    respond.and_then(|item| item.table("respond = { status = 200, body = \"…\" }")).map(self::respond)
}

fn redirect_status(item: &Item<'_, '_>) -> Option<u16> {
    let status = item.integer(300..=399)?;
    if !REDIRECTS.contains(&status) {
        item.wrong(Wrong::new(format!("{status} does not lead elsewhere"), "choose one of: 301, 302, 303, 307, 308"));
    }
    u16::try_from(status).ok()
}

fn respond(mut table: Table<'_, '_>) -> Action {
    let status = table.take("status").and_then(|item| item.integer(200..=599)).unwrap_or(200);
    let body = table.take("body").and_then(|item| {
        item.parsed("…", |text| match text.len() {
            0..=BODY_MAX => Ok(text.to_owned()),
            _ => Err(Wrong::new("the content is larger than 64 KiB", "put it into a file beneath a root")),
        })
    });
    let content_type = table.take("content_type").and_then(|item| item.parsed("text/plain", value));
    table.finish();
    Action::Respond {
        status: u16::try_from(status).unwrap_or(200),
        body: body.map(|found| found.value).unwrap_or_default(),
        content_type: content_type.map_or_else(|| "text/plain; charset=utf-8".to_owned(), |found| found.value),
    }
}

/// `request_headers` or `response_headers`.
pub(super) fn edits(table: &mut Table<'_, '_>, word: &'static str) -> FieldEdits {
    let Some(item) = table.take(word) else { return FieldEdits::default() };
    let Some(mut table) = item.table(&format!("{word} = {{ set = {{ … }}, add = {{ … }}, remove = […] }}"))
    else {
        return FieldEdits::default();
    };
    let host = word == "request_headers";
    let set = lines(&mut table, "set", host);
    let add = lines(&mut table, "add", false);
    let name = |text: &str| editable(text, false);
    let remove = table.take("remove").and_then(|item| item.list("X-Powered-By", name)).unwrap_or_default();
    table.finish();
    FieldEdits { set, add, remove: remove.into_iter().map(|found| found.value).collect() }
}

fn lines(table: &mut Table<'_, '_>, word: &'static str, host: bool) -> Vec<(String, String)> {
    let Some(item) = table.take(word) else { return Vec::new() };
    let reading = item.reading;
    let Some(mut entries) = item.table(&format!("{word} = {{ \"X-Frame-Options\" = \"DENY\" }}")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (key, mut item) in entries.take_all() {
        item.word = word;
        let value = item.parsed("DENY", value);
        match editable(&key.value, host) {
            Ok(name) => found.extend(value.map(|value| (name, value.value))),
            Err(wrong) => reading.wrong(&key.span, word, wrong),
        }
    }
    found
}

/// The name of a field that may be changed.
fn editable(text: &str, host: bool) -> Result<String, Wrong> {
    let name = field_name(text)?;
    if FRAMING.contains(&name.as_str()) || (name == "host" && !host) {
        let hint = "it belongs to the framing, the routing or the connection, which Forebay alone decides on";
        return Err(Wrong::new(format!("{} cannot be changed", quoted(text)), hint));
    }
    Ok(name)
}

/// The value of a field: visible ASCII, spaces between.
fn value(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if plain && text.trim() == text && text.len() <= 8192 {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{} is not the value of a field", quoted(text)), "write visible ASCII on one line"))
}
