//! Guard: access, suspicion, limits and passwords, in this order. What is refused here has cost neither an AP server nor a
//! look into the cache.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use http::header::AUTHORIZATION;
use tokio::time::sleep;

use crate::context::Context;
use crate::guard::{Asking, Credentials, Guard, Objection, Standing, Users};
use crate::http::{Refusal, Sink};
use crate::site::merge_slashes;

/// Passwords that may wait to be verified, all sites together. Above that somebody is trying a list of them.
const WAITING: usize = 64;

/// Lets the request go on, perhaps later.
///
/// # Errors
///
/// 403 by address, 429 for who asks too often or for too much at the same time, 401 without the right password.
pub(crate) async fn guard(
    context: &mut Context,
    guard: &Guard,
    path: &str,
    sink: &mut Sink<'_>,
) -> Result<(), Refusal> {
    let path = merge_slashes(path);
    if !guard.concerns(&path) {
        return Ok(());
    }
    let lasting = std::sync::Arc::clone(context.lasting());
    let state = &lasting.clients;
    let asking = Asking {
        client: context.client,
        method: &context.request.method,
        path: &path,
        fields: &context.request.fields,
    };
    if guard.access(&asking).is_err() {
        return Err(limited(context, StatusCode::FORBIDDEN, "access-denied"));
    }
    match guard.standing(&asking, state) {
        Standing::Unsuspected => {}
        Standing::Marked => {
            context.suspect = true;
            count(context, "suspect-marked");
        }
        Standing::Refused(left) => return Err(later(context, left, "suspect")),
        Standing::Tarpitted(left, hold) => {
            // When the tarpit is full the rest is refused at once: it must not become a way to hold every connection.
            if let Ok(_held) = state.tarpit.try_acquire() {
                held_back(hold, sink).await;
            }
            return Err(later(context, left, "suspect-tarpit"));
        }
    }
    let asking = Asking {
        client: context.client,
        method: &context.request.method,
        path: &path,
        fields: &context.request.fields,
    };
    match guard.limits(&asking, state) {
        Ok(admitted) => {
            context.held.extend(admitted.held);
            if admitted.wait > 0 {
                count(context, "rate-delay");
                held_back(Duration::from_nanos(admitted.wait), sink).await;
            }
        }
        Err(Objection::Rate(early)) => return Err(later(context, early, "rate-limit")),
        Err(Objection::Concurrent) => return Err(later(context, 1, "concurrency-limit")),
        Err(Objection::Denied) => return Err(limited(context, StatusCode::FORBIDDEN, "access-denied")),
    }
    match &guard.users {
        Some(users) => authenticate(context, users).await,
        None => Ok(()),
    }
}

/// Waits, unless the client leaves.
async fn held_back(time: Duration, sink: &mut Sink<'_>) {
    tokio::select! {
        () = sleep(time) => {}
        () = sink.gone() => {}
    }
}

async fn authenticate(context: &mut Context, users: &Users) -> Result<(), Refusal> {
    let credentials = context.request.fields.get(AUTHORIZATION).and_then(Credentials::parse);
    let Some(credentials) = credentials else { return Err(unauthorized(context, users, "auth-required")) };
    let right = match users.known(&credentials) {
        Some(right) => right,
        None => match verify(context, users, &credentials).await {
            Some(right) => right,
            None => return Err(later(context, 1, "auth-busy")),
        },
    };
    if right { Ok(()) } else { Err(unauthorized(context, users, "auth-failed")) }
}

/// Takes part in the queue while it is there.
struct Queued<'a>(&'a AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `None` when too many wait.
async fn verify(context: &Context, users: &Users, credentials: &Credentials) -> Option<bool> {
    let state = &context.lasting().clients;
    let waiting = state.waiting.fetch_add(1, Ordering::Relaxed);
    let _queued = Queued(&state.waiting);
    if waiting >= WAITING {
        return None;
    }
    let _turn = state.verifying.acquire().await.ok()?;
    // The same browser asks for a hundred files at once: one of them has been verified meanwhile.
    match users.known(credentials) {
        Some(right) => Some(right),
        None => Some(users.verify(credentials).await),
    }
}

fn unauthorized(context: &mut Context, users: &Users, reason: &'static str) -> Refusal {
    context.challenge = Some(users.challenge.clone());
    limited(context, StatusCode::UNAUTHORIZED, reason)
}

/// 429, and when to come again.
fn later(context: &mut Context, nanos: u64, reason: &'static str) -> Refusal {
    context.retry_after = Some(nanos.div_ceil(1_000_000_000).max(1));
    limited(context, StatusCode::TOO_MANY_REQUESTS, reason)
}

fn limited(context: &Context, status: StatusCode, reason: &'static str) -> Refusal {
    count(context, reason);
    Refusal::new(status, reason)
}

fn count(context: &Context, reason: &'static str) {
    context.lasting().metrics.limited(context.site.label(), reason);
}
