//! The cache key, and the query that goes into it.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

/// Identity of a stored response: scheme, authority, path, query and, for one of several variants, its variance.
///
/// The parts are framed by their lengths, not joined by a character, so no two different requests share a key whatever
/// bytes they hold. Equality and hash are over all bytes. Clones share the bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Arc<[u8]>);

/// Number of parts: scheme, authority, path, query, variance.
const PARTS: usize = 5;

impl CacheKey {
    /// A key without variance. The parts are taken as they are: to normalise (case and port of the authority, encoding of
    /// the path) is for the caller, who must do the same for routing and for what is forwarded.
    #[must_use]
    pub fn new(scheme: &str, authority: &str, path: &str, query: Option<&[u8]>) -> Self {
        Self::from_fields([Some(scheme.as_bytes()), Some(authority.as_bytes()), Some(path.as_bytes()), query, None])
    }

    fn from_fields(parts: [Option<&[u8]>; PARTS]) -> Self {
        let len = parts.iter().map(|part| 4 + part.map_or(0, <[u8]>::len)).sum();
        let mut bytes = Vec::with_capacity(len);
        Self::write_parts(parts, &mut bytes);
        Self(bytes.into())
    }

    /// Writes the bytes of the key that [`CacheKey::new`] would make of these parts behind `out`: for look-ups that must
    /// not allocate.
    pub fn write(scheme: &str, authority: &str, path: &str, query: Option<&[u8]>, out: &mut Vec<u8>) {
        let parts = [Some(scheme.as_bytes()), Some(authority.as_bytes()), Some(path.as_bytes()), query, None];
        Self::write_parts(parts, out);
    }

    fn write_parts(parts: [Option<&[u8]>; PARTS], out: &mut Vec<u8>) {
        for part in parts {
            // A length of u32::MAX is for parts that are absent. No request target comes near it.
            let len = part.map_or(u32::MAX, |part| u32::try_from(part.len()).unwrap_or(u32::MAX - 1));
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(part.unwrap_or_default());
        }
    }

    /// The key whose bytes these are; `None` if they are none. For keys read back from disk.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        for index in 0..PARTS {
            let part;
            (part, rest) = split_part(rest)?;
            if index < 3 && std::str::from_utf8(part?).is_err() {
                return None;
            }
        }
        rest.is_empty().then(|| Self(bytes.into()))
    }

    /// All bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key of one variant of this key's responses. See [`crate::semantics::Variance::suffix`].
    #[must_use]
    pub fn with_variance(&self, suffix: &[u8]) -> Self {
        let part = |index| self.part(index);
        Self::from_fields([part(0), part(1), part(2), part(3), Some(suffix)])
    }

    /// The key without variance.
    #[must_use]
    pub fn primary(&self) -> Self {
        if self.variance().is_none() {
            return self.clone();
        }
        let part = |index| self.part(index);
        Self::from_fields([part(0), part(1), part(2), part(3), None])
    }

    /// `http` or `https`
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.text(0)
    }

    /// Normalised `host` or `host:port`.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text(1)
    }

    /// Path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text(2)
    }

    /// Query, without the `?`. An empty one is another key than none.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        self.part(3)
    }

    /// Variance, if it is the key of a variant.
    #[must_use]
    pub fn variance(&self) -> Option<&[u8]> {
        self.part(4)
    }

    /// Bytes it occupies.
    #[must_use]
    pub fn weight(&self) -> u64 {
        // The reference counts beside the bytes.
        self.0.len() as u64 + 16
    }

    fn part(&self, index: usize) -> Option<&[u8]> {
        let mut rest: &[u8] = &self.0;
        for _ in 0..index {
            rest = split_part(rest)?.1;
        }
        split_part(rest)?.0
    }

    fn text(&self, index: usize) -> &str {
        self.part(index).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
    }
}

/// The first part of `bytes` and what follows it; the part is `None` if it is absent.
fn split_part(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let len = u32::from_be_bytes(*len);
    if len == u32::MAX {
        return Some((None, rest));
    }
    let (part, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    Some((Some(part), rest))
}

impl fmt::Display for CacheKey {
    /// For logs: the absolute URI, with control bytes escaped; of a variance only that there is one, and its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority().escape_debug(), self.path().escape_debug())?;
        if let Some(query) = self.query() {
            write!(f, "?{}", query.escape_ascii())?;
        }
        self.variance().map_or(Ok(()), |variance| write!(f, " (variant, {} bytes)", variance.len()))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

/// By its bytes, which is what it is hashed and compared by.
impl Borrow<[u8]> for CacheKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Names of query parameters; a trailing `*` stands for any ending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParamMatcher {
    exact: Vec<Box<[u8]>>,
    prefixes: Vec<Box<[u8]>>,
    /// What they begin with: most names are known by that to be none.
    begins: ByteSet,
}

/// Bytes, a bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// All bytes.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// Adds one.
    pub fn insert(&mut self, byte: u8) {
        if let Some(bits) = self.0.get_mut(usize::from(byte >> 6)) {
            *bits |= 1 << (byte & 63);
        }
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|bits| bits & (1 << (byte & 63)) != 0)
    }
}

impl ParamMatcher {
    /// A matcher of these names.
    #[must_use]
    pub fn new<I>(names: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut matcher = Self::default();
        for name in names {
            match name.as_ref().strip_suffix('*') {
                Some(prefix) => matcher.prefixes.push(prefix.as_bytes().into()),
                None => matcher.exact.push(name.as_ref().as_bytes().into()),
            }
        }
        matcher.exact.sort_unstable();
        for name in matcher.exact.iter().chain(&matcher.prefixes) {
            match name.first() {
                Some(first) => matcher.begins.insert(*first),
                // It is the beginning of every name.
                None => matcher.begins = ByteSet::ALL,
            }
        }
        matcher
    }

    /// Whether `name` (percent-decoded, case-sensitive) is one of them.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        if name.first().is_some_and(|first| !self.begins.contains(*first)) {
            return false;
        }
        self.exact.binary_search_by(|known| known.as_ref().cmp(name)).is_ok()
            || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    /// Whether it matches nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }
}

/// The query that goes into the key: without the parameters of `ignore`, and sorted by name if `sort`. `None` if nothing
/// is left. Forward the shaped query too where the origin must not see what the key does not cover.
///
/// Only `&` separates parameters. A parameter that holds a `;` is never ignored: some origins split there too, and would
/// see another parameter behind it ("parameter cloaking"). When sorting, parameters keep their order among those that an
/// origin may take for the same one: PHP writes `a.b`, `a b` and `a_b` alike and reads `a[x]` into `a`.
#[must_use]
pub fn shape_query<'a>(query: &'a [u8], ignore: &ParamMatcher, sort: bool) -> Option<Cow<'a, [u8]>> {
    let ignored = |param: &[u8]| !ignore.is_empty() && !param.contains(&b';') && ignore.matches(&decoded_name(param));
    let params = || query.split(|&byte| byte == b'&');
    if !sort && !params().any(ignored) {
        return (!query.is_empty()).then_some(Cow::Borrowed(query));
    }
    let mut kept: Vec<&[u8]> = params().filter(|param| !ignored(param)).collect();
    if sort {
        kept.retain(|param| !param.is_empty());
        kept.sort_by_cached_key(|param| sort_name(param));
    }
    let shaped = kept.join(&b'&');
    (!shaped.is_empty()).then_some(Cow::Owned(shaped))
}

/// Percent-decoded name of a parameter; `+` is a space there.
fn decoded_name(param: &[u8]) -> Cow<'_, [u8]> {
    let name = param.split(|&byte| byte == b'=').next().unwrap_or(param);
    if !name.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(name);
    }
    let spaced: Vec<u8> = name.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    Cow::Owned(percent_encoding::percent_decode(&spaced).collect())
}

/// The name a parameter is sorted by: the same for all names that may stand for one variable of the origin.
fn sort_name(param: &[u8]) -> Vec<u8> {
    let name = decoded_name(param);
    let name = name.trim_ascii_start();
    let end = name.iter().position(|byte| matches!(byte, b'[' | b'\0' | b';')).unwrap_or(name.len());
    let base = name.get(..end).unwrap_or(name);
    base.iter().map(|&byte| if matches!(byte, b'.' | b' ') { b'_' } else { byte }).collect()
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
