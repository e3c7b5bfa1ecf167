//! Offloaded files in other codings, for those that have no precompressed sibling: made once, kept in memory.

use std::sync::Arc;

use ahash::RandomState;
use bytes::{Bytes, BytesMut};
use forebay_cache::semantics::coding::Coding;
use http::HeaderValue;
use moka::sync::Cache;

use super::{Quality, encode_all};
use crate::stages::offload::FileBody;

/// Bytes all coded files together may take.
const CAPACITY: u64 = 64 * 1024 * 1024;

/// Largest file that is compressed here; operators precompress what is larger.
pub(crate) const LARGEST: u64 = 1024 * 1024;

/// Site, path, entity tag and coding. The tag changes with the content, so what is found is never out of date.
type Place = (Arc<str>, HeaderValue, Coding);

/// See the module.
#[derive(Debug)]
pub(crate) struct FileCodings {
    made: Cache<Place, Bytes, RandomState>,
}

impl Default for FileCodings {
    fn default() -> Self {
        let made = Cache::builder()
            .max_capacity(CAPACITY)
            .weigher(|place: &Place, content: &Bytes| {
                u32::try_from(place.0.len() + content.len() + 256).unwrap_or(u32::MAX)
            })
            .build_with_hasher(RandomState::new());
        Self { made }
    }
}

impl FileCodings {
    /// What was made of it before.
    pub(crate) fn made(&self, name: &str, etag: &HeaderValue, coding: Coding) -> Option<Bytes> {
        self.made.get(&(Arc::from(name), etag.clone(), coding))
    }

    /// The file that `body` reads, called `name` and tagged `etag`, in `coding`. `None` when it cannot be read or coded.
    pub(crate) async fn get(
        &self,
        name: &str,
        etag: &HeaderValue,
        coding: Coding,
        body: &mut FileBody,
        counted: impl FnOnce(),
    ) -> Option<Bytes> {
        if let Some(content) = self.made(name, etag, coding) {
            return Some(content);
        }
        let place = (Arc::from(name), etag.clone(), coding);
        let mut plain = BytesMut::new();
        while let Some(chunk) = body.next().await.ok()? {
            plain.extend_from_slice(&chunk);
        }
        let made = self.made.clone();
        counted();
        // Those who ask at the same time wait for the first.
        let task = tokio::task::spawn_blocking(move || {
            made.try_get_with(place, || encode_all(coding, Quality::Store, &plain)).ok()
        });
        task.await.ok()?
    }
}
