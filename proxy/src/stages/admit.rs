//! Admit: what is not a well-formed request to this proxy ends here, before anything is looked up or forwarded.

use forebay_config::model::Limits;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::http::{Refusal, Request};

/// How a request names its target (RFC 9112 section 3.2).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Form<'a> {
    /// `/path?query`, with the authority of the Host field (`None` for HTTP/1.0 without one).
    Origin { authority: Option<&'a [u8]>, path_query: &'a [u8] },
    /// `http://authority/path?query`: the authority replaces that of the Host field.
    Absolute { scheme: &'static str, authority: &'a [u8], path_query: &'a [u8] },
    /// `*`, with OPTIONS alone.
    Asterisk,
}

/// Checks method, target form, Host and sizes.
///
/// # Errors
///
/// 400 for a malformed target and for anything but exactly one Host, 405 for CONNECT and TRACE, 414 and 431 for what is
/// too large (HTTP/2 heads come here unmeasured).
pub(crate) fn admit<'a>(request: &'a Request, limits: &Limits) -> Result<Form<'a>, Refusal> {
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"));
    }
    check_length(&request.fields)?;
    if request.target.len() > limits.target_size {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "target-size"));
    }
    if request.fields.len() > limits.fields {
        return Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "field-count"));
    }
    let host = host(&request.fields, request.version)?;
    form(&request.method, &request.target, host)
}

/// Holds request content to `largest` bytes; 0: no limit.
///
/// # Errors
///
/// 413 for content that is declared larger. What is not declared is measured as it comes.
pub(crate) fn content(request: &mut Request, largest: u64) -> Result<(), Refusal> {
    if largest > 0 && request.body.length().is_some_and(|length| length > largest) {
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body-size"));
    }
    request.body.hold_to(largest);
    Ok(())
}

/// RFC 9110 section 8.6: one length or none. HTTP/1 has seen to it already; an HTTP/2 head comes here as it is.
fn check_length(fields: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(()) };
    let decimal = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    if decimal && lengths.next().is_none() { Ok(()) } else { Err(Refusal::bad("content-length")) }
}

/// RFC 9112 section 3.2: exactly one Host, unless the request is of HTTP/1.0.
fn host(fields: &HeaderMap, version: Version) -> Result<Option<&[u8]>, Refusal> {
    let mut lines = fields.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => Err(Refusal::bad("several-hosts")),
        (Some(host), None) => Ok(Some(host.as_bytes())),
        (None, _) if version == Version::HTTP_10 => Ok(None),
        (None, _) => Err(Refusal::bad("no-host")),
    }
}

fn form<'a>(method: &Method, target: &'a [u8], host: Option<&'a [u8]>) -> Result<Form<'a>, Refusal> {
    if target == b"*" {
        return if *method == Method::OPTIONS { Ok(Form::Asterisk) } else { Err(Refusal::bad("asterisk-form")) };
    }
    if target.starts_with(b"/") {
        return Ok(Form::Origin { authority: host, path_query: target });
    }
    let (scheme, rest) = [("http", &b"http://"[..]), ("https", b"https://")]
        .into_iter()
        .find_map(|(scheme, prefix)| {
            let (head, rest) = target.split_at_checked(prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then_some((scheme, rest))
        })
        .ok_or(Refusal::bad("target-form"))?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path_query) = rest.split_at_checked(end).ok_or(Refusal::bad("target-form"))?;
    if authority.is_empty() {
        return Err(Refusal::bad("target-form"));
    }
    Ok(Form::Absolute { scheme, authority, path_query })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(method: &Method, target: &'static str) -> Result<Form<'static>, u16> {
        form(method, target.as_bytes(), Some(b"x")).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn rfc9112_3_2_target_forms() {
        let origin = Form::Origin { authority: Some(b"x"), path_query: b"/a?b" };
        assert_eq!(shape(&Method::GET, "/a?b"), Ok(origin));
        let absolute = Form::Absolute { scheme: "http", authority: b"y:8", path_query: b"/a" };
        assert_eq!(shape(&Method::GET, "HTTP://y:8/a"), Ok(absolute));
        let bare = Form::Absolute { scheme: "https", authority: b"y", path_query: b"" };
        assert_eq!(shape(&Method::GET, "https://y"), Ok(bare));
        assert_eq!(shape(&Method::OPTIONS, "*"), Ok(Form::Asterisk));
        for bad in ["@127.0.0.1:1/x", "x", "ftp://x/", "http:///x", "*"] {
            assert_eq!(shape(&Method::GET, bad), Err(400), "{bad}");
        }
    }

    #[test]
    fn rfc9112_3_2_exactly_one_host() {
        let mut fields = HeaderMap::new();
        assert!(host(&fields, Version::HTTP_11).is_err());
        assert_eq!(host(&fields, Version::HTTP_10), Ok(None));
        fields.append(HOST, "x".parse().unwrap());
        assert_eq!(host(&fields, Version::HTTP_11), Ok(Some(&b"x"[..])));
        fields.append(HOST, "x".parse().unwrap());
        assert!(host(&fields, Version::HTTP_11).is_err());
    }
}
