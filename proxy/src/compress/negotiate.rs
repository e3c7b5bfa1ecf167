//! Which coding a client gets (RFC 9110 section 12.5.3).

use forebay_config::model::Coding;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use super::eligible::list;
use super::token;

/// What the client's `Accept-Encoding` leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Send it coded.
    Coded(Coding),
    /// Send it as it is.
    Identity,
    /// The client refuses `identity`, and every coding we can make. Sending it as it is remains right (RFC 9110 section
    /// 12.5.3 leaves it to the server, and says so of unacceptable answers in general); the caller may answer 406.
    Refused,
}

/// Picks from `offered`, best first, what the client weighs highest; between equals, the order of `offered` decides.
/// `identity` is chosen over codings only when the client weighs it higher, in words: a client that lists codings at all
/// would rather have one.
///
/// Weights that are malformed count as 0: such a member is not understood, and no answer rests on it.
pub(crate) fn negotiate(request: &HeaderMap, offered: &[Coding]) -> Choice {
    if !request.contains_key(ACCEPT_ENCODING) {
        // "Any content coding is considered acceptable": so is none, and that one every client can read.
        return Choice::Identity;
    }
    let weights = Weights::of(request);
    let mut best: Option<(Coding, u16)> = None;
    for coding in offered {
        let weight = weights.coding(*coding);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((*coding, weight));
        }
    }
    match (best, weights.identity) {
        (Some((_, weight)), Some(identity)) if identity > weight => Choice::Identity,
        (Some((coding, _)), _) => Choice::Coded(coding),
        (None, Some(0)) => Choice::Refused,
        (None, None) if weights.any == Some(0) => Choice::Refused,
        (None, _) => Choice::Identity,
    }
}

/// Weights in thousandths; `None` where the client does not name the coding.
#[derive(Default)]
struct Weights {
    zstd: Option<u16>,
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Weights {
    fn of(request: &HeaderMap) -> Self {
        let mut weights = Self::default();
        for member in list(request, &ACCEPT_ENCODING) {
            let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = match parts.next() {
                None => 1000,
                Some(weight) => weight_of(weight).unwrap_or(0),
            };
            let is = |token: &str| name.eq_ignore_ascii_case(token.as_bytes());
            let place = if is(token(Coding::Zstd)) {
                &mut weights.zstd
            } else if is(token(Coding::Brotli)) {
                &mut weights.brotli
            } else if is(token(Coding::Gzip)) || is("x-gzip") {
                // RFC 9110 section 8.4.1.3: a recipient should take x-gzip as gzip.
                &mut weights.gzip
            } else if is("identity") {
                &mut weights.identity
            } else if is("*") {
                &mut weights.any
            } else {
                continue;
            };
            // Named twice, a coding is as welcome as the less eager of both.
            *place = Some(place.map_or(weight, |before| before.min(weight)));
        }
        weights
    }

    fn coding(&self, coding: Coding) -> u16 {
        let named = match coding {
            Coding::Zstd => self.zstd,
            Coding::Brotli => self.brotli,
            Coding::Gzip => self.gzip,
        };
        named.or(self.any).unwrap_or(0)
    }
}

/// `q=0.123` in thousandths (RFC 9110 section 12.4.2: at most three decimals, at most 1).
fn weight_of(parameter: &[u8]) -> Option<u16> {
    let (name, value) = parameter.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, decimals) = value.split_first()?;
    let decimals = match decimals.split_first() {
        None => decimals,
        Some((b'.', decimals)) => decimals,
        Some(_) => return None,
    };
    if decimals.len() > 3 || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths =
        (0..3).fold(0, |sum, place| sum * 10 + u16::from(decimals.get(place).map_or(0, |digit| digit - b'0')));
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    fn choose(values: &[&'static str]) -> Choice {
        let mut request = HeaderMap::new();
        for value in values {
            request.append(ACCEPT_ENCODING, value.parse().unwrap());
        }
        negotiate(&request, &ALL)
    }

    fn chosen(value: &'static str) -> Choice {
        choose(&[value])
    }

    #[test]
    fn rfc9110_12_5_3_without_the_field_content_goes_as_it_is() {
        assert_eq!(choose(&[]), Choice::Identity);
    }

    #[test]
    fn rfc9110_12_5_3_an_empty_field_wants_identity() {
        assert_eq!(chosen(""), Choice::Identity);
    }

    #[test]
    fn between_equals_our_order_decides() {
        assert_eq!(chosen("gzip, deflate, br, zstd"), Choice::Coded(Coding::Zstd));
        assert_eq!(chosen("gzip, deflate, br"), Choice::Coded(Coding::Brotli));
        assert_eq!(chosen("deflate, X-GZIP"), Choice::Coded(Coding::Gzip));
        assert_eq!(choose(&["gzip", "br"]), Choice::Coded(Coding::Brotli));
        assert_eq!(chosen("deflate, compress"), Choice::Identity);
    }

    #[test]
    fn rfc9110_12_4_2_the_higher_weight_wins_and_0_refuses() {
        assert_eq!(chosen("zstd;q=0.5, br;q=0.51, gzip;q=0.509"), Choice::Coded(Coding::Brotli));
        assert_eq!(chosen("gzip;q=0"), Choice::Identity);
        assert_eq!(chosen("gzip ; q=0.000, br;Q=0.001"), Choice::Coded(Coding::Brotli));
        assert_eq!(chosen("identity, gzip;q=0.5"), Choice::Identity);
        assert_eq!(chosen("identity;q=0.5, gzip;q=0.5"), Choice::Coded(Coding::Gzip));
    }

    #[test]
    fn rfc9110_12_5_3_the_asterisk_stands_for_what_is_not_named() {
        assert_eq!(chosen("*"), Choice::Coded(Coding::Zstd));
        assert_eq!(chosen("zstd;q=0, *;q=0.1"), Choice::Coded(Coding::Brotli));
        assert_eq!(chosen("gzip, *;q=0"), Choice::Coded(Coding::Gzip));
    }

    #[test]
    fn rfc9110_12_5_3_identity_is_acceptable_unless_excluded() {
        assert_eq!(chosen("identity;q=0"), Choice::Refused);
        assert_eq!(chosen("*;q=0"), Choice::Refused);
        assert_eq!(chosen("compress, *;q=0"), Choice::Refused);
        assert_eq!(chosen("identity;q=0, gzip"), Choice::Coded(Coding::Gzip));
        assert_eq!(chosen("identity;q=0.1, *;q=0"), Choice::Identity);
    }

    #[test]
    fn malformed_weights_are_not_relied_upon() {
        for value in [
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;level=9",
            "gzip;q",
            "gzip;q=0,5x",
        ] {
            assert_eq!(chosen(value), Choice::Identity, "{value}");
        }
        assert_eq!(chosen("gzip;q=1."), Choice::Coded(Coding::Gzip));
        assert_eq!(chosen("gzip;q=1.000"), Choice::Coded(Coding::Gzip));
        assert_eq!(chosen(",, ,gzip,"), Choice::Coded(Coding::Gzip));
        assert_eq!(chosen("gzip, gzip;q=0"), Choice::Identity);
    }

    #[test]
    fn only_what_is_offered_is_chosen() {
        let mut request = HeaderMap::new();
        request.insert(ACCEPT_ENCODING, "zstd, br, gzip".parse().unwrap());
        assert_eq!(negotiate(&request, &[Coding::Gzip]), Choice::Coded(Coding::Gzip));
        assert_eq!(negotiate(&request, &[]), Choice::Identity);
        request.insert(ACCEPT_ENCODING, "*".parse().unwrap());
        assert_eq!(negotiate(&request, &[]), Choice::Identity);
    }
}
