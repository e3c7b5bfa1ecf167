//! Choice of a content coding by `Accept-Encoding`: RFC 9110 section 12.5.3.

use http::{HeaderMap, HeaderValue, header};

#[cfg(test)]
mod tests;

/// A content coding that Forebay can produce or serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `zstd`, RFC 8878.
    Zstd,
    /// `br`, RFC 7932.
    Brotli,
    /// `gzip`, RFC 1952; `x-gzip` means the same (section 8.4.1.3).
    Gzip,
}

impl Coding {
    /// The registered name, as `Content-Encoding` has it.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The value of `Content-Encoding`.
    #[must_use]
    pub fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.token())
    }

    /// The coding of that name (case-insensitive, section 8.4.1), aliases included.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        if token.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        [Self::Zstd, Self::Brotli, Self::Gzip].into_iter().find(|coding| token.eq_ignore_ascii_case(coding.token()))
    }
}

/// The outcome of the negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negotiated {
    /// Send the representation in this coding.
    Coding(Coding),
    /// Send it without a coding.
    Identity,
    /// The client excluded `identity` and accepts nothing that is offered: 406 is what it asked for.
    NotAcceptable,
}

/// Chooses among `offered` (the server's order, best first) what the client weighs highest.
///
/// All `Accept-Encoding` lines count as one list. Equal weights go to the server's order, and to a coding before `identity`. A member that
/// is malformed is skipped as if absent. Without the field, or with an empty one, the answer is [`Negotiated::Identity`].
#[must_use]
pub fn negotiate(request: &HeaderMap, offered: &[Coding]) -> Negotiated {
    negotiate_lines(request.get_all(header::ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes), offered)
}

/// [`negotiate`] for the values of the field's lines.
#[must_use]
pub fn negotiate_lines<'a>(lines: impl IntoIterator<Item = &'a [u8]>, offered: &[Coding]) -> Negotiated {
    let accepted = Accepted::read(lines);
    let identity = accepted.identity.or(accepted.any);
    let mut best: Option<(Coding, u16)> = None;
    for &coding in offered {
        let weight = accepted.weight(coding);
        if weight > best.map_or(0, |(_, highest)| highest) {
            best = Some((coding, weight));
        }
    }
    match (best, identity) {
        (Some((_, weight)), Some(identity)) if identity > weight => Negotiated::Identity,
        (Some((coding, _)), _) => Negotiated::Coding(coding),
        (None, Some(0)) => Negotiated::NotAcceptable,
        (None, _) => Negotiated::Identity,
    }
}

/// Weights in thousandths; `None` was not listed. The first mention of a name counts.
#[derive(Default)]
struct Accepted {
    zstd: Option<u16>,
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Accepted {
    fn read<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut accepted = Self::default();
        for line in lines {
            // No legal member has a byte outside ASCII: such a line is cut at the comma as well, and its bad members match no name.
            for member in line.split(|&byte| byte == b',') {
                let Some((name, weight)) = std::str::from_utf8(member).ok().and_then(parse_member) else { continue };
                let slot = match name {
                    "*" => &mut accepted.any,
                    _ if name.eq_ignore_ascii_case("identity") => &mut accepted.identity,
                    _ => match Coding::from_token(name) {
                        Some(Coding::Zstd) => &mut accepted.zstd,
                        Some(Coding::Brotli) => &mut accepted.brotli,
                        Some(Coding::Gzip) => &mut accepted.gzip,
                        None => continue,
                    },
                };
                slot.get_or_insert(weight);
            }
        }
        accepted
    }

    fn weight(&self, coding: Coding) -> u16 {
        let listed = match coding {
            Coding::Zstd => self.zstd,
            Coding::Brotli => self.brotli,
            Coding::Gzip => self.gzip,
        };
        listed.or(self.any).unwrap_or(0)
    }
}

/// `codings [ OWS ";" OWS "q=" qvalue ]`, the weight in thousandths.
fn parse_member(member: &str) -> Option<(&str, u16)> {
    let space = |symbol: char| matches!(symbol, ' ' | '\t');
    let Some((name, weight)) = member.split_once(';') else { return Some((member.trim_matches(space), 1000)) };
    let (q, value) = weight.trim_matches(space).split_once('=')?;
    if !q.eq_ignore_ascii_case("q") {
        return None;
    }
    Some((name.trim_matches(space), qvalue(value)?))
}

/// Section 12.4.2: 0 to 1 with at most three digits after the point.
fn qvalue(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match whole {
        "0" => format!("{fraction:0<3}").parse().ok(),
        "1" if fraction.bytes().all(|byte| byte == b'0') => Some(1000),
        _ => None,
    }
}
