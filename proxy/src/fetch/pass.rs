//! A fetch for one client, of which nothing is stored.

use super::run::{Failed, Job, UpstreamReport};
use super::stream::hand_over;
use super::telling::Answer;

/// Asks an AP server, and hands over what it says. Ends early when nobody waits for that any more.
pub(super) async fn pass(job: &mut Job, answer: Answer, report: &mut UpstreamReport) -> Result<(), Failed> {
    let body = std::mem::take(&mut job.body);
    let begun = tokio::select! {
        begun = job.begin(&job.outbound, body, true, &answer, report) => begun,
        () = answer.abandoned() => return Ok(()),
    };
    match begun {
        Ok((exchange, head)) => {
            job.heed(&job.outbound.method, &head).await;
            hand_over(&job.lasting, &job.pool, exchange, head, None, None, answer, *report).await
        }
        Err(error) => Err((error, Some(answer))),
    }
}
