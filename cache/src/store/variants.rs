//! The stored responses of one cache key.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::disk::LargeContent;
use super::prepared::Prepared;
use crate::semantics::coding::Coding;
use crate::stored::StoredResponse;

/// Most variants kept under one key; the oldest makes room. A response that varies by what every client sends
/// differently (User-Agent, Cookie) would otherwise fill the store by itself.
const MOST: usize = 16;

/// What one variant takes beyond its response: bookkeeping, and the heads that are prepared of it, bytes.
const OVERHEAD: u64 = 960;

/// One stored response and its content in other codings.
#[derive(Debug, Clone)]
pub struct Variant {
    /// As the origin sent it.
    pub response: Arc<StoredResponse>,
    /// Its content, compressed once and served many times.
    pub coded: Vec<(Coding, Bytes)>,
    /// The same, where that is in files: only of content that is in a file itself.
    pub coded_large: Vec<(Coding, Arc<LargeContent>)>,
    /// Heads made of it.
    pub prepared: Arc<Prepared>,
    /// Its content, where that is in a file and not in the response.
    pub large: Option<Arc<LargeContent>>,
}

impl Variant {
    /// A response as it arrived, with its content.
    #[must_use]
    pub fn new(response: Arc<StoredResponse>) -> Self {
        Self { response, coded: Vec::new(), coded_large: Vec::new(), prepared: Arc::default(), large: None }
    }

    /// A response whose content is in a file.
    #[must_use]
    pub fn in_file(response: Arc<StoredResponse>, content: Arc<LargeContent>) -> Self {
        Self { large: Some(content), ..Self::new(response) }
    }

    /// The same content with the fields of `response`.
    #[must_use]
    pub fn freshened(&self, response: Arc<StoredResponse>) -> Self {
        let (coded, coded_large) = (self.coded.clone(), self.coded_large.clone());
        Self { coded, coded_large, large: self.large.clone(), ..Self::new(response) }
    }

    /// Whether it is known that no purge up to number `last` ([`crate::purge::Purges::last`]) concerns it.
    #[must_use]
    pub fn is_checked(&self, last: u64) -> bool {
        self.prepared.checked() >= last
    }

    /// Bytes of the content as the origin sent it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.large.as_ref().map_or_else(|| self.response.content().len() as u64, |large| large.length())
    }

    pub(super) fn weight(&self) -> u64 {
        self.response.weight() + OVERHEAD + self.coded.iter().map(|(_, content)| content.len() as u64).sum::<u64>()
    }

    /// The content in `coding`, when it was made.
    #[must_use]
    pub fn coded(&self, coding: Coding) -> Option<&Bytes> {
        self.coded.iter().find(|(made, _)| *made == coding).map(|(_, content)| content)
    }

    /// The same, where that is in a file.
    #[must_use]
    pub fn coded_large(&self, coding: Coding) -> Option<&Arc<LargeContent>> {
        self.coded_large.iter().find(|(made, _)| *made == coding).map(|(_, content)| content)
    }
}

/// All stored responses of a key, newest first. Immutable: a change makes a new list that shares the responses.
#[derive(Debug, Clone, Default)]
pub struct Variants(Vec<Variant>);

impl Variants {
    /// From a list that begins with the newest.
    #[must_use]
    pub(super) fn newest_first(variants: Vec<Variant>) -> Self {
        Self(variants)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The newest response whose nominated fields match those of `forwarded` (RFC 9111 section 4.1).
    #[must_use]
    pub fn select(&self, forwarded: &HeaderMap) -> Option<&Variant> {
        self.0.iter().find(|variant| variant.response.variance().matches(forwarded))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Variant> {
        self.0.iter()
    }

    /// With `response`, in place of the one it replaces.
    #[must_use]
    pub(super) fn with(&self, response: Arc<StoredResponse>) -> Self {
        let mut variants = Vec::with_capacity(self.0.len() + 1);
        let variance = response.variance().clone();
        variants.push(Variant::new(response));
        variants
            .extend(self.0.iter().filter(|variant| *variant.response.variance() != variance).take(MOST - 1).cloned());
        Self(variants)
    }

    /// With `old` replaced by `new`, which has the same content: codings that were made stay.
    #[must_use]
    pub(super) fn freshened(&self, old: &Arc<StoredResponse>, new: Arc<StoredResponse>) -> Self {
        let Some(variant) = self.0.iter().find(|variant| Arc::ptr_eq(&variant.response, old)) else {
            return self.with(new);
        };
        let fresh = variant.freshened(new);
        let others = self.0.iter().filter(|variant| !Arc::ptr_eq(&variant.response, old)).cloned();
        Self(std::iter::once(fresh).chain(others).collect())
    }

    /// With the content of `response` in another coding; unchanged when `response` is no longer there.
    #[must_use]
    pub(super) fn with_coded(&self, response: &Arc<StoredResponse>, coding: Coding, content: Bytes) -> Self {
        let mut changed = self.clone();
        if let Some(variant) = changed.0.iter_mut().find(|variant| Arc::ptr_eq(&variant.response, response))
            && variant.coded(coding).is_none()
        {
            variant.coded.push((coding, content));
        }
        changed
    }

    /// With each of `changes` in place of the response it names, or without that.
    #[must_use]
    pub(super) fn changed(&self, changes: &[(Arc<StoredResponse>, Option<Variant>)]) -> Self {
        let change = |variant: &Variant| changes.iter().find(|(of, _)| Arc::ptr_eq(of, &variant.response));
        let variants = self.0.iter().filter_map(|variant| match change(variant) {
            Some((_, change)) => change.clone(),
            None => Some(variant.clone()),
        });
        Self(variants.collect())
    }

    /// With those of `older` that are not here.
    #[must_use]
    pub(super) fn merged(&self, older: &Self) -> Self {
        let is_here =
            |variant: &Variant| self.0.iter().any(|here| here.response.variance() == variant.response.variance());
        let others = older.0.iter().filter(|variant| !is_here(variant));
        Self(self.0.iter().chain(others).take(MOST).cloned().collect())
    }

    /// Those whose content is not in a file.
    #[must_use]
    pub(super) fn held_whole(&self) -> Self {
        Self(self.0.iter().filter(|variant| variant.large.is_none()).cloned().collect())
    }

    pub(super) fn weight(&self) -> u64 {
        self.0.iter().map(Variant::weight).sum()
    }
}
