//! Entity tags: RFC 9110 section 8.8.3, and the lists of them in `If-Match` and `If-None-Match`.

/// An entity tag, as it stands in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads a field value that is one entity tag: `[ "W/" ] DQUOTE *etagc DQUOTE`; `W` is case-sensitive. `None` for anything else.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::split(text)?;
        rest.is_empty().then_some(tag)
    }

    /// Weak: equal tags may stand for representations that differ in their bytes (section 8.8.1).
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// Strong comparison (section 8.8.3.2): both are strong and the same.
    #[must_use]
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Weak comparison (section 8.8.3.2): the same, weak or not.
    #[must_use]
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// The tag at the start of `text`, and what follows it.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&byte| byte == b'"')?;
        let (opaque, rest) = inner.split_at_checked(end)?;
        opaque.iter().all(|&byte| is_etagc(byte)).then_some(())?;
        Some((Self { weak, opaque }, rest.get(1..)?))
    }
}

fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}

/// The members of `If-Match` or `If-None-Match`.
pub(super) enum Members<'a, I> {
    /// The request has no such field.
    Absent,
    /// The field is `*`.
    Any,
    /// A list, of which malformed members are left out.
    List(Tags<'a, I>),
}

pub(super) fn members<'a, I: Iterator<Item = &'a [u8]>>(mut lines: I) -> Members<'a, I> {
    match (lines.next(), lines.next()) {
        (None, _) => Members::Absent,
        (Some(only), None) if only.trim_ascii() == b"*" => Members::Any,
        (Some(rest), second) => Members::List(Tags { rest, second, lines }),
    }
}

/// Walks all field lines as one list. Commas within the quotes belong to the tag.
pub(super) struct Tags<'a, I> {
    rest: &'a [u8],
    second: Option<&'a [u8]>,
    lines: I,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Iterator for Tags<'a, I> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = match self.rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b',')) {
                Some(start) => self.rest.get(start..).unwrap_or_default(),
                None => self.second.take().or_else(|| self.lines.next())?,
            };
            let tag = EntityTag::split(self.rest);
            let after = tag.map_or(self.rest, |(_, after)| after);
            let (junk, next) = match after.iter().position(|&byte| byte == b',') {
                Some(comma) => after.split_at(comma),
                None => (after, b"".as_slice()),
            };
            self.rest = next;
            if let Some((tag, _)) = tag
                && junk.trim_ascii().is_empty()
            {
                return Some(tag);
            }
        }
    }
}
