//! Stored content coded once, however many clients ask for it at the same time.

use std::sync::Arc;

use ahash::AHashMap;
use bytes::Bytes;
use forebay_cache::key::CacheKey;
use forebay_cache::semantics::coding::Coding;
use forebay_cache::stored::StoredResponse;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{Quality, encode_all};
use crate::runtime::Lasting;

/// A stored response (by its address, while it is held) and a coding.
type Place = (CacheKey, usize, Coding);

/// Content made in another coding, once for all who ask for it at the same time.
#[derive(Debug, Default)]
pub(crate) struct Encodings {
    running: Mutex<AHashMap<Place, Arc<OnceCell<Option<Bytes>>>>>,
}

impl Encodings {
    /// `response`'s content in `coding`, kept in the store beside it.
    pub(crate) async fn get(
        &self,
        lasting: &Lasting,
        key: &CacheKey,
        response: &Arc<StoredResponse>,
        coding: Coding,
    ) -> Option<Bytes> {
        let place = (key.clone(), Arc::as_ptr(response).addr(), coding);
        let cell = Arc::clone(self.running.lock().entry(place.clone()).or_default());
        let made = cell
            .get_or_init(|| async {
                let content = response.content().clone();
                let task = tokio::task::spawn_blocking(move || encode_all(coding, Quality::Store, &content));
                let made = task.await.ok()?.ok()?;
                lasting.metrics.compressed(coding);
                lasting.store.add_coded(key, response, coding, made.clone()).await;
                Some(made)
            })
            .await
            .clone();
        self.running.lock().remove(&place);
        made
    }
}
